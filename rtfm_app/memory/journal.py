"""The journal's rows: how many there are, and how they are kept from growing without end.

An hour of walking at ten steps a second is 36,000 rows, about 12 MB. Past `MAX_ROWS` the oldest
rows go; what stays can be replayed from its own beginning (see `rtfm_app.replay`).
"""

from __future__ import annotations

import sqlite3

MAX_ROWS = 50_000
KEPT_SHARE = 0.75


def length(connection: sqlite3.Connection) -> tuple[int, int]:
    """(rows, steps walked)."""
    return connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE kind IN ('step', 'again')) FROM journal"
    ).fetchone()


def thin(connection: sqlite3.Connection, most: int = MAX_ROWS) -> int:
    """Remove the oldest rows of a journal longer than `most`; returns how many.

    About three quarters of `most` stay. Where a session began within the newest half of those,
    the journal begins there; and the newest row before the cut that says the settings stays too.
    """
    rows = length(connection)[0]
    if rows <= most:
        return 0
    kept = int(most * KEPT_SHARE)
    cut = connection.execute(
        "SELECT id FROM journal ORDER BY id DESC LIMIT 1 OFFSET ?", (kept - 1,)
    ).fetchone()[0]
    middle = connection.execute(
        "SELECT id FROM journal ORDER BY id DESC LIMIT 1 OFFSET ?", (kept // 2,)
    ).fetchone()[0]
    opened = connection.execute(
        "SELECT min(id) FROM journal WHERE kind = 'open' AND id BETWEEN ? AND ?", (cut, middle)
    ).fetchone()[0]
    cut = opened or cut
    return connection.execute(
        "DELETE FROM journal WHERE id < ? AND id IS NOT (SELECT max(id) FROM journal "
        "WHERE id < ? AND kind IN ('open', 'settings'))",
        (cut, cut),
    ).rowcount
