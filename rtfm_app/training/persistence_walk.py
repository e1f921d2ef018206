"""The way of a long walk from one picture, and the places beside it that must stay as they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..config import WALK_SPEED
from ..geometry import pose_from_yaw_pitch

FRAMES_A_SECOND, TURN_A_FRAME = 10, math.radians(6)
STRIDE_METRES = WALK_SPEED / FRAMES_A_SECOND
PLACES, FIRST_PLACE_METRES, PLACE_EVERY_METRES = 10, 1.0, 0.9
PLACE_ASIDE_METRES, PLACE_PITCH = 0.35, math.radians(12)
PASSED_METRES = 0.5
FIRST_WAY_METRES, LONGER_EACH_WAY_METRES, LONGEST_METRES = 10.5, 2.0, 60.0
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass
class Place:
    """A remembered view: its pose, how far along the first way it lies, its first picture."""

    pose: np.ndarray
    metres: float
    image: np.ndarray | None = None


def places_beside(start: np.ndarray, yaw: float) -> list[Place]:
    """Views beside the way that leads from `start` (3,) into `yaw`, up and down by turns; the
    walker stays level and on the way, so that he stores none from near there."""
    forward, right = _axes(yaw)
    places = []
    for number in range(PLACES):
        metres = FIRST_PLACE_METRES + number * PLACE_EVERY_METRES
        aside = PLACE_ASIDE_METRES * (1, -1)[number % 2]
        position = start + forward * metres + right * aside
        pitch = PLACE_PITCH * (-1, -1, 1)[number % 3]
        places.append(Place(pose_from_yaw_pitch(position, yaw, pitch), metres))
    return places


def _axes(yaw: float) -> tuple[np.ndarray, np.ndarray]:
    forward = np.array([-math.sin(yaw), 0.0, -math.cos(yaw)])
    return forward, np.array([math.cos(yaw), 0.0, -math.sin(yaw)])


def scripted_walk(
    start: np.ndarray, yaw: float, way: float
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Poses without end, ten a second: out and back, every third time along `way`, else into a
    direction at least 60 degrees off it, farther each time.

    Yields:
        camera_to_world (4, 4), velocity (3,) in m/s, metres from the start.
    """
    for leg in itertools.count():
        known = leg % 3 == 0
        heading = way if known else way + math.radians(60 + 240 * (GOLDEN * leg % 1))
        reach = min(FIRST_WAY_METRES + LONGER_EACH_WAY_METRES * (leg // 3), LONGEST_METRES)
        forward, _ = _axes(heading)
        strides = round((FIRST_WAY_METRES if known else reach) / STRIDE_METRES)
        for turned in _turn(yaw, heading):
            yield pose_from_yaw_pitch(start, turned, 0.0), np.zeros(3), 0.0
        out = [stride * STRIDE_METRES for stride in range(1, strides + 1)]
        for metres in out:
            pose = pose_from_yaw_pitch(start + forward * metres, heading, 0.0)
            yield pose, forward * WALK_SPEED, metres
        yaw = heading + math.pi
        for turned in _turn(heading, yaw):
            yield pose_from_yaw_pitch(start + forward * out[-1], turned, 0.0), np.zeros(3), out[-1]
        for metres in reversed(out):
            pose = pose_from_yaw_pitch(start + forward * metres, yaw, 0.0)
            yield pose, -forward * WALK_SPEED, metres


def _turn(before: float, after: float) -> np.ndarray:
    """Yaws of the frames of a turn, the shorter way."""
    angle = (after - before + math.pi) % (2 * math.pi) - math.pi
    return before + np.linspace(0, angle, max(1, math.ceil(abs(angle) / TURN_A_FRAME)) + 1)[1:]
