"""The walker."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtfm_app.camera import (
    GROUND_SLACK,
    MAX_PITCH,
    STOP_DISTANCE,
    CameraState,
    Surroundings,
    camera_at,
    step,
)
from rtfm_app.frame import Frame
from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch
from rtfm_app.input import Controls

FORWARD = Controls(forward=1.0)
DT = 1 / 60


def walk(state, controls, seconds, surroundings=None):
    for _ in range(round(seconds / DT)):
        state = step(state, controls, DT, surroundings)
    return state


def standing(yaw=0.0, **fields):
    return CameraState(position=np.array([0.0, 1.6, 0.0]), yaw=yaw, **fields)


angles = st.floats(-3.0, 3.0)


@given(angles, st.floats(-1.4, 1.4), st.floats(-math.pi, math.pi))
def test_a_camera_starts_at_exactly_the_given_pose(yaw, pitch, roll):
    pose = pose_from_yaw_pitch((3.0, -2.0, 7.0), yaw, pitch)
    c, s = math.cos(roll), math.sin(roll)
    pose[:3, :3] = pose[:3, :3] @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert np.allclose(camera_at(pose).camera_to_world, pose, atol=1e-9)


@given(angles)
def test_forward_goes_where_the_camera_looks_at_constant_height(yaw):
    state = walk(standing(yaw, pitch=-0.7), FORWARD, 2.0)
    looking = np.array([-math.sin(yaw), 0.0, -math.cos(yaw)])
    moved = state.position - (0.0, 1.6, 0.0)
    assert moved @ looking == pytest.approx(np.linalg.norm(moved), rel=1e-6)
    assert moved[1] == 0.0
    assert np.linalg.norm(moved) == pytest.approx(3.0, abs=0.25)


def test_flying_follows_the_pitch_and_up_rises():
    up = walk(standing(pitch=0.5, flying=True), FORWARD, 1.0)
    assert up.position[1] > 1.6 + 0.4
    risen = walk(standing(flying=True), Controls(up=1.0), 1.0)
    assert risen.position[1] > 2.5 and abs(risen.position[2]) < 1e-9


def test_diagonal_is_not_faster_and_run_is():
    straight = walk(standing(), FORWARD, 1.0).position - (0, 1.6, 0)
    diagonal = walk(standing(), Controls(forward=1.0, right=1.0), 1.0).position - (0, 1.6, 0)
    assert np.linalg.norm(diagonal) == pytest.approx(np.linalg.norm(straight), rel=1e-6)
    running = walk(standing(), replace(FORWARD, run=True), 1.0).position - (0, 1.6, 0)
    assert np.linalg.norm(running) > 2 * np.linalg.norm(straight)


@given(st.lists(st.floats(-1.0, 1.0), min_size=1, max_size=30))
def test_pitch_stays_within_its_limit(turns):
    state = standing()
    for turn in turns:
        state = step(state, Controls(pitch_radians=turn), DT)
    assert abs(state.pitch) <= MAX_PITCH + 1e-12


def test_a_resting_camera_does_not_move_at_all():
    pose = camera_at(pose_from_yaw_pitch((1.0, 2.0, 3.0), 0.3, 0.1))
    assert np.array_equal(walk(pose, Controls(), 1.0).camera_to_world, pose.camera_to_world)


def test_motion_comes_to_rest_after_release():
    state = walk(walk(standing(), FORWARD, 1.0), Controls(), 1.5)
    assert not state.velocity.any()


def test_imported_roll_stays_until_the_walker_moves_then_dies():
    state = standing(roll=0.3)
    assert walk(state, Controls(), 1.0).roll == 0.3
    assert walk(state, FORWARD, 6.0).roll == 0.0


def test_wheel_changes_the_speed_within_limits():
    state = step(standing(), Controls(speed_steps=3), DT)
    assert state.speed > standing().speed
    assert step(standing(), Controls(speed_steps=1000), DT).speed <= 20.0


def scene(state, height_of_ground, wall_at=None, confidence=0.9):
    """Surroundings as a frame at `state` would guess them: a floor (height by distance ahead) and
    perhaps a wall across the way."""
    rows, columns = 36, 64
    fov = math.radians(70)
    rays = pixel_rays(rows, columns, fov) @ state.rotation.T
    depth = np.full((rows, columns), np.inf)
    for distance in np.arange(0.2, 20.0, 0.02):
        point_height = state.position[1] + rays[..., 1] * distance
        hit = (point_height <= height_of_ground(distance)) & np.isinf(depth)
        depth[hit] = distance
    if wall_at is not None:
        depth = np.minimum(depth, wall_at)
    return Surroundings.of_frame(
        Frame(
            image=np.zeros((9, 16, 3), np.uint8),
            camera_to_world=state.camera_to_world,
            fov_y_radians=fov,
            kind="inter",
            novelty=0.0,
            unseen=np.zeros((rows, columns), np.uint8),
            inverse_depth=(1.0 / depth).astype(np.float32),
            confidence=np.full((rows, columns), confidence, np.float32),
        )
    )


def test_stops_before_a_wall_and_can_walk_away():
    state = standing(pitch=-0.15)
    for _ in range(400):
        distance = 3.0 + state.position[2]
        state = step(state, FORWARD, DT, scene_wall(state, distance))
    assert STOP_DISTANCE - 0.15 < 3.0 + state.position[2] < STOP_DISTANCE + 0.35
    away = walk(state, Controls(forward=-1.0), 1.0, scene_wall(state, 3.0 + state.position[2]))
    assert away.position[2] > state.position[2] + 1.0


def scene_wall(state, distance):
    """Points of a wall across the way at `distance` metres, two metres high."""
    x, y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(0, 2, 41))
    z = np.full_like(x, state.position[2] - distance)
    points = np.stack([x, y, z], -1).reshape(-1, 3)
    return Surroundings(points, np.full(len(points), 0.9), np.array([0.0, 0.0, -1.0]))


def test_an_unsure_or_switched_off_guess_does_not_hold_anyone():
    state = standing()
    wall = scene_wall(state, 0.5)
    unsure = replace(wall, confidence=np.full(len(wall.points), 0.2))
    assert walk(state, FORWARD, 1.0, unsure).position[2] < -1.0
    assert walk(replace(state, solid=False), FORWARD, 1.0, wall).position[2] < -1.0
    assert walk(replace(state, flying=True), FORWARD, 1.0, wall).position[2] < -1.0


def test_height_follows_a_slope_and_keeps_the_eye_height_found_first():
    state = standing(pitch=-0.2)
    for _ in range(30):
        around = scene(state, lambda d, z=state.position[2]: _hill(d - z))
        state = walk(state, FORWARD, 0.3, around)
    ground = _hill(-state.position[2])
    assert state.position[2] < -11
    assert state.position[1] - ground == pytest.approx(1.6, abs=GROUND_SLACK + 0.3)
    assert state.position[1] > 1.6 + 0.6


def _hill(distance):
    return 0.12 * distance


def test_level_ground_keeps_the_height():
    state = standing(pitch=-0.2)
    around = scene(state, lambda d: 0.0)
    state = walk(state, FORWARD, 1.0, around)
    assert state.position[1] == pytest.approx(1.6, abs=0.05)


def test_wrong_guesses_of_level_ground_do_not_lift_the_walker():
    """Guesses of the height of level ground that are off by up to 0.3 m, another in each frame."""
    state = standing(pitch=-0.2)
    for number in range(40):
        wrong = 0.3 * math.sin(number)
        around = scene(state, lambda d, height=wrong: height)
        state = walk(state, FORWARD, 0.2, around)
        assert state.position[1] == pytest.approx(1.6, abs=0.1)
