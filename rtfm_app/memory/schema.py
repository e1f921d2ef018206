"""The world file's tables, limits, version and the checks that come before trusting a file.

A world file is one SQLite database: `application_id` 0x5254464D ("RTFM"), `user_version` the schema
version. Everything a reader needs is in `TABLES`. No pictures are decoded here (see `codec.py`).

frames      one row a frame; `pose` is camera_to_world, 16 little-endian float64, row by row;
            `fov_y` radians; `created` seconds since 1970; `valid_cells` an 8x8 bit grid (bit
            8 * row + column, row 0 at the top, set where at least half of the cell is valid);
            `bytes` the stored size of its pictures. A frame is live when `deleted` is 0 and
            `superseded_by` is null.
pictures    the blobs of a frame: `image` lossless WebP, `mask` null (all valid) or the zlib stream
            of its row-major packed bits, `thumbnail` a 128x72 JPEG, `digest` see `codec.digest`.
positions   R*Tree over camera positions in metres (float32, rounded outwards).
meta, state JSON values: `meta` is fixed when the world is made, `state` changes while walking.
journal     what happened, in order: poses, settings, edits, commits, imports (JSON payloads).
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

APPLICATION_ID = 0x5254464D
VERSION = 2
READABLE = (1,)  # earlier versions that are read as they are where nothing may be written
KINDS = ("seed", "generated", "edit", "surroundings")

MAX_IMAGE_BYTES = 4 << 20
MAX_MASK_BYTES = 256 << 10
MAX_THUMBNAIL_BYTES = 64 << 10
MAX_JSON_BYTES = 1 << 20
MAX_ROW_BYTES = 6 << 20
MAX_HEIGHT = 576

TABLES = (
    """CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL CHECK (length(value) <= 1048576)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE state (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL CHECK (length(value) <= 1048576)
) STRICT, WITHOUT ROWID""",
    """CREATE TABLE frames (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL CHECK (kind IN ('seed', 'generated', 'edit', 'surroundings')),
  pose BLOB NOT NULL CHECK (length(pose) = 128),
  fov_y REAL NOT NULL CHECK (fov_y > 0 AND fov_y < 3.1),
  height INTEGER NOT NULL CHECK (height BETWEEN 9 AND 576 AND height % 9 = 0),
  width INTEGER NOT NULL CHECK (width = height / 9 * 16),
  valid_cells INTEGER NOT NULL,
  created REAL NOT NULL,
  pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1)),
  deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
  replaces INTEGER REFERENCES frames (id),
  superseded_by INTEGER REFERENCES frames (id),
  bytes INTEGER NOT NULL CHECK (bytes > 0)
) STRICT""",
    """CREATE TABLE pictures (
  frame_id INTEGER PRIMARY KEY REFERENCES frames (id),
  digest BLOB NOT NULL CHECK (length(digest) = 32),
  thumbnail BLOB NOT NULL CHECK (length(thumbnail) <= 65536),
  mask BLOB CHECK (length(mask) <= 262144),
  image BLOB NOT NULL CHECK (length(image) <= 4194304)
) STRICT""",
    "CREATE VIRTUAL TABLE positions USING rtree "
    "(frame_id, min_x, max_x, min_y, max_y, min_z, max_z)",
    """CREATE TABLE journal (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  time REAL NOT NULL,
  kind TEXT NOT NULL CHECK (length(kind) <= 64),
  payload TEXT NOT NULL CHECK (length(payload) <= 1048576)
) STRICT""",
)

KINDS_1 = "kind IN ('seed', 'generated', 'edit')"
KINDS_2 = "kind IN ('seed', 'generated', 'edit', 'surroundings')"


def tables(version: int) -> tuple[str, ...]:
    """The statements that make the tables of a version."""
    if version > 1:
        return TABLES
    return tuple(statement.replace(KINDS_2, KINDS_1) for statement in TABLES)


def _tell_surroundings_apart(connection: sqlite3.Connection) -> None:
    """1 -> 2."""
    from .migrations import tell_surroundings_apart

    tell_surroundings_apart(connection)


# from-version -> what to do inside one transaction.
MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _tell_surroundings_apart}

_open_files: dict[tuple[int, int], int] = {}


class UnreadableWorld(ValueError):
    """The file is missing, foreign, newer, truncated or too damaged to read at all."""

    def __init__(self, message: str):
        # SQLite quotes what it does not understand, over several lines if need be
        super().__init__(message.replace("\n", " ")[:1000])


def create_schema(connection: sqlite3.Connection, version: int | None = None) -> None:
    """Write the tables, the application id and the version into an empty database."""
    version = VERSION if version is None else version
    for statement in tables(version):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open with the limits and switches that make an untrusted file safe to query."""
    uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0
    )
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def check_header(path: Path) -> None:
    """Refuse foreign, newer and truncated files by their first 100 bytes, before SQLite sees them.

    Raises:
        UnreadableWorld: with one line that names the file and the remedy.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise UnreadableWorld(f"{path}: no such world file; make one with `rtfm new`") from None
    except OSError as error:
        raise UnreadableWorld(f"{path}: cannot be read ({error.strerror})") from None
    # POSIX drops all of a process's locks on a file when any descriptor of it is closed, and would
    # so pull SQLite's locks from under an open world; one that is open here was checked already.
    if (status.st_dev, status.st_ino) in _open_files:
        return
    if not path.is_file():
        raise UnreadableWorld(f"{path}: is not a file")
    try:
        with open(path, "rb") as file:
            header = file.read(100)
    except OSError as error:
        raise UnreadableWorld(f"{path}: cannot be read ({error.strerror})") from None
    if len(header) < 100 or header[:16] != b"SQLite format 3\0":
        raise UnreadableWorld(f"{path}: is not a world file (or is damaged from its first bytes)")
    page_size = struct.unpack_from(">H", header, 16)[0]
    page_size = 65536 if page_size == 1 else page_size
    pages, version, application = (
        struct.unpack_from(">I", header, offset)[0] for offset in (28, 60, 68)
    )
    check_identity(path, application, version)
    if status.st_size < pages * page_size and not wal_path(path).exists():
        raise UnreadableWorld(
            f"{path}: is cut short ({status.st_size} of {pages * page_size} bytes); "
            "restore a copy, or save what is left with `rtfm verify --salvage`"
        )


def check_identity(path: Path, application: int, version: int) -> None:
    """Raise UnreadableWorld unless application id and version are ours and not newer."""
    if application != APPLICATION_ID:
        raise UnreadableWorld(f"{path}: is another program's database, not a world file")
    if version > VERSION:
        raise UnreadableWorld(
            f"{path}: was written by a newer version of this program (format {version}, this "
            f"program reads up to {VERSION}); update the program"
        )
    if version < 1:
        raise UnreadableWorld(f"{path}: has no world format version; it is damaged")


def check_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database whose schema is not, statement for statement, that of its version.

    Triggers, views, generated columns and extra tables are so refused by one comparison.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    check_identity(path, application, version)
    unexpected = schema_difference(connection)
    if unexpected:
        raise UnreadableWorld(f"{path}: unexpected in its schema: {unexpected}; refused")


def schema_difference(connection: sqlite3.Connection) -> str:
    """Names of tables, views, triggers or indices that differ from those of the file's version
    ("" = none)."""
    found = _schema_rows(connection)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    reference = sqlite3.connect(":memory:")
    try:
        create_schema(reference, version)
        expected = _schema_rows(reference)
    finally:
        reference.close()
    names = sorted({f"{row[0]} {row[1]}"[:60] for row in found ^ expected})
    return ", ".join(names[:5])


def _schema_rows(connection: sqlite3.Connection) -> set[tuple]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema LIMIT 1000")
    return set(rows)


def migrate(connection: sqlite3.Connection, path: Path, *, may_write: bool) -> None:
    """Bring an older file to `VERSION`, each step in its own transaction.

    Raises:
        UnreadableWorld: no way is known from the file's version, or it may not be written.
    """
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    while 0 < version < VERSION:
        if version not in MIGRATIONS:
            raise UnreadableWorld(f"{path}: format {version} is no longer readable")
        if not may_write and version in READABLE:
            return
        if not may_write:
            raise UnreadableWorld(
                f"{path}: is of the older format {version}; open it once for writing to update it"
            )
        check_schema(connection, path)  # no trigger of a hostile file is to see the changes
        connection.execute("BEGIN IMMEDIATE")
        try:
            MIGRATIONS[version](connection)
            connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        version += 1


def file_key(path: Path) -> tuple[int, int]:
    """Identity of a file on disk, the same through links."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def note_open(key: tuple[int, int]) -> None:
    """Remember that this process has the file open in SQLite (see `check_header`)."""
    _open_files[key] = _open_files.get(key, 0) + 1


def note_closed(key: tuple[int, int]) -> None:
    """Undo one `note_open`."""
    _open_files[key] -= 1
    if not _open_files[key]:
        del _open_files[key]


def wal_path(path: Path) -> Path:
    """The write-ahead log that SQLite keeps beside an open or a killed world."""
    return path.with_name(path.name + "-wal")
