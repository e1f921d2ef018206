"""What the start screen offers: starter worlds and the user's own, read in the background.

Reading many world files takes time and must not hold up the window, so a thread does it and
entries appear as they are read. A world that cannot be read is shown with the reason.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..memory.codec import DamagedFrame
from ..memory.world_file import WorldFile
from ..starters import list_starters
from ..worlds_folder import list_worlds

THUMBNAIL_SIZE = (384, 216)


@dataclass(frozen=True)
class Card:
    """One world to open. `starter` is the starter's name, None for an own world; `problem` says
    why it cannot be opened, `credit` who made its pictures, `notes` what the user wrote on it."""

    key: str
    title: str
    detail: str = ""
    path: Path | None = None
    starter: str | None = None
    thumbnail: np.ndarray | None = None
    problem: str | None = None
    credit: str = ""
    notes: str = ""


class Catalogue:
    """`starters` and `worlds` are lists of `Card`, replaced whole, by a thread, when all is read;
    `problem` says why something could not be listed."""

    def __init__(
        self,
        read_starters: Callable[[], list[Card]] | None = None,
        read_worlds: Callable[[], list[Card]] | None = None,
    ):
        self.starters: list[Card] = []
        self.worlds: list[Card] = []
        self.loading = False
        self.problem: str | None = None
        self._read_starters = read_starters or starter_cards
        self._read_worlds = read_worlds or world_cards
        self._thread: threading.Thread | None = None

    def refresh(self) -> None:
        """Read everything again, in the background, after a reading that is going on."""
        self.loading = True
        before = self._thread
        self._thread = threading.Thread(
            target=self._read, args=(before,), name="rtfm-catalogue", daemon=True
        )
        self._thread.start()

    def wait(self, timeout_s: float = 30.0) -> None:
        """Until the reading has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _read(self, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            starters, worlds = self.starters or self._read_starters(), self.worlds
            self.problem = None
            try:
                worlds = self._read_worlds()
            finally:
                # Both at once: own worlds stand first, and coming later they would push a starter
                # from under the mouse.
                self.worlds, self.starters = worlds, starters
        except (ValueError, OSError) as error:
            self.problem = str(error)
        finally:
            self.loading = threading.current_thread() is not self._thread


STARTER_KINDS = {
    "panorama": "360\u00b0 photograph",
    "image": "One picture",
    "transforms": "Pictures of a walk",
}


def starter_cards() -> list[Card]:
    return [
        Card(
            key=f"starter/{starter.name}",
            title=starter.title,
            detail=STARTER_KINDS[starter.kind],
            starter=starter.name,
            thumbnail=_read_picture(starter.thumbnail),
            credit=starter.credit,
        )
        for starter in list_starters()
    ]


def world_cards() -> list[Card]:
    """The worlds of the worlds folder, last visited first."""
    return [world_card(path) for path in list_worlds()]


def world_card(path: Path) -> Card:
    key = f"world/{path}"
    try:
        with WorldFile.open(path, read_only=True) as world:
            stats = world.stats()
            table = world.frame_table()
            thumbnail = _first_view(world, int(table.ids[0])) if len(table.ids) else None
            title = world.name
            notes = world.get_state("notes") or ""
    except (ValueError, OSError) as error:
        return Card(key, path.stem, path=path, problem=str(error), detail="cannot be opened")
    detail = (
        f"{count(stats['frames'], 'frame')} \u00b7 {size_text(stats['size_bytes'])} \u00b7 "
        f"{ago_text(time.time() - stats['last_visit'])}"
    )
    return Card(key, title, detail, path, thumbnail=thumbnail, notes=notes)


def _first_view(world: WorldFile, frame_id: int) -> np.ndarray:
    """The frame's picture, as large as a card; of a damaged one what is left of it."""
    try:
        picture = Image.fromarray(world.read_frame(frame_id).image)
    except DamagedFrame:
        return world.read_thumbnail(frame_id)
    picture.thumbnail((THUMBNAIL_SIZE[0] * 2, THUMBNAIL_SIZE[1] * 2))
    return np.asarray(picture)


def _read_picture(path: Path) -> np.ndarray | None:
    """The picture as RGB; None (an empty card) when it cannot be read."""
    try:
        with Image.open(path) as image:
            image.thumbnail((THUMBNAIL_SIZE[0] * 2, THUMBNAIL_SIZE[1] * 2))
            return np.asarray(image.convert("RGB"))
    except OSError:
        return None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def size_text(size_bytes: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if size_bytes >= 10 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def ago_text(seconds: float) -> str:
    """How long ago, in words."""
    for limit, unit, name in (
        (90, 1, None),
        (5400, 60, "minute"),
        (129600, 3600, "hour"),
        (float("inf"), 86400, "day"),
    ):
        if seconds < limit:
            if name is None:
                return "just now"
            number = max(1, round(seconds / unit))
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    raise AssertionError(seconds)
