"""All that crosses the process boundary: commands to the worker, events from it.

Poses and frames do not pass here; they go through shared memory (`link.py`), newest wins. Commands
are never dropped and are answered in order. Everything here is a frozen dataclass of plain values
and numpy arrays, so it pickles; nothing here imports torch, GL or the world file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .config import GenerationSettings
from .film_render import FilmSettings
from .imports.references import AUTO
from .marks import Mark
from .memory.pages import PoolStatistics

# ---- commands: display -> worker -------------------------------------------------------------


@dataclass(frozen=True)
class OpenWorld:
    path: Path
    read_only: bool = False


@dataclass(frozen=True)
class NewWorldFromPicture:
    """Make a world from one picture and open it. The name is taken from the file's name;
    `surroundings` is one of `references.choices`."""

    image: Path
    surroundings: str = AUTO


@dataclass(frozen=True)
class OpenStarterWorld:
    """Open the starter world of this name; it is made the first time."""

    name: str


@dataclass(frozen=True)
class CloseWorld:
    pass


@dataclass(frozen=True)
class ChangeSettings:
    settings: GenerationSettings


@dataclass(frozen=True)
class CopyWorld:
    """Fork: copy the open world to `target`; `switch` continues in the copy (save as)."""

    target: Path
    switch: bool = False


@dataclass(frozen=True)
class ChangeFrame:
    """`action` is "delete", "restore", "pin", "unpin" or "undo edit"."""

    frame_id: int
    action: str


@dataclass(frozen=True)
class SetWorldState:
    """Store a JSON value in the world: bookmarks, notes."""

    key: str
    value: Any


@dataclass(frozen=True)
class Paint:
    """Keep a mark that was put on the picture drawn for this pose and field of view (as drawn,
    overscan included). Answered by `Painted` with its `number`."""

    mark: Mark
    camera_to_world: np.ndarray
    fov_y_radians: float
    number: int = 0


@dataclass(frozen=True)
class UndoPaint:
    """Take back the last stroke that is still there."""


@dataclass(frozen=True)
class LeaveFootprints:
    """Whether walking leaves footprints in this world; the world remembers it."""

    on: bool


@dataclass(frozen=True)
class RequestThumbnails:
    frame_ids: tuple[int, ...]


@dataclass(frozen=True)
class RequestPicture:
    """Ask for the full stored picture of one memory frame."""

    frame_id: int


@dataclass(frozen=True)
class RequestMap:
    pass


@dataclass(frozen=True)
class StartRecording:
    target: Path


@dataclass(frozen=True)
class StopRecording:
    pass


@dataclass(frozen=True)
class RenderFilm:
    """Render a film along key poses (JSON, see `film_path.keys_from_json`) beside the walk."""

    target: Path
    keys: list
    settings: FilmSettings


@dataclass(frozen=True)
class CancelFilm:
    pass


@dataclass(frozen=True)
class RenameWorld:
    """Give the open world, and its file, another name."""

    name: str


@dataclass(frozen=True)
class Quit:
    pass


# ---- events: worker -> display ---------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """Something that takes time has begun or went on. `fraction` None = unknown length."""

    text: str
    fraction: float | None = None


@dataclass(frozen=True)
class WorkerReady:
    """The model code is loaded; commands are being handled."""


@dataclass(frozen=True)
class WorldOpened:
    """A world is open; frames for it follow.

    `camera` is the saved camera state ({"camera_to_world": 4x4 list, "mode": str}) or None.
    """

    path: Path
    name: str
    read_only: bool
    start_pose: np.ndarray
    fov_y_radians: float
    camera: dict | None
    settings: GenerationSettings
    bookmarks: list
    notes: str
    stats: dict
    footprints: bool = False
    film: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Painted:
    """A stroke is kept: so many stored frames have a new version. Frames drawn from now show it.
    Footprints have number 0."""

    frames: int
    number: int = 0


@dataclass(frozen=True)
class WorldClosed:
    pass


@dataclass(frozen=True)
class OpenFailed:
    """`path` is what the user asked for; `message` says what is wrong and what to do."""

    path: Path
    message: str


@dataclass(frozen=True)
class Notice:
    """One line for the user. `level` is "info", "warning" or "error"."""

    text: str
    level: str = "info"


@dataclass(frozen=True)
class WorldStats:
    """About once a second: what `WorldFile.stats` says, and the worker's own numbers; `pages` is
    how well the cache of encoded frames (KV pages) does."""

    stats: dict
    worker_memory_mb: float
    pages: PoolStatistics | None = None


@dataclass(frozen=True)
class Thumbnails:
    """(72, 128, 3) uint8 pictures by frame id; an id that no longer exists is missing."""

    pictures: dict[int, np.ndarray]


@dataclass(frozen=True)
class StoredPicture:
    """The full picture of a memory frame. `kind` "" = it is still being read."""

    frame_id: int
    image: np.ndarray
    kind: str

    def of(self, frame_id: int) -> bool:
        """Whether this is the picture of that frame, and there."""
        return self.frame_id == frame_id and bool(self.kind)


@dataclass(frozen=True)
class FrameMap:
    """Live frames of the world: ids (N,), positions (N, 3) metres, forwards (N, 3), kinds (N,)
    index into ("seed", "generated", "edit", "surroundings"), pinned (N,) bool."""

    ids: np.ndarray
    positions: np.ndarray
    forwards: np.ndarray
    kinds: np.ndarray
    pinned: np.ndarray


@dataclass(frozen=True)
class RecordingState:
    target: Path | None
    frames: int = 0


@dataclass(frozen=True)
class FilmProgress:
    """A film is being rendered to `target`; None = none is, any more. `picture` (H, W, 3) now and
    then, the newest."""

    target: Path | None
    fraction: float = 0.0
    seconds_left: float = 0.0
    picture: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class WorkerFailed:
    """The worker is about to end. `message` is one line, `detail` the traceback."""

    message: str
    detail: str = field(default="", repr=False)
