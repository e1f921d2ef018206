"""`Standing`: the distances of given pictures, upright and kept by place (see `model.upright`)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from .model.upright import OwnMap, upright

ONE_PLACE_METRES = 0.05
MOST_AT_A_PLACE = 48
PLACES_KEPT = 256


class Standing:
    """`guessed` gives what a stored frame expects of itself; frames are named by their oldest
    version, so that a stroke changes no distance."""

    def __init__(self, guessed: Callable[[int], OwnMap]):
        self._guessed = guessed
        self._places: OrderedDict[tuple[int, ...], dict[int, np.ndarray]] = OrderedDict()

    def of(self, frame_id: int, place: tuple[int, ...], own: OwnMap | None = None) -> np.ndarray:
        """Coordinates `u` (h, w) of a frame, which is one of those of its place; `own` is what
        `guessed` would give for it, if that is known already."""
        place = place_of(frame_id, place)
        if place not in self._places:
            known = {} if own is None else {frame_id: own}
            maps = [known.get(other) or self._guessed(other) for other in place]
            self._places[place] = dict(zip(place, upright(maps), strict=True))
            if len(self._places) > PLACES_KEPT:
                self._places.popitem(last=False)
        self._places.move_to_end(place)
        return self._places[place][frame_id]


def place_of(frame_id: int, place: tuple[int, ...]) -> tuple[int, ...]:
    """The first frames of a place; the frame alone where it is not one of them."""
    first = place[:MOST_AT_A_PLACE]
    return first if frame_id in first else (frame_id,)
