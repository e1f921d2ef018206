"""What the interface shows (`AppState`) and what it can ask for besides worker commands.

Panels are functions from this state to a list of requests: commands of `messages.py` go to the
worker, the dataclasses here are carried out by the application itself. No GL, no ImGui.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import messages as m
from ..camera import CameraState
from ..config import GenerationSettings
from ..film_plan import FilmPlan
from ..imports.recognise import ImportRequest
from ..input import PadState
from ..link import TakenFrame
from ..memory.pages import PoolStatistics
from ..preferences import Preferences
from ..world_care import Trashed
from .catalogue import Catalogue
from .measurements import Measurements

TOAST_S = 6.0
OLD_FRAME_S = 0.5


# ---- requests to the application ----


@dataclass(frozen=True)
class OpenPath:
    """Open a world file, or make a world from a picture file."""

    path: Path


@dataclass(frozen=True)
class OpenStarter:
    name: str


@dataclass(frozen=True)
class ShowStart:
    """Close the world and show the start screen."""


@dataclass(frozen=True)
class RestartWorker:
    pass


@dataclass(frozen=True)
class ChangePreferences:
    preferences: Preferences


@dataclass(frozen=True)
class GoTo:
    """Fly the camera smoothly to a pose (4, 4)."""

    camera_to_world: np.ndarray


@dataclass(frozen=True)
class ChooseSource:
    """Ask for what a new world is made from: "picture", "video" or "folder"."""

    what: str


@dataclass(frozen=True)
class NewWorld:
    """Open a world file, or make a world of these files or this folder."""

    paths: tuple[Path, ...]


@dataclass(frozen=True)
class StartImport:
    order: ImportRequest


@dataclass(frozen=True)
class CancelImport:
    pass


@dataclass(frozen=True)
class Paste:
    """Make a world of what is in the clipboard; `text` is its text."""

    text: str


@dataclass(frozen=True)
class Choose:
    """The answer to `AppState.choice`: a request, or None for none of them."""

    request: object | None


@dataclass(frozen=True)
class RenameFile:
    """Rename a world that is not open."""

    path: Path
    name: str


@dataclass(frozen=True)
class DeleteFile:
    """Throw away a world that is not open; `BringBack` undoes it."""

    path: Path


@dataclass(frozen=True)
class BringBack:
    pass


@dataclass(frozen=True)
class SalvageFile:
    """Save what is sound of a damaged world as a new one."""

    path: Path


@dataclass(frozen=True)
class NoteFile:
    """Write the notes of a world that is not open."""

    path: Path
    text: str


@dataclass(frozen=True)
class ChangeFilm:
    plan: FilmPlan


@dataclass(frozen=True)
class AddFilmKey:
    """A key pose where the camera is: a new one, or in the place of key `index`."""

    index: int | None = None


@dataclass(frozen=True)
class FocusHere:
    """What is in the middle of the view becomes sharp, at key `index` or in the whole film."""

    index: int | None = None


@dataclass(frozen=True)
class KeysFromBookmarks:
    pass


@dataclass(frozen=True)
class PreviewFilm:
    pass


@dataclass(frozen=True)
class StopPreview:
    pass


@dataclass(frozen=True)
class ScrubFilm:
    """Stand on the film's path, at this share of its time."""

    share: float


@dataclass(frozen=True)
class StartFilm:
    as_pictures: bool = False


@dataclass(frozen=True)
class ChooseCopyTarget:
    switch: bool


@dataclass(frozen=True)
class AnswerQuestion:
    """The path typed for `AppState.question`; None closes it."""

    text: str | None


@dataclass(frozen=True)
class TakeScreenshot:
    pass


@dataclass(frozen=True)
class ToggleRecording:
    pass


@dataclass(frozen=True)
class ToggleFullScreen:
    pass


@dataclass(frozen=True)
class AddBookmark:
    pass


@dataclass(frozen=True)
class SwapSettings:
    """Exchange the settings in use with the other set (A/B)."""


@dataclass(frozen=True)
class CopyText:
    text: str


@dataclass(frozen=True)
class QuitProgram:
    pass


# ---- state ----


@dataclass(frozen=True)
class Toast:
    text: str
    level: str
    until: float


@dataclass
class PathQuestion:
    """Where there is no file dialog, the path is typed. `purpose` is "picture", "video",
    "folder", "copy" or "save as"; `text` is what stands in the field."""

    purpose: str
    text: str = ""


@dataclass(frozen=True)
class Choice:
    """A question with buttons: (label, request) each. "Cancel" is always there too."""

    title: str
    text: str
    answers: tuple[tuple[str, object], ...]


@dataclass
class AppState:
    """Everything that the interface shows. Changed by the application only."""

    preferences: Preferences
    catalogue: Catalogue
    camera: CameraState
    settings: GenerationSettings = field(default_factory=GenerationSettings)
    other_settings: GenerationSettings = field(default_factory=GenerationSettings)
    settings_slot: str = "A"
    world: m.WorldOpened | None = None
    world_stats: dict = field(default_factory=dict)
    worker_memory_mb: float = 0.0
    pages: PoolStatistics | None = None
    taken: TakenFrame | None = None
    taken_at: float = 0.0
    thumbnails: dict[int, object] = field(default_factory=dict)
    frame_map: m.FrameMap | None = None
    picture: m.StoredPicture | None = None
    bookmarks: list = field(default_factory=list)
    progress: m.Progress | None = None
    failure: m.WorkerFailed | None = None
    worker_ready: bool = False
    recording: m.RecordingState = field(default_factory=lambda: m.RecordingState(None))
    toasts: list[Toast] = field(default_factory=list)
    measured: Measurements = field(default_factory=Measurements)
    captured: bool = False
    full_screen: bool = False
    show_overlay: bool = True
    pressed_key: str | None = None
    pad: PadState | None = None
    pad_name: str | None = None
    renderer: str = ""
    hint_until: float = 0.0
    question: PathQuestion | None = None
    painted: tuple[int, float] = (0, 0.0)  # number of the newest stroke kept, and when
    choice: Choice | None = None
    importing: m.Progress | None = None
    trashed: Trashed | None = None
    film: FilmPlan = field(default_factory=FilmPlan)
    film_progress: m.FilmProgress = field(default_factory=lambda: m.FilmProgress(None))
    film_share: float = 0.0
    previewing: bool = False

    def toast(self, text: str, level: str = "info") -> None:
        """Show one line for a while; the same line is not shown twice."""
        now = time.monotonic()
        self.toasts = [t for t in self.toasts if t.until > now and t.text != text]
        seconds = TOAST_S * (2 if level == "error" else 1)
        self.toasts.append(Toast(text, level, now + seconds))

    @property
    def view_is_old(self) -> bool:
        """The picture shown was drawn for another view, and some time ago."""
        if self.taken is None:
            return False
        if time.perf_counter() - self.taken_at < OLD_FRAME_S:
            return False
        gap = self.taken.frame.camera_to_world - self.camera.camera_to_world
        return float(np.abs(gap).max()) > 0.02
