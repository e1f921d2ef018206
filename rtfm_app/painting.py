"""Painting beside the walk (`Painting`): strokes and footprints of one open world, a small step at
a time, so that frames go on being drawn meanwhile."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from . import messages as m
from .edits import TRODDEN_STATE, paint_steps, tread
from .footprints import (
    Print,
    Trail,
    draw_prints,
    pose_behind,
    prints_from_json,
    prints_to_json,
    unhidden,
)
from .frame import Frame
from .memory.world_file import SaveError

FOOTPRINTS_STATE = "footprints"
TRAIL_STATE = "footprint_trail"
RECENT_FRAMES = 8
PRINTS_KEPT = 600  # of the trail: what is imagined beside it later shows them too


class Painting:
    """`engine` is a `FrameEngine`; `redraw` is called when there is something new to see."""

    def __init__(self, engine, redraw: Callable[[], None]):
        self._engine = engine
        self._redraw = redraw
        self._recent: deque[Frame] = deque(maxlen=RECENT_FRAMES)
        self._jobs: deque[tuple[int, Iterator[list[int]]]] = deque()
        self._written = 0
        self._trail = Trail()
        self.footprints = engine.world.get_state(FOOTPRINTS_STATE) is True
        trail = prints_from_json(engine.world.get_state(TRAIL_STATE))
        self._left: deque[Print] = deque(trail, maxlen=PRINTS_KEPT)

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def drawn(self, frame: Frame, walking: bool) -> None:
        """The walker sees `frame`; `walking` with the feet on the ground."""
        self._recent.append(frame)
        if not self.footprints or self._engine.world.read_only:
            return
        now = time.monotonic()
        if walking:
            self._trail.walked(frame, now)
        if self._trail.due(now):
            self._jobs.append((0, self._stamp(*self._trail.take())))

    def imagined(self, frame_ids: list[int]) -> None:
        """New keyframes were kept; where they show ground that was trodden, they get the prints."""
        if self._left:
            self._jobs += [(0, self._tread(frame_id)) for frame_id in frame_ids]

    def handle(self, command: m.Paint | m.UndoPaint | m.LeaveFootprints) -> list:
        """Raises ValueError: the world is read-only."""
        if self._engine.world.read_only:
            raise ValueError("this world is open read-only: nothing can be painted")
        match command:
            case m.Paint():
                self._jobs.append((command.number, self._paint(command)))
            case m.LeaveFootprints(on):
                self.footprints = on
                self._trail = Trail()
                self._engine.world.set_state(FOOTPRINTS_STATE, on)
            case m.UndoPaint():
                events = self.finish()
                trodden = self._engine.world.get_state(TRODDEN_STATE) or []
                undone = self._engine.undo_paint()
                if not set(undone).isdisjoint(trodden):
                    self._remember([])
                self._redraw()
                said = "The last stroke is" if undone else "There is no stroke to be"
                return [*events, m.Notice(f"{said} taken back")]
        return []

    def work(self) -> list:
        """Do a small part of what is waiting; returns events."""
        if not self._jobs:
            return []
        try:
            written = next(self._jobs[0][1], None)
        except (ValueError, KeyError, SaveError) as error:
            return [*self._ended(), m.Notice(f"The mark was not kept: {error}", "error")]
        if written is None:
            return self._ended()
        self._written += len(written)
        return []

    def finish(self) -> list:
        """Do all that is waiting."""
        events = []
        while self._jobs:
            events += self.work()
        return events

    def close(self) -> None:
        """Finish, footprints included."""
        if self.footprints and self._trail.prints and not self._engine.world.read_only:
            self._jobs.append((0, self._stamp(*self._trail.take())))
        self.finish()

    def _ended(self) -> list:
        number, _ = self._jobs.popleft()
        frames, self._written = self._written, 0
        self._redraw()
        return [m.Painted(frames, number)]

    def _paint(self, order: m.Paint) -> Iterator[list[int]]:
        frame = self._frame_for(order.camera_to_world, order.fov_y_radians)
        yield from paint_steps(self._engine, frame, order.mark.draw(*frame.image.shape[:2]))

    def _frame_for(self, camera_to_world: np.ndarray, fov_y_radians: float) -> Frame:
        """What the user painted on: as it was drawn, or drawn again if that is long ago."""
        for frame in reversed(self._recent):
            same = np.array_equal(frame.camera_to_world, camera_to_world)
            if same and np.isclose(frame.fov_y_radians, fov_y_radians):
                return frame
        return self._engine.step(camera_to_world, fov_y_radians=fov_y_radians, follow=False)

    def _stamp(self, prints: list[Print], frame: Frame | None) -> Iterator[list[int]]:
        """Footprints as one stroke in a picture that shows their ground."""
        if frame is None:
            frame = self._engine.step(pose_behind(prints), follow=False)
            yield []
        yield from paint_steps(self._engine, frame, draw_prints(frame, prints), footprints=True)
        self._remember([*self._left, *prints])

    def _remember(self, prints: list[Print]) -> None:
        self._left = deque(prints, maxlen=PRINTS_KEPT)
        self._engine.world.set_state(TRAIL_STATE, prints_to_json(self._left))

    def _tread(self, frame_id: int) -> Iterator[list[int]]:
        """Put the trail into a keyframe that was imagined after it was left."""
        kept = self._engine.world.read_frame(frame_id)
        prints = list(self._left)
        mark = draw_prints(kept, prints)
        if not mark[..., 3].any():
            return
        frame = self._engine.step(
            kept.camera_to_world, fov_y_radians=kept.fov_y_radians, follow=False
        )
        yield []
        yield tread(self._engine, frame_id, unhidden(frame, mark, prints))
