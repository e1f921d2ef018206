"""Things that several families put into their places: trees, rocks, lamps, spheres, stairs."""

from __future__ import annotations

import math

import numpy as np

from .builder import (
    ARCH,
    BOX,
    CARD,
    CHROME,
    CONE,
    CYLINDER,
    LEAF,
    LEAF_BALL,
    LEAF_CONE,
    PRISM,
    ROCK,
    WALLS,
    Material,
    SceneBuilder,
    along,
    glass,
    yaw_rotation,
)

BARK = Material("bark", (0.75, 0.7, 0.65), 0.9, bump=1.6)


def color_near(rng, color, spread: float = 0.15) -> tuple[float, float, float]:
    """A tint near `color`: brightness and hue both vary."""
    return tuple(float(c) for c in np.array(color) * rng.uniform(1 - spread, 1 + spread, 3)
                 * rng.uniform(1 - spread, 1 + spread))  # fmt: skip


def any_material(rng, layers=None, vivid: float = 0.35) -> Material:
    """A wall-like material with a random tint, scale and now and then a polish."""
    layers = layers or (*WALLS, "checker", "parquet", "marble", "rock", "bark", "darkmarble")
    tint = np.ones(3) * rng.uniform(0.7, 1.15)
    if rng.random() < 0.6:
        tint *= 1 + vivid * rng.uniform(-1, 1, 3)
    gloss = rng.uniform(0.3, 1.0) if rng.random() < 0.18 else 0.0
    scale = float(np.exp(rng.uniform(math.log(0.3), math.log(1.1))))
    return Material(str(rng.choice(layers)), tuple(tint.tolist()), scale, gloss=gloss)


def scatter(rng, count: int, radius: float, apart: float, center=(0.0, 0.0), inner: float = 0.0):
    """Up to `count` points (x, z) in a ring, no two closer than `apart` metres."""
    points: list[tuple[float, float]] = []
    for _ in range(count * 6):
        if len(points) >= count:
            break
        r, a = math.sqrt(rng.uniform(inner**2, radius**2)), rng.uniform(0, 2 * math.pi)
        p = (center[0] + r * math.sin(a), center[1] + r * math.cos(a))
        if all((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 > apart * apart for q in points):
            points.append(p)
    return points


def boulder(b: SceneBuilder, x, y, z, size: float, material: Material) -> None:
    """One rock, half sunk, of a random build."""
    rng = b.rng
    half = size * rng.uniform(0.7, 1.25, 3) * (1.0, 0.75, 1.0)
    tilt = along((rng.normal(0, 0.25), 1.0, rng.normal(0, 0.25)))
    b.add(ROCK, (x, y + half[1] * rng.uniform(0.2, 0.6), z), half, material,
          tilt @ yaw_rotation(rng.uniform(0, 6.3)))  # fmt: skip


def tuft(b: SceneBuilder, x, y, z, size: float, tint) -> None:
    """Grass or fern: two crossed cards."""
    yaw = b.rng.uniform(0, 3.14)
    blade = Material("grass", color_near(b.rng, tint, 0.25), kind=LEAF)
    for k in range(2):
        half = (size * b.rng.uniform(0.8, 1.2), size * b.rng.uniform(0.6, 1.1), 0.02)
        b.add(CARD, (x, y + half[1] * 0.9, z), half, blade, yaw + k * 1.5)


def pine(b: SceneBuilder, x, y, z, height: float, tint, snow: float = 0.0) -> None:
    rng = b.rng
    b.beam((x, y - 0.3, z), (x, y + height * 0.9, z), 0.022 * height + 0.03, BARK)
    needles = Material("leaves", color_near(rng, tint), 0.8, LEAF, snow=snow)
    layers = int(rng.integers(4, 7))
    bottom, radius = 0.16 * height, height * rng.uniform(0.17, 0.25)
    for k in range(layers):
        share = k / layers
        low = y + bottom + (height - bottom) * share * 0.95
        high = low + (height - bottom) * (1.6 / layers)
        r = radius * (1 - share) ** 0.8 + 0.05 * height * 0.4
        b.add(LEAF_CONE, (x, (low + high) / 2, z), (r, (high - low) / 2, r), needles,
              rng.uniform(0, 6.3))  # fmt: skip


def broadleaf(b: SceneBuilder, x, y, z, height: float, tint, bare: float = 0.0) -> None:
    """Trunk, a few branches and leafy balls at their ends (none when bare)."""
    rng = b.rng
    thick = 0.02 * height + rng.uniform(0.04, 0.12)
    lean = rng.normal(0, 0.05, 2) * height
    fork = np.array([x + lean[0] * 0.5, y + height * rng.uniform(0.35, 0.5), z + lean[1] * 0.5])
    b.beam((x, y - 0.3, z), fork, thick, BARK)
    b.add(CONE, (x, y + 0.25, z), (thick * 2.0, 0.6, thick * 2.0), BARK)
    leaf = Material("leaves", color_near(rng, tint, 0.2), 0.7, LEAF)
    for k in range(int(rng.integers(3, 6))):
        a, out = k * 2.1 + rng.uniform(0, 1), height * rng.uniform(0.12, 0.28)
        top = fork + (math.sin(a) * out, height * rng.uniform(0.2, 0.42), math.cos(a) * out)
        b.beam(fork, top, thick * 0.45, BARK)
        if rng.random() >= bare:
            size = height * rng.uniform(0.13, 0.22)
            b.add(LEAF_BALL, top, size * np.array([1.15, 0.85, 1.15]), leaf, rng.uniform(0, 6.3))
            side = top + rng.normal(0, 0.5, 3) * size
            b.add(LEAF_BALL, side, size * 0.8, leaf, rng.uniform(0, 6.3))


def bush(b: SceneBuilder, x, y, z, size: float, tint) -> None:
    leaf = Material("leaves", color_near(b.rng, tint, 0.25), 1.2, LEAF)
    for _ in range(int(b.rng.integers(2, 5))):
        dx, dz = b.rng.normal(0, 0.5, 2) * size
        half = size * b.rng.uniform(0.5, 0.9, 3)
        b.add(LEAF_BALL, (x + dx, y + half[1] * 0.7, z + dz), half, leaf, b.rng.uniform(0, 6.3))


def gate(b: SceneBuilder, x, y, z, yaw: float, size: float, material: Material) -> None:
    """Two posts and two beams, like a torii."""
    turn = yaw_rotation(yaw)

    def at(px, py, pz=0.0):
        return turn @ np.array([px, py, pz]) * size + (x, y, z)

    base = Material("rock", (0.7, 0.7, 0.72), 0.8)
    for side in (-1, 1):
        b.beam(at(side * 1.05, -0.4), at(side * 0.95, 2.5), 0.13 * size, material)
        b.beam(at(side * 1.05, -0.4), at(side * 1.04, 0.22), 0.2 * size, base)
    b.box(at(0, 1.95), np.array([1.35, 0.09, 0.07]) * size, material, yaw)
    b.box(at(0, 2.52), np.array([1.6, 0.10, 0.13]) * size, material, yaw)
    b.box(at(0, 2.68), np.array([1.75, 0.06, 0.2]) * size, base, yaw)
    b.box(at(0, 2.22), np.array([0.1, 0.22, 0.05]) * size, base, yaw)


def bauble(b: SceneBuilder, x, y, z, radius: float, of_glass: bool) -> None:
    """A mirror or glass ball on a short plinth."""
    plinth = any_material(b.rng, ("blocks", "marble", "rock", "darkmarble"))
    b.add(CYLINDER, (x, y + 0.15, z), (radius * 0.6, 0.3, radius * 0.6), plinth)
    tint = color_near(b.rng, (0.93, 0.97, 0.96), 0.04)
    ball = glass(np.minimum(tint, 1.0)) if of_glass else CHROME
    b.sphere((x, y + 0.42 + radius, z), radius, ball)


def column(b: SceneBuilder, x, y, z, radius: float, height: float, material: Material) -> None:
    b.box((x, y + 0.12, z), (radius * 1.5, 0.14, radius * 1.5), material)
    b.beam((x, y, z), (x, y + height, z), radius, material)
    b.box((x, y + height, z), (radius * 1.45, 0.12, radius * 1.45), material)


def arch(b: SceneBuilder, x, y, z, yaw: float, half, material: Material) -> None:
    b.add(ARCH, (x, y + half[1], z), half, material, yaw)


def crate(b: SceneBuilder, x, y, z, half: float, yaw: float, material: Material) -> None:
    b.box((x, y + half, z), half, material, yaw)


def stairs(b: SceneBuilder, x, y, z, yaw: float, steps: int, width: float, material) -> None:
    forward = yaw_rotation(yaw) @ np.array([0.0, 0.0, -1.0])
    for k in range(steps):
        rise = 0.17 * (k + 1)
        center = np.array([x, y + rise / 2, z]) + forward * (0.3 * k + 0.15)
        b.box(center, (width / 2, rise / 2, 0.15), material, yaw)


def random_thing(b: SceneBuilder, x, y, z, size: float) -> None:
    """Any one object of about `size` metres: box, pile, ball, column, cone, arch, slab, post."""
    rng, yaw, skin = b.rng, b.rng.uniform(0, 6.3), any_material(b.rng)
    kind = int(rng.integers(11))
    if kind == 0:
        crate(b, x, y, z, size * 0.5, yaw, skin)
        if rng.random() < 0.6:
            crate(b, x, y + size, z, size * 0.3, yaw + 0.5, any_material(rng))
    elif kind == 1:
        b.sphere((x, y + size * 0.6, z), size * 0.6, skin)
    elif kind == 2:
        column(b, x, y, z, size * 0.22, size * rng.uniform(1.5, 3.5), skin)
    elif kind == 3:
        half = (size * 0.5, size * rng.uniform(0.5, 1.2), size * 0.5)
        b.add(CONE, (x, y + half[1], z), half, skin, yaw)
    elif kind == 4:
        arch(b, x, y, z, yaw, (size * 1.0, size * 1.2, size * 0.3), skin)
    elif kind == 5:
        b.box((x, y + size * 0.9, z), (size * 1.3, size * 0.9, 0.12), skin, yaw)
    elif kind == 6:
        boulder(b, x, y, z, size * 0.6, Material("rock", color_near(rng, (1, 1, 1), 0.2), 0.6))
    elif kind == 7:
        half = (size * 0.6, size * 0.5, size * 0.8)
        b.box((x, y + half[1], z), half, skin, yaw)
        top = Material("rooftiles", color_near(rng, (1, 1, 1), 0.3), 0.7)
        b.add(PRISM, (x, y + size * 1.35, z), (size * 0.75, size * 0.35, size * 0.9), top, yaw)
    elif kind == 8:
        b.beam((x, y, z), (x, y + size * 0.5, z), size * 0.5, skin)
        b.sphere((x, y + size * 0.8, z), size * 0.35, any_material(rng))
    elif kind == 9:
        tip = np.array([rng.normal(0, 0.5), 1.0, rng.normal(0, 0.5)]) * size * 1.6
        foot = np.array([x, y, z])
        b.beam(foot, foot + tip, size * 0.18, skin, BOX)
        b.beam(foot + (0.3, 0, 0), foot + tip[[2, 1, 0]], size * 0.14, any_material(rng))
    else:
        stairs(b, x, y, z, yaw, int(rng.integers(3, 8)), size * 1.5, skin)
    b.interest.append((x, y + size * 0.7, z))
