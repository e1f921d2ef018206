"""`PagePool`: which stored frame's KV page lies in which slot. Bookkeeping only, no tensors.

The owner of the tensors allocates `capacity` slots of `page_bytes`, asks `lookup` before a step and
`allocate` for what was missing, and fills the slot it is given. Least recently used pages give way
first; pinned ones never do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass


class PoolFull(RuntimeError):
    """Every slot is pinned; release some or give the pool a larger budget."""


@dataclass(frozen=True)
class PoolStatistics:
    """Pages held and allowed, and the lookups so far."""

    pages: int
    capacity: int
    pinned: int
    hits: int
    misses: int
    evictions: int

    @property
    def hit_rate(self) -> float:
        """Share (0..1) of the lookups that found their page; 0 before the first."""
        return self.hits / max(self.hits + self.misses, 1)


class PagePool:
    """Slots for pages under a byte budget.

    Args:
        budget_bytes: bytes that all pages together may take; at least one page always fits.
        page_bytes: bytes of one page.
    """

    def __init__(self, budget_bytes: int, page_bytes: int):
        if page_bytes <= 0:
            raise ValueError(f"a page must have bytes, got {page_bytes}")
        self.page_bytes = page_bytes
        self.capacity = self._capacity_of(budget_bytes)
        self._slots: OrderedDict[int, int] = OrderedDict()
        self._pins: dict[int, int] = {}
        self._free = list(range(self.capacity - 1, -1, -1))
        self._hits = self._misses = self._evictions = 0

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._slots

    def lookup(self, frame_id: int) -> int | None:
        """The slot of a frame's page, now the most recently used; None is a miss."""
        slot = self._slots.get(frame_id)
        if slot is None:
            self._misses += 1
            return None
        self._hits += 1
        self._slots.move_to_end(frame_id)
        return slot

    def allocate(self, frame_id: int) -> int:
        """A slot to fill with the frame's page, evicting the least recently used one if needed.

        Raises:
            PoolFull: all pages are pinned.
        """
        if frame_id in self._slots:
            self._slots.move_to_end(frame_id)
            return self._slots[frame_id]
        if not self._free:
            self._evict()
        slot = self._free.pop()
        self._slots[frame_id] = slot
        return slot

    def pin(self, frame_ids: Iterable[int]) -> None:
        """Keep these pages until `release`; pins count. KeyError: a page that is not here."""
        frame_ids = list(frame_ids)
        missing = [frame_id for frame_id in frame_ids if frame_id not in self._slots]
        if missing:
            raise KeyError(f"cannot pin frames without a page: {missing}")
        for frame_id in frame_ids:
            self._pins[frame_id] = self._pins.get(frame_id, 0) + 1

    def release(self, frame_ids: Iterable[int]) -> None:
        """Undo one `pin` of each; frames that were dropped meanwhile are ignored."""
        for frame_id in frame_ids:
            count = self._pins.pop(frame_id, 0)
            if count > 1:
                self._pins[frame_id] = count - 1

    def drop(self, frame_id: int) -> None:
        """Forget a page whose frame changed or went, pinned or not."""
        slot = self._slots.pop(frame_id, None)
        self._pins.pop(frame_id, None)
        if slot is not None:
            self._free.append(slot)

    def clear(self) -> None:
        """Forget all pages (another model, another resolution)."""
        for frame_id in list(self._slots):
            self.drop(frame_id)

    def resize(self, budget_bytes: int) -> dict[int, tuple[int, int]]:
        """Change the budget now; returns frame id -> (old slot, new slot) of the pages that moved.

        The owner copies the moved pages, in any order: no new slot is another's old one. Evicts
        from the least recently used.

        Raises:
            PoolFull: more pages are pinned than the new budget holds; nothing has changed.
        """
        capacity = self._capacity_of(budget_bytes)
        if len(self._pins) > capacity:
            raise PoolFull(f"{len(self._pins)} pages are pinned, the new budget holds {capacity}")
        self.capacity = capacity
        while len(self._slots) > capacity:
            self._evict()
        taken = set(self._slots.values())
        self._free = [slot for slot in range(capacity - 1, -1, -1) if slot not in taken]
        moves = {}
        for frame_id, slot in self._slots.items():
            if slot >= capacity:
                moves[frame_id] = (slot, self._free.pop())
        for frame_id, (_, new) in moves.items():
            self._slots[frame_id] = new
        return moves

    @property
    def statistics(self) -> PoolStatistics:
        return PoolStatistics(
            pages=len(self._slots),
            capacity=self.capacity,
            pinned=len(self._pins),
            hits=self._hits,
            misses=self._misses,
            evictions=self._evictions,
        )

    def _capacity_of(self, budget_bytes: int) -> int:
        return max(1, budget_bytes // self.page_bytes)

    def _evict(self) -> None:
        victim = next((frame_id for frame_id in self._slots if frame_id not in self._pins), None)
        if victim is None:
            raise PoolFull(f"all {len(self._slots)} pages are pinned")
        self._free.append(self._slots.pop(victim))
        self._evictions += 1
