"""Revisits are measured at views that nobody stored, of a place that nobody gave."""

import numpy as np
import torch

from rtfm_app.config import GenerationSettings
from rtfm_app.geometry import pose_from_yaw_pitch, rotation_angle
from rtfm_app.training.eval_set import Place
from rtfm_app.training.evaluate_places import Scores
from rtfm_app.training.evaluate_revisit import (
    evaluate_revisit,
    is_far_from_stored,
    path_away,
    probes_beside,
    turned_round,
)
from rtfm_app.training.evaluate_worlds import Posed, Subject

START = pose_from_yaw_pitch((3.0, 1.6, -2.0), 0.6, 0.1)
SMALL = GenerationSettings(height=72, key_steps=1)


def picture() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.kron(rng.integers(0, 255, (18, 32, 3), np.uint8), np.ones((16, 16, 1), np.uint8))


def test_probes_are_apart_from_all_that_the_walker_can_store():
    path = path_away(START)
    stored = np.stack([START, *path, *(turned_round(pose) for pose in path)])
    probes = probes_beside(path)
    assert len(probes) >= 4 and max(probes) < len(path) - 1
    for probe in probes.values():
        assert np.linalg.norm(stored[:, :3, 3] - probe[:3, 3], axis=1).min() > 0.3
        turned = rotation_angle(np.swapaxes(stored[:, :3, :3], 1, 2) @ probe[:3, :3])
        assert np.degrees(turned.min()) > 10


def test_one_place_gives_views_of_imagined_scenery_in_sane_numbers():
    torch.set_num_threads(1)
    place = Place("test", 8, (Posed(picture(), START, 1.05),), ())
    scores = Scores()
    evaluate_revisit(Subject.load(device="cpu"), place, SMALL, scores)
    found = scores.flat()
    assert found["revisit_views"] >= 3
    assert 10 < found["revisit_psnr"] <= 48.1
    assert 0 < found["revisit_sharpness"] < 5


def test_a_stored_view_is_not_far_from_stored():
    subject = Subject.load(device="cpu")
    with subject.engine([Posed(picture(), START, 1.05)]) as engine:
        aside = pose_from_yaw_pitch(START[:3, 3] + (1.0, 0, 0), 0.6, 0.1)
        turned = pose_from_yaw_pitch(START[:3, 3], 1.2, 0.1)
        both = pose_from_yaw_pitch(START[:3, 3] + (1.0, 0, 0), 1.2, 0.1)
        assert [is_far_from_stored(engine, p) for p in (START, aside, turned, both)] == [
            False, False, False, True,
        ]  # fmt: skip
