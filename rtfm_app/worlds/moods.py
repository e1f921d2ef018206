"""Light and weather by name, varied by seed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .builder import Mood

# elevation of the sun in degrees (low, high), then the light
BASE = {
    "dawn": (8, 18, Mood("dawn", (0, 1, 0), (3.6, 2.15, 1.15), (0.20, 0.33, 0.62),
                         (0.95, 0.70, 0.52), (0.66, 0.56, 0.55), 0.0014, 0.45, 0.62, 42)),
    "noon": (38, 62, Mood("noon", (0, 1, 0), (3.1, 2.85, 2.45), (0.16, 0.36, 0.78),
                          (0.60, 0.75, 0.92), (0.55, 0.68, 0.85), 0.0008, 0.5, 0.60, 66)),
    "golden": (18, 30, Mood("golden", (0, 1, 0), (3.9, 2.75, 1.55), (0.22, 0.38, 0.68),
                            (0.85, 0.74, 0.60), (0.70, 0.63, 0.55), 0.0013, 0.4, 0.58, 58)),
    "winter": (14, 26, Mood("winter", (0, 1, 0), (2.9, 2.35, 1.75), (0.22, 0.40, 0.74),
                            (0.78, 0.80, 0.88), (0.68, 0.74, 0.84), 0.0011, 0.4, 0.60, -2)),
    "overcast": (35, 55, Mood("overcast", (0, 1, 0), (0.75, 0.74, 0.72), (0.62, 0.68, 0.76),
                              (0.86, 0.88, 0.90), (0.76, 0.79, 0.82), 0.0028, 1.1, 0.66, 50, 1.15)),
    "dusk": (5, 10, Mood("dusk", (0, 1, 0), (3.4, 1.45, 0.62), (0.15, 0.17, 0.42),
                         (1.0, 0.46, 0.30), (0.50, 0.34, 0.40), 0.0016, 0.8, 0.72, 50, 1.15)),
    "night": (25, 50, Mood("night", (0, 1, 0), (0.16, 0.20, 0.30), (0.020, 0.032, 0.075),
                           (0.07, 0.085, 0.14), (0.045, 0.055, 0.09), 0.0012, 0.4, 1.05, 60, 1.0,
                           1.2)),
}  # fmt: skip


def pick_mood(rng: np.random.Generator, names: tuple[str, ...]) -> Mood:
    """A mood by chance, its sun anywhere round the horizon and its colours a little off."""
    low, high, mood = BASE[names[int(rng.integers(len(names)))]]
    azimuth, elevation = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(low, high))
    sun = (
        math.sin(azimuth) * math.cos(elevation),
        math.sin(elevation),
        -math.cos(azimuth) * math.cos(elevation),
    )

    def near(color):
        return tuple(float(c) for c in np.array(color) * rng.uniform(0.9, 1.1, 3))

    return replace(
        mood, sun=sun, sun_color=near(mood.sun_color), zenith=near(mood.zenith),
        horizon=near(mood.horizon), fog_color=near(mood.fog_color),
        fog=mood.fog * float(np.exp(rng.uniform(-0.7, 0.8))),
        cloud=mood.cloud * rng.uniform(0.4, 1.5), exposure=mood.exposure * rng.uniform(0.9, 1.12),
        snow_line=mood.snow_line + rng.uniform(-12, 20),
    )  # fmt: skip
