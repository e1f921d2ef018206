"""`Standing`: the distances of given pictures, upright and kept by place (see `model.upright`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .model.upright import OwnMap, upright

ONE_PLACE_METRES = 0.05
MOST_AT_A_PLACE = 48


class Standing:
    """`guessed` gives what a stored frame expects of itself; frames are named by their oldest
    version, so that a stroke changes no distance."""

    def __init__(self, guessed: Callable[[int], OwnMap]):
        self._guessed = guessed
        self._maps: dict[int, OwnMap] = {}
        self._upright: dict[tuple[int, ...], dict[int, np.ndarray]] = {}

    def note(self, frame_id: int, own: OwnMap) -> None:
        """What `guessed` would give is known already."""
        self._maps.setdefault(frame_id, own)

    def of(self, frame_id: int, place: tuple[int, ...]) -> np.ndarray:
        """Coordinates `u` (h, w) of a frame, which is one of those of its place."""
        place = place_of(frame_id, place)
        if place not in self._upright:
            for other in place:
                if other not in self._maps:
                    self._maps[other] = self._guessed(other)
            found = upright([self._maps[other] for other in place])
            self._upright[place] = dict(zip(place, found, strict=True))
        return self._upright[place][frame_id]


def place_of(frame_id: int, place: tuple[int, ...]) -> tuple[int, ...]:
    """The first frames of a place; the frame alone where it is not one of them."""
    first = place[:MOST_AT_A_PLACE]
    return first if frame_id in first else (frame_id,)
