"""`SpatialIndex`: which K stored frames a camera pose should attend to. Numpy only.

Three passes, each bounded whatever the size of the world: frames around the pose from `CellOrder`,
growing the neighbourhood until enough of them look the right way; a coarse overlap score of up to
a thousand or two on a handful of view samples; a fine one of the best `FINALISTS`, among which a
greedy choice covers as much of the view as it can.

A stored view sees a sample (a point of the target's frustum at some distance) when it lies inside
its frustum and its valid area; the sample counts less where the stored view is farther from it than
the target (less resolution) or looks at it from another side. Nothing knows about occlusion.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from ..geometry import PARALLAX_METRES, rotation_angle, tangents
from .cells import FINEST_METRES, LEVELS, CellOrder
from .choice import Candidates, Retrieval, choose
from .codec import ALL_CELLS
from .samples import COARSE, FINE, Views, coverage_of
from .schema import KINDS
from .table import FrameTable

FINALISTS = 48
ENOUGH_NEAR = 128
ENOUGH_USEFUL = 48
MOST_PER_ROUND = (1024, 1024, 1024)
MOST_NEAR = 4096
# Frames that wait to be sorted in. None: what is found must not depend on when a world was opened.
TAIL = 0
SEED, GENERATED = 0, 1
AS_SEEDS = KINDS.index("surroundings")  # given, like the photograph that they surround
BACK_TO_BACK = -0.35
AUTHORITY = np.array([1.06, 1.0, 1.12])  # seed, generated, edit
LATER_WINS_LESS = 0.04
CLAIMED = 0.6  # of what an imagined frame shows well, so much does not count for each later one
SHOWN_WELL = (0.5, 0.8)  # how well a sample is seen where a claim to it begins and is complete
LEVEL = 0.35  # sine of the pitch up to which a picture counts as level
FAR_BETTER = 0.25
BESIDE_METRES = 0.4  # from where they say most; an e-fold off costs as much as half a radian
BESIDE_WORST = 3.0
ALIKE_METRES = 0.2
ALIKE_COSINE = 1 - math.cos(math.radians(6))

Origins = Mapping[int, tuple[int, str]]


class SpatialIndex:
    """Poses of the live frames of a world.

    Args:
        origins: for edits, id and kind of the frame that each is a new version of; `near`, the
            seeds and the order of creation go by it.
    """

    def __init__(self, table: FrameTable | None = None, origins: Origins | None = None):
        count = 0 if table is None else len(table)
        self._views = Views(count)
        self._ids = np.zeros(max(count, 64), np.int64)
        self._origin = np.zeros(max(count, 64), np.int8)
        self._oldest = np.zeros(max(count, 64), np.int64)
        self._alive = np.zeros(max(count, 64), bool)
        self._slot_of: dict[int, int] = {}
        self._count = 0
        if table is not None and count:
            self._ids[:count] = table.ids
            self._alive[:count] = True
            tan_y = np.tan(table.fov_y / 2)
            kind = np.where(table.kind == AS_SEEDS, SEED, table.kind)
            self._views.fill(table.camera_to_world, tan_y, table.valid_cells, kind)
            self._slot_of = dict(zip(table.ids.tolist(), range(count), strict=True))
            self._count = count
            self._origin[:count] = kind
            self._oldest[:count] = table.ids
            for frame_id, (oldest, kind) in (origins or {}).items():
                origin = KINDS.index(kind)
                self._origin[self._slot_of[frame_id]] = SEED if origin == AS_SEEDS else origin
                self._oldest[self._slot_of[frame_id]] = oldest
        self._seeds: np.ndarray | None = None
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
        kind = SEED if kind == AS_SEEDS else kind
        self.remove(frame_id)
        if self._count == len(self._ids):
            self._grow()
        slot = self._count
        self._ids[slot] = frame_id
        self._alive[slot] = True
        tan_y = np.array([tangents(fov_y_radians)[1]])
        self._views.put(slot, camera_to_world, tan_y, valid_cells, kind)
        self._origin[slot] = kind
        self._oldest[slot] = frame_id
        self._slot_of[frame_id] = slot
        self._count += 1
        if kind == SEED:
            self._seeds = None
        if self._count - len(self._order) > TAIL:
            self._merge_tail()

    def remove(self, frame_id: int) -> None:
        """Forget a frame; an unknown id is ignored."""
        slot = self._slot_of.pop(frame_id, None)
        if slot is None:
            return
        self._alive[slot] = False
        if self._origin[slot] == SEED:
            self._seeds = None
        if len(self._slot_of) < 0.75 * self._count - TAIL:
            self._drop_dead()

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
        alike = self._views.alikeness(slots, ALIKE_METRES, ALIKE_COSINE)
        places = {slot: place for place, slot in enumerate(slots.tolist())}
        held = [places[slot] for slot in kept][:k]
        candidates = Candidates(worth, FINE.weights, alike, self._unclaimed(slots, seen))
        chosen = choose(candidates, min(k, len(slots)), held)
        scores = seen[chosen] @ FINE.weights
        order = np.argsort(-scores, kind="stable")
        chosen = np.asarray(chosen)[order]
        return Retrieval(
            tuple(self._ids[slots[chosen]].tolist()),
            tuple(scores[order].tolist()),
            coverage_of(seen[chosen], FINE.weights),
        )

    def near(
        self, camera_to_world: np.ndarray, metres: float, radians: float, kind: int = GENERATED
    ) -> bool:
        """Whether a frame of this kind (or a new version of one) was seen from less than `metres`
        and `radians` away."""
        level = min(math.ceil(math.log2(max(2 * metres / FINEST_METRES, 1))), LEVELS)
        begin, end = self._order.ranges(camera_to_world[:3, 3], level)
        tail = np.arange(len(self._order), self._count)
        slots = np.concatenate([tail, self._order.take(begin[0], end[0], MOST_NEAR)])
        slots = slots[self._alive[slots] & (self._origin[slots] == kind)]
        apart = self._views.position[slots] - camera_to_world[:3, 3]
        slots = slots[np.einsum("ci,ci->c", apart, apart) < metres**2]
        turned = self._views.rotation[slots] @ camera_to_world[:3, :3]
        return bool((rotation_angle(turned) < radians).any())

    def seeds_at(self, frame_id: int, metres: float) -> tuple[int, ...] | None:
        """The seeds that were seen from where this one was, itself among them, ascending, each by
        the id that it had before it was painted on; None for a frame that is no seed."""
        if not self.is_seed(frame_id):
            return None
        slots = self._seed_slots()
        here = self._views.position[self._slot_of[frame_id]]
        apart = np.abs(self._views.position[slots] - here).max(1)
        return tuple(sorted(self._oldest[slots[apart < metres]].tolist()))

    def seeds_beside(self, frame_id: int, most: int) -> tuple[int, ...]:
        """The seeds that tell most of the distances in this one, best first: seen from another
        place, near enough and turned alike enough to show the same; named as by `seeds_at`. Empty
        for a frame that is no seed."""
        if not self.is_seed(frame_id):
            return ()
        slots = self._seed_slots()
        here = self._slot_of[frame_id]
        metres = np.linalg.norm(self._views.position[slots] - self._views.position[here], axis=1)
        cosine = np.clip(self._views.forward[slots] @ self._views.forward[here], -1, 1)
        score = np.abs(np.log(np.maximum(metres, 1e-6) / BESIDE_METRES)) + 2 * np.arccos(cosine)
        found = np.flatnonzero((score < BESIDE_WORST) & (metres >= PARALLAX_METRES))
        names = self._oldest[slots[found]]
        return tuple(names[np.lexsort((names, score[found]))[:most]].tolist())

    def is_imagined(self, frame_id: int) -> bool:
        """Whether this is a live frame that was imagined and not painted on."""
        slot = self._slot_of.get(frame_id)
        return slot is not None and self._views.kind[slot] == GENERATED

    def is_seed(self, frame_id: int) -> bool:
        """Whether this is a live frame that was given, not imagined or edited."""
        slot = self._slot_of.get(frame_id)
        return slot is not None and self._origin[slot] == SEED

    def facing_seed(self, camera_to_world: np.ndarray, among: Iterable[int] = ()) -> int | None:
        """The seed that looks most the same way, nearer and level ones first (what is mirrored at
        the border of a tilted picture bends); one of those `among` unless another is far better.
        None in a world without seeds."""
        slots = self._seed_slots()
        if not len(slots):
            return None
        facing = self._views.rotation[slots, 2] @ camera_to_world[:3, 2]
        metres = np.linalg.norm(self._views.position[slots] - camera_to_world[:3, 3], axis=1)
        tilt = np.abs(self._views.rotation[slots, 2, 1])
        score = facing - 0.2 * np.log1p(metres) - np.maximum(tilt - LEVEL, 0)
        score[np.isin(self._ids[slots], list(among))] += FAR_BETTER
        return int(self._ids[slots[np.argmax(score)]])

    def _seed_slots(self) -> np.ndarray:
        """Slots of the live seeds; found once, they seldom change."""
        if self._seeds is None:
            count = self._count
            self._seeds = np.flatnonzero(self._alive[:count] & (self._origin[:count] == SEED))
        return self._seeds

    def _authority(self, slots: np.ndarray) -> np.ndarray:
        """(C,) factor: edits before seeds before generated frames, earlier ones before later.

        `slots` ascend, and slots are given in the order of creation.
        """
        kind = self._views.kind[slots]
        rank = 1 - LATER_WINS_LESS * np.arange(len(slots)) / len(slots)
        return AUTHORITY[kind] * np.where(kind == GENERATED, rank, 1)

    def _unclaimed(self, slots: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """(C, P) factor: an imagined frame counts less for what imagined frames that were there
        before it show well. So what a view is drawn from hardly changes any more, and with it the
        picture, once enough was imagined there; farther away, where the earlier ones show the
        place badly, the later ones count in full. A painted frame is as old as its original.
        """
        begins, complete = SHOWN_WELL
        left = np.clip(seen, begins, complete)
        left -= begins
        left *= -CLAIMED / (complete - begins)
        left += 1
        left[self._origin[slots] != GENERATED] = 1
        oldest = self._oldest[slots]
        order = None if (oldest[1:] >= oldest[:-1]).all() else np.argsort(oldest, kind="stable")
        before = np.ones_like(seen)
        if order is None:
            np.cumprod(left[:-1], axis=0, out=before[1:])
        else:
            before[order[1:]] = left[order[:-1]].cumprod(axis=0)
        before[self._views.kind[slots] != GENERATED] = 1
        return before

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
        level = min(int(np.searchsorted(totals, ENOUGH_NEAR)), LEVELS)
        found = [np.arange(len(self._order), self._count)]
        if level > 0 and totals[level] > MOST_PER_ROUND[0]:  # a crowd may hide the few nearest
            found.append(self._order.take(begin[level - 1], end[level - 1], ENOUGH_NEAR))
        scores: list[np.ndarray] = []
        slots: list[np.ndarray] = []
        useful = 0
        for limit in MOST_PER_ROUND:
            found.append(self._order.take(begin[level], end[level], limit))
            fresh = np.concatenate(found)
            fresh = fresh[self._alive[fresh]]
            score, more = self._coarse_score(fresh, camera_to_world, tan_y)
            slots.append(fresh)
            scores.append(score)
            useful += more
            if useful >= ENOUGH_USEFUL or totals[level] == totals[LEVELS]:
                break
            level = min(int(np.searchsorted(totals, 4 * totals[level])), LEVELS)
            found = []
        return _distinct_best(np.concatenate(slots), np.concatenate(scores))

    def _coarse_score(self, slots, camera_to_world, tan_y) -> tuple[np.ndarray, int]:
        """(C,) overlap not claimed yet, with a trace of nearness so that frames that see nothing
        are ordered; and how many overlap at all."""
        score, along = self._views.nearness(slots, camera_to_world)
        score *= 1e-3
        useful = 0
        facing = np.flatnonzero(along > BACK_TO_BACK)
        if len(facing):
            seen = self._views.seen(COARSE, slots[facing], camera_to_world, tan_y)
            useful = int((seen @ COARSE.weights > 0.2).sum())
            if len(facing) > FINALISTS:  # else all are looked at closely
                seen *= self._unclaimed(slots[facing], seen)
            score[facing] += seen @ COARSE.weights
        return score, useful

    def _build_order(self) -> CellOrder:
        views = self._views
        return CellOrder(views.position[: self._count], views.forward[: self._count])

    def _merge_tail(self) -> None:
        """Move recent frames into the cell order."""
        tail = np.arange(len(self._order), self._count)
        self._order.merge(tail, self._views.position[tail])

    def _drop_dead(self) -> None:
        """Close the gaps that removed frames left, so that they cannot crowd out the living."""
        alive = np.flatnonzero(self._alive[: self._count])
        self._views.keep(alive)
        self._ids[: len(alive)] = self._ids[alive]
        self._origin[: len(alive)] = self._origin[alive]
        self._oldest[: len(alive)] = self._oldest[alive]
        self._alive[:] = False
        self._alive[: len(alive)] = True
        self._count = len(alive)
        self._slot_of = dict(
            zip(self._ids[: self._count].tolist(), range(self._count), strict=True)
        )
        self._seeds = None
        self._order = self._build_order()

    def _grow(self) -> None:
        capacity = 2 * len(self._ids)
        self._ids = np.resize(self._ids, capacity)
        self._origin = np.resize(self._origin, capacity)
        self._oldest = np.resize(self._oldest, capacity)
        self._alive = np.append(self._alive, np.zeros(capacity - len(self._alive), bool))
        self._views.grow(capacity)


def _distinct_best(slots: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each slot once, ascending, with its score; FINALISTS best ones at least are among them."""
    most = FINALISTS * (len(MOST_PER_ROUND) + 1)  # each round may find a slot once more
    if len(slots) > most:
        best = np.argpartition(-scores, most)[:most]
        slots, scores = slots[best], scores[best]
    slots, first = np.unique(slots, return_index=True)
    return slots, scores[first]
