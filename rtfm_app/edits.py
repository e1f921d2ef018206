"""Edits: marks that a user paints on the current view, kept in the stored frames.

A mark lies on the content that the painted frame shows, at the distances the model itself gave that
frame, corrected to where the stored pictures agree (`agreement.py`), so it is read from each stored
frame where the model reads that content. Nothing of the geometry is kept: every stored frame that
shows the place gets a new version with the mark in its pixels, and the old version stays for undo.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np

from .agreement import BEFORE, agreed_depth, flattened
from .carry import Carried, carry, points_of
from .frame import Frame
from .geometry import invert_pose
from .memory.rows import EncodedFrame, encode
from .memory.world_file import StoredFrame

LEAST_PIXELS = 6.0  # of the mark, in a stored frame; fewer are left alone
MOST_READ = 96  # stored frames that are looked at for one stroke
MOST_FRAMES = 64  # new versions of one stroke, the ones that show most of the mark first
HIDDEN_NEARER = 1.12  # a surface this much nearer than the mark hides it, if it looks different
HIDDEN_MARGIN = 0.01  # 1 / metre
COMPARED = 6  # stored frames that are asked how far another one's content is
HIDDEN_UNLIKE = 0.35  # share of a nearer surface that must look different
UNLIKE = 20.0  # grey levels between the painted view and the stored picture
UNLIKE_SHARE = 0.05  # of a mark, from which the distances are asked
UNSEEN_SHARE = 0.5
STROKES_STATE = "strokes"
TRODDEN_STATE = "footprint_frames"  # ids of the versions made by footprints
MOST_STROKES = 200


def paint(engine, frame: Frame, mark: np.ndarray) -> list[int]:
    """Give every stored frame that shows the marked place a new version with the mark.

    Args:
        engine: a `FrameEngine`.
        frame: what the user sees, as the engine drew it.
        mark: (H, W, 4) uint8 RGBA over the frame's picture, alpha 0 where nothing is painted.
    Returns:
        ids of the new versions; empty where nothing is marked.
    Raises:
        ValueError: the mark does not fit the picture.
        SaveError: the world cannot be written.
    """
    steps = paint_steps(engine, frame, mark)
    ids: list[int] = []
    for written in steps:
        ids += written
    return ids


def paint_steps(
    engine, frame: Frame, mark: np.ndarray, footprints: bool = False
) -> Iterator[list[int]]:
    """`paint` in small steps, so that walking goes on meanwhile; yields the ids written in each.
    All of them are written in the last step, in one transaction: a stroke is there or it is not.

    However long a walk, a frame keeps one version with `footprints`: a newer one, with the older
    prints and its own, stands in its place. So a walk's footprints are one stroke."""
    mark = check_mark(mark, frame)
    if not mark[..., 3].any():
        return
    if _imagined(frame, mark):
        engine.commit(frame)
    stored: dict[int, StoredFrame] = {}
    for frame_id in frames_that_show(engine.world, frame, mark):
        stored[frame_id] = engine.world.read_frame(frame_id)
        yield []
    if not stored:
        return
    frame = with_agreed_depth(frame, mark, stored.values())
    yield []
    carried = {}
    for frame_id, old in stored.items():
        there = carry(frame, mark, old)
        if there.pixels >= LEAST_PIXELS:
            carried[frame_id] = there
        yield []
    most = sorted(carried, key=lambda i: -carried[i].pixels)[:MOST_FRAMES]
    versions: list[EncodedFrame] = []
    for frame_id in most:
        old, there = stored[frame_id], carried[frame_id]
        others = [o for o in _nearest(stored.values(), old.camera_to_world) if o is not old]
        alpha = visible_alpha(old, there, others)
        if alpha.sum() >= LEAST_PIXELS:
            picture = blend(old.image, there.mark[..., :3], alpha)
            versions.append(_version(frame_id, old, picture))
            yield []
    if versions:
        yield _write_stroke(engine, versions, footprints)


def tread(engine, frame_id: int, mark: np.ndarray) -> list[int]:
    """Give one new keyframe a version with the footprints (H, W, 4) that were left before it was
    imagined; returns its id, or nothing where the keyframe shows none of them."""
    old = engine.world.read_frame(frame_id)
    alpha = mark[..., 3].astype(np.float32) / 255
    if old.valid is not None:
        alpha = alpha * old.valid
    if alpha.sum() < LEAST_PIXELS:
        return []
    picture = blend(old.image, mark[..., :3].astype(np.float32), alpha)
    return _write_stroke(engine, [_version(frame_id, old, picture)], footprints=True)


def _version(frame_id: int, old: StoredFrame, picture: np.ndarray) -> EncodedFrame:
    version = StoredFrame(
        "edit", old.camera_to_world, old.fov_y_radians, picture, old.valid,
        pinned=old.pinned, replaces=frame_id,
    )  # fmt: skip
    return encode(version, time.time())


def _write_stroke(engine, versions: list[EncodedFrame], footprints: bool = False) -> list[int]:
    """The new versions are one stroke, kept and undone together."""
    world = engine.world
    trodden = set(world.get_state(TRODDEN_STATE) or []) if footprints else set()
    versions = [replace(version, instead=version.replaces in trodden) for version in versions]
    dropped = {version.replaces for version in versions if version.instead}

    def note(ids: list[int]) -> None:
        world.journal("paint", {"ids": ids})
        strokes = world.get_state(STROKES_STATE) or []
        if footprints:
            goes_on = bool(strokes) and trodden.issuperset(strokes[-1])
            strokes = [[i for i in stroke if i not in dropped] for stroke in strokes]
            ids = [*strokes.pop(), *ids] if goes_on else ids
            world.set_state(TRODDEN_STATE, sorted(trodden - dropped | set(ids)))
        world.set_state(STROKES_STATE, [*filter(None, strokes), ids][-MOST_STROKES:])

    ids = world.add_together(versions, note)
    engine.refresh()
    return ids


def with_agreed_depth(frame: Frame, mark: np.ndarray, stored: Iterable[StoredFrame]) -> Frame:
    """The frame with distances at its picture's size, corrected under the mark."""
    near = _nearest(stored, frame.camera_to_world)
    box = _box_of(mark[..., 3])
    guess = cv2.resize(frame.inverse_depth, frame.image.shape[1::-1])
    agreed = agreed_depth(frame.image, guess, frame.camera_to_world, frame.fov_y_radians, box, near)
    around = cv2.dilate(mark[..., 3], np.ones((7, 7))) > 0
    return replace(frame, inverse_depth=flattened(agreed, around))


def undo_paint(engine) -> list[int]:
    """Take back the last stroke that is still there; returns the ids of the versions taken back
    (empty: there was none).

    Raises:
        SaveError: the world cannot be written.
    """
    world = engine.world
    strokes = world.get_state(STROKES_STATE) or []
    undone: list[int] = []
    while strokes and not undone:
        live = set(world.frame_table().ids.tolist())
        undone = [frame_id for frame_id in reversed(strokes.pop()) if frame_id in live]

    def note() -> None:
        world.set_state(STROKES_STATE, strokes)
        world.journal("undo paint", {"ids": undone})

    if undone:
        world.undo_edits(undone, note)
        engine.refresh()
    return undone


def check_mark(mark, frame: Frame) -> np.ndarray:
    """The mark as (H, W, 4) uint8. Raises ValueError when it does not fit the frame's picture."""
    mark = np.asarray(mark)
    height, width = frame.image.shape[:2]
    if mark.shape != (height, width, 4) or mark.dtype != np.uint8:
        raise ValueError(
            f"a mark must be uint8 RGBA of the picture's size {width}x{height}, "
            f"got {mark.dtype} {mark.shape}"
        )
    return mark


def _imagined(frame: Frame, mark: np.ndarray) -> bool:
    """Whether the mark lies on what no stored frame shows yet."""
    size = mark.shape[1::-1]
    unseen = cv2.resize(frame.unseen.astype(np.float32) / 255, size)
    return float((unseen > UNSEEN_SHARE)[mark[..., 3] > 0].mean()) > 0.1


def frames_that_show(world, frame: Frame, mark: np.ndarray) -> list[int]:
    """Live frames in whose picture some of the marked points fall, occlusion not considered; at
    most `MOST_READ`, the ones nearest to the marked place first."""
    rows, columns = np.nonzero(mark[..., 3])
    some = np.linspace(0, len(rows) - 1, min(len(rows), 64)).astype(int)
    height, width = mark.shape[:2]
    inverse = cv2.resize(frame.inverse_depth, (width, height))
    where = np.stack([columns[some] + 0.5, rows[some] + 0.5], -1)
    points = points_of(frame, where, inverse[rows[some], columns[some]], (height, width))
    table = world.frame_table()
    shown = np.zeros(len(table), bool)
    for start in range(0, len(table), 20_000):
        part = slice(start, start + 20_000)
        to_camera = invert_pose(table.camera_to_world[part])
        local = points @ np.swapaxes(to_camera[:, :3, :3], 1, 2) + to_camera[:, None, :3, 3]
        ahead = -local[..., 2]
        limit = np.tan(table.fov_y[part] / 2)[:, None] * ahead
        inside = (np.abs(local[..., 1]) < limit) & (np.abs(local[..., 0]) < limit * 16 / 9)
        shown[part] = (inside & (ahead > 0.05)).any(1)
    place = np.median(points, axis=0)
    away = np.linalg.norm(table.camera_to_world[shown, :3, 3] - place, axis=1)
    return table.ids[shown][np.argsort(away, kind="stable")[:MOST_READ]].tolist()


def visible_alpha(stored: StoredFrame, there: Carried, others: Sequence[StoredFrame]) -> np.ndarray:
    """Alpha (H, W) of a mark where nothing in the stored frame stands before it. Only where the
    stored frame looks unlike the painted view it is asked how far its content is."""
    alpha = there.mark[..., 3]
    if stored.valid is not None:
        alpha = alpha * stored.valid
    blurred = [cv2.blur(p, (5, 5)) for p in (stored.image.astype(np.float32), there.seen)]
    unlike = np.abs(blurred[0] - blurred[1]).mean(-1) > UNLIKE
    if (alpha * unlike).sum() < UNLIKE_SHARE * alpha.sum() or alpha.sum() < LEAST_PIXELS:
        return alpha
    marked = alpha > 0
    guess = np.where(marked, there.inverse_depth, np.median(there.inverse_depth[marked]))
    small = _halved(stored)
    own = agreed_depth(
        small.image, cv2.resize(guess, small.image.shape[1::-1]), stored.camera_to_world,
        stored.fov_y_radians, _box_of(cv2.resize(alpha, small.image.shape[1::-1]) > 0),
        [_halved(other) for other in others[:COMPARED]], BEFORE,
    )  # fmt: skip
    own = cv2.resize(own, marked.shape[::-1])
    nearer = marked & (own > there.inverse_depth * HIDDEN_NEARER + HIDDEN_MARGIN)
    around = [cv2.blur(p.astype(np.float32), (21, 21)) for p in (unlike & nearer, nearer)]
    return alpha * ~(nearer & (around[0] > HIDDEN_UNLIKE * around[1]))


def _halved(stored: StoredFrame) -> StoredFrame:
    """A coarse look at it."""
    size = (stored.image.shape[1] // 2, stored.image.shape[0] // 2)
    image = cv2.resize(stored.image, size, interpolation=cv2.INTER_AREA)
    valid = stored.valid
    if valid is not None:
        valid = cv2.resize(valid.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return replace(stored, image=image, valid=valid)


def _nearest(stored: Iterable[StoredFrame], pose: np.ndarray) -> list[StoredFrame]:
    """In order of the distance of their cameras from that of a pose."""
    here = pose[:3, 3]
    return sorted(stored, key=lambda s: float(np.linalg.norm(s.camera_to_world[:3, 3] - here)))


def _box_of(marked: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.nonzero(marked)
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def blend(picture: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Picture (H, W, 3) uint8 with a colour laid over it by alpha (H, W) in 0..1."""
    alpha = alpha[..., None]
    return np.clip(picture * (1 - alpha) + colour * alpha + 0.5, 0, 255).astype(np.uint8)
