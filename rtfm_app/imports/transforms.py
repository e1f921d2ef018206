"""Posed pictures in nerfstudio's `transforms.json` become a world.

Poses are camera_to_world in OpenGL axes, like ours. Lens distortion is undone, every picture is
cropped to 16:9 about its own principal point, relative poses are kept, and the similarity to world
coordinates is remembered as `source_to_world`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..geometry import check_pose
from ..memory.world_file import StoredFrame
from .alignment import estimate_scale, estimate_up, map_pose, similarity
from .lens import Lens, undistorted_frame, widest_tan_y
from .pictures import read_picture
from .source import WorldSource

MAX_JSON_BYTES = 256 << 20
CAMERA_MODELS = ("OPENCV", "OPENCV_FISHEYE", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL")
EXTENSIONS = ("", ".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class PosedPicture:
    """One entry of `frames`: its files are there, its pose is a pose."""

    path: Path
    mask_path: Path | None
    camera_to_source: np.ndarray
    entry: dict
    where: str


@dataclass(frozen=True)
class TransformsOptions:
    """What a user may say about a `transforms.json`.

    Attributes:
        every: use every N-th picture; `limit`: then only the first N of those.
        start: the walk starts at this one of the pictures that are used, counted from 0.
        scale: metres per source unit, None = estimated; `up`: (3,), None = estimated.
    """

    every: int = 1
    limit: int | None = None
    start: int = 0
    scale: float | None = None
    up: tuple[float, float, float] | None = None

    def __post_init__(self):
        if self.every < 1:
            raise ValueError(f"--every must be 1 or more, got {self.every}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"--max must be 1 or more, got {self.limit}")
        if self.start < 0:
            raise ValueError(f"--start must be 0 or more, got {self.start}")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"--scale must be above zero, got {self.scale:g}")
        if self.up is not None and not np.linalg.norm(self.up) > 0:
            raise ValueError("--up must be a vector other than 0,0,0")


def world_from_transforms(
    path: Path | str, options: TransformsOptions = TransformsOptions()
) -> WorldSource:
    """A world whose seed frames are posed pictures.

    Raises:
        ValueError: invalid JSON, missing pictures, a singular pose, unusable intrinsics, an
            unknown camera model; nothing has been decoded by then.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "transforms.json"
    document = _read_json(path)
    entries = _selected(document, path, options)
    if options.start >= len(entries):
        raise ValueError(
            f"--start {options.start}: only {len(entries)} pictures of {path} are used; "
            f"give at most {len(entries) - 1}"
        )
    pictures = [_posed_picture(path, index, entry) for index, entry in entries]
    _check_files(path, pictures)
    source_to_world = _source_to_world(pictures, options)
    first_size = read_picture(pictures[0].path, upright=False).image.size
    first_lens = _lens(document, pictures[0], *first_size)
    return WorldSource(
        frames=_frames(document, pictures, source_to_world),
        count=len(pictures),
        start_pose=map_pose(source_to_world, pictures[options.start].camera_to_source),
        fov_y_radians=2 * math.atan(widest_tan_y(first_lens)),
        source_to_world=source_to_world,
        provenance={
            "import": "transforms",
            "sources": [{"file": path.name, "folder": path.resolve().parent.name}],
            "every": options.every,
            "pictures": len(pictures),
        },
    )


def _read_json(path: Path) -> dict:
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError(f"{path} is over {MAX_JSON_BYTES >> 20} MB; is it a transforms.json?")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"there is no {path}; check the path") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); export it again") from error
    if not isinstance(document, dict) or not isinstance(document.get("frames"), list):
        raise ValueError(f"{path} has no list `frames`; give a nerfstudio transforms.json")
    return document


def _selected(document: dict, path: Path, options: TransformsOptions) -> list[tuple[int, dict]]:
    entries = list(enumerate(document["frames"]))[:: options.every]
    entries = entries[: options.limit] if options.limit else entries
    if not entries:
        raise ValueError(f"{path} names no pictures; its list `frames` is empty")
    return entries


def _posed_picture(path: Path, index: int, entry) -> PosedPicture:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
        raise ValueError(f"{path}: frame {index} has no `file_path`; export it again")
    where = f"{path}: frame {index} ({entry['file_path']})"
    try:
        matrix = np.array(entry["transform_matrix"], dtype=np.float64)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{where} has no 4x4 `transform_matrix`; export it again") from error
    if matrix.shape == (3, 4):
        matrix = np.vstack([matrix, (0.0, 0.0, 0.0, 1.0)])
    try:
        pose = check_pose(matrix, tolerance=1e-2)
    except ValueError as error:
        raise ValueError(f"{where}: {error}; remove or repair this frame") from error
    mask = entry.get("mask_path")
    mask_path = path.parent / mask if isinstance(mask, str) else None
    return PosedPicture(
        _picture_path(path.parent / entry["file_path"]), mask_path, pose, entry, where
    )


def _picture_path(path: Path) -> Path:
    """The file itself, or, as in Blender's data sets, the file whose ending was left out."""
    for extension in EXTENSIONS:
        candidate = path.with_name(path.name + extension) if path.name else path
        if candidate.is_file():
            return candidate
    return path


def _check_files(path: Path, pictures: list[PosedPicture]) -> None:
    files = [p.path for p in pictures] + [p.mask_path for p in pictures if p.mask_path]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ValueError(
            f"{path} names {len(missing)} picture(s) that are not there, the first is "
            f"{missing[0]}; put them back or remove them from the list"
        )


def _source_to_world(pictures: list[PosedPicture], options: TransformsOptions) -> np.ndarray:
    poses = np.stack([picture.camera_to_source for picture in pictures])
    up = estimate_up(poses)
    if options.up is not None:
        up = np.asarray(options.up, dtype=np.float64) / np.linalg.norm(options.up)
    scale = estimate_scale(poses[:, :3, 3]) if options.scale is None else options.scale
    return similarity(up, scale)


def _frames(
    document: dict, pictures: list[PosedPicture], source_to_world: np.ndarray
) -> Iterator[StoredFrame]:
    for posed in pictures:
        image = read_picture(posed.path, upright=False).image
        mask = read_picture(posed.mask_path).image.convert("L") if posed.mask_path else None
        if mask is not None and mask.size != image.size:
            raise ValueError(
                f"{posed.mask_path} is {mask.width}x{mask.height}, its picture "
                f"{image.width}x{image.height}; make them the same size"
            )
        lens = _lens(document, posed, *image.size)
        try:
            picture, valid, fov = undistorted_frame(image, mask, lens)
        except ValueError as error:
            raise ValueError(f"{posed.where}: {error}") from error
        pose = map_pose(source_to_world, posed.camera_to_source)
        yield StoredFrame("seed", pose, fov, picture, valid)


def _lens(document: dict, posed: PosedPicture, width: int, height: int) -> Lens:
    """The lens of one picture: its own intrinsics before the shared ones, scaled to its size."""
    values = {**document, **posed.entry}
    model = str(values.get("camera_model", "OPENCV")).upper()
    if model not in CAMERA_MODELS:
        raise ValueError(
            f"{posed.where}: camera model {model} is not known; undistort the pictures to one of "
            f"{', '.join(CAMERA_MODELS)}"
        )
    try:
        lens = _lens_of(values, model, width, height)
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{posed.where}: unusable intrinsics ({error})") from error
    return lens.scaled_to(width, height)


def _lens_of(values: dict, model: str, width: int, height: int) -> Lens:
    w, h = float(values.get("w", width)), float(values.get("h", height))
    if abs(w / h - width / height) > 0.02 * width / height:
        raise ValueError(f"w x h is {w:g}x{h:g}, but the picture is {width}x{height}")
    fl_x = _focal(values, "fl_x", "camera_angle_x", w)
    fl_y = _focal(values, "fl_y", "camera_angle_y", h)
    if fl_x is None and fl_y is None:
        raise ValueError("neither fl_x nor camera_angle_x is given")
    distorted = "PINHOLE" not in model
    keys = ("k1", "k2", "k3", "k4", "p1", "p2")
    k1, k2, k3, k4, p1, p2 = (float(values.get(key) or 0.0) * distorted for key in keys)
    return Lens(
        width=w,
        height=h,
        fl_x=fl_x if fl_x is not None else fl_y,
        fl_y=fl_y if fl_y is not None else fl_x,
        cx=float(values.get("cx", w / 2)),
        cy=float(values.get("cy", h / 2)),
        fisheye=model == "OPENCV_FISHEYE" or bool(values.get("is_fisheye")),
        radial=(k1, k2, k3, k4),
        tangential=(p1, p2),
    )


def _focal(values: dict, focal_key: str, angle_key: str, size: float) -> float | None:
    if values.get(focal_key) is not None:
        return float(values[focal_key])
    if values.get(angle_key) is not None:
        return size / 2 / math.tan(float(values[angle_key]) / 2)
    return None
