"""Rotations, poses, intrinsics, rays. Pure numpy; every convention of the project is stated here.

World      right-handed, +Y up, metres.
Camera     looks along its -Z, +X right, +Y up (OpenGL, nerfstudio). A pose is `camera_to_world`,
           float64 (4, 4), rigid: rotation in [:3, :3], camera position in [:3, 3].
Yaw/pitch  `pose_from_yaw_pitch(position, yaw, pitch)`: yaw turns about +Y, positive to the LEFT
           (counter-clockwise seen from above), pitch about the camera's +X, positive UP. Radians.
           At yaw = pitch = 0 the camera looks along world -Z.
Intrinsics vertical field of view `fov_y_radians`, square pixels, aspect 16:9, principal point at
           the centre. tan_y = tan(fov_y / 2), tan_x = tan_y * 16 / 9.
NDC        x right, y up, both in [-1, 1] over the picture. Ray through NDC (x, y) in camera axes:
           (x * tan_x, y * tan_y, -1). Pixel (row r, column c) has its centre at NDC
           ((2c + 1) / W - 1, 1 - (2r + 1) / H).
Depth      `inverse_depth` is 1 / (distance along the camera's -Z) in 1/metres; 0 = infinitely far,
           NaN = unknown.
Images     uint8 (H, W, 3) sRGB, row 0 at the top, at every boundary; float [-1, 1] (3, H, W) in the
           model.
Lifted K   `projection(fov_y)` is the 4x4 diag(1/tan_x, 1/tan_y, 1, 1): camera coordinates to
           "clip" coordinates whose x/-z, y/-z are NDC.
Overscan   a frame drawn with overscan s has tan_y multiplied by s (see `scaled_fov`).
"""

from __future__ import annotations

import math

import numpy as np

ASPECT = 16 / 9
# Cameras nearer to each other show no parallax: they say nothing of each other's distances.
PARALLAX_METRES = 0.1


def rotation_from_yaw_pitch(yaw_radians: float, pitch_radians: float) -> np.ndarray:
    """Camera-to-world rotation (3, 3) of a camera without roll."""
    cy, sy = math.cos(yaw_radians), math.sin(yaw_radians)
    cp, sp = math.cos(pitch_radians), math.sin(pitch_radians)
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cp, -sp], [0.0, sp, cp]])
    return about_y @ about_x


def pose_from_yaw_pitch(position, yaw_radians: float, pitch_radians: float) -> np.ndarray:
    """`camera_to_world` (4, 4) of a camera at `position` (3,) in metres."""
    pose = np.eye(4)
    pose[:3, :3] = rotation_from_yaw_pitch(yaw_radians, pitch_radians)
    pose[:3, 3] = position
    return pose


def yaw_pitch_of(camera_to_world: np.ndarray) -> tuple[float, float]:
    """Yaw and pitch in radians of the camera's looking direction (roll is ignored)."""
    forward = -camera_to_world[:3, 2]
    return math.atan2(-forward[0], -forward[2]), math.asin(float(np.clip(forward[1], -1.0, 1.0)))


def invert_pose(camera_to_world: np.ndarray) -> np.ndarray:
    """Inverse of rigid transforms (..., 4, 4), exact for rotations."""
    rotation_t = np.swapaxes(camera_to_world[..., :3, :3], -1, -2)
    inverse = np.zeros_like(camera_to_world)
    inverse[..., :3, :3] = rotation_t
    inverse[..., :3, 3] = -(rotation_t @ camera_to_world[..., :3, 3, None])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def check_pose(camera_to_world, tolerance: float = 1e-3) -> np.ndarray:
    """Return the pose as float64 (4, 4), its rotation made exactly orthonormal.

    Raises:
        ValueError: not 4x4, not finite, last row not (0, 0, 0, 1), or not a rotation.
    """
    pose = np.asarray(camera_to_world, dtype=np.float64)
    if pose.shape != (4, 4):
        raise ValueError(f"a pose must be a 4x4 matrix, got shape {pose.shape}")
    if not np.isfinite(pose).all():
        raise ValueError("a pose must hold finite numbers only")
    if np.abs(pose[3] - (0, 0, 0, 1)).max() > tolerance:
        raise ValueError(f"the last row of a pose must be 0 0 0 1, got {pose[3].tolist()}")
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > tolerance or np.linalg.det(rotation) < 0:
        raise ValueError("the upper left 3x3 of a pose must be a rotation (orthonormal, det +1)")
    u, _, vt = np.linalg.svd(rotation)
    clean = pose.copy()
    clean[:3, :3] = u @ vt
    clean[3] = (0, 0, 0, 1)
    return clean


def tangents(fov_y_radians: float, aspect: float = ASPECT) -> tuple[float, float]:
    """(tan_x, tan_y) of half the field of view."""
    tan_y = math.tan(fov_y_radians / 2)
    return tan_y * aspect, tan_y


def scaled_fov(fov_y_radians: float, scale: float) -> float:
    """Vertical field of view whose tangent is `scale` times larger (overscan)."""
    return 2 * math.atan(math.tan(fov_y_radians / 2) * scale)


def projection(fov_y_radians: float, aspect: float = ASPECT) -> np.ndarray:
    """Lifted intrinsics (4, 4): camera coordinates to clip coordinates (module docstring)."""
    tan_x, tan_y = tangents(fov_y_radians, aspect)
    return np.diag([1.0 / tan_x, 1.0 / tan_y, 1.0, 1.0])


def pixel_rays(height: int, width: int, fov_y_radians: float) -> np.ndarray:
    """Rays (H, W, 3) in camera axes through the pixel centres, with z = -1."""
    tan_x, tan_y = tangents(fov_y_radians, width / height)
    x = (np.arange(width) * 2 + 1) / width - 1
    y = 1 - (np.arange(height) * 2 + 1) / height
    rays = np.empty((height, width, 3))
    rays[..., 0] = x[None, :] * tan_x
    rays[..., 1] = y[:, None] * tan_y
    rays[..., 2] = -1.0
    return rays


def look_at(position, target) -> np.ndarray:
    """Pose without roll at `position` looking at `target` (both (3,), metres)."""
    delta = np.asarray(target, dtype=np.float64) - np.asarray(position, dtype=np.float64)
    yaw = math.atan2(-delta[0], -delta[2])
    pitch = math.atan2(delta[1], math.hypot(delta[0], delta[2]))
    return pose_from_yaw_pitch(position, yaw, pitch)


def rotation_angle(rotation: np.ndarray) -> np.ndarray:
    """Angle in radians of rotation matrices (..., 3, 3)."""
    trace = np.trace(rotation, axis1=-2, axis2=-1)
    return np.arccos(np.clip((trace - 1) / 2, -1.0, 1.0))
