"""The posed walk through a real office (assets/office_walk) as frames at 16:9 and training clips.

The first 70% of the walk may be trained on, the rest is for evaluation only. Write clips with
`python -m rtfm_app.worlds.office --out FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..geometry import check_pose
from ..resources import asset
from ..training.clips import Clip, save_clip, split_of

TRAINING_SHARE = 0.7
CLIP_FRAMES = 16
CLIPS_AT_STRIDE = {1: 16, 2: 13, 4: 11}
# Neighbouring distances whose ratio is larger belong to different surfaces: never averaged.
EDGE_RATIO = 1.1
# Stands in for an unknown inverse distance where the largest or smallest is sought.
BEYOND = np.float32(1e6)


@dataclass(frozen=True)
class Walk:
    """N frames cropped to 16:9 about the principal point.

    Attributes:
        images: (N, H, W, 3) uint8.
        inverse_depth: (N, H/2, W/2) float32, 1/metres, NaN = unknown.
        camera_to_world: (N, 4, 4) float64.
        fov_y_radians: of the crop.
    """

    images: np.ndarray
    inverse_depth: np.ndarray
    camera_to_world: np.ndarray
    fov_y_radians: float

    @property
    def training_frames(self) -> int:
        """How many of the first frames may be trained on."""
        return math.floor(len(self.images) * TRAINING_SHARE)


@dataclass(frozen=True)
class Crop:
    """The largest 16:9 rectangle, in pixels, whose centre is the principal point."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def about(cls, cx: float, cy: float, width: int, height: int) -> Crop:
        half_width = min(cx, width - cx, min(cy, height - cy) * 16 / 9)
        half_height = half_width * 9 / 16
        return cls(cx - half_width, cy - half_height, cx + half_width, cy + half_height)


def load_walk(folder: Path | None = None, height: int = 144) -> Walk:
    """Read all frames of a walk, resized with an area filter to height x height * 16 / 9.

    Raises:
        ValueError: transforms.json or the depth file is missing or not readable.
    """
    folder = folder or asset("office_walk")
    try:
        description = json.loads((folder / "transforms.json").read_text())
        with np.load(folder / "depth_metres_quarter.npz") as archive:
            depth = archive[archive.files[0]]
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is not a posed walk with depth: {error}") from error
    crop = Crop.about(*(description[key] for key in ("cx", "cy", "w", "h")))
    width = height * 16 // 9
    images, poses = [], []
    for frame in description["frames"]:
        with Image.open(folder / frame["file_path"]) as picture:
            images.append(_cropped(picture, crop, width, height))
        poses.append(check_pose(frame["transform_matrix"]))
    inverse = [_inverse_depth(metres, crop, height // 2, width // 2) for metres in depth]
    fov_y = 2 * math.atan((crop.bottom - crop.top) / 2 / description["fl_y"])
    return Walk(np.stack(images), np.stack(inverse), np.stack(poses), fov_y)


def _cropped(picture: Image.Image, crop: Crop, width: int, height: int) -> np.ndarray:
    box = (crop.left, crop.top, crop.right, crop.bottom)
    return np.asarray(picture.resize((width, height), Image.Resampling.BOX, box=box))


def _inverse_depth(metres: np.ndarray, crop: Crop, height: int, width: int) -> np.ndarray:
    """Inverse depth (height, width) over the crop from (90, 135) metres, 0 = unknown.

    Depth cell (r, c) is image pixel (4r + 2, 4c + 2). Interpolated inside a surface, the nearest
    cell at its borders.
    """
    x = (crop.left + (np.arange(width) + 0.5) * (crop.right - crop.left) / width - 2.5) / 4
    y = (crop.top + (np.arange(height) + 0.5) * (crop.bottom - crop.top) / height - 2.5) / 4
    x, y = (grid.astype(np.float32) for grid in np.meshgrid(x, y))
    inverse = _without_pinholes(1 / np.where(metres > 0, metres.astype(np.float32), np.nan))
    high = cv2.dilate(np.nan_to_num(inverse, nan=BEYOND), np.ones((2, 2)), anchor=(0, 0))
    low = cv2.erode(np.nan_to_num(inverse, nan=0.0), np.ones((2, 2)), anchor=(0, 0))
    smooth = cv2.remap(inverse, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    nearest = cv2.remap(inverse, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    column = np.clip(np.floor(x), 0, metres.shape[1] - 1).astype(int)
    row = np.clip(np.floor(y), 0, metres.shape[0] - 1).astype(int)
    one_surface = (high[row, column] <= EDGE_RATIO * low[row, column]) & np.isfinite(smooth)
    return np.where(one_surface, smooth, nearest)


def _without_pinholes(inverse: np.ndarray) -> np.ndarray:
    """Fill unknown cells (NaN) whose known neighbours are many and lie on one surface."""
    known = np.isfinite(inverse).astype(np.float32)
    around = np.ones((3, 3))
    count = cv2.filter2D(known, -1, around, borderType=cv2.BORDER_CONSTANT)
    total = cv2.filter2D(np.nan_to_num(inverse), -1, around, borderType=cv2.BORDER_CONSTANT)
    high = cv2.dilate(np.nan_to_num(inverse, nan=0.0), around)
    low = cv2.erode(np.where(known > 0, inverse, BEYOND), around)
    fill = (known == 0) & (count >= 4) & (high <= EDGE_RATIO * low)
    return np.where(fill, total / np.maximum(count, 1), inverse)


def training_windows(frames: int) -> list[np.ndarray]:
    """Frame numbers (16,) of each clip: windows of several strides, spread over the walk."""
    windows = []
    for stride, count in CLIPS_AT_STRIDE.items():
        last = frames - 1 - stride * (CLIP_FRAMES - 1)
        starts = np.linspace(0, last, count).round().astype(int)
        windows += [start + stride * np.arange(CLIP_FRAMES) for start in starts]
    return windows


def training_clips(walk: Walk) -> list[Clip]:
    """Clips of the first 70% of the walk, with seeds of the training split only."""
    windows = training_windows(walk.training_frames)
    seeds = [seed for seed in range(2 * len(windows)) if split_of(seed) == "train"]
    return [
        Clip(
            images=walk.images[window],
            inverse_depth=walk.inverse_depth[window],
            camera_to_world=walk.camera_to_world[window],
            fov_y_radians=walk.fov_y_radians,
            family="office",
            seed=seed,
        )
        for seed, window in zip(seeds, windows, strict=False)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the office walk as training clips.")
    parser.add_argument("--out", type=Path, required=True, help="folder of clips")
    arguments = parser.parse_args()
    clips = training_clips(load_walk())
    for clip in clips:
        save_clip(clip, arguments.out)
    print(f"{len(clips)} clips in {arguments.out}")


if __name__ == "__main__":
    main()
