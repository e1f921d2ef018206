"""Things that stand on the ground of a photographed place: posts, bins, columns, boxes, balls.

A photograph's layout (`panorama_places.py`) says what walls and trees tell of distance, but has few
thin or low things in it, and what has never been taught to stand is drawn lying on the ground. So
solids are stood in it where its ground is seen, with the colours of the place, and with the
shadows that tell where they stand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .paper_room import Solid, contact_light, random_crop

EMPTY_SHARE = 0.25  # of the clips
MOST = 12
TRIES = 3  # for each thing: many a place is taken, or not ground
# Kind of solid, radius or half side in metres, height in metres, how often.
KINDS = (
    ("pillar", (0.03, 0.1), (0.8, 4.0), 4),  # posts
    ("pillar", (0.08, 0.25), (0.5, 1.2), 4),  # bollards and bins
    ("pillar", (0.15, 0.5), (3.0, 12.0), 2),  # columns
    ("box", (0.15, 0.7), (0.3, 2.2), 2),
    ("ball", (0.15, 0.5), (0.3, 1.0), 1),  # as high as it is wide
)
NEAREST, FARTHEST = 1.3, 14.0  # metres from the photograph's camera
APART = 0.4
PLAIN_SHARE = 0.6
PAPER = 96
FULL_CIRCLE = 2 * math.pi


@dataclass(frozen=True)
class Sun:
    """Where shadows on the ground fall: `way` (2,) over the ground (x, z), for each metre of
    height; and the share of the light that is missing there."""

    way: np.ndarray
    missing: float


def random_sun(rng: np.random.Generator) -> Sun:
    """A direction of light with shadows from short to twice a thing's height; often faint."""
    turn, length = rng.uniform(0, FULL_CIRCLE), rng.uniform(0.2, 2.0)
    way = length * np.array([math.cos(turn), math.sin(turn)])
    return Sun(way, rng.uniform(0, 0.6) * (rng.random() < 0.7))


def random_things(
    rng: np.random.Generator, panorama: np.ndarray, is_ground, sun: Sun
) -> tuple[Solid, ...]:
    """Up to MOST solids on the ground, none in EMPTY_SHARE of the calls.

    Args:
        panorama: the photograph (H, W, 3) uint8, whose colours they take.
        is_ground: tells of (x, z) (N, 2), in metres, from the camera, which are on the ground that
            the photograph shows.
    """
    if rng.random() < EMPTY_SHARE:
        return ()
    things: list[Solid] = []
    share = np.array([kind[-1] for kind in KINDS], float)
    wanted = int(rng.integers(1, MOST + 1))
    for _ in range(TRIES * wanted):
        if len(things) == wanted:
            break
        kind, sides, heights, _ = KINDS[rng.choice(len(KINDS), p=share / share.sum())]
        side, height = rng.uniform(*sides), rng.uniform(*heights)
        other_side = rng.uniform(*sides) if kind == "box" else side
        if rng.random() < 0.3 and things and kind == things[-1].kind == "pillar":
            (side, other_side), height = things[-1].half_sides, things[-1].height  # one of a row
        distance = math.exp(rng.uniform(math.log(NEAREST), math.log(FARTHEST)))
        turn = rng.uniform(0, FULL_CIRCLE)
        x, z = distance * math.cos(turn), distance * math.sin(turn)
        around = np.linspace(0, FULL_CIRCLE, 8, endpoint=False)
        reach = math.hypot(side, other_side) + 0.1
        feet = np.array([x, z]) + reach * np.stack([np.cos(around), np.sin(around)], -1)
        if any(other.gap(x, z) < reach + APART for other in things) or not is_ground(feet).all():
            continue
        thing = Solid(
            kind=kind,
            centre=(x, z),
            half_sides=(side, other_side),
            height=2 * side if kind == "ball" else height,
            yaw=rng.uniform(0, math.pi),
            paper=_paper(rng, panorama),
            texels_per_metre=rng.uniform(70, 220),
            light=math.atan2(-sun.way[1], -sun.way[0]),
        )
        things.append(thing)
    return tuple(things)


def _paper(rng: np.random.Generator, panorama: np.ndarray) -> np.ndarray:
    """A colour of the place with faint stains, or a piece of its texture."""
    crop = random_crop(rng, panorama)
    if rng.random() > PLAIN_SHARE:
        return crop
    colour = crop[tuple(rng.integers(crop.shape[:2]))] * rng.uniform(0.4, 1.2)
    stains = rng.normal(0, rng.uniform(1, 8), (PAPER // 8, PAPER // 8, 1))
    stains = stains.repeat(8, 0).repeat(8, 1)
    grain = rng.normal(0, rng.uniform(1, 5), (PAPER, PAPER, 1))
    return np.clip(colour + stains + grain, 0, 255).astype(np.uint8)


def light_on_ground(things: tuple[Solid, ...], points: np.ndarray, sun: Sun) -> np.ndarray:
    """Share (N,) of the light that reaches points (N, 3) of the ground: less where a thing
    stands, and in its shadow."""
    light = np.ones(len(points), np.float32)
    for thing in things:
        x, z = points[:, 0], points[:, 2]
        near = np.hypot(x - thing.centre[0], z - thing.centre[1])
        near = near < thing.height * np.linalg.norm(sun.way) + 2
        if not near.any():
            continue
        x, z = x[near], z[near]
        steps = np.linspace(0, min(thing.height, 4.0), 24)
        shadow = np.min([thing.gap(x - s * sun.way[0], z - s * sun.way[1]) for s in steps], 0)
        light[near] *= contact_light(thing.gap(x, z))
        light[near] *= 1 - sun.missing * np.exp(-shadow / 0.06)
    return light
