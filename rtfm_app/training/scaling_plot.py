"""The scaling picture: held-out loss against training operations, both logarithmic, with the power
law through the points. Pillow only."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 420, 96, 56, 60, 60
SCALE = 2  # drawn larger, then reduced: smooth lines
PAPER, INK, LINE, DOT = (255, 255, 255), (40, 40, 48), (170, 190, 210), (31, 102, 173)


def fitted_exponent(flops: list[float], losses: list[float]) -> tuple[float, float]:
    """(a, b) of loss = b * flops^a by least squares in logarithms.

    Raises:
        ValueError: fewer than two points.
    """
    if len(flops) < 2:
        raise ValueError(f"a power law needs two points or more, got {len(flops)}")
    exponent, offset = np.polyfit(np.log(flops), np.log(losses), 1)
    return float(exponent), float(np.exp(offset))


def plot_scaling(points: list[tuple[str, float, float]], budget: str, path: Path) -> float:
    """Write the picture of (name, training operations, held-out loss); returns the exponent."""
    flops, losses = ([point[axis] for point in points] for axis in (1, 2))
    exponent, factor = fitted_exponent(flops, losses)
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    draw = ImageDraw.Draw(image)
    x_of = _axis(flops, LEFT, WIDTH - RIGHT)
    y_of = _axis(losses, HEIGHT - BOTTOM, TOP)
    draw.line(_scaled([(x_of(f), y_of(factor * f**exponent)) for f in flops]), LINE, 2 * SCALE)
    box = [(LEFT, TOP), (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)]
    draw.line(_scaled(box), INK, SCALE)
    for name, f, loss in points:
        x, y = x_of(f), y_of(loss)
        draw.ellipse(_scaled([(x - 5, y - 5), (x + 5, y + 5)]), DOT)
        _text(draw, (x, y - 16), name, "mm")
        _text(draw, (x, HEIGHT - BOTTOM + 14), f"{f:.1e}", "mm")
        _text(draw, (LEFT - 8, y), f"{loss:.3f}", "rm")
    _text(draw, (LEFT, 20), f"held-out photometric loss, {budget}", "lm")
    _text(draw, (WIDTH - RIGHT, 40), f"exponent {exponent:.3f}", "rm")
    _text(draw, ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 18), "training operations", "mm")
    image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS).save(path)
    return exponent


def _axis(values: list[float], start: float, end: float):
    """Position along an axis, logarithmic, with an eighth of its length free at both ends."""
    low, high = math.log(min(values)), math.log(max(values))
    reach = max(high - low, 1e-6)

    def position(value: float) -> float:
        return start + (end - start) * (0.125 + 0.75 * (math.log(value) - low) / reach)

    return position


def _scaled(points) -> list[tuple[float, float]]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def _text(draw, at, text: str, anchor: str) -> None:
    draw.text((at[0] * SCALE, at[1] * SCALE), text, INK, ImageFont.load_default(13 * SCALE), anchor)
