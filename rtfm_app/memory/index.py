"""`SpatialIndex`: which K stored frames a camera pose should attend to. Numpy only.

Three passes, each bounded whatever the size of the world: frames around the pose from `CellOrder`,
growing the neighbourhood until enough of them look the right way; a coarse overlap score of up to
a few thousand on a handful of view samples; a fine one of the best `FINALISTS`, among which a
greedy choice covers as much of the view as it can.

A stored view sees a sample (a point of the target's frustum at some distance) when it lies inside
its frustum and its valid area; the sample counts less where the stored view is farther from it than
the target (less resolution) or looks at it from another side. Nothing knows about occlusion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..geometry import tangents
from .cells import LEVELS, CellOrder
from .codec import ALL_CELLS
from .rows import FrameTable
from .samples import COARSE, FINE, Views, coverage_of

FINALISTS = 96
ENOUGH_NEAR = 192
ENOUGH_USEFUL = 48
MOST_PER_ROUND = 1536
MOST_ROUNDS = 4
TAIL = 256
SATURATION = 0.75
AUTHORITY = np.array([1.06, 1.0, 1.12])  # seed, generated, edit
LATER_WINS_LESS = 0.04
SWAP_GAIN = 1.04
RESELECT_GAIN = 1.35
REDUNDANT_METRES = 0.2
REDUNDANT_COSINE = 1 - math.cos(math.radians(6))


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


class SpatialIndex:
    """Poses of the live frames of a world."""

    def __init__(self, table: FrameTable | None = None):
        count = 0 if table is None else len(table)
        self._views = Views(count)
        self._ids = np.zeros(max(count, 64), np.int64)
        self._alive = np.zeros(max(count, 64), bool)
        self._slot_of: dict[int, int] = {}
        self._count = 0
        if table is not None and count:
            self._ids[:count] = table.ids
            self._alive[:count] = True
            tan_y = np.tan(table.fov_y / 2)
            self._views.fill(table.camera_to_world, tan_y, table.valid_cells, table.kind)
            self._slot_of = dict(zip(table.ids.tolist(), range(count), strict=True))
            self._count = count
        self._order = self._build_order()

    def __len__(self) -> int:
        return len(self._slot_of)

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._slot_of

    def add(
        self,
        frame_id: int,
        camera_to_world: np.ndarray,
        fov_y_radians: float,
        kind: int,
        created: float,
        valid_cells: int = ALL_CELLS,
    ) -> None:
        """Add a frame; one of the same id is replaced.

        Args:
            kind: index into KINDS.
            created: kept for symmetry with the table; among generated frames the earlier *added*
                wins, which is the earlier created.
            valid_cells: 8x8 bits, see `codec.valid_cells`.
        """
        self.remove(frame_id)
        if self._count == len(self._ids):
            self._grow()
        slot = self._count
        self._ids[slot] = frame_id
        self._alive[slot] = True
        tan_y = np.array([tangents(fov_y_radians)[1]])
        self._views.put(slot, camera_to_world, tan_y, valid_cells, kind)
        self._slot_of[frame_id] = slot
        self._count += 1
        if self._count - len(self._order) > TAIL:
            self._merge_tail()

    def remove(self, frame_id: int) -> None:
        """Forget a frame; an unknown id is ignored."""
        slot = self._slot_of.pop(frame_id, None)
        if slot is not None:
            self._alive[slot] = False

    def retrieve(
        self,
        camera_to_world: np.ndarray,
        fov_y_radians: float,
        k: int,
        previous: tuple[int, ...] = (),
    ) -> Retrieval:
        """The `k` frames (fewer in a small world) to draw this pose from.

        Frames that see something of the view come first, then the nearest others. With `previous`
        (what the last call returned while walking) at most one frame changes at a time unless a
        new choice is much better.
        """
        if k <= 0 or not self._slot_of:
            return Retrieval((), (), 0.0)
        tan_y = tangents(fov_y_radians)[1]
        kept = [self._slot_of[i] for i in previous if i in self._slot_of]
        slots = self._finalists(camera_to_world, tan_y, kept)
        seen = self._views.seen(FINE, slots, camera_to_world, tan_y)
        worth = seen * self._authority(slots)[:, None]
        redundancy = self._views.redundancy(slots, REDUNDANT_METRES, REDUNDANT_COSINE)
        places = {slot: place for place, slot in enumerate(slots.tolist())}
        held = [places[slot] for slot in kept][:k]
        chosen = _choose(worth, FINE.weights, redundancy, min(k, len(slots)), held)
        scores = seen[chosen] @ FINE.weights
        order = np.argsort(-scores, kind="stable")
        chosen = np.asarray(chosen)[order]
        return Retrieval(
            tuple(self._ids[slots[chosen]].tolist()),
            tuple(scores[order].tolist()),
            coverage_of(seen[chosen], FINE.weights),
        )

    def _authority(self, slots: np.ndarray) -> np.ndarray:
        """(C,) factor: edits before seeds before generated frames, earlier ones before later."""
        rank = np.empty(len(slots))
        rank[np.argsort(slots)] = np.linspace(1, 1 - LATER_WINS_LESS, len(slots))
        kind = self._views.kind[slots]
        return AUTHORITY[kind] * np.where(kind == 1, rank, 1)

    def _finalists(self, camera_to_world: np.ndarray, tan_y: float, kept: list[int]) -> np.ndarray:
        """Slots (C,) of the most promising frames, those in `kept` always among them."""
        slots, score = self._candidates(camera_to_world, tan_y)
        if len(slots) > FINALISTS:
            best = np.argpartition(-score, FINALISTS)[:FINALISTS]
            slots = slots[best]
        return np.union1d(slots, np.asarray(kept, np.int64)).astype(np.int64)

    def _candidates(self, camera_to_world: np.ndarray, tan_y: float):
        """Slots and coarse scores of frames around a pose, until enough of them see something."""
        position = camera_to_world[:3, 3]
        begin, end = self._order.ranges(position)
        totals = (end - begin).sum(axis=1)
        level = int(np.searchsorted(totals, ENOUGH_NEAR))
        found = [np.arange(len(self._order), self._count)]
        if level > 0:  # a crowded cell may hide the few that are nearer
            near = min(level, LEVELS + 1) - 1
            found.append(self._order.take(begin[near], end[near], MOST_PER_ROUND))
        scores: list[np.ndarray] = []
        slots: list[np.ndarray] = []
        useful = 0
        for _ in range(MOST_ROUNDS):
            if level <= LEVELS:
                found.append(self._order.take(begin[level], end[level], MOST_PER_ROUND))
            fresh = np.concatenate(found)
            fresh = fresh[self._alive[fresh]]
            score = self._coarse_score(fresh, camera_to_world, tan_y)
            slots.append(fresh)
            scores.append(score)
            useful += int((score > 0.2).sum())
            if useful >= ENOUGH_USEFUL or level >= LEVELS or totals[level] == totals[-1]:
                break
            level = int(np.searchsorted(totals, 4 * totals[level]))
            level = min(level, LEVELS)
            found = []
        slots, first = np.unique(np.concatenate(slots), return_index=True)
        return slots, np.concatenate(scores)[first]

    def _coarse_score(self, slots, camera_to_world, tan_y) -> np.ndarray:
        """(C,) overlap, with a trace of nearness so that frames that see nothing are ordered."""
        seen = self._views.seen(COARSE, slots, camera_to_world, tan_y) @ COARSE.weights
        return seen + 1e-3 * self._views.nearness(slots, camera_to_world)

    def _build_order(self) -> CellOrder:
        views = self._views
        return CellOrder(views.position[: self._count], views.forward[: self._count])

    def _merge_tail(self) -> None:
        """Move recent frames into the cell order; rebuild it when a quarter is dead."""
        if len(self._slot_of) < 0.75 * self._count:
            self._drop_dead()
            return
        tail = np.arange(len(self._order), self._count)
        self._order.merge(tail, self._views.position[tail])

    def _drop_dead(self) -> None:
        alive = np.flatnonzero(self._alive[: self._count])
        self._views.keep(alive)
        self._ids[: len(alive)] = self._ids[alive]
        self._alive[:] = False
        self._alive[: len(alive)] = True
        self._count = len(alive)
        self._slot_of = dict(
            zip(self._ids[: self._count].tolist(), range(self._count), strict=True)
        )
        self._order = self._build_order()

    def _grow(self) -> None:
        capacity = 2 * len(self._ids)
        self._ids = np.resize(self._ids, capacity)
        self._alive = np.append(self._alive, np.zeros(capacity - len(self._alive), bool))
        self._views.grow(capacity)


def _choose(worth, weights, redundancy, k: int, held: list[int]) -> list[int]:
    """Indices of the chosen among candidates: `held` with one change at most, or a fresh choice.

    Args:
        worth: (C, P) how well each candidate shows each sample.
        redundancy: function of a candidate's index to (C,) 0..1, how alike the others are.
    """
    fresh = _greedy(worth, weights, redundancy, k, [])
    if not held:
        return fresh
    held = _greedy(worth, weights, redundancy, k, held)
    fresh_value, held_value = (_value(worth[c], weights) for c in (fresh, held))
    if fresh_value > RESELECT_GAIN * held_value + 1e-3:
        return fresh
    swapped = _best_swap(worth, weights, redundancy, held)
    if _value(worth[swapped], weights) > SWAP_GAIN * held_value + 1e-3:
        return swapped
    return held


def _greedy(worth, weights, redundancy, k: int, chosen: list[int]) -> list[int]:
    """Extend `chosen` to `k` by the largest gain; several looks at one sample count, but less."""
    chosen = list(chosen)
    unseen = _unseen(worth[chosen], weights)
    fresh = np.ones(len(worth))
    for index in chosen:
        fresh *= 1 - 0.5 * redundancy(index)
        fresh[index] = -1
    while len(chosen) < k:
        best = int(np.argmax((worth @ unseen + 1e-6) * fresh))
        chosen.append(best)
        unseen = unseen * (1 - SATURATION * np.minimum(worth[best], 1))
        fresh *= 1 - 0.5 * redundancy(best)
        fresh[best] = -1
    return chosen


def _best_swap(worth, weights, redundancy, held: list[int]) -> list[int]:
    """`held` with the one member exchanged that gains most."""
    swaps = []
    for index in range(len(held)):
        rest = held[:index] + held[index + 1 :]
        swaps.append(_greedy(worth, weights, redundancy, len(held), rest))
    return max(swaps, key=lambda chosen: _value(worth[chosen], weights))


def _unseen(worth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(P,) weight of each sample that the chosen (k, P) leave unseen."""
    return weights * np.prod(1 - SATURATION * np.minimum(worth, 1), axis=0)


def _value(worth: np.ndarray, weights: np.ndarray) -> float:
    """What a choice (k, P) is worth: authority counts, beyond a full view too."""
    bonus = 0.1 * float((worth @ weights).mean())
    return float(weights.sum() - _unseen(worth, weights).sum()) + bonus
