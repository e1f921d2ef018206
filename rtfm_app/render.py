"""Draw scripted views of a world without a window: pictures or a film.

Walking (`commit`) imagines and keeps what was never seen, as in the window. Without commit the
world is only read, nothing is remembered between two pictures, and each depends on its own pose
alone.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .config import GenerationSettings
from .film import FilmWriter
from .geometry import check_pose
from .imports.alignment import map_pose
from .imports.source import check_fov_degrees
from .walk import FRAMES_PER_SECOND

if TYPE_CHECKING:
    from .engine import FrameEngine

MAX_POSES_BYTES = 256 << 20
UNFINISHED = ".unfinished.json"


@dataclass(frozen=True)
class View:
    """One picture to draw. Field of view None = the world's. `velocity` (3,) in metres a second
    where the views are a walk, for the look-ahead."""

    camera_to_world: np.ndarray
    fov_y_radians: float | None = None
    velocity: np.ndarray | None = None


def walk_views(poses: list[np.ndarray]) -> list[View]:
    """Views of a walk at ten poses a second."""
    views = [View(poses[0])]
    for before, pose in zip(poses, poses[1:], strict=False):
        velocity = (pose[:3, 3] - before[:3, 3]) * FRAMES_PER_SECOND
        views.append(View(pose, velocity=velocity))
    return views


def read_poses(path: Path, source_to_world: np.ndarray | None) -> list[View]:
    """Read `{"frame": "world" or "source", "poses": [{"camera_to_world", "fov_y_degrees"}, …]}`.

    Args:
        source_to_world: of the world, for poses in the imported pictures' own coordinates.

    Raises:
        ValueError: missing, not JSON, not of that form, or a pose is not one.
    """
    document = _read_poses_json(path)
    frame = document.get("frame", "world")
    if frame not in ("world", "source"):
        raise ValueError(f'{path}: "frame" must be "world" or "source", got {frame!r}')
    if frame == "source" and source_to_world is None:
        raise ValueError(
            f'{path}: "frame" is "source", but this world was not made from posed pictures; '
            'use "world"'
        )
    mapped = np.eye(4) if frame == "world" else source_to_world
    return [_view(path, i, entry, mapped) for i, entry in enumerate(document["poses"])]


def _read_poses_json(path: Path) -> dict:
    try:
        if path.stat().st_size > MAX_POSES_BYTES:
            raise ValueError(f"{path} is over {MAX_POSES_BYTES >> 20} MB; split it")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"there is no {path}; check the path") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from error
    poses = document.get("poses") if isinstance(document, dict) else None
    if not isinstance(poses, list) or not poses:
        raise ValueError(f'{path} has no list "poses"; see rtfm render --help')
    return document


def _view(path: Path, index: int, entry, source_to_world: np.ndarray) -> View:
    try:
        pose = check_pose(entry["camera_to_world"], tolerance=1e-2)
        fov = entry.get("fov_y_degrees")
        fov = None if fov is None else math.radians(check_fov_degrees(float(fov)))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: pose {index} needs "camera_to_world", a 4x4 matrix') from error
    except ValueError as error:
        raise ValueError(f"{path}: pose {index}: {error}") from error
    return View(map_pose(source_to_world, pose), fov)


def draw_views(
    engine: FrameEngine,
    views: list[View],
    settings: GenerationSettings,
    *,
    commit: bool,
    first: int = 0,
) -> Iterator[np.ndarray]:
    """Pictures (H, W, 3) uint8 of `views[first:]`."""
    for view in views[first:]:
        options = {"fov_y_radians": view.fov_y_radians}
        if commit:
            frame = engine.advance(
                view.camera_to_world, settings, velocity=view.velocity, **options
            )
        else:
            frame = engine.step(view.camera_to_world, settings, follow=False, **options)
        yield frame.image


def render_pictures(
    engine: FrameEngine,
    views: list[View],
    folder: Path,
    settings: GenerationSettings,
    *,
    commit: bool,
    on_picture: Callable[[int], None] = lambda done: None,
) -> int:
    """Write `000000.png` … into `folder`; returns how many were drawn now.

    A render that was interrupted and is started again alike goes on where it stopped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    notes = folder / UNFINISHED
    job = _job(engine, views, settings, commit)
    first = _done(folder, len(views)) if _unfinished_job(notes) == job else 0
    notes.write_text(json.dumps({"job": job}), encoding="utf-8")
    on_picture(first)
    pictures = draw_views(engine, views, settings, commit=commit, first=first)
    for index, image in enumerate(pictures, start=first):
        write_png(folder / f"{index:06d}.png", image)
        on_picture(index + 1)
    notes.unlink()
    return len(views) - first


def _job(engine: FrameEngine, views: list[View], settings: GenerationSettings, commit: bool) -> str:
    """What makes two renders the same one."""
    digest = hashlib.sha256(repr((str(engine.world.path), settings, commit)).encode())
    for view in views:
        digest.update(np.asarray(view.camera_to_world, np.float64).tobytes())
        digest.update(repr(view.fov_y_radians).encode())
    return digest.hexdigest()


def _unfinished_job(notes: Path) -> str | None:
    try:
        document = json.loads(notes.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no render was interrupted here
    return document.get("job") if isinstance(document, dict) else None


def _done(folder: Path, count: int) -> int:
    """How many pictures are there without a gap from the first on."""
    numbers = range(count)
    return next((i for i in numbers if not (folder / f"{i:06d}.png").exists()), count)


def write_png(path: Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 through a temporary name."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    Image.fromarray(image).save(unfinished, format="PNG", compress_level=3)
    unfinished.replace(path)


def render_film(
    engine: FrameEngine,
    views: list[View],
    path: Path,
    settings: GenerationSettings,
    *,
    commit: bool,
    on_picture: Callable[[int], None] = lambda done: None,
) -> int:
    """Write an MP4 at ten pictures a second; interrupted, it ends where it stopped."""
    writer = FilmWriter(path)
    try:
        pictures = draw_views(engine, views, settings, commit=commit)
        for index, image in enumerate(pictures):
            writer.add(image, index / FRAMES_PER_SECOND)
            on_picture(index + 1)
    finally:
        writer.close()
    return writer.frames
