"""What a file or folder that a user gives can become, told without decoding it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .pictures import FORMATS
from .references import AUTO
from .structure import PICTURE_SUFFIXES, picture_files
from .video import VIDEO_SUFFIXES

KINDS = ("picture", "panorama", "transforms", "video", "pictures", "video picture")
PANORAMA_LEAST_WIDTH = 1024


@dataclass(frozen=True)
class ImportRequest:
    """A world to be made. `kind` is one of `KINDS`; "video picture" is the first sharp picture of
    a video as a photograph. `maybe_panorama`: a picture twice as wide as high; ask.
    `surroundings`: of a single photograph, as in `references.choices`."""

    kind: str
    paths: tuple[Path, ...]
    name: str
    maybe_panorama: bool = False
    surroundings: str = AUTO

    def __post_init__(self):
        assert self.kind in KINDS, self.kind


def recognise(paths: list[Path]) -> ImportRequest:
    """The world that these files or this folder can become.

    Raises:
        ValueError: not there, or nothing that a world is made from.
    """
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no {path}; check the path")
    first = paths[0]
    if len(paths) > 1:
        if not all(_is_picture(p) or p.is_dir() for p in paths):
            raise ValueError("give one file or folder at a time, or several pictures of one place")
        return ImportRequest("pictures", tuple(paths), first.stem)
    if first.is_dir():
        return _folder(first)
    if first.suffix.lower() == ".json":
        return ImportRequest("transforms", (first,), first.resolve().parent.name)
    if first.suffix.lower() in VIDEO_SUFFIXES:
        return ImportRequest("video", (first,), first.stem)
    return ImportRequest("picture", (first,), first.stem, looks_like_panorama(first))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES


def _folder(folder: Path) -> ImportRequest:
    if (folder / "transforms.json").is_file():
        return ImportRequest("transforms", (folder / "transforms.json",), folder.name)
    pictures = picture_files([folder])
    if len(pictures) == 1:
        return ImportRequest("picture", (pictures[0],), pictures[0].stem)
    if not pictures:
        raise ValueError(
            f"{folder} has neither a transforms.json nor pictures (JPEG, PNG, WebP) in it"
        )
    return ImportRequest("pictures", (folder,), folder.name)


def looks_like_panorama(path: Path) -> bool:
    """Whether a picture has the shape of an equirectangular panorama, from its header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False  # the import itself says what is wrong with it
    return width >= PANORAMA_LEAST_WIDTH and abs(width / height - 2) < 0.02
