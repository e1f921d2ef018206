"""Cameras of pictures without poses, by pycolmap (the extra `import`): features, matches, and
incremental mapping; the largest connected model is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from .lens import Lens

MAX_FEATURES = 4096
EXHAUSTIVE_MOST = 60
FEATURE_CHUNK = 4
FEWEST_PLACED = 3
# Focal lengths over the longer side to start from where none is known: phones, wide, zoomed.
# A wrong start is refined if it is near enough; else few pictures connect and the next is tried.
FOCAL_FACTORS = (0.75, 0.55, 1.2)
MOST_PLACED = 0.8
SEED = 1
_COLMAP_TO_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
# What is going on, and how much of it is done (None = unknown).
Report = Callable[[str, float | None], None]


class NotPosed(ValueError):
    """The pictures are fine, but their poses could not be recovered."""


@dataclass(frozen=True)
class Placed:
    """A picture whose camera was recovered; `camera_to_source` in OpenGL axes."""

    name: str
    camera_to_source: np.ndarray
    lens: Lens


@dataclass(frozen=True)
class Recovered:
    """One connected reconstruction: its cameras in the pictures' order, its points (N, 3), and
    the names of the pictures that are not in it."""

    placed: list[Placed]
    points: np.ndarray
    missing: list[str]


def require_pycolmap():
    """The module. Raises ValueError with the remedy where it is not installed."""
    try:
        import pycolmap
    except ImportError as error:
        raise ValueError(
            "poses of pictures are recovered by pycolmap, which is not installed; "
            "pip install 'rtfm[import]' (or pip install pycolmap)"
        ) from error
    return pycolmap


def recover(
    folder: Path,
    names: list[str],
    focal_factor: float | None,
    in_order: bool,
    report: Report = lambda text, share: None,
) -> Recovered:
    """Recover the cameras of the pictures `names` in `folder`; works in that folder too.

    Args:
        focal_factor: focal length over the longer side, where it is known.
        in_order: neighbours in `names` show the same things (a video).
    Raises:
        NotPosed: no three of them could be connected.
    """
    colmap = require_pycolmap()
    colmap.logging.minloglevel = int(colmap.logging.Level.ERROR)
    colmap.set_random_seed(SEED)
    database = folder / "features.db"
    _extract(colmap, database, folder, names, report)
    report("Comparing the pictures", None)
    if in_order or len(names) > EXHAUSTIVE_MOST:
        colmap.match_sequential(database)
    else:
        colmap.match_exhaustive(database)
    best = None
    for attempt, factor in enumerate((focal_factor,) if focal_factor else FOCAL_FACTORS):
        _set_focal(colmap, database, factor)
        model = _map(colmap, database, folder, attempt, len(names), report)
        if best is None or (model and model.num_reg_images() > best.num_reg_images()):
            best = model
        if best is not None and best.num_reg_images() >= MOST_PLACED * len(names):
            break
    placed = best.num_reg_images() if best is not None else 0
    if placed < FEWEST_PLACED:
        raise NotPosed(_not_posed(len(names), placed))
    return _recovered(best, names)


def _not_posed(count: int, placed: int) -> str:
    return (
        f"the camera could not be followed: {placed} of {count} pictures fit together; walk "
        "sideways past things instead of turning on the spot, slower and with more light, or start "
        "from one picture of the place"
    )


def _extract(colmap, database: Path, folder: Path, names: list[str], report: Report) -> None:
    sizes = set()
    for name in names:
        with Image.open(folder / name) as image:
            sizes.add(image.size)
    reader = colmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_RADIAL"
    extraction = colmap.FeatureExtractionOptions()
    extraction.sift.max_num_features = MAX_FEATURES
    # One camera took them all: its lens is found together. Pictures of other sizes have their own.
    mode = colmap.CameraMode.SINGLE if len(sizes) == 1 else colmap.CameraMode.PER_IMAGE
    for begin in range(0, len(names), FEATURE_CHUNK):
        report("Finding features", begin / len(names))
        colmap.extract_features(
            database, folder, names[begin : begin + FEATURE_CHUNK], mode, reader, extraction
        )
        if len(sizes) == 1:
            reader.existing_camera_id = 1


def _set_focal(colmap, database: Path, factor: float) -> None:
    with colmap.Database.open(database) as opened:
        for camera in opened.read_all_cameras():
            focal = factor * max(camera.width, camera.height)
            camera.params = [focal, camera.width / 2, camera.height / 2, 0.0]
            opened.update_camera(camera)


def _map(colmap, database: Path, folder: Path, attempt: int, count: int, report: Report):
    """The largest model that connects, None if there is none."""
    placed = 0

    def one_more() -> None:
        nonlocal placed
        placed += 1
        report("Placing the pictures", min(placed / count, 1.0))

    def begun() -> None:
        nonlocal placed
        placed = 2
        report("Placing the pictures", placed / count)

    options = colmap.IncrementalPipelineOptions()
    options.min_model_size = FEWEST_PLACED
    options.extract_colors = False
    # Small or plain pictures have few features, and a walk has small angles: ask for less than
    # COLMAP does for photographs (on the office walk 73 instead of 41 of 80 pictures connect).
    options.min_num_matches = 12
    options.mapper.abs_pose_min_num_inliers = 15
    options.mapper.init_min_tri_angle = 8.0
    # A field of view between 19 and 118 degrees; beyond, a wrong solution is being followed.
    options.min_focal_length_ratio = options.mapper.min_focal_length_ratio = 0.3
    options.max_focal_length_ratio = options.mapper.max_focal_length_ratio = 3.0
    options.triangulation.min_focal_length_ratio = 0.3
    options.triangulation.max_focal_length_ratio = 3.0
    target = folder / f"models-{attempt}"
    target.mkdir()
    models = colmap.incremental_mapping(
        database,
        folder,
        target,
        options,
        initial_image_pair_callback=begun,
        next_image_callback=one_more,
    )
    return max(models.values(), key=lambda model: model.num_reg_images(), default=None)


def _recovered(model, names: list[str]) -> Recovered:
    by_name = {model.image(i).name: model.image(i) for i in model.reg_image_ids()}
    placed = []
    for name in names:
        if name in by_name:
            image = by_name[name]
            camera_to_source = np.eye(4)
            camera_to_source[:3] = image.cam_from_world().inverse().matrix()
            pose = camera_to_source @ _COLMAP_TO_OPENGL
            placed.append(Placed(name, pose, _lens(model.cameras[image.camera_id])))
    points = [p.xyz for p in model.points3D.values() if p.track.length() >= 3]
    missing = [name for name in names if name not in by_name]
    return Recovered(placed, np.array(points).reshape(-1, 3), missing)


def _lens(camera) -> Lens:
    """SIMPLE_RADIAL: focal length, cx, cy, k."""
    focal, cx, cy, k = (float(v) for v in camera.params)
    lens = Lens(camera.width, camera.height, focal, focal, cx, cy, radial=(k, 0.0, 0.0, 0.0))
    return replace(lens, radial=(0.0,) * 4) if abs(k) < 1e-4 else lens
