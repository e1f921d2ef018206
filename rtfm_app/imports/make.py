"""Carry out an `ImportRequest`: files in, a new world file out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .colmap import Report
from .panorama import world_from_panorama
from .pictures import world_from_image, world_from_loaded
from .recognise import ImportRequest
from .source import WorldSource, build_world
from .structure import world_from_pictures, world_from_video
from .surroundings import with_surroundings
from .transforms import world_from_transforms
from .video import first_picture


def source_of(request: ImportRequest, report: Report) -> WorldSource:
    """The frames of the world to be.

    Raises:
        ValueError: with one line for the user; `NotPosed` where only the poses are missing.
    """
    path = request.paths[0]
    match request.kind:
        case "picture":
            return with_surroundings(world_from_image(path), request.surroundings)
        case "panorama":
            return world_from_panorama(path)
        case "transforms":
            return world_from_transforms(path)
        case "video":
            return world_from_video(path, report=report)
        case "pictures":
            return world_from_pictures(list(request.paths), report=report)
        case "video picture":
            report("Choosing a sharp picture", None)
            photograph = world_from_loaded(first_picture(path).image, path)
            return with_surroundings(photograph, request.surroundings)
    raise AssertionError(request.kind)


def make_world(request: ImportRequest, target: Path, report: Report) -> list[str]:
    """Write the world; returns the names of pictures that could not be placed in it."""
    report(f"Reading {request.paths[0].name}", None)
    source = source_of(request, report)
    build_world(target, target.stem, source, _counter(source.count, report))
    return list((source.provenance or {}).get("not_placed", []))


def _counter(count: int, report: Report) -> Callable[[], None]:
    done = 0

    def one_more() -> None:
        nonlocal done
        done += 1
        report("Writing the world", done / count)

    return one_more
