"""`FrameTable`: the poses of all live frames of a world at once, without their pictures."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import codec
from .rows import EncodedFrame, signed
from .schema import KINDS, UnreadableWorld


@dataclass(frozen=True)
class FrameTable:
    """The live frames, without pictures.

    Attributes:
        ids: (N,) int64. camera_to_world: (N, 4, 4) float64. fov_y: (N,) radians.
        kind: (N,) int8, index into KINDS. created: (N,) seconds since 1970. pinned: (N,) bool.
        valid_cells: (N,) uint64, 8x8 summary of the masks (see `codec.valid_cells`).
    """

    ids: np.ndarray
    camera_to_world: np.ndarray
    fov_y: np.ndarray
    kind: np.ndarray
    created: np.ndarray
    pinned: np.ndarray
    valid_cells: np.ndarray = field(default=None)

    def __post_init__(self):
        if self.valid_cells is None:
            everywhere = np.full(len(self.ids), codec.ALL_CELLS, np.uint64)
            object.__setattr__(self, "valid_cells", everywhere)

    def __len__(self) -> int:
        return len(self.ids)


def read_table(connection: sqlite3.Connection, path: Path) -> FrameTable:
    """The live frames' poses, ids ascending.

    Raises:
        UnreadableWorld: a row that cannot be a frame.
    """
    try:
        found = connection.execute(
            "SELECT id, pose, fov_y, CASE kind WHEN 'seed' THEN 0 WHEN 'generated' THEN 1 "
            "WHEN 'edit' THEN 2 WHEN 'surroundings' THEN 3 ELSE 9 END, "
            "created, pinned, valid_cells FROM frames "
            "WHERE deleted = 0 AND superseded_by IS NULL ORDER BY id"
        )
        columns: list[list] = [[] for _ in range(7)]
        # by chunks so small that no garbage collection begins (at 700 new tuples)
        while chunk := found.fetchmany(500):
            for column, values in zip(columns, zip(*chunk, strict=True), strict=True):
                column.extend(values)
        return _table_of(columns)
    except (sqlite3.Error, ValueError, TypeError, OverflowError, KeyError) as error:
        raise UnreadableWorld(
            f"{path}: holds a frame that is damaged ({error}); "
            "`rtfm verify` tells which, and saves the rest"
        ) from error


def _table_of(columns: Sequence[Sequence]) -> FrameTable:
    """A checked table of id, pose, fov_y, kind (index), created, pinned, valid_cells (signed)."""
    ids, poses, fov_y, kinds, created, pinned, cells = columns
    if set(map(type, poses)) - {bytes} or set(map(len, poses)) - {128}:
        raise ValueError("a pose that is not 16 numbers")
    table = FrameTable(
        ids=_typed(ids, np.int64),
        camera_to_world=np.frombuffer(b"".join(poses), "<f8").reshape(-1, 4, 4),
        fov_y=_typed(fov_y, np.float64),
        kind=_typed(kinds, np.int64).astype(np.int8),
        created=_typed(created, np.float64),
        pinned=_typed(pinned, np.int64) != 0,
        valid_cells=_typed(cells, np.int64).view(np.uint64),
    )
    if not ((table.kind >= 0) & (table.kind < len(KINDS))).all():
        raise ValueError("an unknown kind")
    if not rigid(table.camera_to_world).all():
        raise ValueError("a pose that is not a rotation and a position")
    if not ((table.fov_y >= 0.01) & (table.fov_y <= 3.1)).all():
        raise ValueError("an impossible field of view")
    return table


def _typed(values: Sequence, dtype) -> np.ndarray:
    """An array of values that are of this type already; ValueError for any that is not."""
    array = np.array(values) if values else np.empty(0, dtype)
    if array.dtype != dtype:
        raise ValueError(f"a value that is not {np.dtype(dtype).name}")
    return array


def rigid(poses: np.ndarray, tolerance: float = 1e-3) -> np.ndarray:
    """(N,) bool: which of the poses (N, 4, 4) are finite rigid transforms."""
    with np.errstate(all="ignore"):
        rotation = poses[:, :3, :3]
        x, y, z = rotation[:, 0], rotation[:, 1], rotation[:, 2]
        good = np.abs(poses[:, 3] - (0, 0, 0, 1)).max(axis=1) <= tolerance
        for first, second, value in ((x, x, 1), (y, y, 1), (x, y, 0)):
            product = np.einsum("ni,ni->n", first, second)
            good &= np.abs(product - value) <= tolerance
        good &= np.abs(np.cross(x, y) - z).max(axis=1) <= tolerance
        return good & np.isfinite(poses).all(axis=(1, 2))


def with_waiting(table: FrameTable, waiting: Iterable[EncodedFrame]) -> FrameTable:
    """The table as it will be once the waiting frames are written."""
    waiting = list(waiting)
    if not waiting:
        return table
    gone = [frame.replaces for frame in waiting if frame.replaces is not None]
    columns = [
        (
            item.id,
            item.pose,
            item.fov_y,
            KINDS.index(item.kind),
            item.created,
            int(item.pinned),
            signed(item.valid_cells),
        )
        for item in waiting
        if item.id not in gone
    ]
    added = _table_of(list(zip(*columns, strict=True)))
    keep = ~np.isin(table.ids, gone)
    return FrameTable(
        *(
            np.concatenate([getattr(table, name)[keep], getattr(added, name)])
            for name in FrameTable.__dataclass_fields__
        )
    )
