"""Frames from nothing, and how `rtfm eval` judges them."""

from dataclasses import replace

import numpy as np

from rtfm_app.config import GenerationSettings
from rtfm_app.training import evaluate_dream as evaluate_module
from rtfm_app.training.eval_set import load_places
from rtfm_app.training.evaluate_dream import dream, evaluate_dream
from rtfm_app.training.evaluate_worlds import Subject


def test_dreams_depend_on_noise_alone_and_never_on_the_pictures_there():
    subject, nothing = Subject.load(), GenerationSettings(memory_frames=0)
    desert, forest = [place.memory[:1] for place, _ in zip(load_places(), range(2), strict=False)]
    same_camera = [replace(desert[0], image=forest[0].image)]
    (one,), (two,) = dream(subject, desert, nothing), dream(subject, same_camera, nothing)
    assert np.array_equal(one, two)
    (other,) = dream(subject, desert, GenerationSettings(memory_frames=0, noise_seed=1))
    assert not np.array_equal(one, other)


def test_dreams_are_further_from_true_pictures_than_these_from_each_other(monkeypatch):
    places = [place for place, _ in zip(load_places(), range(2), strict=False)]
    monkeypatch.setattr(evaluate_module, "load_places", lambda limit_per_family: places)
    found = evaluate_dream(Subject.load(), GenerationSettings(), quick=True)
    assert found["dream_frechet"] > 1
    assert 0 <= found["dream_sharpness"] < 1
