"""The walk language and the guided walk."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtfm_app.config import WALK_SPEED
from rtfm_app.geometry import check_pose, pose_from_yaw_pitch, rotation_angle, yaw_pitch_of
from rtfm_app.walk import TURN_SPEED, guided_walk, parse_walk, walk_poses

START = pose_from_yaw_pitch((1.0, 1.6, -2.0), 0.4, -0.2)
WORDS = st.sampled_from(["w", "a", "s", "d", "turn", "look"])


def walked(text, start=START):
    return walk_poses(start, parse_walk(text))


def test_a_walk_begins_exactly_where_it_starts():
    assert np.array_equal(walked("w 3")[0], START)


def test_forward_is_minus_z_and_level():
    poses = walked("w 3", pose_from_yaw_pitch((0, 1.6, 0), 0.0, 0.5))
    assert np.allclose(poses[-1][:3, 3], (0, 1.6, -3))
    assert len(poses) == 1 + 20  # 3 m at 1.5 m/s, ten a second


@pytest.mark.parametrize(
    ("word", "end"), [("w", (0, -1)), ("s", (0, 1)), ("a", (-1, 0)), ("d", (1, 0))]
)
def test_directions(word, end):
    pose = walked(f"{word} 1", np.eye(4))[-1]
    assert np.allclose(pose[[0, 2], 3], end)


def test_turn_right_then_walk_goes_to_plus_x():
    assert np.allclose(walked("turn 90; w 2", np.eye(4))[-1][:3, 3], (2, 0, 0))


def test_look_up_is_positive_and_stops_short_of_straight_up():
    assert yaw_pitch_of(walked("look 20", np.eye(4))[-1])[1] == pytest.approx(math.radians(20))
    assert yaw_pitch_of(walked("look 300", np.eye(4))[-1])[1] == pytest.approx(math.radians(89))


def test_wait_repeats_the_pose():
    poses = walked("w 1; wait 2")
    assert len(poses) == 1 + 7 + 20
    assert all(np.array_equal(pose, poses[7]) for pose in poses[7:])


def test_a_roll_of_the_start_view_is_kept():
    roll = np.eye(4)
    roll[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    assert np.allclose(walked("w 2", START @ roll)[-1][:3, :3], (START @ roll)[:3, :3])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS, st.floats(-20, 20)), min_size=1, max_size=4))
def test_speeds_are_kept_and_poses_rigid(commands):
    poses = walked("; ".join(f"{word} {amount}" for word, amount in commands))
    for before, pose in zip(poses, poses[1:], strict=False):
        check_pose(pose)
        assert np.linalg.norm(pose[:3, 3] - before[:3, 3]) <= WALK_SPEED / 10 + 1e-9
        assert rotation_angle(before[:3, :3].T @ pose[:3, :3]) <= TURN_SPEED / 10 + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(WORDS, st.floats(-20, 20)), min_size=1, max_size=4))
def test_undoing_every_command_in_reverse_order_comes_back(commands):
    # Pitch is limited, so only small looks can be undone.
    commands = [(w, a if w != "look" else a / 5) for w, a in commands]
    back = [(word, -amount) for word, amount in reversed(commands)]
    text = "; ".join(f"{word} {amount!r}" for word, amount in commands + back)
    assert np.allclose(walked(text)[-1], START, atol=1e-8)


@pytest.mark.parametrize(
    "text", ["", ";", "w", "jump 3", "w three", "w 1 2", "wait -1", "w nan", "w inf", "w 1e9"]
)
def test_bad_walks_are_refused(text):
    with pytest.raises(ValueError, match="walk"):
        parse_walk(text)


def test_a_guided_walk_takes_its_time_and_comes_home():
    poses = guided_walk(START, START[None])
    assert len(poses) == 200
    assert np.allclose(poses[0], START) and np.allclose(poses[-1], START, atol=1e-9)
    steps = [np.linalg.norm(b[:3, 3] - a[:3, 3]) for a, b in zip(poses, poses[1:], strict=False)]
    assert max(steps) < WALK_SPEED / 10 * 1.2


def test_a_guided_walk_follows_pictures_that_are_a_walk():
    seeds = np.stack([pose_from_yaw_pitch((0, 1.6, -0.2 * i), 0.02 * i, 0) for i in range(60)])
    poses = np.stack(guided_walk(seeds[0], seeds))
    assert len(poses) == 200
    assert np.abs(poses[:, 0, 3]).max() < 1e-6 and np.ptp(poses[:, 2, 3]) > 8
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    assert steps.max() < 0.2 and np.all(np.diff(poses[:, 2, 3]) < 1e-9)
