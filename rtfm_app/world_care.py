"""Keeping house among world files that are not open: rename, throw away, bring back, note."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from .memory.world_file import WorldFile
from .worlds_folder import SUFFIX, is_path, new_world_path

TRASH = ".trash"
KEPT_DAYS = 30
_SIDES = ("-wal", "-shm")


@dataclass(frozen=True)
class Trashed:
    """A world that was thrown away: where it was and where it lies now."""

    path: Path
    kept: Path


def renamed_path(path: Path, name: str) -> Path:
    """The file that a world will be under another name, in the same folder.

    Raises:
        ValueError: an unusable name, or there is such a world already.
    """
    name = name.strip()
    if is_path(name):
        raise ValueError(f"{name} is a path; give a name without {SUFFIX} and separators")
    checked = new_world_path(name) if name != path.stem else path
    target = path.with_name(checked.stem + SUFFIX)
    if target != path and target.exists():
        raise ValueError(f"there is a world named {target.stem} already; choose another name")
    return target


def rename_world(path: Path, name: str) -> Path:
    """Give a world and its file another name; returns the new path.

    Raises:
        ValueError: see `renamed_path`; open elsewhere, or not to be read.
    """
    target = renamed_path(path, name)
    with WorldFile.open(path) as world:
        world.set_state("title", name.strip())
    if target != path:
        path.rename(target)
    return target


def throw_away(path: Path) -> Trashed:
    """Move a world into the folder `.trash` beside it; what has lain there for a month goes.

    Raises:
        ValueError: it is open elsewhere.
    """
    if _is_open_elsewhere(path):
        raise ValueError(f"{path.stem} is open in another window or process; close it there first")
    folder = path.parent / TRASH
    folder.mkdir(exist_ok=True)
    _empty(folder)
    stem = f"{path.stem} {time.strftime('%Y-%m-%d %H.%M.%S')}"
    kept, number = folder / f"{stem}{SUFFIX}", 2
    while kept.exists():
        kept, number = folder / f"{stem} {number}{SUFFIX}", number + 1
    _move(path, kept)
    return Trashed(path, kept)


def bring_back(trashed: Trashed) -> Path:
    """Put a world back where it was; returns its path.

    Raises:
        ValueError: it is gone, or another world has its name now.
    """
    if not trashed.kept.exists():
        raise ValueError(f"{trashed.kept} is not there any more")
    if trashed.path.exists():
        raise ValueError(f"there is another {trashed.path.name} now; {trashed.kept} holds the old")
    _move(trashed.kept, trashed.path)
    return trashed.path


def set_notes(path: Path, text: str) -> None:
    """Replace the notes of a world. Raises ValueError when it cannot be written."""
    with WorldFile.open(path) as world:
        world.set_state("notes", text)


def _is_open_elsewhere(path: Path) -> bool:
    """A world that cannot even be read may be thrown away; one in use may not."""
    from .memory.lock import WorldInUse, WriterLock

    try:
        WriterLock(path).release()
    except WorldInUse:
        return True
    except ValueError:
        return False  # the folder cannot be written; moving the file says so
    return False


def _move(source: Path, target: Path) -> None:
    for side in _SIDES:  # the write-ahead log of a crash belongs to the file
        beside = source.with_name(source.name + side)
        if beside.exists():
            beside.rename(target.with_name(target.name + side))
    source.rename(target)


def _empty(folder: Path) -> None:
    oldest = time.time() - KEPT_DAYS * 86400
    for kept in folder.iterdir():
        if kept.stat().st_ctime < oldest:
            kept.unlink()
