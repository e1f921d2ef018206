"""A garden: hedges, beds, stones, pergola and pond, everything within reach."""

from __future__ import annotations

import math

import numpy as np

from .builder import CONE, LAYERS, LEAF, LEAF_BALL, Material, Scene, SceneBuilder
from .gallery import Opening, wall
from .kit import (
    any_material,
    bauble,
    boulder,
    broadleaf,
    bush,
    color_near,
    pine,
    random_thing,
    scatter,
    tuft,
)
from .moods import pick_mood


def garden(seed: int) -> Scene:
    """Hedges, beds, stones, pergola, pond; everything within reach."""
    b = SceneBuilder("garden", seed)
    rng = b.rng
    mood = pick_mood(rng, ("dawn", "noon", "golden", "overcast", "dusk"))
    ring = rng.uniform(5.0, 8.0)
    a = rng.uniform(0, 6.3)
    pond = np.array([math.sin(a), math.cos(a)]) * ring * 0.48
    radii = rng.uniform(1.1, 2.0, 2)
    hedges(b, ring)
    rim = Material("rock", color_near(rng, (1, 1, 1), 0.15), 0.8, bump=1.4)
    for k in range(22):
        t = k / 22 * 2 * math.pi + rng.normal(0, 0.05)
        x, z = pond + radii * 1.07 * (math.sin(t), math.cos(t))
        boulder(b, x, -0.05, z, rng.uniform(0.14, 0.3), rim)
    b.interest.append((*pond[:1], 0.2, *pond[1:]))
    flowers = [(1.0, 0.35, 0.4), (0.95, 0.85, 0.3), (0.75, 0.45, 0.95), (1.0, 1.0, 0.95)]
    for x, z in scatter(rng, 40, ring + 4.2, 1.6, inner=1.5):
        if off_paths(x, z, ring) < 1.25 or np.hypot(*((np.array([x, z]) - pond) / radii)) < 1.4:
            continue
        garden_thing(b, x, z, flowers)
    for x, z in scatter(rng, 260, ring + 5, 0.5):
        if off_paths(x, z, ring) > 0.8 and np.hypot(*((np.array([x, z]) - pond) / radii)) > 1.25:
            tuft(b, x, 0.0, z, rng.uniform(0.08, 0.22), (0.5, 0.7, 0.25))
    for x, z in scatter(rng, 24, 40, 4.0, inner=ring + 8):
        grow = pine if rng.random() < 0.3 else broadleaf
        grow(b, x, 0.0, z, rng.uniform(4, 9), (0.7, 0.92, 0.45))
    pergola(b, ring)
    b.walk.append((0.0, 0.0, ring + 4.5))
    layer = str(rng.choice(["gravel", "brick", "cobbles", "blocks", "rubble"]))
    return b.build(mood, {
        "u_ground": (float(LAYERS.index(layer)), float(rng.uniform(0.6, 0.95)),
                     float(rng.uniform(0.4, 0.8)), float(ring)),
        "u_pond": (*(float(v) for v in pond), *(float(v) for v in radii)),
        "u_ground_tint": color_near(rng, (0.95, 0.95, 0.9), 0.1), "u_wave": 0.03,
    }, cell=1.25, water=-0.06)  # fmt: skip


def off_paths(x: float, z: float, ring: float) -> float:
    """Metres from the middle of the nearest path."""
    return min(abs(math.hypot(x, z) - ring), abs(x), abs(z))


def hedges(b: SceneBuilder, ring: float) -> None:
    """Clipped hedges round the garden, with gaps where the paths leave, and a brick wall."""
    rng = b.rng
    green = Material("leaves", color_near(rng, (0.75, 1.0, 0.55), 0.2), 0.7, bump=2.5)
    reach, tall = ring + 5.2, rng.uniform(0.5, 1.1)
    for turn in range(4):
        yaw = turn * math.pi / 2
        c, s = math.cos(yaw), math.sin(yaw)
        for side in (-1, 1):
            x, z = side * (reach / 2 + 0.6), reach
            half = (reach / 2 - 0.6, tall, 0.4)
            b.box((c * x + s * z, tall, -s * x + c * z), half, green, yaw)
            x, z = side * 1.6, ring * 0.42 + rng.uniform(0, 0.4)
            low = rng.uniform(0.18, 0.34)
            b.box((c * x + s * z, low, -s * x + c * z), (0.25, low, ring * 0.2), green, yaw)
    skin = any_material(rng, ("brick", "rubble", "blocks"), 0.2)
    far = reach + 1.6
    wall(b, (-far, -far), (far, -far), 2.4, skin, Opening(far, 1.8, 0.0, 2.0))
    wall(b, (-far, -far), (-far, far), 2.4, skin, Opening(far, 1.8, 0.0, 2.0, True))


def garden_thing(b: SceneBuilder, x: float, z: float, flowers) -> None:
    """A bed, a statue, a bush, a tree, a ball, a pot."""
    rng = b.rng
    kind = rng.random()
    stone = any_material(rng, ("blocks", "marble", "brick", "rubble", "mosaic"), 0.2)
    if kind < 0.34:
        b.beam((x, 0, z), (x, 0.2, z), 0.75, stone)
        for px, pz in scatter(rng, 16, 0.65, 0.12, (x, z)):
            color = flowers[int(rng.integers(len(flowers)))]
            tuft(b, px, 0.18, pz, rng.uniform(0.12, 0.2), (0.4, 0.6, 0.22))
            b.sphere((px, rng.uniform(0.36, 0.52), pz), rng.uniform(0.035, 0.07),
                     Material("snow", color_near(rng, color, 0.15), 2.0))  # fmt: skip
    elif kind < 0.5:
        b.box((x, 0.35, z), (0.3, 0.35, 0.3), stone, rng.uniform(0, 3))
        random_thing(b, x, 0.7, z, rng.uniform(0.35, 0.6))
    elif kind < 0.62:
        bauble(b, x, 0, z, rng.uniform(0.3, 0.6), bool(rng.random() < 0.5))
    elif kind < 0.75:
        broadleaf(b, x, 0, z, rng.uniform(2.2, 4.0), (0.8, 0.95, 0.5))
    elif kind < 0.87:
        clipped = Material("leaves", color_near(rng, (0.7, 0.95, 0.5), 0.15), 0.8, bump=2.5)
        b.add(CONE, (x, 0.9, z), (0.5, 0.9, 0.5), clipped)
    else:
        b.beam((x, 0, z), (x, 0.55, z), 0.28, any_material(rng, ("brick", "mosaic", "rubble")))
        bush(b, x, 0.45, z, 0.4, (0.7, 1.0, 0.5))
    b.interest.append((x, 0.8, z))


def pergola(b: SceneBuilder, ring: float) -> None:
    """Posts and beams over one of the straight paths, with leaves on top."""
    rng = b.rng
    wood = Material("planks", color_near(rng, (0.9, 0.85, 0.8), 0.2), 0.8)
    leaf = Material("leaves", color_near(rng, (0.7, 0.95, 0.5), 0.2), 0.9, LEAF)
    for k in range(4):
        z = ring * 0.35 + k * 1.3
        for x in (-1.15, 1.15):
            b.box((x, 1.2, z), (0.08, 1.2, 0.08), wood)
        b.box((0, 2.45, z), (1.5, 0.07, 0.06), wood)
        if rng.random() < 0.7:
            b.add(LEAF_BALL, (rng.uniform(-0.9, 0.9), 2.6, z), (0.8, 0.3, 0.6), leaf)
    for x in (-1.15, 1.15):
        b.box((x, 2.35, ring * 0.35 + 1.95), (0.06, 0.07, 2.4), wood)
    b.interest.append((1.15, 1.4, ring * 0.35 + 1.3))
