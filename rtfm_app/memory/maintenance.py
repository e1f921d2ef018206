"""Verify a world file, and save what is sound of a damaged one into a new file.

A damaged file itself is never written to. Both read through SQLite in read-only mode.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import codec, database, json_text, rows, schema
from .codec import DamagedFrame
from .schema import UnreadableWorld

Progress = Callable[[int, int], None]
MAX_PROBLEMS = 1000


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, what, and with which frame if with one."""

    where: str
    what: str
    frame_id: int | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Salvage:
    """What `salvage_world` could keep, and the ids that it could not."""

    path: Path
    kept: int
    dropped: tuple[int, ...]


def verify_world(path: Path | str, progress: Progress | None = None) -> list[Problem]:
    """Check everything in a world file; an empty list means that it is sound.

    Args:
        progress: called with (frames done, frames in all).

    Raises:
        UnreadableWorld: it cannot be read at all (missing, foreign, newer, cut short).
    """
    path = Path(path).expanduser()
    schema.check_header(path)
    try:
        with contextlib.closing(schema.connect(path, read_only=True)) as connection:
            unexpected = schema.schema_difference(connection)
            if unexpected:
                return [Problem("schema", f"unexpected or missing: {unexpected}")]
            problems: list[Problem] = []
            for found in _problems(connection, path, progress):
                problems.append(found)
                if len(problems) >= MAX_PROBLEMS:
                    break
            return problems
    except sqlite3.Error as error:
        raise UnreadableWorld(f"{path}: cannot be read ({error})") from error


def _problems(connection, path: Path, progress: Progress | None) -> Iterator[Problem]:
    yield from _guarded("structure", _structure(connection))
    yield from _guarded("meta", _meta(connection, path))
    yield from _guarded("state", _json_texts(connection, "state", "key", "value"))
    yield from _guarded("journal", _json_texts(connection, "journal", "id", "payload"))
    yield from _guarded("references", _references(connection))
    yield from _guarded("frames", _frames(connection, progress))


def _guarded(where: str, checks: Iterator[Problem]) -> Iterator[Problem]:
    """A check that meets damaged pages reports that instead of ending the others."""
    try:
        yield from checks
    except (sqlite3.Error, ValueError, OverflowError, TypeError) as error:
        yield Problem(where, f"cannot be read ({error})")


def _structure(connection: sqlite3.Connection) -> Iterator[Problem]:
    for pragma in ("integrity_check(100)", "foreign_key_check"):
        for row in connection.execute(f"PRAGMA {pragma}"):
            if row[0] != "ok":
                yield Problem("structure", " ".join(str(value) for value in row))
    check = connection.execute("SELECT rtreecheck('positions')").fetchone()[0]
    if check != "ok":
        yield Problem("positions", check[:200])


def _meta(connection: sqlite3.Connection, path: Path) -> Iterator[Problem]:
    try:
        database.read_meta(connection, path)
    except UnreadableWorld as error:
        yield Problem("meta", str(error))


def _json_texts(connection, table: str, key: str, column: str) -> Iterator[Problem]:
    for name, text in connection.execute(f"SELECT {key}, {column} FROM {table}"):
        try:
            json_text.parse_json(text, f"entry {name}")
        except ValueError as error:
            yield Problem(table, str(error))


def _references(connection: sqlite3.Connection) -> Iterator[Problem]:
    for where, query, what in (
        (
            "pictures",
            "SELECT frame_id FROM pictures EXCEPT SELECT id FROM frames",
            "belongs to no frame",
        ),
        (
            "positions",
            "SELECT frame_id FROM positions EXCEPT SELECT id FROM frames",
            "belongs to no frame",
        ),
        (
            "frames",
            "SELECT a.id FROM frames a JOIN frames b ON a.superseded_by = b.id "
            "WHERE b.replaces IS NOT a.id OR b.kind <> 'edit'",
            "is superseded by a frame that does not replace it",
        ),
        (
            "frames",
            "SELECT id FROM frames WHERE deleted NOT IN (0, 1) OR pinned NOT IN (0, 1)",
            "has flags that are neither 0 nor 1",
        ),
    ):
        for (frame_id,) in connection.execute(query):
            yield Problem(where, f"{frame_id} {what}", frame_id)


def _frames(connection, progress: Progress | None) -> Iterator[Problem]:
    ids = [row[0] for row in connection.execute("SELECT id FROM frames ORDER BY id")]
    for done, frame_id in enumerate(ids):
        try:
            _check_frame(connection, frame_id)
        except DamagedFrame as error:
            yield Problem("frames", str(error), frame_id)
        if progress is not None:
            progress(done + 1, len(ids))


def _check_frame(connection: sqlite3.Connection, frame_id: int) -> None:
    """Raise DamagedFrame unless every part of a frame is as it was written."""
    encoded = rows.read_encoded(connection, frame_id)
    frame = rows.decode(encoded)
    codec.decode_thumbnail(encoded.thumbnail)
    if encoded.valid_cells != codec.valid_cells(frame.valid):
        raise DamagedFrame(f"frame {frame_id}: its valid cells do not match its mask")
    size = connection.execute("SELECT bytes FROM frames WHERE id = ?", (frame_id,)).fetchone()[0]
    if size != encoded.bytes:
        raise DamagedFrame(f"frame {frame_id}: its stated size is wrong")
    box = connection.execute("SELECT * FROM positions WHERE frame_id = ?", (frame_id,)).fetchone()
    if box is None:
        raise DamagedFrame(f"frame {frame_id}: is missing from the index of positions")
    position = frame.camera_to_world[:3, 3]
    low, high = np.array(box[1::2]), np.array(box[2::2])
    slack = 1e-6 * (1 + np.abs(position))
    if not ((low <= position) & (position <= high) & (high - low <= slack)).all():
        raise DamagedFrame(f"frame {frame_id}: the index of positions has it elsewhere")


def salvage_world(
    path: Path | str, target: Path | str, progress: Progress | None = None
) -> Salvage:
    """Write every sound frame of a damaged world, and what state is readable, to a new file.

    What a lost edit had replaced is shown again. Ids stay the same.

    Raises:
        UnreadableWorld: nothing in it can be read. ValueError: the target exists.
        SaveError: the target cannot be written.
    """
    path, target = Path(path).expanduser(), Path(target).expanduser()
    _check_salvageable(path)
    with contextlib.closing(schema.connect(path, read_only=True)) as source:
        # lets SQLite read the pages of a file that is shorter than it says
        source.execute("PRAGMA writable_schema = ON")
        try:
            unexpected = schema.schema_difference(source)
            ids = _all_ids(source)
        except sqlite3.Error as error:
            raise UnreadableWorld(f"{path}: nothing can be saved of it ({error})") from error
        if unexpected:
            raise UnreadableWorld(f"{path}: unexpected in its schema: {unexpected}; refused")
        with database.new_file(target) as temporary:
            connection = sqlite3.connect(temporary, isolation_level=None)
            with contextlib.closing(connection):
                connection.execute("BEGIN")
                schema.create_schema(connection)
                kept = _copy_frames(source, connection, ids, progress)
                _copy_meta(source, connection, path, target)
                _copy_texts(source, connection)
                connection.execute("COMMIT")
    return Salvage(target, len(kept), tuple(sorted(set(ids) - set(kept))))


def _check_salvageable(path: Path) -> None:
    try:
        schema.check_header(path)
    except UnreadableWorld as error:
        if "is cut short" not in str(error):
            raise


def _all_ids(source: sqlite3.Connection) -> list[int]:
    """Every id that a frame might have, also when some pages cannot be read."""
    ids: set[int] = set()
    for query in (
        "SELECT id FROM frames",
        "SELECT frame_id FROM pictures",
        "SELECT frame_id FROM positions",
    ):
        with contextlib.suppress(sqlite3.DatabaseError):
            for (frame_id,) in source.execute(query):
                ids.add(frame_id)
    return sorted(frame_id for frame_id in ids if isinstance(frame_id, int))


def _copy_frames(source, target, ids: list[int], progress: Progress | None) -> list[int]:
    kept = []
    links = []
    for done, frame_id in enumerate(ids):
        with contextlib.suppress(DamagedFrame, KeyError):
            encoded = rows.read_encoded(source, frame_id)
            rows.decode(encoded)
            codec.decode_thumbnail(encoded.thumbnail)
            if encoded.replaces is not None:
                links.append((frame_id, encoded.replaces))
            rows.insert(target, encoded.without_link())
            deleted = source.execute("SELECT deleted FROM frames WHERE id = ?", (frame_id,))
            target.execute(
                "UPDATE frames SET deleted = ? WHERE id = ?",
                (int(deleted.fetchone()[0] == 1), frame_id),
            )
            kept.append(frame_id)
        if progress is not None:
            progress(done + 1, len(ids))
    _restore_links(target, [link for link in links if link[1] in set(kept)])
    return kept


def _restore_links(target: sqlite3.Connection, links: list[tuple[int, int]]) -> None:
    for edit, original in links:
        target.execute("UPDATE frames SET replaces = ? WHERE id = ?", (original, edit))
        target.execute(
            "UPDATE frames SET superseded_by = ? "
            "WHERE id = ? AND (SELECT deleted FROM frames WHERE id = ?) = 0",
            (edit, original, edit),
        )


def _copy_meta(source, target, path: Path, target_path: Path) -> None:
    try:
        meta = {
            key: json_text.to_json(value.tolist() if isinstance(value, np.ndarray) else value, key)
            for key, value in database.read_meta(source, path).items()
        }
    except UnreadableWorld:
        first = target.execute("SELECT pose, fov_y FROM frames ORDER BY id LIMIT 1").fetchone()
        if first is None:
            raise
        meta = database.new_meta(
            name=target_path.stem,
            start_pose=np.frombuffer(first[0], "<f8").reshape(4, 4),
            fov_y_radians=first[1],
            source_to_world=None,
            provenance={"salvaged_from": path.name},
            model={},
        )
    target.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())


def _copy_texts(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    """State and journal as far as they can be read."""
    for query, insert in (
        ("SELECT key, value FROM state", "INSERT INTO state VALUES (?, ?)"),
        (
            "SELECT time, kind, payload FROM journal ORDER BY id",
            "INSERT INTO journal (time, kind, payload) VALUES (?, ?, ?)",
        ),
    ):
        with contextlib.suppress(sqlite3.DatabaseError):
            for row in source.execute(query):
                with contextlib.suppress(ValueError, sqlite3.IntegrityError):
                    json.loads(row[-1])
                    target.execute(insert, row)
