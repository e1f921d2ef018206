"""Leaving a world and coming back changes nothing of the walk."""

import numpy as np
import pytest
import torch
from test_replay import FOV, make_world, model_opener

from rtfm_app import messages as m
from rtfm_app.config import GenerationSettings
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.link import PoseStamp
from rtfm_app.memory.world_file import StoredFrame, WorldFile
from rtfm_app.saved_state import context_to_json, sound_context
from rtfm_app.world_session import WorldSession

SETTINGS = GenerationSettings(
    height=144, key_steps=1, novelty_threshold=0.15, memory_frames=3, look_ahead_s=0.5
)
STEPS = 30


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


def make_dense_world(path):
    """More pictures of the same place than are looked at, so that which of them is a choice."""
    make_world(path)
    random = np.random.default_rng(5)
    with WorldFile.open(path) as world:
        for _ in range(12):
            place = random.uniform(-0.3, 0.3, 3) + (0, 1.6, 0)
            pose = pose_from_yaw_pitch(place, random.uniform(-0.3, 0.3), 0.0)
            blocks = random.integers(40, 220, (9, 16, 3))
            picture = np.kron(blocks, np.ones((16, 16, 1))).astype(np.uint8)
            world.add_frame(StoredFrame("seed", pose, FOV, picture))
    return path


def walk(path, opener, left_after=()) -> list[np.ndarray]:
    """The pictures of a walk; the world is left and opened again after these steps."""
    session, pictures = None, []
    for number in range(STEPS):
        if session is None:
            session = WorldSession(opener(WorldFile.open(path)), path)
            session.handle(m.ChangeSettings(SETTINGS))
        place = (0.2 * np.sin(0.7 * number), 1.6, 0.2 - 0.03 * number)
        pose = pose_from_yaw_pitch(place, 0.25 * np.sin(0.3 * number) + 0.02 * number, 0.0)
        stamp = PoseStamp(pose, np.array([0.0, 0.0, -1.0]))
        pictures.append(session.draw(stamp).image)
        if number in left_after:
            session.close(stamp)
            session = None
    if session is not None:
        session.close(stamp)
    return pictures


def stored(path) -> list[tuple]:
    with WorldFile.open(path, read_only=True) as world:
        frames = [(i, world.read_frame(i)) for i in world.frame_table().ids.tolist()]
    return [
        (
            i,
            f.kind,
            f.camera_to_world.tobytes(),
            f.image.tobytes(),
            f.valid is None or f.valid.tobytes(),
        )
        for i, f in frames
    ]


def test_a_walk_goes_on_as_if_the_world_had_not_been_left(tmp_path):
    opener = model_opener()
    whole = make_dense_world(tmp_path / "whole.rtfm")
    pictures = walk(whole, opener)
    left = make_dense_world(tmp_path / "left.rtfm")
    again = walk(left, opener, left_after=(4, 9, 14, 19, 24))
    assert [np.array_equal(a, b) for a, b in zip(pictures, again, strict=True)] == [True] * STEPS
    assert stored(whole) == stored(left)
    assert len(stored(whole)) > 13, "something was imagined"


@pytest.mark.parametrize(
    "value", [None, [], "x", {"ids": [1.5], "vain": 3}, {"ids": [2**70]}, {"vain": [[1]]},
              {"ids": "12"}, {"ids": [1] * 5000}],
)  # fmt: skip
def test_a_bad_saved_context_is_as_none(value):
    assert sound_context(value) == ((), None)


def test_a_saved_context_comes_back_bit_for_bit():
    pose = pose_from_yaw_pitch((0.1, 1.6, 0.3), 0.123456789, -0.2)
    ids, vain = sound_context(context_to_json((3, 1, 2), pose))
    assert ids == (3, 1, 2) and np.array_equal(vain, pose)
