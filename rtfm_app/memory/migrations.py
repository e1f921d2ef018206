"""What is done to world files of earlier versions when they are opened for writing. Each function
runs in one transaction of a file whose schema was found to be that of its version."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace

from . import codec, rows
from .schema import KINDS_1, KINDS_2


def tell_surroundings_apart(connection: sqlite3.Connection) -> None:
    """1 -> 2: what was laid around a photograph is no longer a seed like the photograph."""
    # How SQLite documents to change a CHECK ("Making Other Kinds Of Table Schema Changes").
    cookie = connection.execute("PRAGMA schema_version").fetchone()[0]
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) "
        "WHERE type = 'table' AND name = 'frames'",
        (KINDS_1, KINDS_2),
    )
    connection.execute(f"PRAGMA schema_version = {cookie + 1}")
    connection.execute("PRAGMA writable_schema = OFF")
    if _has_surroundings(connection):
        seeds = connection.execute(
            "SELECT id FROM frames WHERE kind = 'seed' AND id > (SELECT min(id) FROM frames)"
        )
        for (frame_id,) in seeds.fetchall():
            _make_surroundings(connection, frame_id)


def _has_surroundings(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT value FROM meta WHERE key = 'provenance'").fetchone()
    try:
        provenance = json.loads(found[0]) if found else {}
    except ValueError:  # told when the file is read
        return False
    return isinstance(provenance, dict) and "surroundings" in provenance


def _make_surroundings(connection: sqlite3.Connection, frame_id: int) -> None:
    """A damaged frame stays what it is, and is told by `rtfm verify`."""
    try:
        frame = rows.read_encoded(connection, frame_id)
        rows.decode(frame)
    except codec.DamagedFrame:
        return
    changed = replace(frame, kind="surroundings")
    connection.execute("UPDATE frames SET kind = ? WHERE id = ?", (changed.kind, frame_id))
    connection.execute(
        "UPDATE pictures SET digest = ? WHERE frame_id = ?", (changed.compute_digest(), frame_id)
    )
