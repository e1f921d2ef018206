"""Rooms with openings, pictures, mirrors, polished floors, lamps and furniture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .builder import (
    ARCH,
    BOX,
    CHROME,
    CYLINDER,
    LAYERS,
    LEAF,
    LEAF_BALL,
    Material,
    Scene,
    SceneBuilder,
    glass,
    lamp_material,
    picture,
)
from .kit import any_material, color_near, column, random_thing
from .moods import pick_mood

THICK = 0.12


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: metres along it, width, sill and top; `round_top` makes it an arch."""

    at: float
    width: float
    sill: float
    top: float
    round_top: bool = False


def gallery(seed: int) -> Scene:
    b = SceneBuilder("gallery", seed)
    rng = b.rng
    mood = pick_mood(rng, ("dawn", "noon", "golden", "overcast", "dusk", "night"))
    xs = np.concatenate([[0], np.cumsum(rng.uniform(3.6, 7.5, int(rng.integers(2, 4))))])
    zs = np.concatenate([[0], np.cumsum(rng.uniform(3.6, 7.5, int(rng.integers(2, 4))))])
    xs, zs = xs - xs.mean(), zs - zs.mean()
    height = rng.uniform(2.7, 4.4)
    skins = [wall_skin(rng) for _ in range(4)]
    build_walls(b, xs, zs, height, skins)
    for i in range(len(xs) - 1):
        for j in range(len(zs) - 1):
            furnish(b, xs[i : i + 2], zs[j : j + 2], height)
    floor = str(rng.choice(["parquet", "marble", "checker", "darkmarble", "planks", "blocks",
                            "mosaic", "fabric", "brick"]))  # fmt: skip
    shiny = floor in ("marble", "checker", "darkmarble", "mosaic") or rng.random() < 0.4
    warm = color_near(rng, (0.20, 0.185, 0.165), 0.25)
    mood = replace(mood, ambient=0.30, exposure=mood.exposure * rng.uniform(1.05, 1.35))
    return b.build(mood, {
        "u_ground": (float(LAYERS.index(floor)), float(LAYERS.index("grass")),
                     float(rng.uniform(0.3, 0.6)), float(rng.uniform(0.6, 1.0)) if shiny else 0.0),
        "u_ground_tint": color_near(rng, (0.9, 0.9, 0.9), 0.12), "u_room": warm,
        "u_house": (float(xs[0]), float(zs[0]), float(xs[-1]), float(zs[-1])),
    }, cell=1.25, indoor=True)  # fmt: skip


def wall_skin(rng) -> Material:
    """Wallpaper, plaster, wood or stone."""
    layer = str(rng.choice(["plaster", "plaster", "fabric", "planks", "brick", "blocks", "rubble",
                            "marble", "mosaic"]))  # fmt: skip
    tint = color_near(rng, (0.9, 0.88, 0.85), 0.25)
    return Material(layer, tint, rng.uniform(0.35, 0.8), bump=0.7)


def build_walls(b: SceneBuilder, xs, zs, height: float, skins) -> None:
    """Walls on all lines of the plan, with doors inside and windows to the outside."""
    rng = b.rng
    for line, others, turned in ((xs, zs, True), (zs, xs, False)):
        for k, at in enumerate(line):
            outer = k in (0, len(line) - 1)
            for low, high in zip(others[:-1], others[1:], strict=True):
                start, end = ((at, low), (at, high)) if turned else ((low, at), (high, at))
                opening = random_opening(rng, high - low, height, outer)
                skin = skins[int(rng.integers(len(skins)))]
                wall(b, start, end, height, skin, opening)
                dress_wall(b, start, end, height, opening, outer)
    for x in xs:
        for z in zs:
            b.box((x, height / 2, z), (0.17, height / 2, 0.17), skins[0])


def random_opening(rng, length: float, height: float, outer: bool) -> Opening | None:
    if rng.random() < (0.35 if outer else 0.1):
        return None
    if outer:
        width, sill = rng.uniform(0.9, min(2.6, length - 1)), rng.uniform(0.5, 1.0)
        return Opening(length * rng.uniform(0.4, 0.6), width, sill, min(height - 0.3, sill + 1.7))
    width = rng.uniform(1.3, min(2.8, length - 1.0))
    top = min(height - 0.25, rng.uniform(2.2, 3))
    return Opening(length * rng.uniform(0.4, 0.6), width, 0.0, top, bool(rng.random() < 0.4))


def wall(b: SceneBuilder, start, end, height: float, skin: Material, opening) -> None:
    """An upright wall from start to end (x, z), with at most one opening."""
    start, end = np.array(start, float), np.array(end, float)
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    yaw = math.atan2(-along[1], along[0])

    def piece(first: float, last: float, low: float, high: float, shape=None) -> None:
        if last - first < 0.02 or high - low < 0.02:
            return
        middle = start + along * (first + last) / 2
        center = (middle[0], (low + high) / 2, middle[1])
        half = ((last - first) / 2, (high - low) / 2, THICK)
        b.add(shape or BOX, center, half, skin, yaw)

    if opening is None:
        piece(0, length, 0, height)
        return
    left, right = opening.at - opening.width / 2, opening.at + opening.width / 2
    if opening.round_top:
        margin = opening.width * 0.176  # the arch's posts: its passage is 0.74 of the block
        piece(left - margin, right + margin, 0, opening.top + 0.2, ARCH)
        piece(left - margin, right + margin, opening.top + 0.2, height)
        left, right = left - margin, right + margin
    else:
        piece(left, right, opening.top, height)
        piece(left, right, 0, opening.sill)
    piece(0, left, 0, height)
    piece(right, length, 0, height)
    if opening.sill > 0:
        glaze(b, start + along * opening.at, yaw, opening)


def glaze(b: SceneBuilder, middle, yaw: float, opening: Opening) -> None:
    """A pane with bars in a window."""
    wood = Material("planks", color_near(b.rng, (0.9, 0.88, 0.82), 0.1), 1.0)
    half_w, half_h = opening.width / 2, (opening.top - opening.sill) / 2
    center = np.array([middle[0], opening.sill + half_h, middle[1]])
    across = np.array([math.cos(yaw), 0, -math.sin(yaw)])
    if b.rng.random() < 0.5:
        b.box(center, (half_w, half_h, 0.006), glass(), yaw)
    for share in np.linspace(-1, 1, int(b.rng.integers(3, 6))):
        b.box(center + across * share * half_w, (0.025, half_h, 0.04), wood, yaw)
    for share in (-1.0, 0.25, 1.0):
        b.box(center + (0, share * half_h, 0), (half_w, 0.025, 0.04), wood, yaw)


def dress_wall(b: SceneBuilder, start, end, height: float, opening, outer: bool) -> None:
    """Skirting, and pictures, mirrors and shelves on both faces beside the opening."""
    rng = b.rng
    start, end = np.array(start, float), np.array(end, float)
    length = float(np.hypot(*(end - start)))
    along = (end - start) / length
    yaw = math.atan2(-along[1], along[0])
    face = np.array([math.sin(yaw), math.cos(yaw)])
    spans = [(0.5, length - 0.5)]
    if opening is not None:
        reach = opening.width * 0.75
        spans = [(0.5, opening.at - reach), (opening.at + reach, length - 0.5)]
    inward = -np.sign(face @ ((start + end) / 2)) if outer else 0.0
    for side in (inward,) if outer else (1.0, -1.0):
        for low, high in spans:
            at = low
            while high - at > 0.7:
                width = min(rng.uniform(0.6, 2.0), high - at)
                spot = start + along * (at + width / 2) + face * side * THICK
                hang(b, spot, face * side, yaw, width * 0.85, height)
                at += width + rng.uniform(0.1, 0.5)


def hang(b: SceneBuilder, spot, face, yaw: float, width: float, height: float) -> None:
    """Something on a wall at `spot` (x, z), as wide as `width` metres."""
    rng = b.rng

    def at(y: float, out: float):
        return (spot[0] + face[0] * out, y, spot[1] + face[1] * out)

    kind = rng.random()
    if kind < 0.14:
        deep, tall = 0.16, rng.uniform(0.9, min(2.3, height - 0.3))
        shelf = Material("books", color_near(rng, (1, 1, 1), 0.15), 0.55)
        b.box(at(tall / 2, deep), (width / 2, tall / 2, deep), shelf, yaw)
        return
    if kind < 0.22:
        return
    tall = min(width * rng.uniform(0.6, 1.3), height - 1.3)
    y = max(1.55, tall / 2 + 0.35)
    frame = Material(str(rng.choice(["planks", "metal", "darkmarble"])),
                     color_near(rng, (0.9, 0.7, 0.4), 0.35), 1.5)  # fmt: skip
    inside = CHROME if rng.random() < 0.16 else picture(int(rng.integers(99)))
    inside = replace(inside, tint=color_near(rng, (0.95, 0.95, 0.95), 0.05))
    b.box(at(y, 0.02), (width / 2 + 0.05, tall / 2 + 0.05, 0.02), frame, yaw)
    b.box(at(y, 0.035), (width / 2, tall / 2, 0.012), inside, yaw)
    b.interest.append(at(y, 0.2))


def furnish(b: SceneBuilder, xs, zs, height: float) -> None:
    """Ceiling, lamps and things of one room."""
    rng = b.rng
    middle = np.array([xs.mean(), zs.mean()])
    size = np.array([xs[1] - xs[0], zs[1] - zs[0]]) / 2
    b.walk.append((*middle, float(np.hypot(*size)) * 0.9))
    ceiling(b, middle, size, height)
    for k in range(1 + int(rng.random() < 0.3)):
        x, z = middle + (rng.uniform(-0.4, 0.4, 2) * size if k else 0)
        y = height - rng.uniform(0.4, 1.0)
        color = np.array(color_near(rng, (1.0, 0.80, 0.56), 0.15))
        b.beam((x, y, z), (x, height, z), 0.012, Material("metal"))
        b.sphere((x, y, z), rng.uniform(0.09, 0.2), lamp_material(color, 4.0))
        b.lamp((x, y, z), color * rng.uniform(2.0, 4.5), 9.0)
    if rng.random() < 0.5:
        rug = Material(str(rng.choice(["fabric", "mosaic"])), color_near(rng, (1, 1, 1), 0.3), 0.4)
        b.box((middle[0], 0.01, middle[1]), (size[0] * 0.55, 0.012, size[1] * 0.55), rug)
    for _ in range(int(rng.integers(1, 5))):
        x, z = middle + rng.uniform(-0.62, 0.62, 2) * size
        furniture(b, x, z, height)
        b.interest.append((x, 1.0, z))


def ceiling(b: SceneBuilder, middle, size, height: float) -> None:
    """A slab, or a slab with a skylight and bars across it; sometimes beams."""
    rng = b.rng
    skin = Material(str(rng.choice(["plaster", "planks", "plaster"])),
                    color_near(rng, (0.92, 0.9, 0.88), 0.08), 0.5)  # fmt: skip
    x, z, w, d = *middle, *size
    if rng.random() < 0.4:
        hole = size * rng.uniform(0.25, 0.55, 2)
        for side in (-1, 1):
            rim_x, rim_z = (w - hole[0]) / 2, (d - hole[1]) / 2
            b.box((x + side * (w - rim_x), height + 0.1, z), (rim_x, 0.1, d), skin)
            b.box((x, height + 0.1, z + side * (d - rim_z)), (hole[0], 0.1, rim_z), skin)
        for share in np.linspace(-1, 1, int(rng.integers(3, 6))):
            b.box((x + share * hole[0], height + 0.1, z), (0.03, 0.06, hole[1]), Material("metal"))
    else:
        b.box((x, height + 0.1, z), (w, 0.1, d), skin)
    if rng.random() < 0.5:
        wood = Material("planks", color_near(rng, (0.6, 0.5, 0.42), 0.2), 0.7)
        for share in np.linspace(-0.75, 0.75, int(rng.integers(3, 6))):
            b.box((x + share * w, height - 0.08, z), (0.08, 0.1, d), wood)


def furniture(b: SceneBuilder, x: float, z: float, height: float) -> None:
    """One piece: plinth with a ball or a sculpture, table, bench, column, plant, screen."""
    rng, yaw = b.rng, b.rng.choice([0, math.pi / 2]) + b.rng.normal(0, 0.1)
    kind, skin = int(rng.integers(8)), any_material(rng)
    stone = any_material(rng, ("marble", "darkmarble", "blocks", "checker"))
    if kind in (0, 1):
        tall = rng.uniform(0.5, 1.0)
        b.box((x, tall / 2, z), (0.24, tall / 2, 0.24), stone, yaw)
        radius = rng.uniform(0.18, 0.34)
        ball = CHROME if rng.random() < 0.5 else glass()
        b.sphere((x, tall + radius, z), radius, ball)
    elif kind == 2:
        b.box((x, 0.2, z), (0.35, 0.2, 0.35), stone, yaw)
        random_thing(b, x, 0.4, z, rng.uniform(0.35, 0.6))
    elif kind == 3:
        table(b, x, z, yaw, skin)
    elif kind == 4:
        b.box((x, 0.42, z), (0.8, 0.05, 0.25), skin, yaw)
        b.box((x, 0.2, z), (0.65, 0.2, 0.15), stone, yaw)
    elif kind == 5:
        column(b, x, 0, z, rng.uniform(0.15, 0.3), height - 0.1, stone)
    elif kind == 6:
        b.beam((x, 0, z), (x, 0.45, z), 0.2, any_material(rng, ("brick", "mosaic", "marble")))
        leaf = Material("leaves", color_near(rng, (0.6, 0.85, 0.5)), 1.2, LEAF)
        for _ in range(3):
            dx, dy, dz = rng.normal(0, 0.12, 3)
            b.add(LEAF_BALL, (x + dx, 0.85 + dy, z + dz), rng.uniform(0.22, 0.4, 3), leaf)
    else:
        b.box((x, 0.95, z), (rng.uniform(0.5, 1.1), 0.95, 0.04), skin, yaw)


def table(b: SceneBuilder, x: float, z: float, yaw: float, skin: Material) -> None:
    rng = b.rng
    half = np.array([rng.uniform(0.5, 0.9), rng.uniform(0.3, 0.5)])
    c, s = math.cos(yaw), math.sin(yaw)

    def at(u: float, v: float):
        return x + c * u * half[0] + s * v * half[1], z - s * u * half[0] + c * v * half[1]

    b.box((x, 0.74, z), (half[0], 0.03, half[1]), skin, yaw)
    for u in (-0.9, 0.9):
        for v in (-0.9, 0.9):
            lx, lz = at(u, v)
            b.beam((lx, 0, lz), (lx, 0.72, lz), 0.035, skin)
    for _ in range(int(rng.integers(2, 5))):
        px, pz = at(*rng.uniform(-0.7, 0.7, 2))
        size = rng.uniform(0.06, 0.16)
        if rng.random() < 0.5:
            b.sphere((px, 0.77 + size, pz), size, any_material(rng))
        else:
            half = (size * 0.6, size, size * 0.6)
            b.add(CYLINDER, (px, 0.77 + size, pz), half, any_material(rng))
