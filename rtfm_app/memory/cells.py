"""`CellOrder`: frames sorted along a space-filling curve, so that every cubic cell of every size is
one contiguous range. Finds the frames around a point in bounded time, however many there are and
however densely they lie.

Within the finest cell frames are sorted by viewing direction; taking every n-th frame of a crowded
range so samples places first and directions second, evenly.
"""

from __future__ import annotations

import numpy as np

FINEST_METRES = 0.0625
BITS = 21
LEVELS = BITS - 1
_OFFSET = 1 << (BITS - 1)
_DIRECTION_BINS = 8
_SIZES = 2.0 ** np.arange(LEVELS + 1)
_LAST = (1 << (BITS - np.arange(LEVELS + 1))) - 1
_SHIFTS = np.uint64(3) * np.arange(LEVELS + 1, dtype=np.uint64)


def _spread(values: np.ndarray) -> np.ndarray:
    """Bits of (N,) 21-bit integers moved to every third place."""
    values = values.astype(np.uint64)
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        values = (values | (values << np.uint64(shift))) & np.uint64(mask)
    return values


def _interleave(cells: np.ndarray) -> np.ndarray:
    """Morton codes (N,) uint64 of integer cells (N, 3)."""
    x, y, z = (_spread(cells[:, axis]) for axis in range(3))
    return x | (y << np.uint64(1)) | (z << np.uint64(2))


def cell_of(positions: np.ndarray) -> np.ndarray:
    """Finest integer cells (N, 3) of positions (N, 3) in metres; clamped beyond 65 km."""
    cells = np.floor(positions * (1 / FINEST_METRES)).clip(-_OFFSET, _OFFSET - 1)
    return cells.astype(np.int64) + _OFFSET


def direction_code(forward: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 3) to a number that neighbouring directions mostly share high digits of."""
    quantised = ((forward + 1) * (_DIRECTION_BINS / 2)).clip(0, _DIRECTION_BINS - 1)
    return _interleave(quantised.astype(np.int64))


class CellOrder:
    """Slots (indices into the owner's arrays) in curve order.

    Args:
        positions: (N, 3) metres. forward: (N, 3) unit viewing directions.
    """

    def __init__(self, positions: np.ndarray, forward: np.ndarray):
        codes = _interleave(cell_of(positions))
        order = np.argsort(codes, kind="stable")
        self._codes = codes[order]
        self._slots = order
        self._sort_crowded_cells(forward)

    def __len__(self) -> int:
        return len(self._slots)

    def _sort_crowded_cells(self, forward: np.ndarray) -> None:
        """Order the frames that share a finest cell by direction (stable: earlier slots first)."""
        same = self._codes[1:] == self._codes[:-1]
        if not same.any():
            return
        crowded = np.flatnonzero(np.append(same, False) | np.append(False, same))
        slots = self._slots[crowded]
        by_direction = np.lexsort((direction_code(forward[slots]), self._codes[crowded]))
        self._slots[crowded] = slots[by_direction]

    def merge(self, slots: np.ndarray, positions: np.ndarray) -> None:
        """Insert more slots (M,) with their positions (M, 3); linear in the total."""
        codes = _interleave(cell_of(positions))
        order = np.argsort(codes, kind="stable")
        places = np.searchsorted(self._codes, codes[order], side="right")
        self._codes = np.insert(self._codes, places, codes[order])
        self._slots = np.insert(self._slots, places, slots[order])

    def ranges(
        self, position: np.ndarray, level: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """First and end index (LEVELS + 1, 8) of the eight cells around a point, finest first, or
        (1, 8) of one level.

        The eight cells of size s cover at least s / 2 in every direction.
        """
        chosen = slice(None) if level is None else slice(level, level + 1)
        exact = np.clip(position * (1 / FINEST_METRES), -_OFFSET, _OFFSET - 1) + _OFFSET
        low = np.floor(exact / _SIZES[chosen, None] - 0.5).astype(np.int64)
        pair = np.stack([low, low + 1])
        inside = (pair >= 0) & (pair <= _LAST[chosen, None])
        spread = _spread(pair.clip(0)) << np.arange(3, dtype=np.uint64)
        codes, outside = (
            (z[:, None, None] | y[None, :, None] | x[None, None, :]).reshape(8, -1)
            for x, y, z in (np.moveaxis(spread, 2, 0), np.moveaxis(~inside, 2, 0))
        )
        edges = np.stack([codes, codes + np.uint64(1)]) << _SHIFTS[chosen]
        begin, end = np.searchsorted(self._codes, edges).transpose(0, 2, 1)
        return begin, np.where(outside.T, begin, end)

    def take(self, begin: np.ndarray, end: np.ndarray, limit: int) -> np.ndarray:
        """Slots in the ranges [begin, end) (R,), at most `limit`, every n-th when there are more.

        Each n-th pick is the same whatever the query, so that neighbouring queries agree.
        """
        counts = end - begin
        total = int(counts.sum())
        if total <= limit:
            return np.concatenate(
                [self._slots[b:e] for b, e in zip(begin.tolist(), end.tolist(), strict=True)]
            )
        step = -(-total // limit)
        step = 1 << (step - 1).bit_length()
        return np.concatenate(
            [
                self._slots[-(-b // step) * step : e : step]
                for b, e in zip(begin.tolist(), end.tolist(), strict=True)
            ]
        )
