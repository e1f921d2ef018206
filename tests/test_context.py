"""Pages: what is cached changes when things are encoded, never what is drawn."""

import numpy as np
import pytest
import torch

from rtfm_app.config import GenerationSettings
from rtfm_app.context import poses_ahead
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import invert_pose, pose_from_yaw_pitch, rotation_angle
from rtfm_app.memory.world_file import StoredFrame, WorldFile

FOV = np.radians(60)
FAST = GenerationSettings(key_steps=1, height=72)


def turned(degrees: float) -> np.ndarray:
    return pose_from_yaw_pitch((0, 1.6, 0), np.radians(degrees), 0)


@pytest.fixture
def engine(tmp_path):
    """An old world: a ring of pictures every twenty degrees, none encoded yet."""
    torch.set_num_threads(1)
    world = WorldFile.create(tmp_path / "w.rtfm", name="w", start_pose=turned(0), fov_y_radians=FOV)
    rng = np.random.default_rng(0)
    for degrees in range(0, 360, 20):
        picture = np.kron(rng.integers(0, 255, (9, 16, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
        world.add_frame(StoredFrame("seed", turned(degrees), FOV, picture))
    with FrameEngine.open(world) as engine:
        yield engine


def walk(engine, prefetch: bool) -> tuple[list[np.ndarray], list[int]]:
    """Pictures of a turn through the old world, and how many pages each had to wait for."""
    pictures, missed = [], []
    for step in range(16):
        pictures.append(engine.advance(turned(5 * step), FAST).image)
        missed.append(engine.pages.missed)
        if prefetch:
            engine.prefetch(FAST)
    return pictures, missed


def test_what_a_turn_needs_is_encoded_ahead_and_draws_the_same(engine, tmp_path):
    path = engine.world.path
    waited, missed = walk(engine, prefetch=False)
    assert sum(missed[2:]) >= 2, "the turn needs new pages"
    engine.close()
    with FrameEngine.open(path) as again:
        ready, missed = walk(again, prefetch=True)
    assert sum(missed[2:]) == 0
    assert all(np.array_equal(a, b) for a, b in zip(waited, ready, strict=True))


def test_at_most_one_page_is_encoded_ahead_and_none_at_rest(engine):
    engine.advance(turned(0), FAST)
    engine.advance(turned(0), FAST)
    engine.prefetch(FAST)
    resting = len(engine.pages)
    assert engine.pages.missed == 0 and resting <= FAST.memory_frames
    engine.advance(turned(9), FAST)
    before = len(engine.pages)
    engine.prefetch(FAST)
    assert len(engine.pages) <= before + 1


def test_the_budget_acts_at_once_and_a_small_one_is_applied_once(engine, monkeypatch):
    walk(engine, prefetch=False)
    held = len(engine.pages)
    sizes = []
    resize = engine.pages.pool.resize
    monkeypatch.setattr(engine.pages.pool, "resize", lambda n: (sizes.append(n), resize(n)))
    tight = GenerationSettings(kv_budget_mb=16, key_steps=1, height=72)
    for step in range(4):
        engine.advance(turned(5 * step), tight)
        engine.prefetch(tight)
    assert len(sizes) == 1 and len(engine.pages) == tight.memory_frames + 1 < held
    engine.advance(turned(0), FAST)
    assert len(sizes) == 2 and engine.pages.pool.capacity > held


def test_motion_goes_on_as_it_was():
    before, now = turned(0), pose_from_yaw_pitch((0, 1.6, -0.2), np.radians(4), 0)
    ahead = poses_ahead(before, now)
    assert len(ahead) > 1
    turn = rotation_angle((invert_pose(now) @ ahead[0])[:3, :3])
    assert np.isclose(turn, 2 * np.radians(4), atol=1e-6)
    assert ahead[-1][2, 3] < ahead[0][2, 3] < -0.5
    assert poses_ahead(now, now) == []
    assert poses_ahead(before, pose_from_yaw_pitch((5, 1.6, 0), 0, 0)) == [], "a jump"


def test_opening_reads_the_frames_of_a_world_once(engine, monkeypatch):
    reads = []
    table = engine.world.frame_table
    monkeypatch.setattr(engine.world, "frame_table", lambda: reads.append(1) or table())
    again = FrameEngine(engine.world, engine.model, engine.weights_path, engine.device)
    again.step(turned(30), FAST)
    assert len(reads) == 1 and len(again.index) == 18
