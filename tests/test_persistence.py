"""A long walk: the script of it, what is noted, and that it ends where memory does not grow."""

import itertools
import json
import mmap

import numpy as np
import pytest
import torch
from PIL import Image

from rtfm_app.config import GenerationSettings
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import pose_from_yaw_pitch, rotation_angle
from rtfm_app.imports.source import build_world
from rtfm_app.training import evaluate_persistence as persistence
from rtfm_app.training.evaluate import run_eval
from rtfm_app.training.evaluate_persistence import (
    Series,
    evaluate_persistence,
    one_picture,
    resident_megabytes,
)
from rtfm_app.training.persistence_plot import plot_series
from rtfm_app.training.persistence_walk import PASSED_METRES, places_beside, scripted_walk

HOME = np.array([5.0, 1.6, -3.0])
SMALL = GenerationSettings(height=72, key_steps=1)


def test_the_walk_is_smooth_goes_to_new_places_and_comes_back():
    walk = list(itertools.islice(scripted_walk(HOME, 0.3, 2.0), 4000))
    poses = np.stack([pose for pose, _, _ in walk])
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turns = rotation_angle(np.swapaxes(poses[:-1, :3, :3], 1, 2) @ poses[1:, :3, :3])
    assert steps.max() < 0.16 and np.degrees(turns.max()) < 6.1
    away = np.linalg.norm(poses[:, :3, 3] - HOME, axis=1)
    assert np.allclose(away, [metres for _, _, metres in walk])
    at_home = np.flatnonzero(away < 0.2)
    assert len(np.flatnonzero(np.diff(at_home) > 1)) >= 10, "comes home again and again"
    assert away[2000:].max() > away[:1000].max(), "and goes farther each time"
    places = places_beside(HOME, 2.0)
    passed = max(metres for _, _, metres in walk[:100])
    assert all(place.metres + PASSED_METRES < passed for place in places), "in 100 frames"
    near = [np.linalg.norm(poses[300:, :3, 3] - p.pose[:3, 3], axis=1).min() for p in places]
    assert max(near) < 0.4, "old places are passed again"


def test_flat_means_that_the_last_tenth_is_as_the_first(tmp_path):
    series = Series()
    for frame in range(1000):
        series.add(100.0 if frame < 900 else 150.0, 80.0)
    grown = series.growth()
    assert grown["milliseconds_growth"] == grown["milliseconds_growth_second_half"] == 1.5
    assert grown["processor_growth"] == 1.0
    thinned = series.thinned()
    assert len(thinned["frame"]) == len(thinned["megabytes"]) == 400
    assert thinned["frame"][-1] == 1000 and thinned["milliseconds"][-1] == 150.0
    plot_series(thinned, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.width == 1000 and len(plot.getcolors(1 << 20)) > 10


def test_resident_memory_is_what_is_held():
    before = resident_megabytes()
    # Straight from the system: an array might take memory that was freed before.
    held = np.frombuffer(mmap.mmap(-1, 40 << 20), np.uint8)
    held[:] = 1
    assert 30 < resident_megabytes() - before < 60
    assert held.sum() > 0


def test_an_hour_of_looking_round_adds_nothing_after_the_first_turn(tmp_path):
    torch.set_num_threads(1)
    path = tmp_path / "w.rtfm"
    source = one_picture()
    build_world(path, "w", source)
    with FrameEngine.open(path) as engine:
        here = source.start_pose[:3, 3]
        for degrees in range(0, 360, 15):
            engine.advance(pose_from_yaw_pitch(here, np.radians(degrees), 0), SMALL)
        after_a_turn = engine.world.stats()["frames"]
        assert after_a_turn > 5, "the turn was imagined"
        rng = np.random.default_rng(0)
        for _ in range(30):
            pose = pose_from_yaw_pitch(here, rng.uniform(-np.pi, np.pi), 0)
            assert engine.advance(pose, SMALL, velocity=np.zeros(3)).kind == "inter"
        assert engine.world.stats()["frames"] == after_a_turn


def test_a_walk_that_is_too_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--frames"):
        evaluate_persistence(10, tmp_path)
    with pytest.raises(ValueError, match="by itself, persistence"):
        run_eval(only="persistence,office")


class Killed(BaseException):
    pass


@pytest.mark.slow
def test_a_walk_that_was_killed_goes_on(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(persistence, "SAVE_EVERY", 60)
    said = []

    def kill_at_150(text):
        said.append(text)
        if text.startswith("frame 150 "):
            raise Killed

    work, folder = tmp_path / "work", tmp_path / "out"
    with pytest.raises(Killed):
        evaluate_persistence(220, folder, SMALL, device="cpu", work=work, say=kill_at_150)
    assert (folder / "persistence.png").exists(), "what was known is shown"
    with pytest.raises(ValueError, match="other weights, settings"):
        other = GenerationSettings(height=144, key_steps=1)
        evaluate_persistence(220, folder, other, device="cpu", work=work)
    said.clear()
    found = evaluate_persistence(220, folder, SMALL, device="cpu", work=work, say=said.append)
    assert said[0].startswith("frame 150 "), "not from the start"
    assert found["frames_since_start"] == 100 and found["frames_walked"] == 220
    assert found["places_compared"] == 10 and found["revisit_psnr_100"] > 15
    assert found["same_bits_after_reload"] == 1
    series = json.loads((folder / "persistence_series.json").read_text())
    assert series["frame"][-1] == 220


@pytest.mark.slow
def test_places_stay_through_a_walk_and_a_new_start_of_the_program(tmp_path):
    torch.set_num_threads(1)
    found = evaluate_persistence(220, tmp_path, SMALL, device="cpu")
    assert found["places_compared"] == 10 and found["places_imagined"] >= 7
    assert found["same_bits_after_reload"] == 1
    assert found["revisit_psnr_reloaded"] == found["revisit_psnr_end"] > 15
    assert 0.5 < found["megabytes_growth"] < 1.5
    series = json.loads((tmp_path / "persistence_series.json").read_text())
    assert series["frame"][-1] == 220
    assert (tmp_path / "persistence.png").exists()
