"""Is a mark where it belongs? Paint a disc, reload, and look from other sides.

assets/paint/<place>/ holds pictures of test places from a half circle round a spot and paint.json:
their poses, the painted view, the disc's centre in pixels, and up to six other views, up to 48
degrees round the mark, each with a mask PNG of where the disc belongs by the true distances,
occlusion respected (`make_paint_set`).

    paint_error_px   distance of the mark's centroid from the true one, mean over all views (a mark
                     that is not found, or is farther off, counts as `LOST_PX`)
    paint_contrast   how much of the disc's colour the view shows where the mark is found, 0..1
    paint_within_8px, paint_contrast_70   shares of the views that meet those bounds
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..config import GenerationSettings
from ..engine import FrameEngine
from ..geometry import check_pose
from ..memory.world_file import StoredFrame, WorldFile
from ..resources import asset
from .evaluate_worlds import HEIGHT, WIDTH, Posed, Subject

PAINT_FILE = "paint.json"
COLOUR = (230, 20, 200)
RADIUS = 16
LOST_PX = 50.0
LEAST_CHANGE = 0.3
QUICK_PLACES = 3


@dataclass(frozen=True)
class PaintTruth:
    """A disc painted at `centre` of a view, and where it belongs in others: poses (4, 4) and masks
    (H, W) bool."""

    memory: tuple[Posed, ...]
    camera_to_world: np.ndarray
    centre: tuple[float, float]
    views: tuple[tuple[np.ndarray, np.ndarray], ...]


@dataclass(frozen=True)
class Found:
    """A mark as it was found in one view."""

    error_px: float
    contrast: float


def disc(centre: tuple[float, float]) -> np.ndarray:
    """(H, W) bool; `centre` in pixels, 0.5 being the middle of the first."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.hypot(x - centre[0], y - centre[1]) < RADIUS


def load_truth(folder: Path) -> PaintTruth:
    """Raises ValueError: missing or damaged."""
    try:
        described = json.loads((folder / PAINT_FILE).read_text(encoding="utf-8"))
        views = []
        for entry in described["views"]:
            with Image.open(folder / entry["mask"]) as picture:
                views.append((check_pose(entry["camera_to_world"]), np.array(picture) > 0))
        fov = float(described["fov_y_radians"])
        memory = []
        for entry in described["memory"]:
            with Image.open(folder / entry["file"]) as picture:
                image = np.array(picture.convert("RGB"))
            memory.append(Posed(image, check_pose(entry["camera_to_world"]), fov))
        pose = check_pose(described["camera_to_world"])
        return PaintTruth(tuple(memory), pose, tuple(described["centre"]), tuple(views))
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} has no usable {PAINT_FILE}: {error}") from error


def evaluate_paint(
    subject: Subject, settings: GenerationSettings, *, quick: bool = False, say=lambda _: None
) -> dict[str, float]:
    """The metrics of the module docstring over all places."""
    folders = sorted(path.parent for path in asset("paint").glob(f"*/{PAINT_FILE}"))
    found: list[Found] = []
    for folder in folders[:QUICK_PLACES] if quick else folders:
        say(f"paint {folder.name}")
        found += paint_place(subject, load_truth(folder), settings)
    errors = np.array([f.error_px for f in found])
    contrasts = np.array([f.contrast for f in found])
    return {
        "paint_error_px": float(errors.mean()),
        "paint_error_median_px": float(np.median(errors)),
        "paint_contrast": float(contrasts.mean()),
        "paint_within_8px": float((errors <= 8).mean()),
        "paint_contrast_70": float((contrasts >= 0.7).mean()),
    }


def paint_place(subject: Subject, truth: PaintTruth, settings: GenerationSettings) -> list[Found]:
    """Paint in a world of the memory frames, reload it, and find the mark in every view."""
    mark = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    mark[..., :3] = COLOUR
    mark[..., 3] = disc(truth.centre) * 255
    memory = truth.memory
    fov = memory[0].fov_y_radians

    def drawn(engine: FrameEngine) -> list[np.ndarray]:
        return [engine.step(pose, settings, follow=False).image for pose, _ in truth.views]

    with tempfile.TemporaryDirectory(prefix="rtfm-paint-") as folder:
        path = Path(folder) / "paint.rtfm"
        world = WorldFile.create(
            path, name="paint", start_pose=truth.camera_to_world, fov_y_radians=fov
        )
        for item in memory:
            world.add_frame(StoredFrame("seed", item.camera_to_world, fov, item.image, None))
        with FrameEngine(world, subject.model, subject.path, subject.device) as engine:
            before = drawn(engine)
            engine.paint(engine.step(truth.camera_to_world, settings, follow=False), mark)
        world = WorldFile.open(path)
        with FrameEngine(world, subject.model, subject.path, subject.device) as engine:
            after = drawn(engine)
    masks = [mask for _, mask in truth.views]
    return [find_mark(*item) for item in zip(before, after, masks, strict=True)]


def find_mark(before: np.ndarray, after: np.ndarray, belongs: np.ndarray) -> Found:
    """Compare a view (H, W, 3) without and with the mark; `belongs` (H, W) bool is the truth."""
    way = np.array(COLOUR, np.float64) - before
    share = ((after.astype(np.float64) - before) * way).sum(-1) / (way**2).sum(-1).clip(1)
    share = np.where(share > LEAST_CHANGE, share.clip(0, 1), 0)
    count, labels = cv2.connectedComponents((share > 0).astype(np.uint8))
    if count < 2:
        return Found(LOST_PX, 0.0)
    largest = np.bincount(labels.ravel(), share.ravel(), count)[1:].argmax() + 1
    shift = _centroid(share * (labels == largest)) - _centroid(belongs.astype(np.float64))
    moved = np.roll(belongs, np.round(shift[::-1]).astype(int), (0, 1))
    core = cv2.erode(moved.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    contrast = float(share[core].mean()) if core.any() else 0.0
    return Found(min(float(np.linalg.norm(shift)), LOST_PX), contrast)


def _centroid(weight: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
