"""Which K of the candidate frames cover a view best, and steadily while walking."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

SATURATION = 0.75
SWAP_GAIN = 1.08  # a turn of 5 degrees shows a twentieth that is new: one exchange at most
RESELECT_GAIN = 1.35


@dataclass(frozen=True)
class Retrieval:
    """The frames to attend to, best first.

    Attributes:
        scores: of each frame alone, the weight 0..1 of the view's samples that it sees, lessened
            by distance and angle; 0 for a frame that sees nothing and is only the nearest.
        coverage: the same for all chosen together.
    """

    ids: tuple[int, ...]
    scores: tuple[float, ...]
    coverage: float


@dataclass(frozen=True)
class Candidates:
    """What the choice is made from.

    Attributes:
        worth: (C, P) how well each candidate shows each sample, authority included.
        weights: (P,) of the samples. alike: (C, C) how alike two candidates are.
        unclaimed: (C, P) share of its worth with which a candidate competes for a place among the
            chosen; once there it counts in full, so that what is held stays.
    """

    worth: np.ndarray
    weights: np.ndarray
    alike: np.ndarray
    unclaimed: np.ndarray

    @cached_property
    def contending(self) -> np.ndarray:
        """(C, P) what candidates compete with."""
        return self.worth * self.unclaimed

    @cached_property
    def missed(self) -> np.ndarray:
        """(C, P) share of each sample that a candidate leaves unseen; never all of it is seen, so
        that a second look counts too, but less."""
        return 1 - SATURATION * np.minimum(self.worth, 1)

    @cached_property
    def alone(self) -> np.ndarray:
        """(C,) what each is worth by itself."""
        return self.worth @ self.weights

    def value(self, chosen: list[int]) -> float:
        """What a choice is worth: the view seen, and authority beyond a full view."""
        unseen = self.missed[chosen].prod(axis=0) @ self.weights
        return float(1 - unseen + 0.1 * self.alone[chosen].sum() / len(chosen))


def choose(candidates: Candidates, k: int, held: list[int]) -> list[int]:
    """Indices of the chosen: `held` with one change at most, or a much better fresh choice."""
    fresh = _greedy(candidates, k, [])
    if not held:
        return fresh
    if len(held) < k:
        held = _greedy(candidates, k, held)
    held_value = candidates.value(held)
    if candidates.value(fresh) > RESELECT_GAIN * held_value + 1e-3:
        return fresh
    swapped = _best_swap(candidates, held)
    return swapped if candidates.value(swapped) > SWAP_GAIN * held_value + 1e-3 else held


def _greedy(candidates: Candidates, k: int, chosen: list[int]) -> list[int]:
    """Extend `chosen` to `k`, each time by the candidate that adds most."""
    chosen = list(chosen)
    unseen = candidates.weights * candidates.missed[chosen].prod(axis=0)
    novelty = (1 - 0.5 * candidates.alike[chosen]).prod(axis=0)
    novelty[chosen] = -1
    while len(chosen) < k:
        gain = candidates.contending @ unseen
        gain += 1e-6
        gain *= novelty
        best = int(gain.argmax())
        chosen.append(best)
        unseen = unseen * candidates.missed[best]
        novelty *= 1 - 0.5 * candidates.alike[best]
        novelty[best] = -1
    return chosen


def _best_swap(candidates: Candidates, held: list[int]) -> list[int]:
    """`held` with the one member exchanged that gains most."""
    k = len(held)
    others = ~np.eye(k, dtype=bool)
    missed = np.where(others[:, :, None], candidates.missed[held], 1).prod(axis=1)
    alike = np.where(others[:, :, None], 1 - 0.5 * candidates.alike[held], 1).prod(axis=1)
    unseen = missed * candidates.weights
    gain = (unseen @ candidates.worth.T + 1e-6) * alike
    gain[:, held] = -1
    best = gain.argmax(axis=1)
    adds = (unseen * candidates.worth[best]).sum(axis=1) * alike[np.arange(k), best]
    left = unseen.sum(axis=1) - SATURATION * adds
    out = int(left.argmin())
    return held[:out] + [int(best[out])] + held[out + 1 :]
