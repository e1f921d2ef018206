"""Marks that can be painted: `Stroke`, `Sign`, and footprints. Pure: no torch, no world.

A mark is drawn as (H, W, 4) uint8 RGBA over a picture. Places are shares of the picture (x right, y
down, both 0..1), lengths are shares of its height, so that a mark does not depend on resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
LONGEST_TEXT = 24
BOARD = (245, 240, 225, 255)
SINK = 0.55  # how dark a footprint is


@dataclass(frozen=True)
class Stroke:
    """A round brush along a path. `softness`: share of the radius over which its border fades."""

    path: tuple[tuple[float, float], ...]
    radius: float
    colour: Colour
    softness: float = 0.3

    def draw(self, height: int, width: int) -> np.ndarray:
        path = np.array(self.path) * (width, height)
        return round_stroke((height, width), path, self.radius * height, self.colour, self.softness)


@dataclass(frozen=True)
class Sign:
    """A small board with a text."""

    centre: tuple[float, float]
    height: float
    text: str
    colour: Colour

    def draw(self, height: int, width: int) -> np.ndarray:
        centre = (self.centre[0] * width, self.centre[1] * height)
        return sign((height, width), centre, self.height * height, self.text, self.colour)


Mark = Stroke | Sign


def round_stroke(
    size: tuple[int, int], path, radius: float, colour: Colour, softness: float = 0.3
) -> np.ndarray:
    """A round brush drawn along a path.

    Args:
        size: (H, W) of the picture.  path: (N, 2) pixel positions (x, y).
        radius: pixels.  softness: share of the radius over which the border fades.
    Returns:
        (H, W, 4) uint8.
    """
    path = np.atleast_2d(np.asarray(path, dtype=np.float64))
    nearest = np.full(size, np.inf)
    for start, end in zip(path, path[1:] if len(path) > 1 else path, strict=False):
        low = np.floor(np.minimum(start, end) - radius - 1).astype(int).clip(0)
        high = np.ceil(np.maximum(start, end) + radius + 1).astype(int).clip(0)
        box = (slice(low[1], high[1]), slice(low[0], high[0]))
        part = nearest[box]
        y = np.arange(part.shape[0])[:, None] + low[1] + 0.5
        x = np.arange(part.shape[1])[None] + low[0] + 0.5
        along = end - start
        t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-9)
        t = t.clip(0, 1)
        away = np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1])
        nearest[box] = np.minimum(part, away)
    fade = max(radius * softness, 1.0)
    alpha = ((radius - nearest) / fade + 0.5 * (softness <= 0)).clip(0, 1)
    mark = np.empty((*size, 4), np.uint8)
    mark[..., :3] = colour
    mark[..., 3] = (alpha * 255).round()
    return mark


def sign(
    size: tuple[int, int], centre, height: float, text: str = "RTFM",
    colour: Colour = (200, 30, 30),
) -> np.ndarray:  # fmt: skip
    """A board with a text, `height` pixels high around `centre` (x, y).

    Returns:
        (H, W, 4) uint8.
    """
    font = ImageFont.load_default(size=max(6.0, height * 0.6))
    picture = Image.new("RGBA", size[::-1])
    draw = ImageDraw.Draw(picture)
    half = (draw.textlength(text, font=font) / 2 + height * 0.3, height / 2)
    box = [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]]
    border = max(1, round(height / 12))
    draw.rounded_rectangle(box, height / 6, BOARD, (*colour, 255), border)
    draw.text(tuple(centre), text, (*colour, 255), font=font, anchor="mm")
    return np.asarray(picture)


def sole(left: bool) -> tuple[np.ndarray, np.ndarray]:
    """Outlines (N, 2) of the ball and the heel of a shoe sole, in metres: x right, y ahead."""
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    inward = 0.008 if left else -0.008
    ball = circle * (0.047, 0.085) + (inward, 0.065)
    heel = circle * (0.036, 0.045) + (0.0, -0.095)
    return ball, heel


def draw_soles(size: tuple[int, int], outlines: list[np.ndarray], colour: Colour) -> np.ndarray:
    """Filled outlines (N, 2) in pixels as a mark, with soft borders."""
    alpha = np.zeros(size, np.uint8)
    for outline in outlines:
        points = np.round((outline - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(alpha, [points], round(255 * SINK), cv2.LINE_AA, 4)
    mark = np.empty((*size, 4), np.uint8)
    mark[..., :3] = colour
    mark[..., 3] = alpha
    return mark
