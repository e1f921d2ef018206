"""Houses along lanes, walls and doorways to walk through; by day (`village`) and after dark."""

from __future__ import annotations

import math

import numpy as np

from .builder import (
    ARCH,
    CONE,
    GLOW,
    LAYERS,
    PRISM,
    Material,
    Scene,
    SceneBuilder,
    lamp_material,
    yaw_rotation,
)
from .gallery import Opening, wall
from .kit import (
    any_material,
    bauble,
    boulder,
    broadleaf,
    bush,
    color_near,
    crate,
    pine,
    random_thing,
    scatter,
    tuft,
)
from .moods import pick_mood


def village(seed: int) -> Scene:
    return town("village", seed, ("dawn", "noon", "golden", "overcast", "dusk", "winter"))


def night(seed: int) -> Scene:
    return town("night", seed, ("night",))


def town(family: str, seed: int, moods: tuple[str, ...]) -> Scene:
    b = SceneBuilder(family, seed)
    rng = b.rng
    mood = pick_mood(rng, moods)
    width = rng.uniform(1.6, 2.8)
    lanes = plan_lanes(rng)
    snow = 0.9 if mood.name == "winter" else 0.0
    for lane in lanes:
        line_with_houses(b, lane, lanes, width, family == "night", snow)
        walk_along(b, lane, width)
    plaza(b, width, family == "night", snow)
    green = (0.7, 0.9, 0.45) if rng.random() < 0.7 else (1.1, 0.75, 0.3)
    for x, z in scatter(rng, 46, 75, 5.0, inner=18):
        if distance_to_lanes(lanes, x, z) > 6 and is_clear(b, x, z, 2.5):
            grow = pine if rng.random() < 0.4 else broadleaf
            grow(b, x, 0.0, z, rng.uniform(4, 9), green)
    for x, z in scatter(rng, 220, 22, 0.6):
        if distance_to_lanes(lanes, x, z) > width + 0.2 and is_clear(b, x, z, 0.4) and not snow:
            tuft(b, x, 0.0, z, rng.uniform(0.1, 0.3), (0.5, 0.6, 0.22))
    layer = str(rng.choice(["cobbles", "cobbles", "gravel", "blocks", "brick", "rubble"]))
    beside = "snow" if snow else str(rng.choice(["grass", "grass", "litter", "gravel"]))
    wet = rng.uniform(0.5, 1.0) if rng.random() < 0.35 else 0.0
    padded = (lanes + [lanes[0]] * 6)[:6]
    return b.build(mood, {
        "u_ground": (float(LAYERS.index(layer)), float(LAYERS.index(beside)),
                     float(rng.uniform(0.3, 0.6)), float(wet)),
        "u_ground_tint": color_near(rng, (0.9, 0.9, 0.88), 0.12),
        "u_lanes": [tuple(float(v) for v in (*lane[0], *lane[1])) for lane in padded],
        "u_lane_width": float(width), "u_room": (0.0, 0.0, 0.0),
    }, cell=1.6)  # fmt: skip


def plan_lanes(rng) -> list[tuple[np.ndarray, np.ndarray]]:
    """A bent main lane through the middle and one or two side lanes."""
    a = rng.uniform(0, math.pi)
    ahead = np.array([math.sin(a), math.cos(a)])
    side = np.array([ahead[1], -ahead[0]])
    bend = rng.uniform(-9, 9)
    lanes = [(np.zeros(2), ahead * 24 + side * bend), (np.zeros(2), -ahead * 24 + side * bend)]
    lanes.append((np.zeros(2), side * rng.uniform(14, 22) + ahead * rng.uniform(-5, 5)))
    if rng.random() < 0.5:
        lanes.append((np.zeros(2), -side * rng.uniform(14, 22) + ahead * rng.uniform(-5, 5)))
    return lanes


def distance_to_lanes(lanes, x: float, z: float) -> float:
    p = np.array([x, z])
    best = 1e9
    for start, end in lanes:
        d = end - start
        t = np.clip((p - start) @ d / (d @ d), 0, 1)
        best = min(best, float(np.hypot(*(p - start - d * t))))
    return best


def is_clear(b: SceneBuilder, x: float, z: float, radius: float) -> bool:
    """No house stands within `radius` metres of (x, z)."""
    return all(math.hypot(x - hx, z - hz) > hr + radius for hx, hz, hr in b.taken)


def walk_along(b: SceneBuilder, lane, width: float) -> None:
    start, end = lane
    length = float(np.hypot(*(end - start)))
    for share in np.arange(0.0, 0.85, 3.0 / length):
        p = start + (end - start) * share
        b.walk.append((p[0], p[1], width + 1.2))


def line_with_houses(b: SceneBuilder, lane, lanes, width: float, lit: bool, snow: float) -> None:
    """Houses, and garden walls, fences and arches in the gaps, on both sides of a lane."""
    rng = b.rng
    start, end = lane
    length = float(np.hypot(*(end - start)))
    ahead = (end - start) / length
    for side in (-1.0, 1.0):
        out = np.array([ahead[1], -ahead[0]]) * side
        at = rng.uniform(3.5, 6.0)
        while at < length:
            w, d = rng.uniform(2.4, 4.2), rng.uniform(2.2, 3.6)
            back = width + 0.5 + d + rng.uniform(0, 1.5)
            p = start + ahead * (at + w) + out * back
            yaw = math.atan2(-out[0], -out[1])
            if distance_to_lanes(lanes, *p) > d + width * 0.8 and is_clear(b, *p, max(w, d)):
                house(b, p, yaw, w, d, lit, snow)
                b.taken.append((*p, max(w, d)))
                street_clutter(b, p - out * (d + 0.5), ahead, w, lit)
                at += 2 * w + rng.uniform(0.4, 3.5)
                if rng.random() < 0.6:
                    garden_wall(b, start + ahead * (at - 1) + out * (width + 1.0), yaw)
            else:
                at += 2.0


def house(b: SceneBuilder, p, yaw: float, w: float, d: float, lit: bool, snow: float) -> None:
    """A house at p = (x, z), its front towards local +Z; w and d are half its width and depth."""
    rng = b.rng
    turn = yaw_rotation(yaw)
    tall = rng.uniform(2.5, 3.2) * (1.0 if rng.random() < 0.55 else rng.uniform(1.7, 2.1))
    skin = any_material(rng, ("plaster", "plaster", "brick", "rubble", "planks", "blocks"), 0.25)

    def at(x: float, y: float, z: float):
        return turn @ np.array([x, y, z]) + (p[0], 0.0, p[1])

    def flat(x: float, z: float):
        return tuple(at(x, 0, z)[[0, 2]])

    arched = bool(rng.random() < 0.5)
    if rng.random() < 0.25:  # hollow: one can look and walk in
        door = Opening(w * rng.uniform(0.7, 1.3), rng.uniform(1.2, 2.0), 0.0, 2.3, arched)
        hollow = Opening(d, 1.4, 0.9, 2.1) if rng.random() < 0.5 else None
        wall(b, flat(-w, d), flat(w, d), tall, skin, door)
        wall(b, flat(-w, -d), flat(w, -d), tall, skin, Opening(w, 1.6, 0.0, 2.2))
        wall(b, flat(-w, -d), flat(-w, d), tall, skin, hollow)
        wall(b, flat(w, -d), flat(w, d), tall, skin, hollow)
        random_thing(b, *at(w * 0.5, 0.0, -d * 0.4), 0.5)
        b.walk.append((p[0], p[1], min(w, d)))
    else:
        b.box(at(0, tall / 2, 0), (w, tall / 2, d), skin, yaw)
        front(b, at, yaw, w, d, tall, lit)
    b.box(at(0, 0.2, 0), (w + 0.06, 0.2, d + 0.06), Material("rubble", (0.9, 0.9, 0.9), 0.8), yaw)
    if rng.random() < 0.5:
        timber(b, at, yaw, w, d, tall)
    roof(b, at, yaw, w, d, tall, skin, snow)
    b.interest.append(tuple(at(0, 1.5, d + 0.3)))


def front(b: SceneBuilder, at, yaw: float, w: float, d: float, tall: float, lit: bool) -> None:
    """Door, windows with shutters, steps, on the front and simple windows at the back."""
    rng = b.rng
    wood = Material("planks", color_near(rng, (0.8, 0.6, 0.45), 0.4), 1.0)
    shutter = wood.tinted(color_near(rng, (0.5, 0.8, 0.7), 0.5))
    door = rng.uniform(-0.6, 0.6) * w
    b.box(at(door, 1.05, d), (0.5, 1.05, 0.05), wood, yaw)
    b.box(at(door, 2.15, d + 0.02), (0.65, 0.09, 0.1), Material("blocks"), yaw)
    b.box(at(door, 0.1, d + 0.35), (0.7, 0.1, 0.35), Material("blocks"), yaw)
    for level in np.arange(1.5, tall - 0.5, 2.4):
        for x in np.arange(-w + 0.75, w - 0.4, rng.uniform(1.3, 2.0)):
            if level < 2 and abs(x - door) < 1.1:
                continue
            for z in (d, -d):
                window(b, at, yaw, x, level, z, lit and rng.random() < 0.6, wood, shutter)


def window(b: SceneBuilder, at, yaw, x, y, z, glowing: bool, wood, shutter) -> None:
    rng = b.rng
    warm = color_near(rng, (1.0, 0.72, 0.38), 0.15)
    pane = Material("facade", (0.20, 0.25, 0.30), 0.9, gloss=1.0, bump=0.2)
    if glowing:
        pane = Material("facade", warm, 0.9, GLOW, bump=0.8)
    sign = 1.0 if z > 0 else -1.0
    b.box(at(x, y, z + sign * 0.01), (0.38, 0.5, 0.03), pane, yaw)
    b.box(at(x, y - 0.54, z + sign * 0.06), (0.46, 0.04, 0.09), wood, yaw)
    if rng.random() < 0.7:
        for side in (-0.56, 0.56):
            b.box(at(x + side, y, z + sign * 0.04), (0.17, 0.52, 0.025), shutter, yaw)
    if rng.random() < 0.3 and not glowing:
        flower = (1.0, 0.35, 0.4) if rng.random() < 0.5 else (0.9, 0.8, 0.3)
        b.box(at(x, y - 0.45, z + sign * 0.15), (0.36, 0.08, 0.09), wood, yaw)
        bush(b, *at(x, y - 0.4, z + sign * 0.15), 0.16, flower)


def timber(b: SceneBuilder, at, yaw: float, w: float, d: float, tall: float) -> None:
    """Dark beams on the walls."""
    wood = Material("planks", color_near(b.rng, (0.35, 0.25, 0.18), 0.2), 0.8)
    for y in (0.45, 2.5, tall - 0.1):
        if y < tall:
            b.box(at(0, y, 0), (w + 0.04, 0.09, d + 0.04), wood, yaw)
    for x in np.linspace(-w, w, int(b.rng.integers(3, 6))):
        b.box(at(x, tall / 2 + 0.2, 0), (0.08, tall / 2 - 0.2, d + 0.05), wood, yaw)


def roof(b: SceneBuilder, at, yaw, w, d, tall, skin: Material, snow: float) -> None:
    """A gable with tiled slopes that stand over the walls, and a chimney."""
    rng = b.rng
    rise = d * rng.uniform(0.5, 0.95)
    quarter = yaw + math.pi / 2  # the ridge runs along the house's width
    b.add(PRISM, at(0, tall + rise / 2, 0), (d, rise / 2, w), skin, quarter)
    layer = str(rng.choice(["rooftiles", "planks", "leaves"], p=[0.75, 0.15, 0.1]))
    tint = color_near(rng, (1.0, 0.95, 0.9) if rng.random() < 0.7 else (0.55, 0.6, 0.65), 0.2)
    tiles = Material(layer, tint, 0.5, snow=snow)
    slope, length = math.atan2(rise, d), math.hypot(rise, d)
    for side in (-1.0, 1.0):
        tilt = np.array([[1, 0, 0], [0, math.cos(slope), -math.sin(slope) * side],
                         [0, math.sin(slope) * side, math.cos(slope)]])  # fmt: skip
        center = at(0, tall + rise / 2 + 0.06 - 0.1 * rise / d, side * (d / 2 + 0.15))
        half = (w + 0.3, 0.06, length / 2 + 0.25)
        b.box(center, half, tiles, yaw_rotation(yaw) @ tilt)
    if rng.random() < 0.7:
        spot = at(rng.uniform(-0.6, 0.6) * w, tall + rise, 0.3 * d)
        b.box(spot, (0.28, 0.7, 0.28), any_material(rng, ("brick", "rubble")), yaw)


def garden_wall(b: SceneBuilder, p, yaw: float) -> None:
    """A low wall, a fence, or a free-standing arch."""
    rng = b.rng
    kind, half = rng.random(), rng.uniform(1.0, 2.2)
    turn = yaw_rotation(yaw)
    if kind < 0.4:
        stone = any_material(rng, ("rubble", "brick", "blocks"), 0.2)
        tall = rng.uniform(0.3, 0.7)
        b.box((p[0], tall, p[1]), (half, tall, 0.15), stone, yaw)
        b.box((p[0], 2 * tall + 0.04, p[1]), (half + 0.05, 0.05, 0.2), Material("blocks"), yaw)
    elif kind < 0.75:
        wood = Material("planks", color_near(rng, (0.8, 0.75, 0.7), 0.25), 1.0)
        for x in np.arange(-half, half, 0.32):
            q = turn @ np.array([x, 0, 0]) + (p[0], 0, p[1])
            b.box(q + (0, 0.55, 0), (0.06, 0.55, 0.03), wood, yaw)
        for y in (0.35, 0.85):
            b.box((p[0], y, p[1]), (half, 0.05, 0.05), wood, yaw)
    else:
        stone = any_material(rng, ("rubble", "brick", "blocks"), 0.2)
        b.add(ARCH, (p[0], 1.6, p[1]), (1.25, 1.6, 0.3), stone, yaw)
        b.interest.append((p[0], 1.5, p[1]))


def street_clutter(b: SceneBuilder, p, ahead, w: float, lit: bool) -> None:
    """Barrels, crates, benches, bushes, a lantern in front of a house."""
    rng = b.rng
    for _ in range(int(rng.integers(1, 5))):
        x, z = p + ahead * rng.uniform(-w, w)
        kind = rng.random()
        if kind < 0.3:
            barrel = Material("planks", color_near(rng, (0.8, 0.65, 0.5), 0.2), 1.4)
            b.beam((x, 0, z), (x, rng.uniform(0.6, 0.95), z), rng.uniform(0.22, 0.34), barrel)
        elif kind < 0.55:
            skin = any_material(rng, ("planks",))
            crate(b, x, 0, z, rng.uniform(0.18, 0.36), rng.uniform(0, 3), skin)
        elif kind < 0.75:
            bush(b, x, 0, z, rng.uniform(0.3, 0.6), (0.7, 0.95, 0.5))
        else:
            wood = any_material(rng, ("planks", "blocks"))
            b.box((x, 0.42, z), (0.7, 0.05, 0.2), wood, math.atan2(-ahead[1], ahead[0]))
            b.box((x, 0.2, z), (0.55, 0.2, 0.1), wood, math.atan2(-ahead[1], ahead[0]))
    if rng.random() < (0.9 if lit else 0.4):
        lantern(b, *(p + ahead * w * rng.uniform(0.6, 0.95)), lit)


def lantern(b: SceneBuilder, x: float, z: float, lit: bool) -> None:
    rng = b.rng
    iron, tall = Material("metal", (0.3, 0.3, 0.32), 1.0), rng.uniform(2.4, 3.2)
    b.beam((x, 0, z), (x, tall, z), 0.05, iron)
    b.add(CONE, (x, 0.15, z), (0.14, 0.16, 0.14), iron)
    b.add(CONE, (x, tall + 0.42, z), (0.2, 0.1, 0.2), iron)
    color = np.array(color_near(rng, (1.0, 0.70, 0.38), 0.15))
    if lit and len(b.lamps) < 16:
        b.sphere((x, tall + 0.18, z), 0.14, lamp_material(color, 5.0))
        b.lamp((x, tall + 0.18, z), color * rng.uniform(5, 9), 14.0)
    else:
        b.sphere((x, tall + 0.18, z), 0.14, Material("snow", (0.9, 0.9, 0.85), gloss=0.6))


def plaza(b: SceneBuilder, width: float, lit: bool, snow: float) -> None:
    """The middle: a well, a statue, a tree or a mirror ball, with things round it."""
    rng = b.rng
    kind, (x, z) = rng.random(), rng.uniform(-1, 1, 2) * (width + 0.5)
    stone = any_material(rng, ("rubble", "blocks", "brick"), 0.2)
    if kind < 0.35:
        b.beam((x, 0, z), (x, 0.85, z), 0.75, stone)
        b.beam((x, 0.84, z), (x, 0.87, z), 0.6, Material("darkmarble", (0.2, 0.25, 0.3), gloss=1.0))
        for side in (-0.7, 0.7):
            b.beam((x + side, 0.5, z), (x + side, 2.2, z), 0.07, Material("planks"))
        b.add(PRISM, (x, 2.5, z), (0.75, 0.35, 1.1), Material("rooftiles", snow=snow), math.pi / 2)
    elif kind < 0.6:
        b.box((x, 0.4, z), (0.7, 0.4, 0.7), stone)
        random_thing(b, x, 0.8, z, rng.uniform(0.5, 0.9))
    elif kind < 0.8:
        broadleaf(b, x, 0, z, rng.uniform(4, 6.5), (0.75, 0.95, 0.5))
    else:
        bauble(b, x, 0, z, rng.uniform(0.5, 0.9), bool(rng.random() < 0.4))
    b.interest.append((x, 1.2, z))
    if lit:
        lantern(b, x + 1.6, z + 1.2, True)
    for px, pz in scatter(rng, 5, width + 5, 1.6, inner=width + 1):
        if is_clear(b, px, pz, 0.8):
            boulder(b, px, 0, pz, rng.uniform(0.15, 0.4), Material("rock", scale=0.8, snow=snow))
