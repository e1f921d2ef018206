"""The copy of a world in which a replay happens: put back to how the world was when the journal
began (`rewind`), and given what came into the world from elsewhere (`take_over`). The entries have
been checked by `replay.read_journal`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .memory import rows, schema
from .memory.world_file import JournalEntry, StoredFrame, WorldFile

MADE_BY_WALKING = ("generated", "edit")
# What was done to a frame -> how it is taken back.
OPPOSITE: dict[str, Callable[[WorldFile, int], None]] = {
    "delete": WorldFile.restore_frame,
    "restore": WorldFile.delete_frame,
    "pin": lambda world, frame_id: world.set_pinned(frame_id, False),
    "unpin": lambda world, frame_id: world.set_pinned(frame_id, True),
    "undo edit": WorldFile.restore_frame,
}


def committed_ids(entries: Iterable[JournalEntry]) -> set[int]:
    """Ids of the frames that the walk itself made."""
    return {i for entry in entries if entry.kind == "commit" for i in entry.payload["ids"]}


def rewind(copy: Path, entries: list[JournalEntry]) -> None:
    """Put the copy back to how it was before the entries, its journal empty."""
    begun = next(e.time for e in entries if e.kind == "step")
    with contextlib.closing(schema.connect(copy, read_only=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        later = connection.execute(
            "SELECT min(id) FROM frames WHERE created >= ? AND kind IN (?, ?)",
            (begun, *MADE_BY_WALKING),
        ).fetchone()[0]
        found = [i for i in (*committed_ids(entries), later) if i is not None]
        if found:
            made = connection.execute("SELECT id FROM frames WHERE id >= ?", (min(found),))
            rows.delete_frames(connection, [row[0] for row in made.fetchall()])
            connection.execute(
                "UPDATE sqlite_sequence SET seq = ? WHERE name = 'frames'", (min(found) - 1,)
            )
        connection.execute("DELETE FROM journal")
        connection.execute("COMMIT")
    with WorldFile.open(copy) as world:
        for frame_id, action in _first_changes(entries).items():
            with contextlib.suppress(KeyError):  # made later, or removed for good since
                OPPOSITE[action](world, frame_id)
        world.set_state("footprints", False)  # those of the walk are taken over


def _first_changes(entries: list[JournalEntry]) -> dict[int, str]:
    """Frame id -> the first thing that was done to it."""
    changes: dict[int, str] = {}
    for entry in entries:
        if entry.kind == "frame":
            changes.setdefault(entry.payload["id"], entry.payload["action"])
        elif entry.kind == "undo paint":
            for frame_id in entry.payload["ids"]:
                changes.setdefault(frame_id, "undo edit")
    return changes


def take_over(world: WorldFile, copy: Path, next_frame: int, committed: set[int]) -> None:
    """Bring what came into the world from elsewhere before a session, ids below `next_frame`, and
    let the ids go on from there."""
    with contextlib.closing(schema.connect(copy, read_only=False)) as connection:
        known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frames'")
        known = (known.fetchone() or (0,))[0]
        connection.execute("BEGIN IMMEDIATE")
        for frame_id in range(known + 1, next_frame):
            frame = None if frame_id in committed else stored_frame(world, frame_id)
            if frame is not None:
                rows.insert(connection, rows.encode(frame, time.time()).with_id(frame_id))
        connection.execute(
            "UPDATE sqlite_sequence SET seq = ? WHERE name = 'frames'",
            (max(known, next_frame - 1),),
        )
        connection.execute("COMMIT")


def stored_frame(world: WorldFile, frame_id: int) -> StoredFrame | None:
    """The frame; None when it was removed for good."""
    try:
        return world.read_frame(frame_id)
    except KeyError:
        return None
