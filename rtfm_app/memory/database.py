"""Whole world files: new ones, copies of open ones, and the meta table."""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..geometry import check_pose
from ..unfinished import remove_abandoned
from . import json_text, rows, schema
from .schema import UnreadableWorld


class SaveError(RuntimeError):
    """The world could not be written (disk full, for one); what waits is kept and tried again."""


def new_meta(
    *, name: str, start_pose, fov_y_radians, source_to_world, provenance: dict, model: dict
) -> dict[str, str]:
    """The checked contents of a new world's meta table. ValueError: a bad pose or name."""
    if not name or len(name) > 200:
        raise ValueError(f"a world's name must have 1 to 200 characters, got {name!r}")
    values = {
        "name": name,
        "created": time.time(),
        "start_pose": rows.rigid_pose(start_pose).tolist(),
        "fov_y_radians": rows.check_fov(fov_y_radians),
        "source_to_world": None,
        "provenance": provenance,
        "model": model,
    }
    if source_to_world is not None:
        values["source_to_world"] = check_similarity(source_to_world).tolist()
    return {key: json_text.to_json(value, key) for key, value in values.items()}


def check_similarity(matrix) -> np.ndarray:
    """float64 (4, 4): one scale times a rotation, and a shift. ValueError otherwise."""
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError("source_to_world must be a finite 4x4 matrix")
    scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
    if not scale > 0:
        raise ValueError("source_to_world must not mirror or flatten")
    rotation = matrix.copy()
    rotation[:3, :3] /= scale
    check_pose(rotation)
    return matrix


def read_meta(connection: sqlite3.Connection, path: Path) -> dict:
    """The meta table, checked.

    Raises:
        UnreadableWorld: missing or malformed entries.
    """
    try:
        found = connection.execute("SELECT key, value FROM meta LIMIT 100").fetchall()
        meta = {key: json_text.parse_json(value, key) for key, value in found}
        meta["start_pose"] = rows.rigid_pose(meta["start_pose"])
        meta["fov_y_radians"] = rows.check_fov(meta["fov_y_radians"])
        if meta["source_to_world"] is not None:
            meta["source_to_world"] = check_similarity(meta["source_to_world"])
        if not isinstance(meta["name"], str) or not math.isfinite(meta["created"]):
            raise ValueError("name or time of creation")
        for key in ("provenance", "model"):
            if not isinstance(meta[key], dict):
                raise ValueError(f"{key} is not an object")
    except KeyError as error:
        raise UnreadableWorld(f"{path}: is damaged: its meta table has no {error}") from error
    except (ValueError, TypeError, sqlite3.Error) as error:
        raise UnreadableWorld(f"{path}: is damaged: its meta table has a bad {error}") from error
    return meta


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the same folder; on success it becomes `path`.

    Raises:
        ValueError: `path` exists. SaveError: the folder cannot be written or is full.
    """
    for taken in (path, schema.wal_path(path), path.with_name(path.name + "-journal")):
        if taken.exists():
            raise ValueError(f"{taken}: exists already; choose another name or remove it")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, f".{path.name}.", ".part")
        temporary.unlink(missing_ok=True)
        yield temporary
        if path.exists():
            raise ValueError(f"{path}: exists already; choose another name or remove it")
        os.rename(temporary, path)
    except (OSError, sqlite3.Error) as error:
        raise SaveError(f"{path}: cannot be written ({error})") from error
    finally:
        for leftover in (temporary, temporary.with_name(temporary.name + "-journal")):
            with contextlib.suppress(OSError):
                leftover.unlink(missing_ok=True)


def write_new(path: Path, meta: dict[str, str]) -> None:
    """An empty world with this meta table under a name that must be free."""
    with new_file(path) as temporary:
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute("BEGIN")
            schema.create_schema(connection)
            connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.execute("COMMIT")
        finally:
            connection.close()


def copy(source: Path, target: Path) -> Path:
    """A consistent copy through SQLite's backup, while others read and write the source.

    The copy is called after its file and remembers where it came from.
    """
    with new_file(target) as temporary:
        reader = schema.connect(source, read_only=True)
        writer = sqlite3.connect(temporary, isolation_level=None)
        try:
            reader.backup(writer)
            writer.execute("PRAGMA journal_mode = DELETE")
            provenance = read_meta(writer, source)["provenance"]
            provenance = {**provenance, "forked_from": source.stem, "forked": time.time()}
            for key, value in (("name", target.stem), ("provenance", provenance)):
                writer.execute(
                    "UPDATE meta SET value = ? WHERE key = ?", (json_text.to_json(value, key), key)
                )
        finally:
            reader.close()
            writer.close()
    return target
