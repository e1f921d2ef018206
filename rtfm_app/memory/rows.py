"""Frames as rows: what `WorldFile` stores and reads, without its locks and queues."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..geometry import check_pose
from . import codec
from .schema import (
    KINDS,
    MAX_HEIGHT,
    MAX_IMAGE_BYTES,
    MAX_MASK_BYTES,
    MAX_THUMBNAIL_BYTES,
)

_FRAME_COLUMNS = (
    "id, kind, pose, fov_y, height, width, valid_cells, created, pinned, replaces, bytes"
)
_PICTURE_COLUMNS = "digest, thumbnail, mask, image"


@dataclass(frozen=True)
class StoredFrame:
    """A posed picture to keep.

    Attributes:
        kind: one of KINDS.
        camera_to_world: (4, 4) float64.
        image: (H, W, 3) uint8, 16:9, up to 576 rows.
        valid: (H, W) bool, where the picture counts; None = everywhere.
        pinned: always kept in mind.
        replaces: id of the frame that this edit supersedes.
    """

    kind: str
    camera_to_world: np.ndarray
    fov_y_radians: float
    image: np.ndarray
    valid: np.ndarray | None = None
    pinned: bool = False
    replaces: int | None = None


@dataclass(frozen=True)
class EncodedFrame:
    """A frame as its row and blobs."""

    id: int
    kind: str
    pose: bytes
    fov_y: float
    height: int
    width: int
    valid_cells: int
    created: float
    pinned: bool
    replaces: int | None
    image: bytes
    mask: bytes | None
    thumbnail: bytes
    digest: bytes = b""
    instead: bool = False  # of the version that it replaces, which is not kept

    @property
    def bytes(self) -> int:
        return len(self.image) + len(self.mask or b"") + len(self.thumbnail)

    def with_id(self, frame_id: int) -> EncodedFrame:
        """The same frame under its final id, digest included."""
        numbered = replace(self, id=frame_id)
        return replace(numbered, digest=numbered.compute_digest())

    def without_link(self) -> EncodedFrame:
        """The same frame, replacing none."""
        return replace(self, replaces=None)

    def compute_digest(self) -> bytes:
        """What `digest` must be."""
        blobs = (self.image, self.mask, self.thumbnail)
        return codec.digest(self.id, self.kind, self.pose, self.fov_y, self.created, blobs)


def check(frame: StoredFrame) -> None:
    """Raise ValueError for a bad kind, pose, field of view, picture or mask."""
    if frame.kind not in KINDS:
        raise ValueError(f"a frame's kind must be one of {', '.join(KINDS)}, got {frame.kind!r}")
    if frame.replaces is not None and frame.kind != "edit":
        raise ValueError(f"only an edit can replace a frame, got kind {frame.kind!r}")
    check_pose(frame.camera_to_world)
    check_fov(frame.fov_y_radians)
    shape = codec.check_image(frame.image).shape[:2]
    if frame.valid is not None:
        valid = np.asarray(frame.valid)
        if valid.dtype != bool or valid.shape != shape:
            raise ValueError(f"a mask must be bool {shape}, got {valid.dtype} {valid.shape}")


def encode(frame: StoredFrame, created: float) -> EncodedFrame:
    """Check a frame and turn it into bytes (id 0 until `with_id`).

    Raises:
        ValueError: as `check`.
    """
    check(frame)
    image = np.ascontiguousarray(frame.image)
    valid = None if frame.valid is None or np.all(frame.valid) else np.asarray(frame.valid)
    return EncodedFrame(
        id=0,
        kind=frame.kind,
        pose=codec.pose_bytes(rigid_pose(frame.camera_to_world)),
        fov_y=float(frame.fov_y_radians),
        height=image.shape[0],
        width=image.shape[1],
        valid_cells=codec.valid_cells(valid),
        created=created,
        pinned=bool(frame.pinned),
        replaces=frame.replaces,
        image=codec.encode_image(image),
        mask=None if valid is None else codec.encode_mask(valid),
        thumbnail=codec.encode_thumbnail(image),
    )


def decode(encoded: EncodedFrame) -> StoredFrame:
    """The frame of its bytes.

    Raises:
        DamagedFrame: anything about it is not as it was written.
    """
    try:
        size = (encoded.height, encoded.width)
        image = codec.decode_image(encoded.image, *size)
        mask = None if encoded.mask is None else codec.decode_mask(encoded.mask, *size)
        if encoded.digest != encoded.compute_digest():
            raise codec.DamagedFrame("its bytes are not those that were written")
        if len(encoded.pose) != 128:
            raise codec.DamagedFrame("its pose is not 16 numbers")
        pose = np.frombuffer(encoded.pose, "<f8").reshape(4, 4).astype(np.float64)
        check_pose(pose)
        check_fov(encoded.fov_y)
    except codec.DamagedFrame as error:
        raise codec.DamagedFrame(f"frame {encoded.id}: {error}") from error
    except ValueError as error:
        raise codec.DamagedFrame(f"frame {encoded.id}: {error}") from error
    return StoredFrame(
        kind=encoded.kind,
        camera_to_world=pose,
        fov_y_radians=encoded.fov_y,
        image=image,
        valid=mask,
        pinned=encoded.pinned,
        replaces=encoded.replaces,
    )


def rigid_pose(camera_to_world) -> np.ndarray:
    """The pose itself, bit for bit, if its rotation is as good as float64 gives; else cleaned."""
    clean = check_pose(camera_to_world)
    given = np.asarray(camera_to_world, np.float64)
    return given if np.abs(given - clean).max() < 1e-12 else clean


def check_fov(fov_y_radians: float) -> float:
    """The field of view as a float. ValueError unless it is between 0.01 and 3.1 radians."""
    fov_y = float(fov_y_radians)
    if not 0.01 <= fov_y <= 3.1:
        raise ValueError(f"a vertical field of view must be 0.01 to 3.1 radians, got {fov_y}")
    return fov_y


def insert(connection: sqlite3.Connection, frame: EncodedFrame) -> None:
    """Write one frame's rows inside the caller's transaction."""
    connection.execute(
        f"INSERT INTO frames ({_FRAME_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            frame.id,
            frame.kind,
            frame.pose,
            frame.fov_y,
            frame.height,
            frame.width,
            signed(frame.valid_cells),
            frame.created,
            int(frame.pinned),
            frame.replaces,
            frame.bytes,
        ),
    )
    connection.execute(
        f"INSERT INTO pictures (frame_id, {_PICTURE_COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        (frame.id, frame.digest, frame.thumbnail, frame.mask, frame.image),
    )
    x, y, z = np.frombuffer(frame.pose, "<f8").reshape(4, 4)[:3, 3].tolist()
    connection.execute(
        "INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?, ?)", (frame.id, x, x, y, y, z, z)
    )
    if frame.replaces is not None:
        connection.execute(
            "UPDATE frames SET superseded_by = ? WHERE id = ?", (frame.id, frame.replaces)
        )
        if frame.instead:
            _drop_between(connection, frame.replaces, frame.id)


def _drop_between(connection: sqlite3.Connection, dropped: int, newer: int) -> None:
    """Remove a version for good; `newer` takes its place after the one before it."""
    query = "SELECT replaces FROM frames WHERE id = ?"
    (older,) = connection.execute(query, (dropped,)).fetchone()
    connection.execute("UPDATE frames SET replaces = ? WHERE replaces = ?", (older, dropped))
    connection.execute("UPDATE frames SET superseded_by = ? WHERE id = ?", (newer, older))
    delete_frames(connection, [dropped])


def read_encoded(connection: sqlite3.Connection, frame_id: int) -> EncodedFrame:
    """One frame's row and blobs, sizes and types checked before the blobs are fetched.

    Raises:
        KeyError: no such frame. DamagedFrame: wrong types or sizes.
    """
    try:
        row = connection.execute(
            f"SELECT {_FRAME_COLUMNS} FROM frames WHERE id = ?", (frame_id,)
        ).fetchone()
        if row is None:
            raise KeyError(f"no frame {frame_id}")
        sizes = connection.execute(
            "SELECT length(digest), length(thumbnail), ifnull(length(mask), 0), length(image), "
            "typeof(digest) || typeof(thumbnail) || typeof(mask) || typeof(image) "
            "FROM pictures WHERE frame_id = ?",
            (frame_id,),
        ).fetchone()
        if sizes is None or sizes[4] not in ("blobblobnullblob", "blobblobblobblob"):
            raise codec.DamagedFrame(f"frame {frame_id}: its picture is missing or no blob")
        limits = (32, MAX_THUMBNAIL_BYTES, MAX_MASK_BYTES, MAX_IMAGE_BYTES)
        if any(size > limit for size, limit in zip(sizes[:4], limits, strict=True)):
            raise codec.DamagedFrame(f"frame {frame_id}: its picture is larger than allowed")
        digest, thumbnail, mask, image = connection.execute(
            f"SELECT {_PICTURE_COLUMNS} FROM pictures WHERE frame_id = ?", (frame_id,)
        ).fetchone()
    except sqlite3.Error as error:
        raise codec.DamagedFrame(f"frame {frame_id}: cannot be read ({error})") from error
    _check_row(row)
    _, kind, pose, fov_y, height, width, cells, created, pinned, replaces, _ = row
    return EncodedFrame(
        id=frame_id,
        kind=kind,
        pose=pose,
        fov_y=fov_y,
        height=height,
        width=width,
        valid_cells=cells & codec.ALL_CELLS,
        created=created,
        pinned=bool(pinned),
        replaces=replaces,
        image=image,
        mask=mask,
        thumbnail=thumbnail,
        digest=digest,
    )


def _check_row(row: tuple) -> None:
    types = (int, str, bytes, float, int, int, int, float, int, (int, type(None)), int)
    if not all(isinstance(value, kind) for value, kind in zip(row, types, strict=True)):
        raise codec.DamagedFrame(f"frame {row[0]}: a value of the wrong type")
    height, width = row[4:6]
    if not 9 <= height <= MAX_HEIGHT or height % 9 or width != height // 9 * 16:
        raise codec.DamagedFrame(f"frame {row[0]}: an impossible size, {width}x{height}")


def read_thumbnail(connection: sqlite3.Connection, frame_id: int) -> bytes:
    """A frame's thumbnail as bytes. KeyError: no such frame. DamagedFrame: unreadable."""
    try:
        row = connection.execute(
            "SELECT CASE WHEN typeof(thumbnail) = 'blob' AND length(thumbnail) <= ? "
            "THEN thumbnail END FROM pictures WHERE frame_id = ?",
            (MAX_THUMBNAIL_BYTES, frame_id),
        ).fetchone()
    except sqlite3.Error as error:
        raise codec.DamagedFrame(f"frame {frame_id}: cannot be read ({error})") from error
    if row is None:
        raise KeyError(f"no frame {frame_id}")
    return row[0]


def drop_hidden(connection: sqlite3.Connection, drop_undo: bool) -> None:
    """Delete the rows of deleted frames and of what they hide; `drop_undo`: all superseded."""
    links = connection.execute("SELECT id, deleted, superseded_by FROM frames").fetchall()
    gone = {frame_id for frame_id, deleted, _ in links if deleted}
    if drop_undo:
        gone |= {frame_id for frame_id, _, superseded_by in links if superseded_by is not None}
    grew = True
    while grew:
        hidden = {frame_id for frame_id, _, by in links if by in gone}
        grew = not hidden <= gone
        gone |= hidden
    delete_frames(connection, gone)


def delete_frames(connection: sqlite3.Connection, frame_ids: Iterable[int]) -> None:
    """Remove frames for good; what they replaced is shown again."""
    keys = [(frame_id,) for frame_id in sorted(frame_ids)]
    for statement in (
        "UPDATE frames SET replaces = NULL WHERE replaces = ?",
        "UPDATE frames SET superseded_by = NULL WHERE superseded_by = ?",
        "DELETE FROM pictures WHERE frame_id = ?",
        "DELETE FROM positions WHERE frame_id = ?",
        "DELETE FROM frames WHERE id = ?",
    ):
        connection.executemany(statement, keys)


def take_back(connection: sqlite3.Connection, replaced: Mapping[int, int | None]) -> None:
    """Hide edits and show again what each replaced."""
    for edit, older in replaced.items():
        connection.execute("UPDATE frames SET deleted = 1 WHERE id = ?", (edit,))
        connection.execute(
            "UPDATE frames SET superseded_by = NULL WHERE id = ? AND superseded_by = ?",
            (older, edit),
        )


def count_kinds(query: Callable[[str], list[tuple]]) -> dict[str, tuple[int, int]]:
    """Kind -> (live frames, stored bytes)."""
    columns = ", ".join(
        f"count(*) FILTER (WHERE kind = '{kind}'), total(bytes) FILTER (WHERE kind = '{kind}')"
        for kind in KINDS
    )
    found = query(f"SELECT {columns} FROM frames WHERE deleted = 0 AND superseded_by IS NULL")[0]
    return {kind: (found[2 * i], int(found[2 * i + 1])) for i, kind in enumerate(KINDS)}


def signed(cells: int) -> int:
    """64 bits as SQLite stores them."""
    return int(np.uint64(cells).astype(np.int64))
