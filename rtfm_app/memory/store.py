"""`WorldStore`: an open world's database connection, and what waits to be written to it.

Journal entries and state are gathered and written at least once a second, frames at once, each time
everything that waits in one transaction. When the disk is full it goes on waiting in memory,
`save_error` says so, and every later write tries again. Thread-safe.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from . import journal, json_text, rows, schema
from .database import SaveError
from .lock import WriterLock
from .rows import EncodedFrame
from .schema import UnreadableWorld

FLUSH_INTERVAL_S = 0.5


@dataclass(frozen=True)
class JournalEntry:
    """One journal row: seconds since 1970, what happened, its details."""

    time: float
    kind: str
    payload: dict


class WorldStore:
    """The part of `WorldFile` that knows the connection, the lock, the journal and the state.

    Attributes:
        save_error: the SaveError that keeps the last changes in memory, None while all is well.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, meta: dict, lock: WriterLock | None
    ):
        self.path = path
        self.read_only = lock is None
        self.save_error: SaveError | None = None
        self._connection = connection
        self._writer_lock = lock
        self._mutex = threading.RLock()
        self._waiting_frames: dict[int, EncodedFrame] = {}
        self._waiting_journal: list[tuple[float, str, str]] = []
        self._waiting_state: dict[str, str] = {}
        self._timer: threading.Timer | None = None
        self._key = schema.file_key(path)
        self._first_name: str = meta["name"]
        self.created: float = meta["created"]
        self.start_pose: np.ndarray = meta["start_pose"]
        self.fov_y_radians: float = meta["fov_y_radians"]
        self.source_to_world: np.ndarray | None = meta["source_to_world"]
        self.provenance: dict = meta["provenance"]
        self.model: dict = meta["model"]
        last = connection.execute("SELECT max(id) FROM frames").fetchone()[0] or 0
        used = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'frames'")
        self._next_id = max(last, *(row[0] for row in used), 0) + 1
        schema.note_open(self._key)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception) -> None:
        try:
            self.close()
        except SaveError:
            self.close(force=True)
            raise

    def close(self, *, force: bool = False) -> None:
        """Write what waits, fold the write-ahead log into the file, let go of it.

        Raises:
            SaveError: something could not be saved; the world stays open unless `force`.
        """
        with self._mutex:
            if self._writer_lock is not None and not force:
                self.flush()
            if self._connection is None:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._release()

    def _release(self) -> None:
        if self._writer_lock is not None:
            self._connection.execute("PRAGMA busy_timeout = 0")
            # a reader elsewhere or a full disk keeps the log beside the file, which is as safe
            with contextlib.suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        self._connection = None
        schema.note_closed(self._key)
        if self._writer_lock is not None:
            self._writer_lock.release()
            self._writer_lock = None

    # state and journal

    @property
    def name(self) -> str:
        """What the user calls the world: the state `title`, else the name it was made with."""
        title = self.get_state("title")
        return title if isinstance(title, str) and title else self._first_name

    def get_state(self, key: str):
        """The JSON value last set under `key`, or None."""
        with self._mutex:
            text = self._waiting_state.get(key)
            if text is None:
                found = self._query("SELECT value FROM state WHERE key = ?", (key,))
                text = found[0][0] if found else None
        return None if text is None else json_text.parse_json(text, f"{self.path}: state {key}")

    def set_state(self, key: str, value) -> None:
        """Remember a JSON value (camera, settings, notes, bookmarks); written within a second."""
        text = json_text.to_json(value, f"state {key}")
        with self._mutex:
            self._check_writable()
            self._waiting_state[key] = text
            self._arm_timer()

    def journal(self, kind: str, payload: dict) -> None:
        """Note what happened; written within a second, in order."""
        text = json_text.to_json(payload, f"journal {kind}")
        with self._mutex:
            self._check_writable()
            self._waiting_journal.append((time.time(), kind[:64], text))
            self._arm_timer()

    def journal_entries(self, kind: str | None = None) -> Iterator[JournalEntry]:
        """The journal from its beginning (of one kind), what still waits included."""
        with self._mutex:
            waiting = list(self._waiting_journal)
            last = self._query("SELECT max(id) FROM journal")[0][0] or 0
        position = 0
        while position < last:
            with self._mutex:
                chunk = self._query(
                    "SELECT id, time, kind, payload FROM journal "
                    "WHERE id > ? AND id <= ? ORDER BY id LIMIT 1000",
                    (position, last),
                )
            if not chunk:
                break
            position = chunk[-1][0]
            yield from self._entries((row[1:] for row in chunk), kind)
        yield from self._entries(waiting, kind)

    def journal_length(self) -> tuple[int, int]:
        """(entries, steps walked) that are written."""
        with self._mutex:
            try:
                return journal.length(self._connection)
            except sqlite3.Error as error:
                raise UnreadableWorld(f"{self.path}: is damaged ({error})") from error

    def thin_journal(self) -> int:
        """Drop the oldest entries of an overlong journal; returns how many (see `journal.py`)."""
        removed = 0

        def work(connection: sqlite3.Connection) -> None:
            nonlocal removed
            removed = journal.thin(connection)

        with self._mutex:
            self._write(work)
        return removed

    def _entries(self, source, kind: str | None) -> Iterator[JournalEntry]:
        for moment, entry_kind, text in source:
            if kind is None or kind == entry_kind:
                yield JournalEntry(moment, entry_kind, json_text.parse_json(text, "journal entry"))

    # writing

    def flush(self) -> None:
        """Write all that waits in one transaction.

        Raises:
            SaveError: it cannot be written now; nothing is lost, the next write tries again.
        """
        with self._mutex:
            if self._waiting_frames or self._waiting_journal or self._waiting_state:
                self._write(lambda connection: None)

    def _write(self, work: Callable[[sqlite3.Connection], object]) -> None:
        """Run `work` after everything that waits, all or nothing."""
        self._check_writable()
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for frame in self._waiting_frames.values():
                rows.insert(connection, frame)
            connection.executemany(
                "INSERT INTO journal (time, kind, payload) VALUES (?, ?, ?)", self._waiting_journal
            )
            state = {**self._waiting_state, "last_visit": json.dumps(time.time())}
            connection.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())
            work(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self.save_error = SaveError(f"{self.path}: cannot be saved now ({error})")
            raise self.save_error from error
        self._waiting_frames.clear()
        self._waiting_journal.clear()
        self._waiting_state.clear()
        self.save_error = None

    def _check_writable(self) -> None:
        if self.read_only:
            raise SaveError(f"{self.path}: is open read-only; fork it to change it")
        if self._connection is None:
            raise SaveError(f"{self.path}: is closed")

    def _arm_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(FLUSH_INTERVAL_S, self._timed_flush)
            self._timer.daemon = True
            self._timer.start()

    def _timed_flush(self) -> None:
        with self._mutex:
            self._timer = None
            if self._connection is None:
                return
            try:
                self.flush()
            except SaveError:  # kept in `save_error` for whoever shows it
                self._arm_timer()

    def _query(self, sql: str, values: tuple = ()) -> list[tuple]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise UnreadableWorld(
                f"{self.path}: is damaged ({error}); `rtfm verify` tells what can be saved"
            ) from error
