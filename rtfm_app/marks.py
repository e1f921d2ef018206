"""Marks that can be painted: a brush stroke, a sign, a footprint; each (H, W, 4) uint8 RGBA over a
picture. Pure: no torch, no world.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont


def round_stroke(
    size: tuple[int, int], path, radius: float, colour: tuple[int, int, int], softness: float = 0.3
) -> np.ndarray:
    """A round brush drawn along a path.

    Args:
        size: (H, W) of the picture.  path: (N, 2) pixel positions (x, y).
        radius: pixels.  softness: share of the radius over which the border fades.
    Returns:
        (H, W, 4) uint8.
    """
    path = np.atleast_2d(np.asarray(path, dtype=np.float64))
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    nearest = np.full(size, np.inf)
    for start, end in zip(path, path[1:] if len(path) > 1 else path, strict=False):
        along = end - start
        t = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / max(along @ along, 1e-9)
        t = t.clip(0, 1)
        away = np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1])
        nearest = np.minimum(nearest, away)
    fade = max(radius * softness, 1.0)
    alpha = ((radius - nearest) / fade + 0.5 * (softness <= 0)).clip(0, 1)
    mark = np.empty((*size, 4), np.uint8)
    mark[..., :3] = colour
    mark[..., 3] = (alpha * 255).round()
    return mark


def sign(
    size: tuple[int, int], centre, height: float, text: str = "RTFM",
    colour: tuple[int, int, int] = (200, 30, 30),
) -> np.ndarray:  # fmt: skip
    """A stamp: a small board with a text, `height` pixels high around `centre` (x, y).

    Returns:
        (H, W, 4) uint8.
    """
    font = ImageFont.load_default(size=max(6.0, height * 0.6))
    picture = Image.new("RGBA", size[::-1])
    draw = ImageDraw.Draw(picture)
    half = (draw.textlength(text, font=font) / 2 + height * 0.3, height / 2)
    box = [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]]
    border = max(1, round(height / 12))
    draw.rounded_rectangle(box, height / 6, (245, 240, 225, 255), (*colour, 255), border)
    draw.text(tuple(centre), text, (*colour, 255), font=font, anchor="mm")
    return np.asarray(picture)
