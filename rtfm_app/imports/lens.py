"""A camera's lens as nerfstudio describes it, and pictures as a lens without distortion sees them.

Pixel coordinates are continuous: (0, 0) is the picture's top left corner, the first pixel's centre
lies at (0.5, 0.5). Tangent coordinates (x right, y down) are those of the ray (x, y, 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image

from ..geometry import ASPECT
from .pictures import MAX_SIXTEENTHS, MIN_SIXTEENTHS, crop_to_frame

MAX_TAN_X = math.tan(math.radians(60.0))


@dataclass(frozen=True)
class Lens:
    """Intrinsics in pixels of a `width` x `height` picture.

    Attributes:
        fisheye: False: Brown's model (radial k1..k4, tangential p1, p2); True: equidistant
            fisheye (k1..k4 in powers of the angle).
    """

    width: float
    height: float
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    fisheye: bool = False
    radial: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    tangential: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        numbers = (self.width, self.height, self.fl_x, self.fl_y, self.cx, self.cy)
        if not all(map(math.isfinite, (*numbers, *self.radial, *self.tangential))):
            raise ValueError("the intrinsics must be finite numbers")
        if min(self.width, self.height, self.fl_x, self.fl_y) <= 0:
            raise ValueError("w, h, fl_x and fl_y must be above zero")
        if not (0 < self.cx < self.width and 0 < self.cy < self.height):
            raise ValueError(f"the principal point ({self.cx}, {self.cy}) is outside the picture")

    @property
    def is_distorted(self) -> bool:
        return self.fisheye or any(self.radial) or any(self.tangential)

    def scaled_to(self, width: int, height: int) -> Lens:
        """The same lens for the picture resized to `width` x `height`."""
        x, y = width / self.width, height / self.height
        return replace(
            self, width=width, height=height,
            fl_x=self.fl_x * x, fl_y=self.fl_y * y, cx=self.cx * x, cy=self.cy * y,
        )  # fmt: skip

    def project(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates of the tangent coordinates (x, y)."""
        if self.fisheye:
            radius = np.hypot(x, y)
            angle = np.arctan(radius)
            stretch = self._polynomial(angle**2) * np.divide(
                angle, radius, out=np.ones_like(angle), where=radius > 1e-9
            )
            x, y = x * stretch, y * stretch
        else:
            square = x * x + y * y
            stretch = self._polynomial(square)
            p1, p2 = self.tangential
            x, y = (
                x * stretch + 2 * p1 * x * y + p2 * (square + 2 * x * x),
                y * stretch + p1 * (square + 2 * y * y) + 2 * p2 * x * y,
            )
        return self.fl_x * x + self.cx, self.fl_y * y + self.cy

    def _polynomial(self, square: np.ndarray) -> np.ndarray:
        k1, k2, k3, k4 = self.radial
        return 1 + square * (k1 + square * (k2 + square * (k3 + square * k4)))


def widest_tan_y(lens: Lens) -> float:
    """tan of half the vertical field of view of the largest 16:9 view about the optical axis that
    the picture fills completely."""
    tan_x = min(lens.cx, lens.width - lens.cx) / lens.fl_x
    tan_y = min(lens.cy, lens.height - lens.cy) / lens.fl_y
    if not lens.is_distorted:
        return min(tan_y, tan_x / ASPECT, MAX_TAN_X / ASPECT)
    # Grown step by step, not bisected: a lens polynomial may fold back far outside its picture.
    candidates = np.geomspace(0.02, MAX_TAN_X / ASPECT, 600)
    widest, previous = 0.0, None
    for tan_y in candidates:
        x, y = lens.project(*_border(tan_y))
        inside = min(x.min(), y.min()) >= 0 and x.max() <= lens.width and y.max() <= lens.height
        outward = np.hypot(x - lens.cx, y - lens.cy)
        if not inside or (previous is not None and (outward <= previous).any()):
            break
        widest, previous = tan_y, outward
    return float(widest)


def _border(tan_y: float) -> tuple[np.ndarray, np.ndarray]:
    """Tangent coordinates of points along the edge of a 16:9 view."""
    along = np.linspace(-1, 1, 65)
    ends = np.ones_like(along)
    x = np.concatenate([along, along, -ends, ends]) * tan_y * ASPECT
    y = np.concatenate([-ends, ends, along, along]) * tan_y
    return x, y


def undistorted_frame(
    image: Image.Image, mask: Image.Image | None, lens: Lens
) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Cut the largest 16:9 view about the principal point out of a picture, distortion undone.

    Args:
        image: RGB; `mask`: "L" of the same size, 0 where the picture is not to be used.
        lens: of this very picture size.

    Returns:
        picture (9 k, 16 k, 3) uint8, valid (9 k, 16 k) bool or None, vertical field of view in
        radians.

    Raises:
        ValueError: the view is too small to be of use.
    """
    tan_y = widest_tan_y(lens)
    rows = 2 * tan_y * lens.fl_y
    columns = 2 * tan_y * ASPECT * lens.fl_x
    sixteenths = min(int(rows / 9 + 1e-6), int(columns / 16 + 1e-6), MAX_SIXTEENTHS)
    if sixteenths < MIN_SIXTEENTHS:
        raise ValueError(
            f"only {columns:.0f}x{rows:.0f} pixels about its principal point can be used; "
            "check w, h, cx, cy and the distortion"
        )
    cut = _remapped if lens.is_distorted else _cropped
    picture, valid = cut(image, mask, lens, tan_y, sixteenths)
    return picture, valid, 2 * math.atan(tan_y)


def _cropped(image, mask, lens: Lens, tan_y: float, sixteenths: int):
    half_x, half_y = tan_y * ASPECT * lens.fl_x, tan_y * lens.fl_y
    box = (
        max(lens.cx - half_x, 0.0),
        max(lens.cy - half_y, 0.0),
        min(lens.cx + half_x, image.width),
        min(lens.cy + half_y, image.height),
    )
    picture = crop_to_frame(image, box, sixteenths)
    if mask is None:
        return picture, None
    size = (16 * sixteenths, 9 * sixteenths)
    return picture, np.asarray(mask.resize(size, Image.Resampling.NEAREST, box=box)) > 127


def _remapped(image, mask, lens: Lens, tan_y: float, sixteenths: int):
    height, width = 9 * sixteenths, 16 * sixteenths
    shrink = height / (2 * tan_y * lens.fl_y)
    if shrink < 0.95:
        # Filter first: sampling a finer picture point by point would alias.
        size = (round(image.width * shrink), round(image.height * shrink))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        mask = mask.resize(size, Image.Resampling.NEAREST) if mask else None
        lens = lens.scaled_to(*size)
    x = ((np.arange(width) * 2 + 1) / width - 1) * tan_y * ASPECT
    y = ((np.arange(height) * 2 + 1) / height - 1) * tan_y
    pixels = lens.project(*np.meshgrid(x, y))
    map_x, map_y = ((axis - 0.5).astype(np.float32) for axis in pixels)
    edge = {"borderMode": cv2.BORDER_REPLICATE}
    picture = cv2.remap(np.asarray(image), map_x, map_y, cv2.INTER_CUBIC, **edge)
    if mask is None:
        return picture, None
    return picture, cv2.remap(np.asarray(mask), map_x, map_y, cv2.INTER_NEAREST, **edge) > 127
