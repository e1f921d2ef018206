"""Does a place wear off on a long walk? 200 m straight on from one picture, all of it imagined.

The walker takes one step after the other as in the program, with its keyframes and its looking
ahead. What he is shown on the first and on the last tenth of the way is compared with the truth
there; not pixel by pixel, for nobody could guess it, but in how sharp and how coloured it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ..config import WALK_SPEED, GenerationSettings
from .drift_set import LongWalk, load_walks
from .evaluate_places import Scores
from .evaluate_sheets import Sheet
from .evaluate_worlds import Posed, Subject
from .metrics import gradient_energy

QUICK_METRES = 20.0
Pair = tuple[np.ndarray, np.ndarray]  # drawn, truth


def evaluate_drift(
    subject: Subject,
    settings: GenerationSettings,
    *,
    quick: bool = False,
    sheet: Sheet | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, float]:
    """`drift_start_*` and `drift_end_*`, drawn over truth (1 is right): `sharpness` (gradient
    energy), `colour` and `contrast` (mean and standard deviation, of the channel that is furthest
    off); `drift_worst`, the one furthest from 1 of all families; `drift_metres`, the way's length.

    Quick walks the first 20 m of one way only; start and end are then its two halves.
    """
    scores, metres = Scores(), 0.0
    for walk in load_walks():
        say(f"long walk: {walk.family} {walk.seed}")
        walk = walk.shortened(QUICK_METRES) if quick else walk
        metres = walk.metres
        for end, pairs in walked(subject, walk, settings, sheet).items():
            for name, ratio in compared(pairs).items():
                scores.add(f"drift_{end}_{name}", walk.family, ratio)
        if quick:
            break
    ratios = [value for families in scores.values.values() for (value,) in families.values()]
    return scores.flat() | {"drift_worst": furthest_from_one(ratios), "drift_metres": metres}


def walked(
    subject: Subject, walk: LongWalk, settings: GenerationSettings, sheet: Sheet | None = None
) -> dict[str, list[Pair]]:
    """Walk it; what was drawn at poses whose truth is known, by the half of the way."""
    seed = walk.truth[0]
    velocity = -seed.camera_to_world[:3, 2] * WALK_SPEED
    pairs: dict[str, list[Pair]] = {"start": [], "end": []}
    with subject.engine([seed]) as engine:
        for number, pose in enumerate(walk.poses):
            drawn = engine.advance(pose, settings, velocity=velocity).image
            truth = walk.truth.get(number)
            if truth is not None and number > 0:
                end = "start" if number * 2 <= len(walk.poses) else "end"
                pairs[end].append((drawn, truth.image))
                _show(sheet, walk, number, seed, drawn, truth)
    return pairs


def _show(sheet, walk: LongWalk, number: int, seed: Posed, drawn, truth: Posed) -> None:
    if sheet is not None:
        caption = f"{walk.family} after {number * walk.stride_metres:.0f} m"
        sheet.add(caption, seed.image, truth.image, drawn)


def compared(pairs: list[Pair]) -> dict[str, float]:
    """Drawn over truth, see `evaluate_drift`; a ratio's parts are means over the pictures."""
    energies = np.array([[gradient_energy(picture) for picture in pair] for pair in pairs])
    means = np.array([[picture.mean((0, 1)) for picture in pair] for pair in pairs])
    spreads = np.array([[picture.std((0, 1)) for picture in pair] for pair in pairs])
    return {
        "sharpness": furthest_from_one(_ratios(energies[..., None])),
        "colour": furthest_from_one(_ratios(means)),
        "contrast": furthest_from_one(_ratios(spreads)),
    }


def _ratios(values: np.ndarray) -> list[float]:
    """(pictures, drawn and truth, channels) -> ratio of the means, by channel."""
    drawn, truth = values.mean(0)
    return ((drawn + 1e-3) / (truth + 1e-3)).tolist()


def furthest_from_one(ratios: list[float]) -> float:
    """A half is as far off as twice."""
    return max(ratios, key=lambda ratio: abs(math.log(ratio)))
