"""Draw the evaluation set from the ray-marched test worlds.

    python -m rtfm_app.training.make_eval_set --out assets/eval --seeds 9,19

Places that exist are skipped. Needs OpenGL; evaluating does not.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ..geometry import pose_from_yaw_pitch, yaw_pitch_of
from ..worlds.builder import Scene
from ..worlds.paths import CLEARANCE, make_path
from ..worlds.renderer import WorldRenderer, shrink_image
from ..worlds.scenes import FAMILIES, make_scene
from .clips import split_of
from .eval_set import MASK_SEEN, PARALLAX_PIXELS, Place, Target, save_place
from .evaluate_worlds import HEIGHT, WIDTH, Posed
from .metrics import reprojected

MEMORY_FRAMES = 16
BETWEEN_TARGETS = 6
NOVEL_TURNS_DEGREES = (75.0, -75.0, 140.0, -140.0)


class Camera:
    """Draws frames of the loaded place at one field of view."""

    def __init__(self, renderer: WorldRenderer, fov_y_radians: float):
        self.renderer = renderer
        self.fov = fov_y_radians

    def shoot(self, pose: np.ndarray) -> tuple[Posed, np.ndarray, np.ndarray]:
        """Picture, inverse depth (H, W) and mask bits (H, W)."""
        shot = self.renderer.render(pose, self.fov, HEIGHT * 3 // 2, WIDTH * 3 // 2, masks=True)
        rows, columns = np.arange(HEIGHT) * 3 // 2, np.arange(WIDTH) * 3 // 2
        picked = np.ix_(rows, columns)
        image = shrink_image(shot.image, HEIGHT, WIDTH)
        return Posed(image, pose, self.fov), shot.inverse_depth[picked], shot.masks[picked]


def make_place(renderer: WorldRenderer, family: str, seed: int) -> Place:
    """Walk through the test place (family, seed)."""
    assert split_of(seed) == "test", seed
    scene = make_scene(family, seed)
    renderer.load(scene)
    path = make_path(scene, seed * 7919 + 5, MEMORY_FRAMES)
    camera = Camera(renderer, path.fov_y_radians)
    shots = [camera.shoot(pose) for pose in path.poses]
    memory = [shot[0] for shot in shots]
    depths = [shot[1] for shot in shots]
    targets = _between(camera, scene, memory, depths)
    rng = np.random.default_rng([seed, 5])
    for role, moves in (("forward", _forward), ("turn", _turn), ("novel", _novel)):
        for source, pose in moves(scene, memory, rng):
            targets.append(_target(camera, pose, role, source, [memory[source]], [depths[source]]))
    return Place(family, seed, tuple(memory), tuple(targets))


def _between(camera, scene, memory, depths) -> list[Target]:
    """Targets halfway between neighbours of the walk, half of them with much parallax."""
    found = []
    for index in range(len(memory) - 1):
        pose = _halfway(memory[index].camera_to_world, memory[index + 1].camera_to_world)
        if _is_clear(scene, pose):
            found.append(_target(camera, pose, "between", index, memory, depths))
    found.sort(key=lambda target: -target.parallax)
    half = BETWEEN_TARGETS // 2
    strong = [target for target in found if target.parallax > PARALLAX_PIXELS][:half]
    chosen = {id(target) for target in strong}
    rest = [target for target in found if id(target) not in chosen]
    return strong + rest[:: max(1, len(rest) // half)][: BETWEEN_TARGETS - len(strong)]


def _target(camera, pose, role, source, memory, depths) -> Target:
    posed, inverse_depth, mask = camera.shoot(pose)
    seen = np.zeros(mask.shape, bool)
    for frame, depth in zip(memory, depths, strict=True):
        seen |= _sees(frame, depth, posed, inverse_depth)
    mask = (mask & 15) | np.where(seen, MASK_SEEN, 0).astype(np.uint8)
    return Target(posed, role, source, mask, _parallax(posed, inverse_depth, memory))


def _sees(frame: Posed, frame_depth: np.ndarray, target: Posed, depth: np.ndarray) -> np.ndarray:
    """Which pixels of the target the frame shows too (same surface, by depth)."""
    grid, inside, expected = reprojected(
        depth, target.camera_to_world, target.fov_y_radians,
        frame.camera_to_world, frame.fov_y_radians,
    )  # fmt: skip
    there = F.grid_sample(
        torch.from_numpy(frame_depth)[None, None].float(),
        torch.from_numpy(grid.clip(-4, 4).astype(np.float32))[None],
        mode="nearest", align_corners=False,
    )[0, 0].numpy()  # fmt: skip
    return inside & (np.abs(there - expected) < 0.06 * np.maximum(there, expected) + 0.004)


def _parallax(target: Posed, depth: np.ndarray, memory: list[Posed]) -> float:
    """Median distance in pixels, over what the nearest memory frame sees, between where a pixel is
    and where it would be if it were infinitely far."""
    position = target.camera_to_world[:3, 3]
    nearest = min(memory, key=lambda m: np.linalg.norm(m.camera_to_world[:3, 3] - position))
    cameras = (target.camera_to_world, target.fov_y_radians,
               nearest.camera_to_world, nearest.fov_y_radians)  # fmt: skip
    here, inside, _ = reprojected(depth, *cameras)
    far, _, _ = reprojected(np.zeros_like(depth), *cameras)
    apart = np.hypot(*np.moveaxis((here - far) * (WIDTH / 2, HEIGHT / 2), -1, 0))
    return float(np.median(apart[inside])) if inside.any() else 0.0


def _halfway(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (yaw_a, pitch_a), (yaw_b, pitch_b) = yaw_pitch_of(a), yaw_pitch_of(b)
    turn = (yaw_b - yaw_a + math.pi) % (2 * math.pi) - math.pi
    position = (a[:3, 3] + b[:3, 3]) / 2
    return pose_from_yaw_pitch(position, yaw_a + turn / 2, (pitch_a + pitch_b) / 2)


def _is_clear(scene: Scene, pose: np.ndarray) -> bool:
    return bool(scene.clearance(pose[None, :3, 3])[0] > CLEARANCE * 0.6)


def _forward(scene, memory, rng):
    return _single(scene, memory, rng, lambda pose: _moved(pose, ahead=1.0))


def _turn(scene, memory, rng):
    side = rng.choice([-1.0, 1.0])
    turn = -math.radians(20) * side
    return _single(scene, memory, rng, lambda pose: _moved(pose, aside=0.5 * side, turn=turn))


def _single(scene, memory, rng, move, count: int = 2):
    """`count` memory frames whose moved pose is free, with that pose."""
    found = []
    for source in rng.permutation(len(memory)).tolist():
        pose = move(memory[source].camera_to_world)
        if len(found) < count and _is_clear(scene, pose):
            found.append((source, pose))
    return found


def _novel(scene, memory, rng):
    pose = memory[0].camera_to_world
    return [(0, _moved(pose, turn=math.radians(degrees))) for degrees in NOVEL_TURNS_DEGREES]


def _moved(pose: np.ndarray, ahead: float = 0.0, aside: float = 0.0, turn: float = 0.0):
    """Walk in the horizontal plane (metres), then turn left (radians)."""
    yaw, pitch = yaw_pitch_of(pose)
    forward = np.array([-math.sin(yaw), 0.0, -math.cos(yaw)])
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    position = pose[:3, 3] + ahead * forward + aside * right
    return pose_from_yaw_pitch(position, yaw + turn, pitch)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the evaluation set.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seeds", default="9,19")
    arguments = parser.parse_args()
    renderer = WorldRenderer()
    for seed in map(int, arguments.seeds.split(",")):
        for family in arguments.families.split(","):
            folder = arguments.out / f"{family}-{seed:04d}"
            if not (folder / "place.json").exists():
                save_place(make_place(renderer, family, seed), folder)
                print(folder, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software GL: draw in this thread
    main()
