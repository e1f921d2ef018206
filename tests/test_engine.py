"""The engine with the weights that ship: a picture becomes a place, and stays it."""

import numpy as np
import pytest
import torch
from PIL import Image

from rtfm_app.config import GenerationSettings
from rtfm_app.device import choose_device
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.memory.world_file import StoredFrame, WorldFile
from rtfm_app.model.fast_compose import draw
from rtfm_app.resources import asset
from rtfm_app.saved_state import CONTEXT_STATE

FOV = np.radians(60)
START = pose_from_yaw_pitch((0, 1.6, 0), 0, 0)
FAST = GenerationSettings(key_steps=1, look_ahead_s=0.0)


def photograph() -> np.ndarray:
    """A real picture, 288 x 512."""
    path = sorted((asset("office_walk") / "images").glob("*.jpg"))[20]
    with Image.open(path) as picture:
        width, height = picture.size
        rows = width * 9 // 16
        top = (height - rows) // 2
        return np.asarray(picture.crop((0, top, width, top + rows)).resize((512, 288)))


def make_world(path, offset=(0.0, 0.0, 0.0)) -> WorldFile:
    pose = START.copy()
    pose[:3, 3] += offset
    world = WorldFile.create(
        path, name=path.stem, start_pose=pose, fov_y_radians=FOV, provenance={}
    )
    world.add_frame(StoredFrame("seed", pose, FOV, photograph()))
    return world


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def engine(tmp_path):
    with FrameEngine.open(make_world(tmp_path / "w.rtfm")) as engine:
        yield engine


def psnr(a, b) -> float:
    error = np.mean((a.astype(float) - b.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_the_first_frame_is_the_picture(engine):
    frame = engine.step(START)
    assert frame.image.shape == (288, 512, 3) and frame.image.dtype == np.uint8
    assert psnr(frame.image, photograph()) > 30
    assert frame.novelty < 0.05
    assert frame.attended[0].weight > 0.9


def test_turning_moves_the_picture_the_other_way(engine):
    """A turn to the left by d radians moves what is ahead to the right."""
    turned = engine.step(pose_from_yaw_pitch((0, 1.6, 0), 0.1, 0))
    shift = round(0.1 * 512 / 2 / (np.tan(FOV / 2) * 16 / 9))
    middle = slice(100, 190), slice(160, 350)
    there = slice(100, 190), slice(160 + shift, 350 + shift)
    assert psnr(turned.image[there], photograph()[middle]) > psnr(
        turned.image[middle], photograph()[middle]
    )
    assert turned.novelty > 0.05, "the uncovered border is new"


def test_a_keyframe_is_committed_once_and_then_remembered(engine):
    """Looking at what was never seen imagines it; looking again shows the same and adds nothing."""
    aside = pose_from_yaw_pitch((0, 1.6, 0), 0.7, 0)
    first = engine.advance(aside, FAST)
    assert first.kind == "key" and engine.world.stats()["generated"] == 1
    again = engine.advance(aside, FAST)
    assert again.kind == "inter" and engine.world.stats()["generated"] == 1
    assert again.novelty < 0.2
    assert psnr(first.image, again.image) > 26


def test_standing_still_adds_nothing(engine):
    for _ in range(12):
        engine.advance(START, FAST)
    assert engine.world.stats()["frames"] == 1


def test_the_result_does_not_depend_on_the_cache(engine):
    pose = pose_from_yaw_pitch((0.1, 1.6, -0.2), 0.2, 0)
    engine.advance(pose_from_yaw_pitch((0, 1.6, 0), 0.7, 0), FAST)
    cached = engine.step(pose, follow=False)
    for frame_id in list(engine.pages):
        engine.pages.drop(frame_id)
    assert np.array_equal(engine.step(pose, follow=False).image, cached.image)


def test_a_reloaded_world_shows_the_same_bits(tmp_path):
    pose = pose_from_yaw_pitch((0.2, 1.6, -0.1), 0.5, 0)
    with FrameEngine.open(make_world(tmp_path / "w.rtfm")) as engine:
        engine.advance(pose_from_yaw_pitch((0, 1.6, 0), 0.7, 0), FAST)
        before = engine.step(pose, follow=False).image
    with FrameEngine.open(tmp_path / "w.rtfm") as engine:
        assert engine.world.stats()["generated"] == 1
        assert np.array_equal(engine.step(pose, follow=False).image, before)


def test_far_from_home_is_like_home(tmp_path, engine):
    shift = (10_000.0, 0.0, -10_000.0)
    pose = pose_from_yaw_pitch((0.2, 1.6, -0.1), 0.2, 0)
    near = engine.step(pose).image
    pose[:3, 3] += shift
    with FrameEngine.open(make_world(tmp_path / "far.rtfm", shift)) as far_engine:
        far = far_engine.step(pose).image
    assert psnr(near, far) > 40


def test_every_setting_acts_on_the_next_frame(engine):
    pose = pose_from_yaw_pitch((0, 1.6, 0), 0.5, 0)
    base = engine.step(pose, FAST).image
    for change in (
        {"inter_steps": 3},
        {"noise_seed": 5, "imagination": 1.0},
        {"imagination": 0.0},
        {"pointer": False},
        {"memory_frames": 0},
        {"memory_guidance": 2.0},
        {"height": 144},
    ):
        changed = engine.step(pose, GenerationSettings(**{"key_steps": 1} | change)).image
        assert changed.shape != base.shape or not np.array_equal(changed, base), change


def test_bad_poses_and_devices_are_refused(engine):
    with pytest.raises(ValueError, match="pose"):
        engine.step(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="device"):
        choose_device("abacus")
    with pytest.raises(ValueError, match="memory_frames"):
        GenerationSettings(memory_frames=99)


def test_a_small_budget_still_draws(engine):
    tight = GenerationSettings(kv_budget_mb=16, key_steps=1)
    for yaw in (0.0, 0.5, 1.0, 1.5, 0.0):
        frame = engine.advance(pose_from_yaw_pitch((0, 1.6, 0), yaw, 0), tight)
    assert psnr(frame.image, photograph()) > 26
    assert len(engine.pages) <= engine.pages.pool.capacity


def test_a_keyframe_goes_on_from_the_inter_frame(engine):
    """Advancing refines the pass it already made; the result is the keyframe drawn on its own."""
    pose = pose_from_yaw_pitch((0, 1.6, 0), 0.7, 0)
    settings = GenerationSettings(key_steps=3, look_ahead_s=0.0)
    alone = engine.step(pose, settings, kind="key", follow=False)
    advanced = engine.advance(pose, settings)
    assert advanced.kind == "key"
    assert np.array_equal(advanced.image, alone.image)


def test_no_picture_is_drawn_that_is_not_shown_or_kept(engine, monkeypatch):
    """A keyframe is decided on before anything is drawn, ahead of the walker too; the one that is
    imagined ahead is the keyframe drawn on its own."""
    pictures = []

    def counted(*arguments):
        drawn = draw(*arguments)
        pictures.append(drawn.image)
        return drawn

    monkeypatch.setattr("rtfm_app.engine.draw", counted)
    pose = pose_from_yaw_pitch((0, 1.6, 0), 0.7, 0)
    assert engine.advance(pose, GenerationSettings(look_ahead_s=0.0)).kind == "key"
    assert len(pictures) == 1
    settings = GenerationSettings(key_steps=3)
    ahead, velocity = START.copy(), np.array([0.0, 0.0, 8.0])
    ahead[2, 3] += settings.look_ahead_s * velocity[2]
    alone = engine.step(ahead, settings, kind="key", follow=False)
    pictures.clear()
    engine.advance(START, settings, velocity=velocity)
    assert len(pictures) == 2 and len(engine.index) == 3
    assert np.array_equal(pictures[0], alone.image)
    pictures.clear()
    monkeypatch.setattr("rtfm_app.engine.is_new", lambda *_: False)
    engine.advance(START, settings, velocity=-velocity)
    assert engine.world.get_state(CONTEXT_STATE)["vain"] is not None
    assert len(pictures) == 1 and len(engine.index) == 3


def test_without_pointer_nothing_is_committed(engine):
    """All of such a picture is synthesised; keeping it would bury what is remembered."""
    engine.advance(pose_from_yaw_pitch((0, 1.6, 0), 0.7, 0), GenerationSettings(pointer=False))
    assert engine.world.stats()["frames"] == 1
