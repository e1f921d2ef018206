"""Short walks like a person's through any place that can say where a step leads."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

STRIDE_METRES = (0.25, 0.6)
TURN_RADIANS = (math.radians(5), math.radians(15))
MODES = ("walk", "walk", "strafe", "turn", "retreat", "look_around")
# place, direction (2,) of length 1 along world (x, z), metres -> new place, None = something is
# in the way
FreeStep = Callable[[tuple, np.ndarray, float], tuple | None]


@dataclass(frozen=True)
class Stop:
    """One frame of a walk: the place in the caller's own coordinates, yaw and pitch in radians."""

    place: tuple
    yaw: float
    pitch: float


def metres_walked(stops: list[Stop], units_per_metre: float = 1.0) -> float:
    """Length of the path over the ground."""
    return sum(math.dist(a.place, b.place) for a, b in pairwise(stops)) / units_per_metre


def stroll(
    rng: np.random.Generator,
    place: tuple,
    yaw: float,
    free_step: FreeStep,
    pitch_limit: float,
    frames: int,
) -> list[Stop]:
    """A walk of `frames` stops in modes of a few steps each, starting at `place`."""
    pitch = rng.uniform(-pitch_limit, pitch_limit) / 2
    stops, left, mode, turn, stride, side = [Stop(place, yaw, pitch)], 0, "", 0.0, 0.0, 1
    while len(stops) < frames:
        if left == 0:
            mode, left = str(rng.choice(MODES)), int(rng.integers(2, 7))
            turn = rng.uniform(*TURN_RADIANS) * rng.choice((-1, 1))
            stride, side = rng.uniform(*STRIDE_METRES), rng.choice((-1, 1))
        left -= 1
        heading = {"walk": 0.0, "strafe": side * math.pi / 2, "retreat": math.pi}.get(mode)
        if heading is None:
            yaw += turn
            if mode == "look_around" and rng.random() < 0.3:
                turn = -turn
        else:
            drifted = yaw + math.radians(rng.normal(0, 2.0))
            direction = np.array([-math.sin(drifted + heading), -math.cos(drifted + heading)])
            reached = free_step(place, direction, stride)
            if reached is None:
                left, mode = int(rng.integers(2, 5)), "turn"
                continue
            place, yaw = reached, drifted
        pitch = float(np.clip(pitch + math.radians(rng.normal(0, 1.5)), -pitch_limit, pitch_limit))
        stops.append(Stop(place, yaw, pitch))
    return stops
