"""The long walk of `rtfm eval`."""

import json
import math

import numpy as np
import pytest

from rtfm_app.config import GenerationSettings
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.training.clips import split_of
from rtfm_app.training.drift_set import LongWalk, load_walks, save_walk
from rtfm_app.training.evaluate_drift import compared, evaluate_drift, furthest_from_one
from rtfm_app.training.evaluate_worlds import Posed, Subject

RNG = np.random.default_rng(5)
NOISE = RNG.integers(40, 200, (72, 128, 3), dtype=np.uint8)


def test_the_truth_itself_has_ratios_of_one():
    found = compared([(NOISE, NOISE)])
    assert found == {"sharpness": 1.0, "colour": 1.0, "contrast": 1.0}


def test_blur_shows_in_sharpness_and_a_tint_in_colour():
    blurred = ((NOISE[:, 1:].astype(int) + NOISE[:, :-1]) // 2).astype(np.uint8)
    assert compared([(blurred, NOISE[:, 1:])])["sharpness"] < 0.8
    tinted = NOISE.copy()
    tinted[..., 2] //= 2
    assert compared([(tinted, NOISE)])["colour"] == pytest.approx(0.5, abs=0.01)


def test_a_flat_picture_is_reported_as_no_sharpness_and_no_contrast():
    found = compared([(np.full_like(NOISE, 120), NOISE)])
    assert 0 < found["sharpness"] < 1e-3 and 0 < found["contrast"] < 1e-3


def test_a_half_is_as_far_off_as_twice():
    assert furthest_from_one([1.1, 0.5, 1.9]) == 0.5
    assert furthest_from_one([1.1, 0.6, 1.9]) == 1.9


def test_a_walk_survives_being_saved_and_can_be_shortened(tmp_path):
    poses = np.stack([pose_from_yaw_pitch((0, 1.6, -0.5 * i), 0.3, 0.0) for i in range(11)])
    truth = {i: Posed(NOISE, poses[i], math.radians(60)) for i in (0, 2, 8)}
    save_walk(LongWalk("desert", 9, 0.5, poses, truth), tmp_path / "desert-0009")
    (again,) = load_walks(tmp_path)
    assert again.metres == 5.0 and sorted(again.truth) == [0, 2, 8]
    assert np.allclose(again.poses, poses, atol=1e-5)
    short = again.shortened(2.0)
    assert short.metres == 2.0 and sorted(short.truth) == [0, 2]


def test_a_missing_or_damaged_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="make_drift_set"):
        list(load_walks(tmp_path))
    (tmp_path / "desert-0009").mkdir()
    (tmp_path / "desert-0009" / "walk.json").write_text(json.dumps({"poses": []}))
    with pytest.raises(ValueError, match="desert-0009"):
        list(load_walks(tmp_path))


def test_the_shipped_walks_go_200_metres_straight_on_in_places_never_trained_on():
    walks = list(load_walks())
    assert len(walks) >= 3
    for walk in walks:
        assert split_of(walk.seed) == "test" and walk.metres == 200
        apart = walk.poses[-1, :3, 3] - walk.poses[0, :3, 3]
        assert math.hypot(apart[0], apart[2]) == pytest.approx(200, abs=0.01)
        ahead = [number * walk.stride_metres for number in walk.truth if number]
        assert all(metres <= 20 or metres >= 180 for metres in ahead)


def test_the_quick_walk_says_how_short_it_was_and_reports_the_worst():
    found = evaluate_drift(Subject.load(), GenerationSettings(), quick=True)
    assert found["drift_metres"] == 20
    ratios = [value for name, value in found.items() if "/" in name]
    assert len(ratios) == 6 and found["drift_worst"] == furthest_from_one(ratios)
    assert 0.7 < found["drift_start_colour"] < 1.4
