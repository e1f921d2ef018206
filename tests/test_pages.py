"""The page pool against a plain model of what it promises."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rtfm_app.memory.pages import PagePool, PoolFull

PAGE = 100
IDS = st.integers(1, 12)


class Pool(RuleBasedStateMachine):
    """Order of use in `recent` (oldest first), contents of slots in `store`."""

    def __init__(self):
        super().__init__()
        self.pool = PagePool(4 * PAGE, PAGE)
        self.capacity = 4
        self.recent: list[int] = []
        self.pins: dict[int, int] = {}
        self.store: dict[int, int] = {}

    def touch(self, frame_id):
        if frame_id in self.recent:
            self.recent.remove(frame_id)
        self.recent.append(frame_id)

    def evict(self):
        victim = next(frame_id for frame_id in self.recent if frame_id not in self.pins)
        self.recent.remove(victim)

    @rule(frame_id=IDS)
    def lookup(self, frame_id):
        slot = self.pool.lookup(frame_id)
        assert (slot is not None) == (frame_id in self.recent)
        if slot is not None:
            assert self.store[slot] == frame_id
            self.touch(frame_id)

    @rule(frame_id=IDS)
    def allocate(self, frame_id):
        if frame_id not in self.recent and len(self.recent) == self.capacity:
            if len(self.pins) == self.capacity:
                with pytest.raises(PoolFull):
                    self.pool.allocate(frame_id)
                return
            self.evict()
        slot = self.pool.allocate(frame_id)
        assert 0 <= slot < self.capacity
        self.store[slot] = frame_id
        self.touch(frame_id)

    @precondition(lambda self: self.recent)
    @rule(data=st.data())
    def pin(self, data):
        frame_id = data.draw(st.sampled_from(self.recent))
        self.pool.pin([frame_id])
        self.pins[frame_id] = self.pins.get(frame_id, 0) + 1

    @rule(frame_id=IDS)
    def release(self, frame_id):
        self.pool.release([frame_id])
        count = self.pins.pop(frame_id, 0)
        if count > 1:
            self.pins[frame_id] = count - 1

    @rule(frame_id=IDS)
    def drop(self, frame_id):
        self.pool.drop(frame_id)
        self.pins.pop(frame_id, None)
        if frame_id in self.recent:
            self.recent.remove(frame_id)

    @rule(pages=st.integers(0, 8))
    def resize(self, pages):
        capacity = max(pages, 1)
        if len(self.pins) > capacity:
            with pytest.raises(PoolFull):
                self.pool.resize(pages * PAGE)
            return
        self.capacity = capacity
        while len(self.recent) > capacity:
            self.evict()
        for frame_id, (old, new) in self.pool.resize(pages * PAGE).items():
            assert self.store[old] == frame_id
            self.store[new] = frame_id

    @invariant()
    def slots_hold_their_frames(self):
        slots = [self.pool._slots[frame_id] for frame_id in self.recent]
        assert len(set(slots)) == len(slots) == len(self.pool)
        assert all(self.store[s] == i for s, i in zip(slots, self.recent, strict=True))
        assert len(self.pool) <= self.pool.capacity == self.capacity


Pool.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPool = Pool.TestCase


def test_statistics_and_pinned_pages_stay():
    pool = PagePool(3 * PAGE, PAGE)
    assert pool.lookup(1) is None
    for frame_id in (1, 2, 3):
        pool.allocate(frame_id)
    pool.pin([1, 1])
    pool.release([1])
    assert pool.lookup(2) is not None
    pool.allocate(4)
    assert 3 not in pool and 1 in pool, "the least recently used unpinned page went"
    found = pool.statistics
    assert (found.pages, found.capacity, found.pinned) == (3, 3, 1)
    assert (found.hits, found.misses, found.evictions) == (1, 1, 1)
    with pytest.raises(KeyError, match="99"):
        pool.pin([99])
    pool.clear()
    assert len(pool) == 0 and pool.statistics.pinned == 0


def test_a_pool_holds_at_least_one_page():
    pool = PagePool(1, PAGE)
    assert pool.allocate(7) == 0 and pool.allocate(8) == 0 and 7 not in pool
    with pytest.raises(ValueError):
        PagePool(100, 0)
