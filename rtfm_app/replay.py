"""Play a world's journal back: the same poses, settings and edits, drawn again (`replay`).

The world file is only read. Everything happens in a temporary copy that is first put back to how
the world was when the journal began: what the walk itself committed is not there, so it is imagined
again, and can be compared with what was committed then. A session (the world was opened) starts
with what its engine remembered then; what did not come from walking (strokes, footprints,
frames of a rendered walk) is taken over as it is.

With a deterministic engine on the same machine, with the same weights and number of threads, the
frames are the same bit for bit.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import messages as m
from .frame import Frame
from .geometry import check_pose
from .link import PoseStamp
from .memory.world_file import JournalEntry, StoredFrame, WorldFile
from .rewind import OPPOSITE, committed_ids, rewind, stored_frame, take_over
from .saved_state import CONTEXT_STATE, settings_from_json
from .world_session import WorldSession


@dataclass(frozen=True)
class Drawn:
    """One step of the journal, drawn again. `time` is when it was walked, seconds since 1970."""

    number: int
    time: float
    frame: Frame


@dataclass
class Report:
    """What came of a replay.

    Attributes:
        steps: how many were drawn; seconds: how long drawing took.
        committed: ids of the frames that the walk committed then, as far as they are still there.
        identical: how many of them came again, pixel for pixel and at the same pose.
        made: how many frames the replay committed.
        sha256: of all drawn pixels, in order: equal for two replays that drew the same.
        remarks: what could not be done as it was then, in words.
    """

    steps: int = 0
    seconds: float = 0.0
    committed: list[int] = field(default_factory=list)
    identical: int = 0
    made: int = 0
    sha256: str = ""
    remarks: list[str] = field(default_factory=list)


def read_journal(world: WorldFile, first: int = 1, last: int | None = None) -> list[JournalEntry]:
    """The journal from step `first` to step `last` (from 1), after one "open" entry that holds the
    settings that the first of them was drawn with. An "again" is the step that it repeats.

    Raises:
        ValueError: nothing was journalled, no such steps, or an entry that cannot be read.
    """
    if first < 1 or (last is not None and last < first):
        raise ValueError(f"--from {first} --to {last} are no steps; they count from 1")
    chosen: list[JournalEntry] = []
    opening = JournalEntry(0.0, "open", {})
    number, step = 0, None
    for entry in world.journal_entries():
        _check_entry(world, entry)
        if entry.kind == "step":
            step = entry
        if entry.kind in ("step", "again"):
            if step is None:  # the step that is repeated was dropped from an overlong journal
                continue
            number += 1
            entry = JournalEntry(entry.time, "step", _checked(world, step, number))
        if last is not None and number > last:
            break
        if number >= first and (entry.kind == "step" or chosen):
            chosen.append(entry)
        elif entry.kind == "open":
            opening = JournalEntry(entry.time, "open", entry.payload)
        elif entry.kind == "settings":
            opening = JournalEntry(
                entry.time, "open", {**opening.payload, "settings": entry.payload}
            )
    if not number:
        raise ValueError(f"{world.path}: its journal is empty; walk in it first")
    if not chosen:
        raise ValueError(f"{world.path}: its journal has {number} steps, none from {first} on")
    return [opening, *chosen]


def _check_entry(world: WorldFile, entry: JournalEntry) -> None:
    """Raises ValueError unless the entry holds what its kind promises (a file may be anything)."""
    payload = entry.payload
    sound = isinstance(payload, dict)
    if sound and entry.kind == "open":
        sound = type(payload.get("next_frame", 0)) is int
        sound &= type(payload.get("threads", 1)) is int and 1 <= payload.get("threads", 1) <= 1024
    elif sound and entry.kind in ("commit", "paint", "undo paint"):
        ids = payload.get("ids")
        sound = isinstance(ids, list) and bool(ids) and all(type(i) is int for i in ids)
    elif sound and entry.kind == "frame":
        sound = type(payload.get("id")) is int and payload.get("action") in OPPOSITE
    if not sound:
        raise ValueError(f"{world.path}: an entry {entry.kind!r} of its journal is damaged")


def _checked(world: WorldFile, entry: JournalEntry, number: int) -> dict:
    """The payload of a step as arrays, its pose exactly as it was written."""
    try:
        pose = np.vstack([np.array(entry.payload["camera_to_world"], float), (0, 0, 0, 1)])
        check_pose(pose)
        velocity = np.array(entry.payload["velocity"], float)
        if velocity.shape != (3,) or not np.isfinite(velocity).all():
            raise ValueError("a velocity must be three finite numbers")
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{world.path}: step {number} of its journal is damaged: {error}"
        ) from error
    return {"camera_to_world": pose, "velocity": velocity}


def replay(
    path: Path,
    open_engine: Callable,
    *,
    first: int = 1,
    last: int | None = None,
    on_frame: Callable[[Drawn], None] = lambda drawn: None,
) -> Report:
    """Walk the journal of the world at `path` again.

    Args:
        open_engine: called with an open `WorldFile`, once for each session of the walk.
        first, last: the steps to replay, counted from 1.
        on_frame: called with every step as it is drawn.
    Raises:
        ValueError: the world cannot be read, or its journal is empty.
        SaveError: there is no room for the temporary copy.
    """
    with (
        WorldFile.open(path, read_only=True) as world,
        tempfile.TemporaryDirectory(prefix="rtfm-replay-") as folder,
    ):
        entries = read_journal(world, first, last)
        copy = world.fork(Path(folder) / f"{path.stem}.rtfm")
        rewind(copy, entries)
        player = _Player(world, copy, open_engine, on_frame, first, committed_ids(entries))
        try:
            for entry, following in zip(entries, [*entries[1:], None], strict=True):
                player.play(entry, following)
        finally:
            player.end_session()
        return player.finish()


class _Player:
    """Plays entries into the copy; one `WorldSession` after the other."""

    def __init__(
        self, world: WorldFile, copy: Path, open_engine, on_frame, first: int, committed: set[int]
    ):
        self._world = world
        self._copy = copy
        self._committed = committed
        self._open_engine = open_engine
        self._on_frame = on_frame
        self._number = first - 1
        self._open_session: WorldSession | None = None
        self._digest = hashlib.sha256()
        self._report = Report()

    @property
    def _session(self) -> WorldSession:
        assert self._open_session is not None, "the first entry opens one"
        return self._open_session

    def play(self, entry: JournalEntry, following: JournalEntry | None) -> None:
        match entry.kind:
            case "open":
                self._open(entry.payload)
            case "step":
                if following is not None and following.kind == "commit":
                    self._take_over(min(following.payload["ids"]))
                self._step(entry)
            case "paint":
                self._take_over(max(entry.payload["ids"]) + 1)
                self._session.engine.refresh()
            case "undo paint":
                self._undo(entry.payload["ids"])
            case "settings":
                self._do(m.ChangeSettings(settings_from_json(entry.payload)))
            case "frame":
                self._do(m.ChangeFrame(entry.payload["id"], entry.payload["action"]))

    def _open(self, payload: dict) -> None:
        self.end_session()
        next_frame = min(payload.get("next_frame", 0), self._world.next_frame_id)
        take_over(self._world, self._copy, next_frame, self._committed)
        world = WorldFile.open(self._copy)
        world.set_state("settings", payload.get("settings") or {})
        world.set_state(CONTEXT_STATE, payload.get("context") or {})
        self._open_session = WorldSession(self._open_engine(world), self._copy)
        now = self._session.engine.run_info()
        for name, value in now.items():
            if payload.get(name, value) != value:
                self._remark(f"{name} was {payload[name]}, now it is {value}")

    def _step(self, entry: JournalEntry) -> None:
        session, payload = self._session, entry.payload
        self._number += 1
        before = time.perf_counter()
        frame = session.draw(PoseStamp(payload["camera_to_world"], payload["velocity"]))
        self._report.seconds += time.perf_counter() - before
        if session.engine.world.save_error is not None:
            raise session.engine.world.save_error
        self._digest.update(frame.image.tobytes())
        self._report.steps += 1
        self._on_frame(Drawn(self._number, entry.time, frame))

    def _take_over(self, next_frame: int) -> None:
        """Bring what was painted meanwhile, up to this id, into the open session."""
        world = self._session.engine.world
        for frame_id in range(world.next_frame_id, min(next_frame, self._world.next_frame_id)):
            frame = None if frame_id in self._committed else stored_frame(self._world, frame_id)
            if frame is None or world.next_frame_id != frame_id:
                self._remark(f"after step {self._number}: frame {frame_id} cannot be brought back")
                return
            try:
                world.add_frame(frame)
            except ValueError as error:
                self._remark(f"after step {self._number}: {error}")
                return
            if frame.kind != "edit":
                self._session.engine.refresh()

    def _undo(self, ids: list[int]) -> None:
        for frame_id in ids:
            try:
                self._session.engine.world.undo_edit(frame_id)
            except (KeyError, ValueError) as error:
                self._remark(f"after step {self._number}: {str(error).strip(chr(39))}")
        self._session.engine.refresh()

    def _do(self, command) -> None:
        try:
            self._session.handle(command)
        except (KeyError, ValueError) as error:
            self._remark(f"after step {self._number}: {str(error).strip(chr(39))}")

    def _remark(self, text: str) -> None:
        if text not in self._report.remarks:
            self._report.remarks.append(text)

    def end_session(self) -> None:
        session, self._open_session = self._open_session, None
        if session is not None:
            session.close(None)

    def finish(self) -> Report:
        """Compare what was committed then with what was committed now."""
        report = self._report
        report.sha256 = self._digest.hexdigest()
        with WorldFile.open(self._copy, read_only=True) as copy:
            report.made = len(committed_ids(copy.journal_entries("commit")))
            for frame_id in sorted(self._committed):
                frame = stored_frame(self._world, frame_id)
                if frame is not None:
                    report.committed.append(frame_id)
                    report.identical += _same(frame, stored_frame(copy, frame_id))
        return report


def _same(a: StoredFrame, b: StoredFrame | None) -> bool:
    if b is None or not np.array_equal(a.camera_to_world, b.camera_to_world):
        return False
    if not np.array_equal(a.image, b.image):
        return False
    if a.valid is None or b.valid is None:
        return a.valid is b.valid
    return np.array_equal(a.valid, b.valid)
