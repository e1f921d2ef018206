"""What an importer hands over, and how it becomes a world file: whole or not at all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..memory.world_file import StoredFrame, WorldFile
from ..unfinished import remove_abandoned


@dataclass(frozen=True)
class WorldSource:
    """The seed frames of a world to be.

    Attributes:
        frames: read once, in order; may be a generator that decodes as it goes.
        count: how many they are (for progress).
        start_pose: camera_to_world (4, 4) where the walk starts.
        fov_y_radians: field of view at which the world is walked.
        source_to_world: similarity (4, 4) from the pictures' own coordinates, None = identity.
        provenance: where the frames came from, JSON.
    """

    frames: Iterable[StoredFrame]
    count: int
    start_pose: np.ndarray
    fov_y_radians: float
    source_to_world: np.ndarray | None = None
    provenance: dict | None = None


def check_fov_degrees(fov_y_degrees: float) -> float:
    """Return the vertical field of view if it lies between 5 and 120 degrees."""
    if not (math.isfinite(fov_y_degrees) and 5.0 <= fov_y_degrees <= 120.0):
        raise ValueError(
            f"--fov must be between 5 and 120 degrees (vertical), got {fov_y_degrees:g}"
        )
    return fov_y_degrees


def build_world(
    path: Path,
    name: str,
    source: WorldSource,
    on_frame: Callable[[], None] = lambda: None,
) -> int:
    """Write `source` to a new world file and return its number of frames.

    The file gets its name only when it is complete; on any error nothing is left behind.

    Raises:
        ValueError: `path` exists already, or a frame of `source` cannot be read.
    """
    if path.exists():
        raise ValueError(f"{path} exists already; choose another name or remove it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(path.parent, f".{path.name}.", ".unfinished.rtfm")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished.rtfm")
    try:
        with WorldFile.create(
            unfinished,
            name=name,
            start_pose=source.start_pose,
            fov_y_radians=source.fov_y_radians,
            source_to_world=source.source_to_world,
            provenance=source.provenance or {},
        ) as world:
            count = 0
            for frame in source.frames:
                world.add_frame(frame)
                count += 1
                on_frame()
        if path.exists():
            raise ValueError(f"{path} was made by another program meanwhile; choose another name")
        unfinished.replace(path)
        return count
    finally:
        for leftover in ("", "-wal", "-shm", "-journal"):
            unfinished.with_name(unfinished.name + leftover).unlink(missing_ok=True)
