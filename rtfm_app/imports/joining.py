"""A photograph and a 360-degree picture made one.

Directions are (azimuth, elevation) in degrees from the photograph's axis, right and up positive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

SEAM_DEGREES = 14.0  # outside of the border: from the mirrored photograph to the reference
FEATHER_DEGREES = 1.5
TINT_DEGREES = 40.0  # how far out the photograph's own colours reach
MOST_TINT = 60.0  # grey levels
PERIMETER = 720  # steps around the photograph at which the seam is sought


@dataclass(frozen=True)
class Photograph:
    """A 16:9 picture (H, W, 3) uint8 with its vertical field of view, seen along the axis."""

    image: np.ndarray
    fov_y_radians: float

    @property
    def half_degrees(self) -> tuple[float, float]:
        """Half its width and height along the axes."""
        tan_y = math.tan(self.fov_y_radians / 2)
        tan_x = tan_y * self.image.shape[1] / self.image.shape[0]
        return math.degrees(math.atan(tan_x)), math.degrees(math.atan(tan_y))

    def at(self, azimuth: np.ndarray, elevation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Colours (..., 3) float32 in directions in degrees, and where they are shown (bool)."""
        a, e = np.radians(azimuth), np.radians(elevation)
        forward = np.cos(e) * np.cos(a)
        safe = np.maximum(forward, 0.02)
        tan_y = math.tan(self.fov_y_radians / 2)
        height, width = self.image.shape[:2]
        x = np.cos(e) * np.sin(a) / safe / (tan_y * width / height)
        y = np.sin(e) / safe / tan_y
        shown = (forward > 0.02) & (np.abs(x) <= 1) & (np.abs(y) <= 1)
        columns = ((x + 1) * width / 2 - 0.5).astype(np.float32)
        rows = ((1 - y) * height / 2 - 0.5).astype(np.float32)
        colours = cv2.remap(
            self.image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return colours.astype(np.float32), shown


def directions(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth and elevation (H, W) of an equirectangular picture twice as wide as high."""
    azimuth = ((np.arange(width) + 0.5) / width - 0.5) * 360
    elevation = 90 - (np.arange(width // 2) + 0.5) / (width // 2) * 180
    return np.meshgrid(azimuth, elevation)


def joined(photograph: Photograph, reference: np.ndarray) -> np.ndarray:
    """The whole sphere (H, 2 H, 3) uint8 around a photograph: itself, its mirrored border, and the
    reference (H, 2 H, 3) float32, an equirectangular picture whose middle column lies behind it."""
    azimuth, elevation = directions(reference.shape[1])
    own, shown = photograph.at(azimuth, elevation)
    half = photograph.half_degrees
    # A picture's upper border is not level in these coordinates: mirror at where it really is.
    within = np.radians(np.minimum(np.abs(azimuth), half[0]))
    half_there = np.degrees(np.arctan(math.tan(math.radians(half[1])) * np.cos(within)))
    out_x = np.maximum(np.abs(azimuth) - half[0], 0)
    out_y = np.maximum(np.abs(elevation) - half_there, 0)
    mirrored, _ = photograph.at(
        np.sign(azimuth) * (np.abs(azimuth) - 2 * out_x),
        np.sign(elevation) * (np.abs(elevation) - 2 * out_y),
    )
    outside = np.maximum(out_x, out_y).astype(np.float32)
    reference = reference + _tint(own, reference, shown, outside)
    share = _seam(mirrored, reference, azimuth, elevation, outside, half)
    whole = mirrored + (reference - mirrored) * share[..., None]
    whole[shown] = own[shown]
    return np.clip(whole + 0.5, 0, 255).astype(np.uint8)


def _tint(own, reference, shown, outside) -> np.ndarray:
    """What the reference's broad colours lack of the photograph's near its border, fading out."""
    height, width = shown.shape
    small = (128, 64)
    weight = cv2.resize(shown.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    lack = (own - reference) * shown[..., None]
    lack = cv2.resize(lack, small, interpolation=cv2.INTER_AREA)
    spread = np.zeros_like(lack)
    total = np.full_like(weight, 1e-3)
    for sigma, importance in ((2.0, 1.0), (5.0, 0.1), (12.0, 0.01)):
        blurred = cv2.GaussianBlur(np.dstack([lack, weight]), (0, 0), sigma)
        spread += importance * blurred[..., :3]
        total += importance * blurred[..., 3]
    tint = cv2.resize(spread / total[..., None], (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(tint, -MOST_TINT, MOST_TINT) * np.exp(-outside / TINT_DEGREES)[..., None]


def _seam(mirrored, reference, azimuth, elevation, outside, half) -> np.ndarray:
    """Share of the reference (H, W): the two are joined along the closed line around the photograph
    on which they differ least (minimum error boundary cut of image quilting, Efros and Freeman)."""
    steps = int(SEAM_DEGREES * 2)
    around, out = np.meshgrid(np.arange(PERIMETER) / PERIMETER, (np.arange(steps) + 0.5) / 2)
    x, y = _on_rectangle(around, out, half)
    width = azimuth.shape[1]
    columns = ((x / 360 + 0.5) * width - 0.5).astype(np.float32)
    rows = ((90 - y) / 180 * azimuth.shape[0] - 0.5).astype(np.float32)
    apart = np.square(cv2.GaussianBlur(mirrored - reference, (0, 0), 1.0)).sum(-1)
    error = cv2.remap(apart, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    error = error + 30.0 * np.square(out - SEAM_DEGREES / 2) / SEAM_DEGREES
    line = (_cheapest_path(error) + 0.5) / 2
    place = (_around_rectangle(azimuth, elevation, outside, half) * PERIMETER).astype(int)
    share = (outside - line[place % PERIMETER]) / FEATHER_DEGREES + 0.5
    share = np.clip(share, 0, 1)
    return share * share * (3 - 2 * share)


def _on_rectangle(around, out, half) -> tuple[np.ndarray, np.ndarray]:
    """Points of the rectangle grown by `out` degrees, at the share `around` of a full turn."""
    a, b = half[0] + out, half[1] + out
    angle = around * 2 * math.pi
    c, s = np.cos(angle), np.sin(angle)
    scale = np.minimum(1 / np.maximum(np.abs(c), 1e-6), 1 / np.maximum(np.abs(s), 1e-6))
    return a * c * scale, b * s * scale


def _around_rectangle(azimuth, elevation, outside, half) -> np.ndarray:
    """Inverse of `_on_rectangle`: the share of a full turn, 0 to 1."""
    angle = np.arctan2(elevation / (half[1] + outside), azimuth / (half[0] + outside))
    return np.mod(angle / (2 * math.pi), 1.0)


def _cheapest_path(error: np.ndarray) -> np.ndarray:
    """Row (columns,) in each column of the cheapest closed path; neighbours differ by at most 1."""
    rows, columns = error.shape
    twice = np.concatenate([error, error], 1)
    cost, came = twice[:, 0].copy(), np.zeros((rows, 2 * columns), int)
    for column in range(1, 2 * columns):
        padded = np.pad(cost, 1, constant_values=np.inf)
        choices = np.stack([padded[:-2], padded[1:-1], padded[2:]])
        step = choices.argmin(0)
        came[:, column] = np.arange(rows) + step - 1
        cost = twice[:, column] + choices.min(0)
    path = np.empty(2 * columns, int)
    path[-1] = int(cost.argmin())
    for column in range(2 * columns - 1, 0, -1):
        path[column - 1] = came[path[column], column]
    # The first turn settles where the path runs; the second closes on itself.
    middle = path[columns // 2 : columns // 2 + columns]
    return np.roll(middle, columns // 2)
