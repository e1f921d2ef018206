"""`Readable`: a stored picture as the CPU reads it.

OpenCV's bilinear `remap` handles four bytes a pixel ten times faster than any bicubic reading. So
that nothing is lost by it, a picture that is drawn at its own scale is interpolated beforehand,
once, to twice its resolution with the bicubic kernel; drawn smaller it is low-passed against
aliasing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from .fast_kernels import Kernels

SMALL_SIZE = (256, 144)
SHRINK_FROM = 1.5  # stored pixels per drawn pixel from which a picture is low-passed
# torch's bicubic kernel (a = -0.75) half way between two pixels.
HALF_WAY = np.array([-0.09375, 0.59375, 0.59375, -0.09375], np.float32)


@dataclass(frozen=True)
class Level:
    """Pixels (h, w, 4) uint8 for bilinear reading: grid coordinate g in [-1, 1] of the picture is
    at pixel (g + 1) * half + offset; both (x, y)."""

    pixels: np.ndarray
    half: tuple[float, float]
    offset: tuple[float, float]


class Readable:
    """A stored picture (H', W', 3) uint8 and what it is read from, made when first needed.

    Attributes:
        unmarked: the picture before a user painted on it, else itself: what nobody has seen is
            mirrored from there, and a mark must not be seen twice.
    """

    def __init__(self, pixels: np.ndarray, unmarked: np.ndarray | None = None):
        self.pixels = np.ascontiguousarray(pixels)
        self.unmarked = self if unmarked is None else Readable(unmarked)
        self._levels: dict[bool, Level] = {}
        self._tensor: torch.Tensor | None = None

    def tensor(self, device: torch.device) -> torch.Tensor:
        """(1, 3, H', W') in [-1, 1], what the plain path reads; kept where copying is dear."""
        if self._tensor is not None and self._tensor.device == device:
            return self._tensor
        pixels = torch.from_numpy(self.pixels).to(device).permute(2, 0, 1)[None]
        made = pixels.float() / 127.5 - 1
        if device.type != "cpu":
            self._tensor = made
        return made

    def level(self, scale: float, compiled: Kernels | None = None) -> Level:
        """For `scale` stored pixels per drawn pixel; the same bits with kernels and without."""
        shrink = scale >= SHRINK_FROM
        if shrink not in self._levels:
            made = _low_passed(self.pixels) if shrink else _doubled(self.pixels, compiled)
            self._levels[shrink] = made
        return self._levels[shrink]

    @cached_property
    def small(self) -> Level:
        """What the broad colours of a mirrored reading are taken from."""
        small = cv2.resize(self.pixels, SMALL_SIZE, interpolation=cv2.INTER_AREA)
        return _level(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA))

    @cached_property
    def plain(self) -> Level:
        """Almost a single colour, (9, 16, 4) float32."""
        small = cv2.resize(self.pixels, (16, 9), interpolation=cv2.INTER_AREA)
        return _level(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA).astype(np.float32))


def _level(pixels: np.ndarray) -> Level:
    height, width = pixels.shape[:2]
    return Level(pixels, (width / 2, height / 2), (-0.5, -0.5))


def _doubled(pixels: np.ndarray, compiled: Kernels | None = None) -> Level:
    """Twice the resolution: the pixels themselves, and the bicubic values half way between."""
    height, width = pixels.shape[:2]
    full = np.empty((2 * height, 2 * width, 4), np.uint8)
    level = Level(full, (float(width), float(height)), (-1.0, -1.0))
    if compiled is not None:
        given, made = torch.from_numpy(pixels), torch.from_numpy(full)
        compiled("doubled", height, width, given, made)
        return level
    fine = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA).astype(np.float32)
    one = np.ones(1, np.float32)

    def between(image, across, down):
        # The anchor puts the value between a pixel and the one after it at that pixel.
        anchor = (1 if len(across) > 1 else 0, 1 if len(down) > 1 else 0)
        return cv2.sepFilter2D(
            image, cv2.CV_32F, across, down, anchor=anchor, borderType=cv2.BORDER_REPLICATE
        )

    right = between(fine, HALF_WAY, one)
    for row, column, values in (
        (0, 0, fine), (0, 1, right), (1, 0, between(fine, one, HALF_WAY)),
        (1, 1, between(right, one, HALF_WAY)),
    ):  # fmt: skip
        full[row::2, column::2] = cv2.add(values, (0, 0, 0, 0), dtype=cv2.CV_8U)
    return level


def _low_passed(pixels: np.ndarray) -> Level:
    """The same resolution without what half of it cannot show."""
    kernel = np.array([0.25, 0.5, 0.25], np.float32)
    soft = cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return _level(cv2.cvtColor(soft, cv2.COLOR_RGB2RGBA))


def read_pixels(level: Level, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear reading at grid coordinates that are already multiplied by `level.half`."""
    x += np.float32(level.half[0] + level.offset[0])
    y += np.float32(level.half[1] + level.offset[1])
    return cv2.remap(level.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
