"""Does an imagined place stay what it was? Walk away from a picture, come back, compare.

From one memory frame the walker turns round and walks on, looking left and right, so that all he
sees is imagined. Poses far from every stored keyframe are remembered as they looked; after walking
back he comes to them from the opposite direction, and they must look the same.
"""

from __future__ import annotations

import math

import numpy as np

from ..config import GenerationSettings
from ..engine import FrameEngine
from ..frame import Frame
from ..geometry import pose_from_yaw_pitch, rotation_angle, yaw_pitch_of
from .eval_set import Place
from .evaluate_places import Scores
from .evaluate_worlds import Subject
from .metrics import gradient_energy, psnr

WALK_METRES, STRIDE_METRES = 4.0, 0.5
LOOK_ASIDE_DEGREES = (0.0, 14.0, 0.0, -14.0)
FAR_METRES, FAR_RADIANS = 0.3, math.radians(10)


def evaluate_revisit(
    subject: Subject, place: Place, settings: GenerationSettings, scores: Scores
) -> None:
    """`revisit_psnr` against the first visit, `revisit_sharpness` over the place's own picture."""
    seed = place.memory[0]
    with subject.engine([seed]) as engine:
        path = _path_away(seed.camera_to_world)
        first = [engine.advance(pose, settings) for pose in path]
        for pose in reversed(path):
            engine.advance(_turned_round(pose), settings)
        for before in reversed(first):
            if not _is_far_from_keys(engine, before):
                continue
            again = engine.step(before.camera_to_world, settings)
            scores.add("revisit_psnr", place.family, psnr(again.image, before.image))
            sharpness = gradient_energy(again.image) / gradient_energy(seed.image)
            scores.add("revisit_sharpness", place.family, sharpness)


def _path_away(start: np.ndarray) -> list[np.ndarray]:
    """Turn round and walk on, level, looking a little left and right."""
    yaw, _ = yaw_pitch_of(start)
    yaw += math.pi
    forward = np.array([-math.sin(yaw), 0.0, -math.cos(yaw)])
    poses = []
    for index in range(int(WALK_METRES / STRIDE_METRES) + 1):
        aside = math.radians(LOOK_ASIDE_DEGREES[index % len(LOOK_ASIDE_DEGREES)])
        position = start[:3, 3] + forward * index * STRIDE_METRES
        poses.append(pose_from_yaw_pitch(position, yaw + aside, 0.0))
    return poses


def _turned_round(pose: np.ndarray) -> np.ndarray:
    yaw, pitch = yaw_pitch_of(pose)
    return pose_from_yaw_pitch(pose[:3, 3], yaw + math.pi, pitch)


def _is_far_from_keys(engine: FrameEngine, frame: Frame) -> bool:
    """Whether the pose is 0.3 m or 10 degrees away from every stored frame: it must be drawn from
    memory, it is not itself stored. (Both at once would leave no pose in a dense memory.)"""
    stored = engine.world.frame_table().camera_to_world
    pose = frame.camera_to_world
    apart = np.linalg.norm(stored[:, :3, 3] - pose[:3, 3], axis=1)
    angle = rotation_angle(np.swapaxes(stored[:, :3, :3], 1, 2) @ pose[:3, :3])
    return bool(((apart >= FAR_METRES) | (angle >= FAR_RADIANS)).all())
