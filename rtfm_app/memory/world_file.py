"""`WorldFile`: the set of posed frames that is a world, kept in one SQLite database.

Every commit is a transaction; journal entries and state are gathered and written at least once a
second, so that `kill -9` loses at most the last second. When the disk is full, frames wait in
memory under their final ids, `save_error` says so, and every later write tries again. One writer at
a time; readers may look on. Thread-safe. What the tables hold is described in `schema.py`; pictures
become bytes in `codec.py`; `maintenance.py` verifies, salvages and compacts.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from . import codec, database, rows, schema, table
from .codec import DamagedFrame
from .database import SaveError
from .lock import WorldInUse, WriterLock
from .maintenance import Problem, salvage_world, verify_world
from .rows import EncodedFrame, StoredFrame
from .schema import KINDS, UnreadableWorld
from .store import JournalEntry, WorldStore
from .table import FrameTable

__all__ = [
    "KINDS",
    "DamagedFrame",
    "FrameTable",
    "JournalEntry",
    "Problem",
    "SaveError",
    "StoredFrame",
    "UnreadableWorld",
    "WorldFile",
    "WorldInUse",
    "salvage_world",
    "verify_world",
]

MAX_WAITING_BYTES = 256 << 20


class WorldFile(WorldStore):
    """An open world; use `create` or `open`, and `close` (or a with-block) when done."""

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        name: str,
        start_pose: np.ndarray,
        fov_y_radians: float,
        source_to_world: np.ndarray | None = None,
        provenance: dict | None = None,
        model: dict | None = None,
    ) -> WorldFile:
        """Make a new world and open it for writing; it appears under its name only when complete.

        Args:
            start_pose: camera_to_world (4, 4) where a walk begins.
            source_to_world: similarity (4, 4) from the imported pictures' coordinates.
            provenance, model: JSON values, for example the source picture's hash.

        Raises:
            ValueError: something of that name is there already, or a bad pose.
            SaveError: it cannot be written.
        """
        path = Path(path).expanduser()
        meta = database.new_meta(
            name=name,
            start_pose=start_pose,
            fov_y_radians=fov_y_radians,
            source_to_world=source_to_world,
            provenance=provenance or {},
            model=model or {},
        )
        database.write_new(path, meta)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str, *, read_only: bool = False) -> WorldFile:
        """Open a world; with `read_only` also while another process writes it.

        Raises:
            UnreadableWorld: missing, foreign, newer, truncated or damaged (never written to).
            WorldInUse: open for writing elsewhere.
            ValueError: its folder cannot be written and `read_only` is not set.
        """
        path = Path(os.path.realpath(Path(path).expanduser()))
        schema.check_header(path)
        if not read_only and not os.access(path, os.W_OK):
            raise ValueError(f"{path}: is write-protected; open it read-only or copy it")
        lock = None if read_only else WriterLock(path)
        connection = None
        try:
            connection = schema.connect(path, read_only=read_only)
            schema.migrate(connection, path, may_write=lock is not None)
            schema.check_schema(connection, path)
            meta = database.read_meta(connection, path)
            if lock is not None:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
            return cls(path, connection, meta, lock)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if lock is not None:
                lock.release()
            if isinstance(error, sqlite3.Error):
                raise UnreadableWorld(
                    f"{path}: cannot be opened ({error}); `rtfm verify` tells what is damaged"
                ) from error
            raise

    # frames

    @property
    def next_frame_id(self) -> int:
        """The id that the next frame will have."""
        return self._next_id

    def add_frame(self, frame: StoredFrame) -> int:
        """Store a frame in one transaction and return its id, which is never used again.

        When the disk is full the frame waits in memory: the id is good, `save_error` is set.

        Raises:
            ValueError: bad picture or pose, or `replaces` names a frame that is not live.
            SaveError: over 256 MB wait already, nothing was kept; or the world is read-only.
        """
        return self.add_together([rows.encode(frame, time.time())])[0]

    def add_together(
        self, frames: Sequence[EncodedFrame], note: Callable[[list[int]], None] = lambda ids: None
    ) -> list[int]:
        """`add_frame` for several (from `rows.encode`), all of them or none, together with what
        `note(ids)` sets in state and journal."""
        with self._mutex:
            self._check_writable()
            for frame in frames:
                if frame.replaces is not None and not self._is_live(frame.replaces):
                    raise ValueError(f"frame {frame.replaces} cannot be replaced: it is not live")
            waiting = sum(item.bytes for item in self._waiting_frames.values())
            if waiting + sum(frame.bytes for frame in frames) > MAX_WAITING_BYTES:
                self.flush()
            ids = list(range(self._next_id, self._next_id + len(frames)))
            self._next_id += len(frames)
            for frame_id, frame in zip(ids, frames, strict=True):
                self._waiting_frames[frame_id] = frame.with_id(frame_id)
            note(ids)
            try:
                self.flush()
            except SaveError:
                self._arm_timer()
            return ids

    def read_frame(self, frame_id: int) -> StoredFrame:
        """The frame as it was added, pixels bit for bit.

        Raises:
            KeyError: no such frame.
            DamagedFrame: its bytes are not those that were written.
        """
        with self._mutex:
            waiting = self._waiting_frames.get(frame_id)
            encoded = waiting or rows.read_encoded(self._connection, frame_id)
        return rows.decode(encoded)

    def read_thumbnail(self, frame_id: int) -> np.ndarray:
        """uint8 (72, 128, 3); raises as `read_frame` does."""
        with self._mutex:
            if frame_id in self._waiting_frames:
                return codec.decode_thumbnail(self._waiting_frames[frame_id].thumbnail)
            blob = rows.read_thumbnail(self._connection, frame_id)
        return codec.decode_thumbnail(blob)

    def frame_table(self) -> FrameTable:
        """Poses and kinds of the live frames, ids ascending.

        Raises:
            UnreadableWorld: a row holds something that cannot be a frame.
        """
        with self._mutex:
            frames = table.read_table(self._connection, self.path)
            return table.with_waiting(frames, self._waiting_frames.values())

    def origins(self) -> dict[int, tuple[int, str]]:
        """Id and kind of the oldest version that is kept, for each live edit."""
        with self._mutex:
            if self._waiting_frames:
                with contextlib.suppress(SaveError):  # told by `save_error`; what waits is unknown
                    self.flush()
            found = self._query(
                "WITH RECURSIVE older(edit, at) AS ("
                "SELECT id, id FROM frames "
                "WHERE kind = 'edit' AND deleted = 0 AND superseded_by IS NULL "
                "UNION SELECT edit, replaces FROM older JOIN frames ON id = at "
                "WHERE replaces IS NOT NULL) "
                "SELECT edit, id, kind FROM older JOIN frames ON id = at WHERE replaces IS NULL"
            )
        return {edit: (oldest, kind) for edit, oldest, kind in found}

    def delete_frame(self, frame_id: int) -> None:
        """Hide a frame; `restore_frame` brings it back until `compact`. KeyError if unknown."""
        self._update_frame(frame_id, "deleted = 1")

    def restore_frame(self, frame_id: int) -> None:
        """Undo `delete_frame`, or redo an edit that `undo_edit` took back.

        Raises:
            KeyError: no such frame.
            ValueError: the frame it would replace has meanwhile been replaced by another.
        """
        with self._mutex:
            replaces, superseded_by = self._links(frame_id)[1:]
            if superseded_by is None and replaces is not None:
                other = self._links(replaces)[2]
                if other not in (None, frame_id):
                    raise ValueError(f"frame {replaces} was replaced by {other}; undo that first")

            def work(connection: sqlite3.Connection) -> None:
                connection.execute("UPDATE frames SET deleted = 0 WHERE id = ?", (frame_id,))
                if replaces is not None:
                    connection.execute(
                        "UPDATE frames SET superseded_by = ? WHERE id = ?", (frame_id, replaces)
                    )

            self._write(work)

    def undo_edit(self, frame_id: int) -> None:
        """Hide an edit and show again what it replaced.

        Raises:
            KeyError: no such frame.
            ValueError: it was itself replaced by a later edit, or undone already.
        """
        self.undo_edits([frame_id])

    def undo_edits(self, frame_ids: Sequence[int], note: Callable[[], None] = lambda: None) -> None:
        """`undo_edit` for several, in their order, all of them or none, together with what `note`
        sets in state and journal."""
        replaced: dict[int, int | None] = {}
        with self._mutex:
            for frame_id in frame_ids:
                deleted, replaced[frame_id], superseded_by = self._links(frame_id)
                if deleted or superseded_by not in (None, *replaced):
                    later = f"; undo edit {superseded_by} first" if superseded_by else ""
                    raise ValueError(f"edit {frame_id} is not live{later}")
            before = dict(self._waiting_state), list(self._waiting_journal)
            note()
            try:
                self._write(lambda connection: rows.take_back(connection, replaced))
            except SaveError:
                self._waiting_state, self._waiting_journal = before
                raise

    def set_pinned(self, frame_id: int, pinned: bool) -> None:
        """Mark a frame as always kept in mind. KeyError if unknown."""
        self._update_frame(frame_id, f"pinned = {int(bool(pinned))}")

    def _update_frame(self, frame_id: int, assignment: str) -> None:
        with self._mutex:
            self._links(frame_id)
            self._write(
                lambda connection: connection.execute(
                    f"UPDATE frames SET {assignment} WHERE id = ?", (frame_id,)
                )
            )

    def _links(self, frame_id: int) -> tuple[int, int | None, int | None]:
        """(deleted, replaces, superseded_by) of a frame; KeyError if unknown."""
        if self._waiting_frames:
            self.flush()
        found = self._query(
            "SELECT deleted, replaces, superseded_by FROM frames WHERE id = ?", (frame_id,)
        )
        if not found:
            raise KeyError(f"no frame {frame_id} in {self.path}")
        return found[0]

    def _is_live(self, frame_id: int) -> bool:
        if any(item.replaces == frame_id for item in self._waiting_frames.values()):
            return False
        if frame_id in self._waiting_frames:
            return True
        return bool(
            self._query(
                "SELECT 1 FROM frames WHERE id = ? AND deleted = 0 AND superseded_by IS NULL",
                (frame_id,),
            )
        )

    # the whole file

    def fork(self, target_path: Path | str) -> Path:
        """Copy the world as it is now to a new file, while it stays open; returns the path.

        Raises:
            ValueError: the target exists.
            SaveError: the copy cannot be written (nothing is left behind).
        """
        if not self.read_only:
            self.flush()
        return database.copy(self.path, Path(target_path).expanduser())

    def compact(self, *, drop_undo: bool = False) -> tuple[int, int]:
        """Remove deleted frames for good (with `drop_undo` also the versions before edits), and
        give their room back to the disk; returns the size in bytes before and after.

        Raises:
            SaveError: not enough room for the rewrite; the file is as it was.
        """
        with self._mutex:
            self._write(lambda connection: rows.drop_hidden(connection, drop_undo))
            before = self._size_bytes()
            try:
                self._connection.execute("VACUUM")
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise SaveError(f"{self.path}: cannot be compacted now ({error})") from error
            return before, self._size_bytes()

    def stats(self) -> dict:
        """Live frames by kind, their bytes, times (seconds since 1970) and the size on disk."""
        with self._mutex:
            counts = rows.count_kinds(self._query)
            for frame in self._waiting_frames.values():
                kind, size = counts[frame.kind]
                counts[frame.kind] = (kind + 1, size + frame.bytes)
        return {
            "frames": sum(count for count, _ in counts.values()),
            **{{"edit": "edits"}.get(kind, kind): count for kind, (count, _) in counts.items()},
            "bytes": sum(size for _, size in counts.values()),
            "created": self.created,
            "last_visit": self.get_state("last_visit") or self.created,
            "size_bytes": self._size_bytes(),
        }

    def _size_bytes(self) -> int:
        log = schema.wal_path(self.path)
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)
