"""A mark on one picture brought into the pixels of another (`carry`), by the first's distances.

Nothing is hidden here by what stands before the mark; `edits.visible_alpha` judges that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .frame import Frame
from .geometry import invert_pose, tangents
from .memory.world_file import StoredFrame

MOST_SAMPLES = 4_000_000


@dataclass(frozen=True)
class Carried:
    """A mark in the pixels of another view.

    Attributes:
        mark: (H, W, 4) float32, colour 0..255 and alpha 0..1.
        inverse_depth: (H, W) float32 of the marked content seen from there, 1 / metres.
        seen: (H, W, 3) float32, what the painted view shows at the same content.
    """

    mark: np.ndarray
    inverse_depth: np.ndarray
    seen: np.ndarray

    @property
    def pixels(self) -> float:
        return float(self.mark[..., 3].sum())


def points_of(frame: Frame, where, inverse, size: tuple[int, int]) -> np.ndarray:
    """World points (N, 3) at pixel positions `where` (N, 2: x, y; 0.5 = first centre)."""
    height, width = size
    tan_x, tan_y = tangents(frame.fov_y_radians, width / height)
    x = (where[:, 0] * 2 / width - 1) * tan_x
    y = (1 - where[:, 1] * 2 / height) * tan_y
    rays = np.stack([x, y, -np.ones_like(x)], -1) / np.maximum(inverse, 1e-4)[:, None]
    pose = frame.camera_to_world
    return rays @ pose[:3, :3].T + pose[:3, 3]


def carry(frame: Frame, mark: np.ndarray, stored: StoredFrame) -> Carried:
    """The mark in the pixels of a stored frame: each cell of the painted view is drawn there in as
    many samples as it covers pixels, so that the mark has no holes."""
    size = frame.image.shape[:2]
    height, width = stored.image.shape[:2]
    rows, columns = np.nonzero(mark[..., 3])
    top, bottom = max(rows.min() - 3, 0), min(rows.max() + 4, size[0])
    left, right = max(columns.min() - 3, 0), min(columns.max() + 4, size[1])
    box = (top, bottom, left, right)
    factor = 1
    for _ in range(2):  # first to learn how much the mark is stretched, then to draw it
        where = _sample_positions(box, factor)
        inverse = _read(frame.inverse_depth[..., None], where, size)[:, 0]
        points = points_of(frame, where, inverse, size)
        position, ahead = _project(points, stored)
        if factor > 1:
            break
        area = (bottom - top) * (right - left)
        grid = position.reshape(bottom - top, right - left, 2)
        gaps = [np.linalg.norm(np.diff(grid, axis=a), axis=-1).ravel() for a in (0, 1)]
        gap = float(np.percentile(np.concatenate(gaps), 98))
        factor = int(np.clip(math.ceil(gap * 1.2), 2, max(2, math.isqrt(MOST_SAMPLES // area))))
    values = np.concatenate([where, 1 / np.maximum(ahead, 0.05)[:, None]], -1)
    drawn = _splat(values, position, ahead > 0.05, (height, width))
    there = drawn[..., 2] > 0
    grid = (drawn[..., :2] - 0.5).astype(np.float32)
    alpha = mark[..., 3:].astype(np.float32) / 255
    layers = np.concatenate([mark[..., :3] * alpha, alpha], -1)
    layers = cv2.remap(layers, grid, None, cv2.INTER_LINEAR) * there[..., None]
    layers[..., :3] /= np.maximum(layers[..., 3:], 1e-4)
    seen = cv2.remap(frame.image, grid, None, cv2.INTER_LINEAR) * there[..., None]
    return Carried(layers, drawn[..., 2], seen.astype(np.float32))


def _sample_positions(box: tuple[int, int, int, int], factor: int) -> np.ndarray:
    """Positions (N, 2) of factor x factor samples in each pixel of a box, row by row."""
    top, bottom, left, right = box
    y = top + (np.arange((bottom - top) * factor) + 0.5) / factor
    x = left + (np.arange((right - left) * factor) + 0.5) / factor
    return np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)


def _read(picture: np.ndarray, where: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear values (N, C) of a picture at positions given in pixels of `size`."""
    scale = (picture.shape[1] / size[1], picture.shape[0] / size[0])
    x = np.clip(where[:, 0] * scale[0] - 0.5, 0, picture.shape[1] - 1)
    y = np.clip(where[:, 1] * scale[1] - 0.5, 0, picture.shape[0] - 1)
    x0, y0 = x.astype(int), y.astype(int)
    x1, y1 = np.minimum(x0 + 1, picture.shape[1] - 1), np.minimum(y0 + 1, picture.shape[0] - 1)
    fx, fy = (x - x0)[:, None], (y - y0)[:, None]
    upper = picture[y0, x0] * (1 - fx) + picture[y0, x1] * fx
    lower = picture[y1, x0] * (1 - fx) + picture[y1, x1] * fx
    return upper * (1 - fy) + lower * fy


def _project(points: np.ndarray, stored: StoredFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pixel positions (N, 2) of world points in a stored frame and their distance ahead (N,)."""
    height, width = stored.image.shape[:2]
    to_camera = invert_pose(stored.camera_to_world)
    local = points @ to_camera[:3, :3].T + to_camera[:3, 3]
    tan_x, tan_y = tangents(stored.fov_y_radians, width / height)
    ahead = -local[:, 2]
    deep = np.maximum(ahead, 0.05)
    x = (local[:, 0] / deep / tan_x + 1) * width / 2
    y = (1 - local[:, 1] / deep / tan_y) * height / 2
    return np.stack([x, y], -1).clip(-1e5, 1e5), ahead


def _splat(values, position, good, size: tuple[int, int]) -> np.ndarray:
    """Mean of the samples that fall near each pixel, (H, W, C); 0 where none do."""
    height, width = size
    corner = np.floor(position - 0.5).astype(np.int64)
    fraction = position - 0.5 - corner
    total = np.zeros((height * width, values.shape[1] + 1))
    for dx in (0, 1):
        for dy in (0, 1):
            x, y = corner[:, 0] + dx, corner[:, 1] + dy
            inside = good & (x >= 0) & (x < width) & (y >= 0) & (y < height)
            share = np.abs(1 - dx - fraction[:, 0]) * np.abs(1 - dy - fraction[:, 1])
            share, index = share[inside], (y * width + x)[inside]
            total[:, -1] += np.bincount(index, share, height * width)
            for channel in range(values.shape[1]):
                weighted = values[inside, channel] * share
                total[:, channel] += np.bincount(index, weighted, height * width)
    mean = total[:, :-1] / np.maximum(total[:, -1:], 1e-6) * (total[:, -1:] > 1e-3)
    return mean.reshape(height, width, -1).astype(np.float32)
