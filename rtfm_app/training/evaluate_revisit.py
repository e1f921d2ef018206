"""Does an imagined place stay what it was? Walk away from a picture, come back, compare.

From one memory frame the walker turns round and walks on, looking left and right, so that all he
sees is imagined. Beside his path, at `probes` that are at least 0.3 m away from and 10 degrees
turned against every stored keyframe, views are drawn for comparison only: first right after he has
passed, then again when he has walked back, facing the other way. Both must look the same.
"""

from __future__ import annotations

import math

import numpy as np

from ..config import GenerationSettings
from ..engine import FrameEngine
from ..geometry import pose_from_yaw_pitch, rotation_angle, yaw_pitch_of
from .eval_set import Place
from .evaluate_places import Scores
from .evaluate_worlds import Subject
from .metrics import gradient_energy, psnr

WALK_METRES, STRIDE_METRES = 4.0, 0.5
LOOK_ASIDE_DEGREES = (0.0, 14.0, 0.0, -14.0)
PROBE_EVERY = 2
PROBE_ASIDE_METRES, PROBE_PITCH_DEGREES = 0.35, 12.0
FAR_METRES, FAR_RADIANS = 0.3, math.radians(10)
LEAST_IMAGINED = 0.7
SAME_DB = 48.1  # an error of one 8-bit step: what differs by less counts as the same picture


def evaluate_revisit(
    subject: Subject, place: Place, settings: GenerationSettings, scores: Scores
) -> None:
    """`revisit_psnr` against the first visit, `revisit_sharpness` over the place's true pictures
    (mean gradient energy), and how many such views there were (`revisit_views`)."""
    seed = place.memory[0]
    true_energy = float(np.mean([gradient_energy(posed.image) for posed in place.memory]))
    with subject.engine([seed]) as engine:
        path = path_away(seed.camera_to_world)
        probes = {
            index: pose
            for index, pose in probes_beside(path).items()
            if _imagined_share(engine, pose, settings) >= LEAST_IMAGINED
        }
        first = {}
        for index, pose in enumerate(path):
            engine.advance(pose, settings)
            if index - 1 in probes:
                probe = probes[index - 1]
                first[index - 1] = engine.step(probe, settings, follow=False).image
        for pose in reversed(path):
            engine.advance(turned_round(pose), settings)
        used = [index for index in reversed(probes) if is_far_from_stored(engine, probes[index])]
        for index in used:
            again = engine.step(probes[index], settings, follow=False).image
            score = min(psnr(again, first[index]), SAME_DB)
            scores.add("revisit_psnr", place.family, score)
            sharpness = gradient_energy(again) / true_energy
            scores.add("revisit_sharpness", place.family, sharpness)
        scores.add("revisit_views", place.family, len(used))


def path_away(start: np.ndarray) -> list[np.ndarray]:
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


def probes_beside(path: list[np.ndarray]) -> dict[int, np.ndarray]:
    """Views beside the path by the index that they lie beside: left and right of it, looking down
    or up. The walker stays level and on the path, so he never stores one from near there."""
    straight, _ = yaw_pitch_of(path[0])
    right = np.array([math.cos(straight), 0.0, -math.sin(straight)])
    probes = {}
    for number, index in enumerate(range(0, len(path) - 1, PROBE_EVERY)):
        aside = PROBE_ASIDE_METRES * (1, -1)[number % 2]
        pitch = math.radians(PROBE_PITCH_DEGREES) * (-1, -1, 1)[number % 3]
        position = path[index][:3, 3] + aside * right
        probes[index] = pose_from_yaw_pitch(position, straight, pitch)
    return probes


def turned_round(pose: np.ndarray) -> np.ndarray:
    """The same place, facing the other way."""
    yaw, pitch = yaw_pitch_of(pose)
    return pose_from_yaw_pitch(pose[:3, 3], yaw + math.pi, pitch)


def is_far_from_stored(engine: FrameEngine, pose: np.ndarray) -> bool:
    """Whether a pose is 0.3 m away from every stored frame and turned against each by 10 degrees:
    it is drawn from memory, it is not itself stored."""
    stored = engine.world.frame_table().camera_to_world
    apart = np.linalg.norm(stored[:, :3, 3] - pose[:3, 3], axis=1)
    angle = rotation_angle(np.swapaxes(stored[:, :3, :3], 1, 2) @ pose[:3, :3])
    return bool(((apart >= FAR_METRES) & (angle >= FAR_RADIANS)).all())


def _imagined_share(engine: FrameEngine, pose: np.ndarray, settings: GenerationSettings) -> float:
    """Share of the view that the given picture, the only one stored so far, does not show."""
    fov = engine.world.fov_y_radians
    return 1 - engine.index.retrieve(pose, fov, settings.memory_frames).coverage
