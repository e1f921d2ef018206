"""Worlds that come with the program. `assets/starters/starters.json` lists them.

An entry: name, title, credit (source and licence), one of `panorama`, `image` or `transforms` (a
path under `assets/`), for posed pictures `every` and `start`. Its thumbnail is
`starters/<name>.jpg`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .imports.panorama import world_from_panorama
from .imports.pictures import world_from_image
from .imports.source import WorldSource, build_world
from .imports.transforms import TransformsOptions, world_from_transforms
from .resources import asset
from .worlds_folder import worlds_folder

LIST = "starters/starters.json"


@dataclass(frozen=True)
class Starter:
    """A world that can be opened right after installing.

    Attributes:
        kind: "panorama", "image" or "transforms"; `source` is the file of that kind.
        thumbnail: a 512x288 JPEG.
        credit: who made the pictures, and under which licence.
        every: use every N-th posed picture; start: the walk starts at this one of them.
    """

    name: str
    title: str
    credit: str
    kind: str
    source: Path
    thumbnail: Path
    every: int = 1
    start: int = 0


def list_starters() -> list[Starter]:
    """The starter worlds in the order in which they are offered."""
    return [_starter(entry) for entry in json.loads(asset(LIST).read_text(encoding="utf-8"))]


def _starter(entry: dict) -> Starter:
    kind = next(kind for kind in ("panorama", "image", "transforms") if kind in entry)
    return Starter(
        name=entry["name"],
        title=entry["title"],
        credit=entry["credit"],
        kind=kind,
        source=asset(entry[kind]),
        thumbnail=asset(f"starters/{entry['name']}.jpg"),
        every=entry.get("every", 1),
        start=entry.get("start", 0),
    )


def find_starter(name: str) -> Starter | None:
    """The starter of this name, None if there is none."""
    return next((starter for starter in list_starters() if starter.name == name), None)


def open_starter(name: str, on_share: Callable[[float], None] = lambda share: None) -> Path:
    """The world file of a starter in the worlds folder, made when it is not there yet.

    Raises:
        ValueError: no such starter.
    """
    starter = find_starter(name)
    if starter is None:
        names = ", ".join(s.name for s in list_starters())
        raise ValueError(f"there is no starter world {name}; there are {names}")
    path = worlds_folder() / f"{name}.rtfm"
    if not path.exists():
        source, done = starter_source(starter), 0

        def one_more() -> None:
            nonlocal done
            done += 1
            on_share(done / source.count)

        build_world(path, starter.title, source, one_more)
    return path


def starter_source(starter: Starter) -> WorldSource:
    """Its seed frames, with the credit noted."""
    if starter.kind == "panorama":
        source = world_from_panorama(starter.source)
    elif starter.kind == "image":
        source = world_from_image(starter.source)
    else:
        options = TransformsOptions(every=starter.every, start=starter.start)
        source = world_from_transforms(starter.source, options)
    provenance = {**(source.provenance or {}), "starter": starter.name, "credit": starter.credit}
    return replace(source, provenance=provenance)
