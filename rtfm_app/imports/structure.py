"""Worlds from pictures without poses: a video, or photographs of one place.

pycolmap (the extra `import`) finds features, matches them and recovers cameras incrementally; the
largest connected model is kept and the pictures that could not be placed are listed. Structure
from motion knows no size: the median camera is taken to be at eye height over the ground, the
lowest level plane among the recovered points; where no ground was seen, a step between two
neighbouring pictures is taken to be 0.3 m. Up is the ground's, else it comes from the cameras, as
for posed pictures.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..config import EYE_HEIGHT
from ..memory.world_file import StoredFrame
from .alignment import WALKED_STEP_M, estimate_up, map_pose, rotation_to_y_up
from .colmap import Placed, Recovered, Report, recover, require_pycolmap
from .lens import undistorted_frame, widest_tan_y
from .pictures import Picture, crop_box, read_picture
from .source import WorldSource, check_fov_degrees
from .video import MAX_PICTURES, read_video

WORKING_SIDE = 1280
FEWEST_GROUND_POINTS = 40
GROUND_SHARE = 0.06
GROUND_TRIALS = 600
GROUND_TILT = math.radians(25)
GROUND_THICKNESS = 0.015
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True)
class StructureOptions:
    """What a user may say about pictures without poses.

    Attributes:
        every_s: seconds between the pictures taken from a video, None = chosen by its length.
        limit: the most pictures to use.
        scale: the world becomes this many times larger than estimated.
        fov_y_degrees: vertical field of view of a 16:9 crop where no EXIF tells; refined anyway.
    """

    every_s: float | None = None
    limit: int | None = None
    scale: float = 1.0
    fov_y_degrees: float | None = None

    def __post_init__(self):
        if self.limit is not None and self.limit < 2:
            raise ValueError(f"--max must be 2 or more pictures, got {self.limit}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"--scale must be above zero, got {self.scale:g}")
        if self.fov_y_degrees is not None:
            check_fov_degrees(self.fov_y_degrees)


def world_from_video(
    path: Path | str,
    options: StructureOptions = StructureOptions(),
    report: Report = lambda text, share: None,
) -> WorldSource:
    """A world from a video of a walk.

    Raises:
        ValueError: unreadable, or pycolmap is not installed.
        NotPosed: its camera could not be followed.
    """
    require_pycolmap()
    path = Path(path)
    work = tempfile.TemporaryDirectory(prefix="rtfm-video-")
    pictures = read_video(
        path,
        options.every_s,
        options.limit or MAX_PICTURES,
        lambda share: report("Choosing sharp pictures", share),
    )
    names = [
        _save(picture.image, Path(work.name), f"{number:05d}-{picture.time_s:.2f}s.jpg")
        for number, picture in enumerate(pictures)
    ]
    provenance = {"import": "video", "sources": [{"file": path.name}]}
    return _world(path, work, names, None, True, options, provenance, report)


def world_from_pictures(
    paths: list[Path],
    options: StructureOptions = StructureOptions(),
    report: Report = lambda text, share: None,
) -> WorldSource:
    """A world from photographs of one place, or from a folder of them.

    Raises:
        ValueError: unreadable, fewer than two, or pycolmap is not installed.
        NotPosed: they could not be connected.
    """
    require_pycolmap()
    files = picture_files(paths)[: options.limit]
    if len(files) < 2:
        raise ValueError(f"{paths[0]}: give two pictures of the place or more, got {len(files)}")
    work = tempfile.TemporaryDirectory(prefix="rtfm-pictures-")
    names, focals, provenance = [], [], []
    for number, file in enumerate(files):
        report("Reading pictures", number / len(files))
        picture = read_picture(file)
        names.append(_save(picture.image, Path(work.name), f"{number:05d}-{file.stem}.jpg"))
        focals.append(_focal_factor(picture))
        provenance.append(picture.provenance)
    known = [focal for focal in focals if focal is not None]
    factor = float(np.median(known)) if known else None
    details = {"import": "pictures", "sources": provenance}
    return _world(paths[0], work, names, factor, False, options, details, report)


def picture_files(paths: list[Path]) -> list[Path]:
    """The pictures named, those in named folders included, in the order of their names."""
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (p for p in sorted(path.iterdir()) if p.suffix.lower() in PICTURE_SUFFIXES)
            files += [p for p in inside if not p.name.startswith(".")]
        else:
            files.append(path)
    return files


def _save(image: Image.Image, folder: Path, name: str) -> str:
    image.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS)
    image.save(folder / name, quality=95, subsampling=0)
    return name


def _focal_factor(picture: Picture) -> float | None:
    """Focal length over the longer side, from EXIF."""
    return picture.focal_pixels / max(picture.image.size) if picture.focal_pixels else None


def _factor_of(options: StructureOptions, picture: Path) -> float | None:
    """Focal length over the longer side for the user's field of view of the 16:9 crop."""
    if options.fov_y_degrees is None:
        return None
    with Image.open(picture) as image:
        left, top, right, bottom = crop_box(*image.size)
        focal = (bottom - top) / 2 / math.tan(math.radians(options.fov_y_degrees) / 2)
        return focal / max(image.size)


def _world(
    path: Path, work, names, factor, in_order: bool, options, provenance: dict, report: Report
) -> WorldSource:
    folder = Path(work.name)
    factor = factor or _factor_of(options, folder / names[0])
    recovered = recover(folder, names, factor, in_order, report)
    source_to_world = world_similarity(recovered, options.scale)
    first = recovered.placed[0]
    missing = [name.partition("-")[2].removesuffix(".jpg") for name in recovered.missing]
    provenance |= {"pictures": len(recovered.placed), "not_placed": missing}
    return WorldSource(
        frames=_frames(work, recovered.placed, source_to_world),
        count=len(recovered.placed),
        start_pose=map_pose(source_to_world, first.camera_to_source),
        fov_y_radians=2 * math.atan(widest_tan_y(first.lens)),
        source_to_world=source_to_world,
        provenance=provenance,
    )


def _frames(work, placed: list[Placed], source_to_world: np.ndarray) -> Iterator[StoredFrame]:
    with work as folder:  # the working copies go with the last frame
        for camera in placed:
            with Image.open(Path(folder) / camera.name) as image:
                picture, valid, fov = undistorted_frame(image.convert("RGB"), None, camera.lens)
            pose = map_pose(source_to_world, camera.camera_to_source)
            yield StoredFrame("seed", pose, fov, picture, valid)


# ---- size and place ----


def world_similarity(recovered: Recovered, scale: float = 1.0) -> np.ndarray:
    """source_to_world (4, 4): up is +Y, sizes are metres as far as can be told (module docstring),
    the ground at the median camera is y = 0, the first camera stands at x = z = 0."""
    poses = np.stack([camera.camera_to_source for camera in recovered.placed])
    cameras, up = poses[:, :3, 3], estimate_up(poses)
    ground = find_ground(cameras, recovered.points, up)
    if ground is not None:
        up = ground.up
    metres = EYE_HEIGHT / ground.camera_height if ground else _step_scale(cameras)
    matrix = np.eye(4)
    matrix[:3, :3] = metres * scale * rotation_to_y_up(up)
    moved = cameras @ matrix[:3, :3].T
    eye_height = EYE_HEIGHT * scale if ground else EYE_HEIGHT
    matrix[:3, 3] = -moved[0]
    matrix[1, 3] = eye_height - float(np.median(moved[:, 1]))
    return matrix


@dataclass(frozen=True)
class Ground:
    """A plane under the cameras: its unit normal (3,), upwards, and how high the median camera is
    above it, in source units."""

    up: np.ndarray
    camera_height: float


def find_ground(cameras: np.ndarray, points: np.ndarray, up: np.ndarray) -> Ground | None:
    """The ground among the points (N, 3), by RANSAC: the plane, level to within 25 degrees of `up`,
    that holds most points and has hardly any under it; None where no ground was seen.

    Cameras that all look one way do not tell up from their own tilt; the ground does.
    """
    if len(points) < FEWEST_GROUND_POINTS:
        return None
    middle = np.median(cameras, axis=0)
    spread = float(np.median(np.linalg.norm(points - middle, axis=1)))
    near = points[np.linalg.norm(points - middle, axis=1) < 3 * spread]
    below = near[(middle - near) @ up > 0.02 * spread]
    if len(below) < FEWEST_GROUND_POINTS:
        return None
    rng = np.random.default_rng(0)
    corners = below[rng.integers(0, len(below), (GROUND_TRIALS, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    sound = lengths > 1e-6 * spread**2
    normals = normals[sound] / lengths[sound, None]
    normals *= np.sign(normals @ up)[:, None]
    offsets = (normals * corners[sound, 0]).sum(1)
    level = normals @ up > math.cos(GROUND_TILT)
    thickness = GROUND_THICKNESS * spread
    best, most = None, max(FEWEST_GROUND_POINTS, GROUND_SHARE * len(near))
    for normal, offset in zip(normals[level], offsets[level], strict=True):
        heights = near @ normal - offset
        held = int((np.abs(heights) < thickness).sum())
        under = int((heights < -2 * thickness).sum())
        above_cameras = (cameras @ normal - offset).min() < thickness
        if held > most and under < 0.05 * len(near) and not above_cameras:
            best, most = (normal, offset), held
    return None if best is None else _refined(near, middle, *best, thickness)


def _refined(near, middle, normal, offset: float, thickness: float) -> Ground:
    """The plane of least squares through what the best trial holds."""
    held = near[np.abs(near @ normal - offset) < thickness]
    centre = held.mean(0)
    fitted = np.linalg.svd(held - centre, full_matrices=False)[2][-1]
    fitted *= np.sign(fitted @ normal)
    return Ground(fitted, float((middle - centre) @ fitted))


def _step_scale(cameras: np.ndarray) -> float:
    steps = np.linalg.norm(np.diff(cameras, axis=0), axis=1)
    steps = steps[steps > 0]
    return WALKED_STEP_M / float(np.median(steps)) if len(steps) else 1.0
