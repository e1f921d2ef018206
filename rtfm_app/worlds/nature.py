"""Places out of doors: forest, desert, snow field."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .builder import (
    ARCH,
    BOX,
    CONE,
    LEAF,
    LEAF_BALL,
    PRISM,
    ROCK,
    Material,
    Scene,
    SceneBuilder,
    sample_height,
    yaw_rotation,
)
from .kit import (
    BARK,
    any_material,
    bauble,
    boulder,
    broadleaf,
    bush,
    color_near,
    column,
    pine,
    scatter,
    tuft,
)
from .moods import pick_mood
from .terrain import dunes, rolling


def level_of(height: np.ndarray, tile: float):
    """Ground height (x, z) -> metres as a function."""
    return lambda x, z: float(sample_height(height, tile, x, z))


def heading(rng) -> tuple[float, float]:
    a = rng.uniform(0, 2 * math.pi)
    return math.sin(a), math.cos(a)


def forest(seed: int) -> Scene:
    """Trunks near and far, undergrowth, fallen logs, mossy rocks, a path."""
    b = SceneBuilder("forest", seed)
    rng = b.rng
    mood = pick_mood(rng, ("dawn", "golden", "noon", "overcast", "dusk"))
    mood = replace(mood, fog=mood.fog * rng.uniform(2, 8), exposure=mood.exposure * 1.15)
    tile = 256.0
    height = rolling(rng, tile, rng.uniform(1.5, 5.0))
    level = level_of(height, tile)
    autumn = rng.random() < 0.35
    green = (1.25, 0.75, 0.25) if autumn else (0.7, 0.9, 0.4)
    needles = rng.random()
    for k, (x, z) in enumerate(scatter(rng, 150, 48, rng.uniform(1.9, 2.8))):
        grow_tree(b, x, level(x, z), z, green, needles, k)
    for x, z in scatter(rng, 420, 20, 0.5):
        fern = (0.45, 0.65, 0.22) if not autumn else (0.75, 0.55, 0.2)
        tuft(b, x, level(x, z), z, rng.uniform(0.12, 0.42), fern)
    for x, z in scatter(rng, 26, 24, 2.0):
        bush(b, x, level(x, z), z, rng.uniform(0.3, 0.8), green)
    moss = Material("rock", color_near(rng, (0.8, 0.9, 0.75), 0.15), 0.6, bump=1.5)
    for x, z in scatter(rng, 30, 26, 1.5):
        boulder(b, x, level(x, z), z, float(np.exp(rng.uniform(-1.8, 0.1))), moss)
        b.interest.append((x, level(x, z) + 0.4, z))
    for x, z in scatter(rng, int(rng.integers(2, 8)), 18, 3.0):
        log(b, x, level(x, z), z)
    for x, z in scatter(rng, int(rng.integers(0, 3)), 10, 3.0, inner=3):
        bauble(b, x, level(x, z), z, rng.uniform(0.3, 0.7), bool(rng.random() < 0.5))
        b.interest.append((x, level(x, z) + 0.7, z))
    b.walk.append((0.0, 0.0, 16.0))
    return b.build(mood, {
        "u_ground_tint": color_near(rng, (0.95, 0.92, 0.85), 0.12),
        "u_path": (*heading(rng), float(rng.uniform(0.5, 2.5)), float(rng.uniform(0.5, 1.1))),
    }, cell=1.6, height=height, tile=tile)  # fmt: skip


def grow_tree(b: SceneBuilder, x, y, z, green, needles: float, k: int) -> None:
    rng = b.rng
    if rng.random() < needles * 0.7:
        pine(b, x, y, z, rng.uniform(5, 13), (0.5, 0.7, 0.42))
    elif rng.random() < 0.5:
        tall, thick = rng.uniform(9, 14), rng.uniform(0.12, 0.42)
        skin = BARK.tinted(color_near(rng, (0.8, 0.75, 0.7), 0.25))
        lean = rng.normal(0, 0.35, 2)
        b.beam((x, y - 0.4, z), (x + lean[0], y + tall, z + lean[1]), thick, skin)
        b.add(CONE, (x, y + 0.3, z), (thick * 1.9, 0.8, thick * 1.9), skin)
        for _ in range(int(rng.integers(1, 4))):
            size = rng.uniform(1.0, 2.2)
            spot = (x + rng.normal(0, 1), y + tall * rng.uniform(0.65, 1), z + rng.normal(0, 1))
            leaf = Material("leaves", color_near(rng, green, 0.2), 0.7, LEAF)
            b.add(LEAF_BALL, spot, (size, size * 0.7, size), leaf)
    else:
        broadleaf(b, x, y, z, rng.uniform(4, 10), green)
    if k % 4 == 0 and math.hypot(x, z) < 18:
        b.interest.append((x, y + 1.4, z))


def log(b: SceneBuilder, x, y, z) -> None:
    a, length, thick = b.rng.uniform(0, 6.3), b.rng.uniform(1, 3), b.rng.uniform(0.14, 0.35)
    d = np.array([math.sin(a), b.rng.normal(0, 0.05), math.cos(a)]) * length
    middle = np.array([x, y + thick * 0.7, z])
    b.beam(middle - d, middle + d, thick, BARK)
    b.beam(middle + d * 0.3, middle + d * 0.3 + (0.2, 0.6, 0.3), thick * 0.3, BARK)
    b.interest.append((x, y + 0.4, z))


def desert(seed: int) -> Scene:
    """Dunes and layered rocks, cacti, dry bushes, now and then a ruin."""
    b = SceneBuilder("desert", seed)
    rng = b.rng
    mood = pick_mood(rng, ("dawn", "noon", "golden", "dusk"))
    tile = 512.0
    height = dunes(rng, tile, rng.uniform(6, 22))
    level = level_of(height, tile)
    warm = np.array(color_near(rng, (1.1, 0.82, 0.62), 0.2))
    stone = Material("rock", tuple(warm), rng.uniform(0.25, 0.6), bump=1.6)
    for x, z in scatter(rng, 60, 26, 1.3):
        boulder(b, x, level(x, z), z, float(np.exp(rng.uniform(-1.9, 0.3))), stone)
        if rng.random() < 0.5:
            b.interest.append((x, level(x, z) + 0.5, z))
    for x, z in scatter(rng, 14, 30, 5.0, inner=5):
        outcrop(b, x, level(x, z), z, stone)
    for x, z in scatter(rng, 12, 170, 25.0, inner=50):
        mesa(b, x, level(x, z), z, stone)
    for x, z in scatter(rng, 24, 30, 2.5):
        cactus(b, x, level(x, z), z)
    for x, z in scatter(rng, 160, 20, 0.7):
        tuft(b, x, level(x, z), z, rng.uniform(0.1, 0.3), (0.8, 0.66, 0.36))
    if rng.random() < 0.6:
        ruin(b, level, rng.uniform(-5, 5, 2))
    b.walk.append((0.0, 0.0, 18.0))
    return b.build(mood, {
        "u_ground_tint": color_near(rng, (0.95, 0.85, 0.75), 0.12), "u_rock_tint": tuple(warm),
        "u_stones": float(rng.uniform(0.4, 0.6)),
    }, height=height, tile=tile)  # fmt: skip


def outcrop(b: SceneBuilder, x, y, z, stone: Material) -> None:
    """A stack of slabs, each turned a little."""
    base, rise = b.rng.uniform(0.8, 2.0), y - 0.4
    for _ in range(int(b.rng.integers(2, 6))):
        half = np.array([base, b.rng.uniform(0.2, 0.7), base * b.rng.uniform(0.6, 1.1)])
        shift = b.rng.normal(0, 0.12, 2) * base
        spot = (x + shift[0], rise + half[1], z + shift[1])
        b.add(ROCK, spot, half, stone, b.rng.uniform(0, 6.3))
        rise, base = rise + half[1] * 1.5, base * b.rng.uniform(0.7, 1.02)
    b.interest.append((x, y + 1.2, z))


def mesa(b: SceneBuilder, x, y, z, stone: Material) -> None:
    far = replace(stone, scale=0.09)
    size = b.rng.uniform(5, 16)
    for k in range(3):
        half = (size * (1 - 0.18 * k), size * 0.28, size * (0.8 - 0.12 * k))
        b.add(ROCK, (x, y + size * (0.15 + 0.42 * k), z), half, far, b.rng.uniform(0, 6.3))


def cactus(b: SceneBuilder, x, y, z) -> None:
    rng = b.rng
    skin = Material("leaves", color_near(rng, (0.65, 0.95, 0.6), 0.15), 1.6, bump=2.0)
    tall, thick = rng.uniform(0.8, 3.2), rng.uniform(0.12, 0.24)
    b.beam((x, y - 0.2, z), (x, y + tall, z), thick, skin)
    b.sphere((x, y + tall, z), thick, skin)
    for _ in range(int(rng.integers(0, 4))):
        a, h = rng.uniform(0, 6.3), tall * rng.uniform(0.35, 0.65)
        out = np.array([math.sin(a), 0, math.cos(a)]) * rng.uniform(0.3, 0.6)
        elbow = np.array([x, y + h, z]) + out
        b.beam((x, y + h, z), elbow, thick * 0.6, skin)
        tip = elbow + (0, rng.uniform(0.3, 0.9), 0)
        b.beam(elbow, tip, thick * 0.6, skin)
        b.sphere(tip, thick * 0.6, skin)
        b.sphere(elbow, thick * 0.6, skin)
    b.interest.append((x, y + tall * 0.7, z))


def ruin(b: SceneBuilder, level, center) -> None:
    """Columns, broken walls and an arch."""
    rng = b.rng
    stone = any_material(rng, ("blocks", "rubble", "brick"), 0.15)
    yaw = rng.uniform(0, 3.14)
    turn = yaw_rotation(yaw)
    for k in range(int(rng.integers(4, 9))):
        p = turn @ np.array([(k // 2) * 2.4 - 3.6, 0, (k % 2) * 3.4 - 1.7])
        x, z = p[0] + center[0], p[2] + center[1]
        column(b, x, level(x, z) - 0.1, z, 0.28, rng.uniform(0.8, 3.4), stone)
    p = turn @ np.array([-6.0, 0, 0.0])
    x, z = p[0] + center[0], p[2] + center[1]
    b.add(ARCH, (x, level(x, z) + 1.6, z), (1.5, 1.9, 0.4), stone, yaw + 1.57)
    for k in range(3):
        p = turn @ np.array([k * 3.0 - 3.0, 0, -3.6])
        x, z = p[0] + center[0], p[2] + center[1]
        half = (1.4, rng.uniform(0.5, 1.5), 0.25)
        b.box((x, level(x, z) + half[1] - 0.3, z), half, stone, yaw)
        b.interest.append((x, level(x, z) + 1, z))


def snow(seed: int) -> Scene:
    """Snowed-in pines, a log cabin, fences, tracks and a frozen pond."""
    b = SceneBuilder("snow", seed)
    rng = b.rng
    mood = pick_mood(rng, ("winter", "winter", "dawn", "overcast", "dusk", "golden"))
    mood = replace(mood, exposure=mood.exposure * 0.88)
    tile = 256.0
    height = rolling(rng, tile, rng.uniform(2, 6))
    level = level_of(height, tile)
    white = rng.uniform(0.6, 1.0)
    for x, z in scatter(rng, 40, 22, 2.2, inner=2.5):
        pine(b, x, level(x, z), z, rng.uniform(2, 8), (0.5, 0.68, 0.5), white)
        if rng.random() < 0.4:
            b.interest.append((x, level(x, z) + 1.4, z))
    for x, z in scatter(rng, 90, 80, 3.5, inner=20):
        pine(b, x, level(x, z), z, rng.uniform(4, 11), (0.5, 0.68, 0.5), white)
    for x, z in scatter(rng, 8, 20, 4.0, inner=4):
        broadleaf(b, x, level(x, z), z, rng.uniform(3, 7), (0.8, 0.7, 0.5), bare=1.0)
    stone = Material("rock", color_near(rng, (0.95, 0.95, 1), 0.1), 0.6, bump=1.5, snow=1.0)
    for x, z in scatter(rng, 24, 20, 1.6):
        boulder(b, x, level(x, z), z, float(np.exp(rng.uniform(-1.7, 0.1))), stone)
        b.interest.append((x, level(x, z) + 0.4, z))
    for _ in range(int(rng.integers(1, 3))):
        cabin(b, level)
    for x, z in scatter(rng, 5, 12, 3.0, inner=3):
        fence(b, level, x, z)
    for x, z in scatter(rng, int(rng.integers(0, 3)), 9, 3.0, inner=3):
        bauble(b, x, level(x, z), z, rng.uniform(0.3, 0.8), bool(rng.random() < 0.5))
    b.walk.append((0.0, 0.0, 15.0))
    pond = float(np.quantile(height, 0.08))
    return b.build(mood, {
        "u_ground_tint": color_near(rng, (1.0, 1.0, 1.0), 0.03), "u_wave": 0.012,
        "u_path": (*heading(rng), float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.55, 0.75))),
    }, cell=1.6, height=height, tile=tile, water=pond)  # fmt: skip


def cabin(b: SceneBuilder, level) -> None:
    """Log walls, a doorway, a snowed roof, stacked wood."""
    rng = b.rng
    a = rng.uniform(0, 6.3)
    p = np.array([math.sin(a), math.cos(a)]) * rng.uniform(7, 11)
    y, yaw = level(*p), rng.uniform(0, 6.3)
    turn = yaw_rotation(yaw)
    w, d = rng.uniform(1.8, 2.8), rng.uniform(1.5, 2.2)
    logs = BARK.tinted(color_near(rng, (1.0, 0.75, 0.55), 0.15))

    def at(x, h, z):
        return turn @ np.array([x, h, z]) + (p[0], y, p[1])

    for row in range(9):
        h = 0.13 + row * 0.26
        for z in (-d, d):
            if z > 0 and row < 8:
                b.beam(at(-w - 0.2, h, z), at(-0.5, h, z), 0.14, logs)
                b.beam(at(0.5, h, z), at(w + 0.2, h, z), 0.14, logs)
            else:
                b.beam(at(-w - 0.2, h, z), at(w + 0.2, h, z), 0.14, logs)
        for x in (-w, w):
            b.beam(at(x, h + 0.1, -d - 0.2), at(x, h + 0.1, d + 0.2), 0.14, logs)
    roof = Material("planks", (0.8, 0.7, 0.6), 0.6, snow=1.0)
    b.add(PRISM, at(0, 2.95, 0), (d + 0.6, 0.6, w + 0.5), roof, yaw + math.pi / 2)
    b.box(at(w * 0.5, 3.5, 0), (0.25, 0.6, 0.25), Material("rubble"), yaw)
    for k in range(10):
        spot = at(-w - 0.5 - 0.05 * (k % 3), 0.12 + 0.2 * (k // 4), -0.8 + 0.28 * (k % 4))
        b.beam(spot - turn[:, 0] * 0.3, spot + turn[:, 0] * 0.3, 0.1, BARK)
    b.interest += [tuple(at(0, 1.4, d + 0.3)), tuple(at(-w - 0.5, 0.6, 0))]


def fence(b: SceneBuilder, level, x: float, z: float) -> None:
    a = b.rng.uniform(0, 6.3)
    d = np.array([math.sin(a), math.cos(a)])
    wood = Material("planks", color_near(b.rng, (0.75, 0.65, 0.55), 0.15), 1.0, snow=1.0)
    posts = [np.array([px, level(px, pz), pz]) for px, pz in (np.array([x, z]) + d * k * 1.2
                                                              for k in range(5))]  # fmt: skip
    for post in posts:
        b.beam(post - (0, 0.2, 0), post + (0, 1.05, 0), 0.06, wood)
    for one, two in zip(posts[:-1], posts[1:], strict=True):
        for h in (0.45, 0.85):
            b.beam(one + (0, h, 0), two + (0, h, 0), 0.05, wood, BOX)
    b.interest.append((*(posts[2] + (0, 0.7, 0)),))
