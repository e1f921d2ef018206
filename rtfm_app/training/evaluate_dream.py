"""How far are frames from nothing from pictures of real places? `dream_frechet`.

Without memory the model has only its noise and the camera: it takes no kind of place or light, so
one number is measured over all families.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..config import GenerationSettings
from .eval_set import load_places
from .evaluate_sheets import Sheet
from .evaluate_worlds import Posed, Subject
from .features import FeatureStatistics, PictureFeatures
from .metrics import gradient_energy

DREAMS_A_PLACE, QUICK_DREAMS_A_PLACE = 4, 1
TRUE_EVERY, QUICK_TRUE_EVERY = 2, 8


def evaluate_dream(
    subject: Subject,
    settings: GenerationSettings,
    *,
    quick: bool = False,
    sheet: Sheet | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """`dream_frechet`, as `novel_frechet`: Fréchet distance in features of the TAEF2 encoder
    between dreamt frames and the pictures of the test places, over that between two halves of
    those pictures; `dream_sharpness`, gradient energy over theirs.

    Every place is dreamt with noise of its own, at poses of its walk. Quick dreams one frame of
    one place a family, and has fewer true pictures.
    """
    features = PictureFeatures()
    dreamt, halves = FeatureStatistics(), (FeatureStatistics(), FeatureStatistics())
    energies: dict[str, list[float]] = {"dreamt": [], "true": []}
    dreams = QUICK_DREAMS_A_PLACE if quick else DREAMS_A_PLACE
    every = QUICK_TRUE_EVERY if quick else TRUE_EVERY
    for number, place in enumerate(load_places(limit_per_family=1 if quick else None)):
        say(f"dreaming {number + 1}")
        everywhere = np.ones(place.memory[0].image.shape[:2], bool)
        for index, posed in enumerate(place.memory[::every]):
            halves[index % 2].add(features(posed.image, everywhere))
            energies["true"].append(gradient_energy(posed.image))
        poses = place.memory[:: len(place.memory) // dreams][:dreams]
        nothing = replace(settings, memory_frames=0, noise_seed=number)
        for posed, image in zip(poses, dream(subject, poses, nothing), strict=True):
            dreamt.add(features(image, everywhere))
            energies["dreamt"].append(gradient_energy(image))
            if sheet is not None:
                sheet.add(f"{place.family}, not told", posed.image, image)
    apart = halves[0].distance(halves[1])
    return {
        "dream_frechet": dreamt.distance(halves[0].joined(halves[1])) / apart,
        "dream_sharpness": float(np.mean(energies["dreamt"]) / np.mean(energies["true"])),
    }


def dream(subject: Subject, poses, settings: GenerationSettings) -> list[np.ndarray]:
    """Frames (H, W, 3) uint8 at the cameras `poses` with as many steps as a keyframe takes; the
    pictures of `poses` are not shown to the model."""
    assert settings.memory_frames == 0
    blank = Posed(np.zeros_like(poses[0].image), poses[0].camera_to_world, poses[0].fov_y_radians)
    with subject.engine([blank]) as engine:
        return [
            engine.step(posed.camera_to_world, settings, kind="key", follow=False).image
            for posed in poses
        ]
