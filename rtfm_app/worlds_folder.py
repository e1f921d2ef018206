"""Where worlds live, and which file a name means.

In a checkout worlds are kept in `saves/`, else in the user's data folder; the environment variable
RTFM_WORLDS_DIR moves it. A WORLD on the command line is a path if it ends in `.rtfm` or has a
separator, else a name in that folder.
"""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

import platformdirs

from .resources import checkout_root

SUFFIX = ".rtfm"
_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


def worlds_folder() -> Path:
    """The folder of the user's worlds; made when it is first written to."""
    override = os.environ.get("RTFM_WORLDS_DIR")
    if override:
        return Path(override)
    root = checkout_root()
    return root / "saves" if root else Path(platformdirs.user_data_dir("rtfm", "rtfm")) / "saves"


def list_worlds() -> list[Path]:
    """The world files in the worlds folder, the last visited first."""
    folder = worlds_folder()
    found = [p for p in folder.glob(f"*{SUFFIX}") if not p.name.startswith(".") and p.is_file()]
    return sorted(found, key=_last_changed, reverse=True)


def _last_changed(path: Path) -> float:
    """Also of the write-ahead log beside an open world."""
    logs = (path, path.with_name(path.name + "-wal"))
    return max(file.stat().st_mtime for file in logs if file.exists())


def is_path(name_or_path: str) -> bool:
    separators = [separator for separator in (os.sep, os.altsep) if separator]
    return name_or_path.endswith(SUFFIX) or any(s in name_or_path for s in separators)


def new_world_path(name_or_path: str) -> Path:
    """The file that a new world of this name will be.

    Raises:
        ValueError: an unusable name, or there is such a world already.
    """
    path = _path_of(name_or_path)
    if path.exists():
        raise ValueError(f"{path} exists already; choose another name or remove it first")
    return path


def resolve_world(name_or_path: str | Path) -> Path:
    """The file of an existing world.

    Raises:
        ValueError: there is none; worlds of similar names are suggested.
    """
    given = Path(name_or_path)
    path = given if is_path(str(given)) and given.exists() else _path_of(str(name_or_path))
    if path.is_file():
        return path
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a world; make one with rtfm new NAME --image …")
    if is_path(str(name_or_path)):
        raise ValueError(f"there is no world {path}; check the path")
    names = [world.stem for world in list_worlds()]
    close = difflib.get_close_matches(path.stem, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "rtfm list shows those there are"
    raise ValueError(f"there is no world named {name_or_path}; {hint}")


def free_world_path(stem: str) -> Path:
    """A file in the worlds folder that does not exist yet, named after `stem`."""
    stem = _FORBIDDEN.sub("-", stem).strip(" .") or "world"
    path, number = worlds_folder() / f"{stem}{SUFFIX}", 2
    while path.exists():
        path, number = worlds_folder() / f"{stem}-{number}{SUFFIX}", number + 1
    return path


def _path_of(name_or_path: str) -> Path:
    if is_path(name_or_path):
        path = Path(name_or_path)
        return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    unusable = not name_or_path.strip(" .") or _FORBIDDEN.search(name_or_path)
    if unusable or name_or_path.startswith((".", "-")) or len(name_or_path.encode()) > 200:
        raise ValueError(
            f"{name_or_path!r} cannot be a world's name; use letters, digits, - and _, up to 200"
        )
    return worlds_folder() / f"{name_or_path}{SUFFIX}"
