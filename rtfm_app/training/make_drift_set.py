"""Draw the long walks from the ray-marched test worlds.

    python -m rtfm_app.training.make_drift_set --out assets/drift

Needs OpenGL; evaluating does not. A walk leads straight through the middle of a place, so that it
starts and ends equally far from it, where both ends show about as much.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import numpy as np

from ..geometry import pose_from_yaw_pitch
from ..worlds.builder import Scene
from ..worlds.renderer import WorldRenderer
from ..worlds.scenes import make_scene
from .clips import split_of
from .drift_set import LongWalk, save_walk
from .make_eval_set import Camera

WALK_METRES, STRIDE_METRES = 200.0, 0.5
TRUTH_AT_METRES = (2.0, 6.0, 10.0, 14.0, 18.0)
EYE_METRES, FOV_RADIANS = 1.65, math.radians(60)
STEEPEST = 0.4  # metres up or down for each metre ahead
ASIDE_METRES = (0.0, 12.0, -12.0, 18.0, -18.0, 24.0, -24.0)
LEAST_CLEARANCE = 0.1
PLACES = ("desert:9", "snow:9", "forest:9")


def make_walk(renderer: WorldRenderer, family: str, seed: int) -> LongWalk:
    """A walk of 200 m through the test place (family, seed)."""
    assert split_of(seed) == "test", seed
    scene = make_scene(family, seed)
    renderer.load(scene)
    poses = straight_way(scene)
    camera = Camera(renderer, FOV_RADIANS)
    ahead = [0.0, *TRUTH_AT_METRES, *(WALK_METRES - m for m in reversed(TRUTH_AT_METRES))]
    numbers = [round(metres / STRIDE_METRES) for metres in ahead]
    truth = {number: camera.shoot(poses[number])[0] for number in numbers}
    return LongWalk(family, seed, STRIDE_METRES, poses, truth)


def straight_way(scene: Scene) -> np.ndarray:
    """Poses (F, 4, 4) of the straight way of that length that keeps furthest from things.

    Raises:
        ValueError: every way is blocked, too steep or under water.
    """
    best, furthest = None, LEAST_CLEARANCE
    for aside in ASIDE_METRES:
        for yaw in np.radians(np.arange(0, 180, 15)):
            eyes = _eyes(scene, yaw, aside)
            clearance = 0.0 if eyes is None else float(scene.clearance(eyes[::2]).min())
            if clearance > furthest:
                best, furthest = [pose_from_yaw_pitch(eye, yaw, 0.0) for eye in eyes], clearance
    if best is None:
        raise ValueError(f"{scene.family} {scene.seed} has no free way of {WALK_METRES:.0f} m")
    return np.stack(best)


def _eyes(scene: Scene, yaw: float, aside: float) -> np.ndarray | None:
    """Eye positions (F, 3) along a way through the place, or None where one cannot walk."""
    count = round(WALK_METRES / STRIDE_METRES) + 1
    along = (np.arange(count) * STRIDE_METRES - WALK_METRES / 2)[:, None]
    forward = np.array([-math.sin(yaw), -math.cos(yaw)])
    right = np.array([math.cos(yaw), -math.sin(yaw)])
    ground_plan = scene.walk[0, :2] + along * forward + aside * right
    ground = scene.ground_height(ground_plan[:, 0], ground_plan[:, 1])
    steep = np.abs(np.diff(ground)).max() > STEEPEST * STRIDE_METRES
    if steep or ground.min() < scene.water - 0.4:
        return None
    height = np.maximum(ground, scene.water) + EYE_METRES
    return np.stack([ground_plan[:, 0], height, ground_plan[:, 1]], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the long walks.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--places", default=",".join(PLACES), help="family:seed,…")
    arguments = parser.parse_args()
    renderer = WorldRenderer()
    for place in arguments.places.split(","):
        family, seed = place.split(":")
        folder = arguments.out / f"{family}-{int(seed):04d}"
        save_walk(make_walk(renderer, family, int(seed)), folder)
        print(folder, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software GL: draw in this thread
    main()
