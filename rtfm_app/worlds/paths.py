"""Camera paths like a person's: walk, strafe, circle a thing, look round, turn back, stand, climb.

A path is a pure function of (scene, seed). Eye height is 1.4 to 2 m above the ground (more while
climbing); the camera keeps its distance from every solid thing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..geometry import pose_from_yaw_pitch
from .builder import Scene

CLEARANCE = 0.5
MOVES = ("walk", "strafe", "circle", "look", "turn", "stand", "climb", "jump", "back")
CHANCES = (0.30, 0.14, 0.20, 0.11, 0.05, 0.03, 0.05, 0.08, 0.04)


@dataclass(frozen=True)
class CameraPath:
    """F poses camera_to_world (F, 4, 4) float64 and the one field of view of the clip."""

    poses: np.ndarray
    fov_y_radians: float


@dataclass
class Walker:
    """Where a person stands and looks; `lift` is the height climbed above eye level."""

    x: float
    z: float
    yaw: float
    pitch: float
    eye: float
    lift: float = 0.0


def make_path(scene: Scene, seed: int, frames: int = 16) -> CameraPath:
    """A walk of `frames` poses, neighbours about 0.25 to 0.6 m or up to 15 degrees apart."""
    rng = np.random.default_rng([seed, 77])
    walker = drop_in(scene, rng)
    states = [Walker(**vars(walker))]
    while len(states) < frames:
        move = str(rng.choice(MOVES, p=CHANCES))
        target = pick_target(scene, walker, rng)
        length = 1 if move in ("jump", "stand") else int(rng.integers(2, 7))
        side = rng.choice([-1.0, 1.0])
        for _ in range(min(length, frames - len(states))):
            walker = advance(scene, walker, move, target, side, rng)
            states.append(walker)
    fov = math.radians(rng.uniform(45, 75))
    return CameraPath(np.stack([pose_of(scene, state) for state in states]), fov)


def pose_of(scene: Scene, walker: Walker) -> np.ndarray:
    return pose_from_yaw_pitch(eye_of(scene, walker), walker.yaw, walker.pitch)


def eye_of(scene: Scene, walker: Walker) -> np.ndarray:
    """Eye position (3,); over water the person stands at its level (in a boat, on a jetty)."""
    ground = max(float(scene.ground_height(walker.x, walker.z)), scene.water)
    return np.array([walker.x, ground + walker.eye + walker.lift, walker.z])


def is_free(scene: Scene, walker: Walker) -> bool:
    """Inside a walk circle, not in deep water, body and eye clear of things, view not blocked."""
    dx, dz = walker.x - scene.walk[:, 0], walker.z - scene.walk[:, 1]
    if (np.hypot(dx, dz) > scene.walk[:, 2]).all():
        return False
    if float(scene.ground_height(walker.x, walker.z)) < scene.water - 0.4:
        return False
    eye = eye_of(scene, walker)
    ahead = eye + pose_from_yaw_pitch(eye, walker.yaw, walker.pitch)[:3, 2] * -0.55
    body = eye - (0, 0.75, 0)
    distance = scene.clearance(np.stack([eye, ahead, body]))
    return distance[0] > CLEARANCE and distance[1] > 0.4 and distance[2] > 0.25


def drop_in(scene: Scene, rng, near: Walker | None = None) -> Walker:
    """A free place, mostly 1.2 to 7 m from something worth seeing and looking at it; if `near` (a
    walker) is given, within 6 m of it where there is room.

    Raises:
        ValueError: the scene has no free place (a fault of its family).
    """
    eye, pitch = rng.uniform(1.4, 2.0), rng.normal(-0.08, 0.1)
    for attempt in range(3000):
        cx, cz, radius = scene.walk[int(rng.integers(len(scene.walk)))]
        if near is not None and attempt < 1500:
            cx, cz, radius = near.x, near.z, 6.0
        x, z = np.array([cx, cz]) + rng.uniform(-1, 1, 2) * radius
        yaw = rng.uniform(0, 2 * math.pi)
        if len(scene.interest):
            nearby = np.hypot(scene.interest[:, 0] - x, scene.interest[:, 2] - z)
            index = int(rng.choice(np.argsort(nearby)[:4]))
            if rng.random() < 0.9 and not 1.2 < nearby[index] < 7.0:
                continue
            yaw = bearing(x, z, scene.interest[index]) + rng.normal(0, 0.25)
        walker = Walker(x, z, yaw, pitch, eye)
        if is_free(scene, walker):
            return walker
    raise ValueError(f"{scene.family} seed {scene.seed} has no free place to stand")


def bearing(x: float, z: float, point) -> float:
    """Yaw in radians that looks from (x, z) towards `point`."""
    return math.atan2(x - point[0], z - point[2])


def pick_target(scene: Scene, walker: Walker, rng):
    """Something to look at, one of the nearest; None in a place without any."""
    if not len(scene.interest):
        return None
    nearby = np.hypot(scene.interest[:, 0] - walker.x, scene.interest[:, 2] - walker.z)
    return scene.interest[int(rng.choice(np.argsort(nearby)[:5]))]


def advance(scene: Scene, walker: Walker, move: str, target, side: float, rng) -> Walker:
    """The next state of a move; when it is not free, a turn away or a jump instead."""
    for attempt in range(14):
        step = stepped(walker, move if attempt < 4 else "avoid", target, side, rng)
        if move == "jump" and attempt == 0:
            break
        if is_free(scene, step):
            return step
    return drop_in(scene, rng, near=walker)


def stepped(walker: Walker, move: str, target, side: float, rng) -> Walker:
    """One frame of a move, obstacles not considered."""
    new = Walker(**vars(walker))
    stride = rng.uniform(0.25, 0.6)
    new.pitch = float(np.clip(walker.pitch * 0.9 + rng.normal(-0.008, 0.03), -0.6, 0.5))
    ahead = 0.0
    if move == "walk":
        new.yaw += rng.normal(0, 0.06) + turn_towards(walker, target, 0.08)
        ahead = stride
    elif move == "back":
        ahead = -stride
        new.yaw += rng.normal(0, 0.04)
    elif move == "look":
        new.yaw += side * math.radians(rng.uniform(5, 15))
        new.pitch = float(np.clip(new.pitch + rng.normal(0, 0.06), -0.6, 0.5))
    elif move == "turn":
        new.yaw += side * math.radians(15)
    elif move == "climb":
        new.lift = float(np.clip(walker.lift + side * rng.uniform(0.2, 0.5), 0.0, 4.0))
        new.pitch = float(np.clip(new.pitch - side * 0.04, -0.6, 0.5))
        ahead = stride * 0.5
    elif move == "avoid":
        new.yaw += rng.normal(0, 0.5)
        ahead = stride * rng.choice([1.0, -1.0, 0.0])
    elif move in ("strafe", "circle"):
        new.x += side * stride * math.cos(walker.yaw)
        new.z -= side * stride * math.sin(walker.yaw)
        new.yaw += turn_towards(new, target, 0.26) if move == "circle" else rng.normal(0, 0.03)
    else:  # stand
        new.yaw += rng.normal(0, 0.02)
    new.x -= ahead * math.sin(new.yaw)
    new.z -= ahead * math.cos(new.yaw)
    return new


def turn_towards(walker: Walker, target, most: float) -> float:
    """Turn in radians towards the target, at most `most`."""
    if target is None:
        return 0.0
    delta = bearing(walker.x, walker.z, target) - walker.yaw
    return float(np.clip((delta + math.pi) % (2 * math.pi) - math.pi, -most, most))
