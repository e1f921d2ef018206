"""The families of places: `make_scene(family, seed)` is a pure function of its arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .builder import LAYERS, Material, Scene, SceneBuilder, sample_height
from .gallery import gallery
from .garden import garden
from .kit import (
    any_material,
    bauble,
    boulder,
    broadleaf,
    color_near,
    gate,
    pine,
    random_thing,
    scatter,
    tuft,
)
from .moods import pick_mood
from .nature import desert, forest, snow
from .terrain import lake_valley
from .village import night, village

DAY = ("dawn", "noon", "golden", "overcast", "dusk")


def objects(seed: int) -> Scene:
    """A floor, things of all sizes near and far, and walls to walk round."""
    b = SceneBuilder("objects", seed)
    rng = b.rng
    mood = pick_mood(rng, DAY)
    extent = rng.uniform(7, 17)
    density = rng.uniform(0.5, 1.0)
    for x, z in scatter(rng, int(64 * density), extent, rng.uniform(1.8, 3.2)):
        random_thing(b, x, 0.0, z, float(np.exp(rng.uniform(math.log(0.35), math.log(1.5)))))
    for x, z in scatter(rng, int(rng.integers(2, 7)), extent, 6.0, inner=4.0):
        yaw, half = rng.choice([0.0, math.pi / 2]) + rng.normal(0, 0.2), rng.uniform(1.5, 4.0)
        b.box((x, 1.2, z), (half, rng.uniform(1.2, 2.0), 0.15), any_material(rng), yaw)
    for x, z in scatter(rng, 26, 110, 9.0, inner=extent + 6):
        random_thing(b, x, 0.0, z, rng.uniform(2, 8))
    for x, z in scatter(rng, int(rng.integers(0, 4)), extent, 5.0, inner=3.0):
        bauble(b, x, 0.0, z, rng.uniform(0.4, 1.1), bool(rng.random() < 0.5))
    if rng.random() < 0.4:
        for x, z in scatter(rng, 8, 60, 9.0, inner=extent):
            broadleaf(b, x, 0.0, z, rng.uniform(4, 9), (0.75, 0.9, 0.5))
    floor = rng.choice(["grass", "gravel", "checker", "cobbles", "sand", "planks", "blocks",
                        "parquet", "brick", "litter", "marble", "snow", "mosaic"], 2)  # fmt: skip
    layer, second = (float(LAYERS.index(str(name))) for name in floor)
    gloss = rng.uniform(0.5, 1.0) if str(floor[0]) in ("marble", "checker", "parquet") else 0.0
    b.walk.append((0.0, 0.0, extent))
    return b.build(mood, {
        "u_ground": (layer, second, float(rng.uniform(0.25, 0.7)), float(gloss)),
        "u_ground_tint": color_near(rng, (0.9, 0.9, 0.9), 0.12),
    })  # fmt: skip


def lake(seed: int) -> Scene:
    """A mountain lake; the walker keeps to its shore, among rocks, pines and a few wonders."""
    b = SceneBuilder("lake", seed)
    rng = b.rng
    mood = pick_mood(rng, ("dawn", "noon", "golden", "winter", "dusk", "overcast"))
    tile, radius = 768.0, rng.uniform(38, 85)
    height = lake_valley(rng, tile, radius, rng.uniform(110, 190))

    def level(x, z):
        return float(sample_height(height, tile, x, z))

    shore = shore_point(level, radius, rng.uniform(0, 2 * math.pi))
    frosty = 0.9 if mood.name == "winter" else 0.0
    green = (0.55, 0.75, 0.5)
    stone = Material("rock", color_near(rng, (1, 1, 1), 0.15), 0.5, snow=frosty, bump=1.5)
    for x, z in scatter(rng, 110, 30, 1.0, shore):
        y = level(x, z)
        if -0.7 < y < 4:
            boulder(b, x, y, z, float(np.exp(rng.uniform(-2.0, 0.25))), stone)
            if rng.random() < 0.3:
                b.interest.append((x, y + 0.5, z))
    for x, z in scatter(rng, 34, 46, 2.6, shore):
        if level(x, z) > 0.5:
            pine(b, x, level(x, z), z, rng.uniform(3, 9), green, frosty)
    for x, z in scatter(rng, 150, 150, 4.0, shore, inner=30):
        y = level(x, z)
        if 0.6 < y < mood.snow_line + 25:
            pine(b, x, y, z, rng.uniform(5, 12), green, frosty)
    if frosty == 0:
        for x, z in scatter(rng, 500, 16, 0.3, shore):
            if level(x, z) > 0.35:
                tuft(b, x, level(x, z), z, rng.uniform(0.1, 0.28), (0.55, 0.6, 0.25))
    place_wonders(b, level, shore)
    b.walk.append((*shore, 15.0))
    return b.build(mood, {"u_ground_tint": color_near(rng, (0.9, 0.95, 0.8), 0.15)},
                   height=height, tile=tile, water=0.0)  # fmt: skip


def shore_point(level: Callable[[float, float], float], radius: float, angle: float):
    """First dry point (x, z) walking out of the lake in direction `angle`."""
    for r in np.arange(radius * 0.5, radius * 2.5, 0.5):
        x, z = r * math.sin(angle), r * math.cos(angle)
        if level(x, z) > 0.5:
            return x, z
    return radius * 1.2 * math.sin(angle), radius * 1.2 * math.cos(angle)


def place_wonders(b: SceneBuilder, level, shore) -> None:
    """Mirror and glass balls, a gate and a jetty at the lake's edge."""
    rng = b.rng
    for k, (x, z) in enumerate(scatter(rng, int(rng.integers(2, 5)), 14, 4.0, shore, inner=2.5)):
        y = max(level(x, z), -0.3)
        bauble(b, x, y, z, rng.uniform(0.5, 1.6), k % 2 == 1)
        b.interest.append((x, y + 1.0, z))
    (x, z), = scatter(rng, 1, 12, 1.0, shore, inner=6)  # fmt: skip
    red = Material("planks", (1.0, 0.25, 0.15), 0.5)
    gate(b, x, max(level(x, z), -0.6), z, rng.uniform(0, 3.14), rng.uniform(1.2, 2.0), red)
    b.interest.append((x, level(x, z) + 2, z))
    inward = -np.array(shore) / np.hypot(*shore)
    wood = Material("planks", color_near(rng, (0.8, 0.75, 0.7), 0.1), 0.6)
    side = np.array([inward[1], -inward[0]])
    start = np.array(shore) + side * rng.uniform(-6, 6) - inward
    yaw = math.atan2(-inward[0], -inward[1])
    for k in range(int(rng.integers(5, 12))):
        p = start + inward * k
        b.box((p[0], 0.42, p[1]), (0.9, 0.05, 0.47), wood, yaw)
        for end in (-0.8, 0.8):
            q = p + side * end
            b.beam((q[0], -1.5, q[1]), (q[0], 1.0 if k % 2 else 0.5, q[1]), 0.07, wood)
    b.interest.append((*(start + inward * 3)[[0]], 0.8, *(start + inward * 3)[[1]]))


FAMILIES: dict[str, Callable[[int], Scene]] = {
    "objects": objects,
    "lake": lake,
    "gallery": gallery,
    "village": village,
    "night": night,
    "forest": forest,
    "garden": garden,
    "desert": desert,
    "snow": snow,
}


def make_scene(family: str, seed: int) -> Scene:
    """The scene of a family and seed.

    Raises:
        ValueError: no such family.
    """
    if family not in FAMILIES:
        raise ValueError(f"no family {family!r}; there are {', '.join(FAMILIES)}")
    return FAMILIES[family](seed)
