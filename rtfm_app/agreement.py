"""How far the content under a mark is, judged by what the stored pictures show (`agreed_depth`).

The model's own distances say where to look; around them, the distance is taken at which the
painted view and the stored frames look most alike (a plane sweep over pictures, Collins 1996, in
the model's epipolar coordinate). Made anew for a stroke and thrown away after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .geometry import invert_pose, pixel_rays, tangents
from .memory.world_file import StoredFrame

NEAR, RATE = 0.005, 6.0  # inverse depth (1 / metre) = NEAR * (exp(RATE * u) - 1), as in the model
AROUND = np.linspace(-0.16, 0.16, 33)
BEFORE = np.linspace(-0.1, 0.5, 41)  # what may stand before it
FINE = np.linspace(-0.01, 0.01, 9)
WINDOW = 19  # pixels over which pictures are compared
STRAY = 0.3  # how much agreement an offset of one whole u costs
LEAST_AGREEMENT = 0.3
ALIKE_SHARE = 0.75  # of the views; the others may not see the place
MOST_VIEWS = 12
PLANE_OFF = 0.08  # of the inverse depth
PLANE_SHARE = 0.7
CONTRAST = 2.0  # grey levels below which a patch is plain and agrees with nothing


def agreed_depth(
    picture: np.ndarray,
    inverse_depth: np.ndarray,
    camera_to_world: np.ndarray,
    fov_y_radians: float,
    box: tuple[slice, slice],
    views: Sequence[StoredFrame],
    coarse: np.ndarray = AROUND,
) -> np.ndarray:
    """Inverse depth corrected inside a box so that the views agree.

    Args:
        picture: (H, W, 3) uint8, the painted view as it was shown.
        inverse_depth: (H, W) the model's guess, 1 / metres.
        box: (rows, columns) to correct.
        views: stored frames that may show it; the first `MOST_VIEWS` are used.
        coarse: offsets of u to try at first.
    Returns:
        (H, W) float32.
    """
    height, width = picture.shape[:2]
    rows, columns = _grown(box, WINDOW // 2, (height, width))
    guess = inverse_depth[rows, columns].astype(np.float64)
    sweep = _Sweep(
        _grey(picture)[rows, columns],
        pixel_rays(height, width, fov_y_radians)[rows, columns] @ camera_to_world[:3, :3].T,
        camera_to_world[:3, 3],
        [_Other.of(view) for view in views[:MOST_VIEWS]],
    )
    u = np.log1p(np.maximum(guess, 0) / NEAR) / RATE
    offset = np.zeros_like(u)
    for steps in (coarse, FINE):
        scores = np.stack([sweep.agreement(_depth(u + offset + step)) for step in steps])
        scores -= STRAY * np.abs(offset + steps[:, None, None])
        best = scores.argmax(0)
        trusted = scores.max(0).clip(0) * (scores.max(0) > LEAST_AGREEMENT)
        found = offset + steps[best]
        offset = _smoothed(found, trusted)
    corrected = inverse_depth.astype(np.float32).copy()
    corrected[rows, columns] = _depth(u + offset)
    return corrected


def flattened(inverse_depth: np.ndarray, mark: np.ndarray) -> np.ndarray:
    """Inverse depth (H, W) made exactly plane under a mark (H, W) bool that lies on a surface which
    is nearly so (inverse depth is linear in the picture on a plane), so that a sign stays straight;
    elsewhere, and where the mark lies on several surfaces, as it was."""
    rows, columns = np.nonzero(mark)
    values = inverse_depth[rows, columns].astype(np.float64)
    terms = np.stack([columns - columns.mean(), rows - rows.mean(), np.ones(len(rows))], -1)
    plane = np.array([0.0, 0.0, np.median(values)])
    for _ in range(8):
        off = np.abs(terms @ plane - values) / np.maximum(values, 1e-3)
        weight = 1 / (1 + (off / PLANE_OFF) ** 2)
        weighted = terms * weight[:, None]
        plane = np.linalg.lstsq(weighted.T @ terms + 1e-9 * np.eye(3), weighted.T @ values)[0]
    fitted = terms @ plane
    on_plane = np.abs(fitted - values) < 2 * PLANE_OFF * np.maximum(values, 1e-3)
    if on_plane.mean() < PLANE_SHARE:
        return inverse_depth
    result = inverse_depth.copy()
    result[rows[on_plane], columns[on_plane]] = fitted[on_plane]
    return result


def _depth(u: np.ndarray) -> np.ndarray:
    return NEAR * (np.exp(RATE * u.clip(0, 1.2)) - 1)


def _smoothed(offset: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Mean offset of what is around, as trusted; 0 where nothing is trusted."""
    weight = cv2.GaussianBlur(trust, (0, 0), WINDOW / 3)
    return cv2.GaussianBlur(offset * trust, (0, 0), WINDOW / 3) / np.maximum(weight, 1e-3)


def _grown(box, by: int, size: tuple[int, int]) -> tuple[slice, slice]:
    rows, columns = box
    return (
        slice(max(rows.start - by, 0), min(rows.stop + by, size[0])),
        slice(max(columns.start - by, 0), min(columns.stop + by, size[1])),
    )


def _grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)


class _Other:
    """One stored frame to compare with."""

    def __init__(self, grey, valid, to_camera, tan):
        self.grey, self.valid, self.to_camera, self.tan = grey, valid, to_camera, tan

    @classmethod
    def of(cls, stored: StoredFrame) -> _Other:
        height, width = stored.image.shape[:2]
        valid = None if stored.valid is None else stored.valid.astype(np.float32)
        tan = tangents(stored.fov_y_radians, width / height)
        return cls(_grey(stored.image), valid, invert_pose(stored.camera_to_world), tan)

    def read(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Grey values at world points (h, w, 3) and whether they can be seen."""
        local = points @ self.to_camera[:3, :3].T + self.to_camera[:3, 3]
        deep = np.maximum(-local[..., 2], 0.05)
        height, width = self.grey.shape
        x = ((local[..., 0] / deep / self.tan[0] + 1) * width / 2 - 0.5).astype(np.float32)
        y = ((1 - local[..., 1] / deep / self.tan[1]) * height / 2 - 0.5).astype(np.float32)
        seen = (local[..., 2] < -0.1) & (x > 0) & (y > 0) & (x < width - 1) & (y < height - 1)
        if self.valid is not None:
            seen &= cv2.remap(self.valid, x, y, cv2.INTER_LINEAR) > 0.5
        return cv2.remap(self.grey, x, y, cv2.INTER_LINEAR), seen


class _Sweep:
    """A patch (h, w) with its rays, and what it is compared with."""

    def __init__(self, patch, rays, origin, others):
        self.patch, self.rays, self.origin, self.others = patch, rays, origin, others
        self.mean = _box(patch)
        self.deviation = np.sqrt(np.maximum(_box(patch * patch) - self.mean**2, 0))

    def agreement(self, inverse_depth: np.ndarray) -> np.ndarray:
        """Zero-mean normalised cross-correlation with most of the views, (h, w)."""
        points = self.origin + self.rays / np.maximum(inverse_depth, 1e-4)[..., None]
        found = []
        for other in self.others:
            values, seen = other.read(points)
            mean = _box(values)
            deviation = np.sqrt(np.maximum(_box(values * values) - mean**2, 0))
            joint = _box(values * self.patch) - mean * self.mean
            alike = joint / (np.maximum(deviation, CONTRAST) * np.maximum(self.deviation, CONTRAST))
            found.append(np.where(seen, alike, np.nan))
        return _mean_of_best(np.stack(found))


def _mean_of_best(scores: np.ndarray) -> np.ndarray:
    """Mean of the upper `ALIKE_SHARE` of what is known along the first axis; -1: nothing is."""
    known = np.isfinite(scores)
    ordered = -np.sort(-np.where(known, scores, -1.0), axis=0)
    count = np.ceil(known.sum(0) * ALIKE_SHARE)
    taken = np.arange(len(scores))[:, None, None] < count
    total = np.where(taken, ordered, 0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), -1.0).astype(np.float32)


def _box(x: np.ndarray) -> np.ndarray:
    return cv2.blur(x, (WINDOW, WINDOW), borderType=cv2.BORDER_REPLICATE)
