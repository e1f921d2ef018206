"""Random exposure and tint of whole clips: one curve for all frames, so views still agree."""

from __future__ import annotations

import math

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def tinted(
    pixels: np.ndarray,
    rng: np.random.Generator,
    log_gamma: float,
    spread: float,
    saturation: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """Pixels (..., 3) uint8 through a random curve.

    Args:
        log_gamma, spread: mean and deviation of the logarithm of the exponent; below 0 is
            brighter.
        saturation: range of the share of colour that stays.
    """
    keep = rng.uniform(*saturation)
    if keep < 1:
        gray = pixels @ LUMA
        pixels = (gray[..., None] * (1 - keep) + pixels * keep).round().astype(np.uint8)
    gamma = math.exp(rng.normal(log_gamma, spread))
    tint = np.exp(rng.normal(0, 0.04, 3))
    table = np.clip(255 * (np.arange(256) / 255)[:, None] ** gamma * tint, 0, 255)
    table = table.round().astype(np.uint8)
    return np.stack([table[:, channel][pixels[..., channel]] for channel in range(3)], -1)
