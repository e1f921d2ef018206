"""Poses, rays and fields of view: the conventions that everything else relies on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtfm_app import geometry

angles = st.floats(-1.5, 1.5)
coordinates = st.floats(-1e4, 1e4)
positions = st.tuples(coordinates, coordinates, coordinates)


@given(positions, st.floats(-3.1, 3.1), angles)
def test_yaw_and_pitch_survive_the_pose(position, yaw, pitch):
    pose = geometry.pose_from_yaw_pitch(position, yaw, pitch)
    found_yaw, found_pitch = geometry.yaw_pitch_of(pose)
    assert math.isclose(found_yaw, yaw, abs_tol=1e-9)
    assert math.isclose(found_pitch, pitch, abs_tol=1e-7)


@given(positions, st.floats(-3.1, 3.1), angles)
def test_inverse_pose_undoes_the_pose(position, yaw, pitch):
    pose = geometry.pose_from_yaw_pitch(position, yaw, pitch)
    assert np.allclose(geometry.invert_pose(pose) @ pose, np.eye(4), atol=1e-7)


def test_a_level_camera_looks_along_minus_z_and_turns_left_with_positive_yaw():
    ahead = geometry.pose_from_yaw_pitch((0, 0, 0), 0, 0)
    left = geometry.pose_from_yaw_pitch((0, 0, 0), 0.1, 0)
    up = geometry.pose_from_yaw_pitch((0, 0, 0), 0, 0.1)
    assert np.allclose(-ahead[:3, 2], (0, 0, -1))
    assert -left[0, 2] < 0
    assert -up[1, 2] > 0


@given(positions, positions)
def test_look_at_points_at_its_target(position, target):
    offset = np.subtract(target, position)
    if np.hypot(offset[0], offset[2]) < 1e-3:
        return
    pose = geometry.look_at(position, target)
    assert np.allclose(-pose[:3, 2], offset / np.linalg.norm(offset), atol=1e-6)
    assert abs(pose[1, 0]) < 1e-9, "no roll"


def test_pixel_rays_meet_the_field_of_view_at_the_border():
    rays = geometry.pixel_rays(9, 16, math.radians(60))
    tan_x, tan_y = geometry.tangents(math.radians(60))
    assert rays.shape == (9, 16, 3)
    assert math.isclose(rays[0, 0, 1], tan_y * (1 - 1 / 9))
    assert math.isclose(rays[0, 0, 0], -tan_x * (1 - 1 / 16))
    assert np.all(rays[..., 2] == -1)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 4)),
        np.full((4, 4), np.nan),
        np.diag([1.0, 1.0, -1.0, 1.0]),
        np.diag([2.0, 2.0, 2.0, 1.0]),
        np.eye(3),
    ],
)
def test_malformed_poses_are_refused(bad):
    with pytest.raises(ValueError, match="pose"):
        geometry.check_pose(bad)


def test_check_pose_makes_nearly_rotations_exact():
    pose = geometry.pose_from_yaw_pitch((1, 2, 3), 0.3, 0.2)
    pose[:3, :3] += 1e-5
    rotation = geometry.check_pose(pose)[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
