"""Which way is up, and how large is the world: the similarity from pictures to world coordinates.

Up. Hand-held cameras roll little, so their right-hand axes lie in the ground plane: up is the
direction most nearly perpendicular to all of them. That needs cameras that look in different
directions; where they all look the same way the mean of their own up axes is taken instead, which
is as tilted as they are, so there a nearby axis is trusted more readily. Capture programs put up
on +Y (ARKit, HoloLens) or +Z (nerfstudio): an estimate near one of those is taken to be exactly it.

Scale. Poses from a headset or a phone are in metres; poses from structure-from-motion have any
scale at all. Nobody walks a capture with cameras a fifth of a millimetre or three metres apart, nor
through half a hand's breadth or a city: inside those bounds the numbers are taken as metres.
Outside them the median distance between neighbouring pictures is made 0.3 m, a step between two
photographs, so that walking speed feels right.
"""

from __future__ import annotations

import math

import numpy as np

METRIC_STEP_M = (0.002, 3.0)
METRIC_EXTENT_M = (0.1, 200.0)
WALKED_STEP_M = 0.3
_AXES = (np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]))


def estimate_up(camera_to_source: np.ndarray) -> np.ndarray:
    """Unit up vector (3,) of cameras (N, 4, 4) in their own coordinates."""
    mean_up = camera_to_source[:, :3, 1].mean(axis=0)
    if np.linalg.norm(mean_up) < 1e-3:
        mean_up = camera_to_source[0, :3, 1]
    mean_up = mean_up / np.linalg.norm(mean_up)
    rights = camera_to_source[:, :3, 0]
    spread, axes = np.linalg.eigh(rights.T @ rights / len(rights))
    looks_around = spread[1] > 0.05 and abs(axes[:, 0] @ mean_up) > math.cos(math.radians(60))
    if looks_around:
        up = axes[:, 0] * np.sign(axes[:, 0] @ mean_up)
        return _snapped(up, math.radians(5.0))
    return _snapped(mean_up, math.radians(30.0))


def _snapped(up: np.ndarray, within_radians: float) -> np.ndarray:
    for axis in _AXES:
        if math.acos(float(np.clip(up @ axis, -1, 1))) <= within_radians:
            return axis
    return up


def rotation_to_y_up(up: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) that takes the unit vector `up` to +Y."""
    target = _AXES[0]
    cosine = float(up @ target)
    if cosine < -1 + 1e-9:
        return np.diag([1.0, -1.0, -1.0])
    axis = np.cross(up, target)
    cross = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def estimate_scale(positions: np.ndarray) -> float:
    """Metres per source unit for camera positions (N, 3) (module docstring)."""
    extent = float(np.linalg.norm(np.ptp(positions, axis=0)))
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    steps = steps[steps > extent * 1e-4]
    if extent == 0 or not len(steps):
        return 1.0
    step = float(np.median(steps))
    if _within(step, METRIC_STEP_M) and _within(extent, METRIC_EXTENT_M):
        return 1.0
    return WALKED_STEP_M / step


def _within(value: float, bounds: tuple[float, float]) -> bool:
    return bounds[0] <= value <= bounds[1]


def similarity(up: np.ndarray, scale: float) -> np.ndarray:
    """source_to_world (4, 4): turns `up` to +Y and scales; the origin stays where it is."""
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation_to_y_up(up)
    return matrix


def map_pose(source_to_world: np.ndarray, camera_to_source: np.ndarray) -> np.ndarray:
    """camera_to_world (4, 4) of a pose given in source coordinates; it stays rigid."""
    scale = np.cbrt(np.linalg.det(source_to_world[:3, :3]))
    pose = source_to_world @ camera_to_source
    pose[:3, :3] /= scale
    return pose
