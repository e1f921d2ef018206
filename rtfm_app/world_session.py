"""One open world inside the worker: draws frames, keeps the world saved, answers commands.

No process, pipe or window here: `Worker` calls it and sends the events it returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from . import messages as m
from .config import OVERSCAN, GenerationSettings
from .frame import Frame
from .link import PoseStamp
from .memory.world_file import SaveError, WorldFile
from .painting import Painting
from .saved_state import CONTEXT_STATE, settings_from_json, sound_camera
from .session_films import SessionFilms

SAVE_EVERY_S = 1.0
REST_FRAMES = 3
WARN_EVERY_S = 10.0
THIN_JOURNAL_EVERY = 5000


class WorldSession:
    """See the module docstring. `engine` has `world`, `index`, `pages`, `advance`, `step`,
    `forget`, `refresh`, `prefetch`, `run_info`, `close`."""

    def __init__(self, engine, path: Path):
        self.engine = engine
        self.path = path
        self.settings = settings_from_json(engine.world.get_state("settings"))
        self._last_pose: np.ndarray | None = None
        self._last_index_size = -1
        self._rest = 0
        self._saved_camera: dict | None = None
        self._next_save = time.monotonic() + SAVE_EVERY_S
        self._next_warning = 0.0
        self._problem = ""
        self.films = SessionFilms(engine, self._walk)
        self.painting = Painting(engine, self.redraw)
        self._journalled: tuple | None = None
        self._journal_rows = 0
        if not engine.world.read_only:
            self._journal_opening()

    @classmethod
    def open(
        cls, path: Path, open_engine: Callable, engine_options: dict[str, Any], read_only: bool
    ) -> WorldSession:
        """Raises ValueError (one line for the user) when the world cannot be opened."""
        world = WorldFile.open(path, read_only=read_only)
        try:
            return cls(open_engine(world, **engine_options), path)
        except BaseException:
            world.close()
            raise

    def opened_event(self) -> m.WorldOpened:
        world = self.engine.world
        return m.WorldOpened(
            path=self.path,
            name=world.name,
            read_only=world.read_only,
            start_pose=world.start_pose,
            fov_y_radians=world.fov_y_radians,
            camera=sound_camera(world.get_state("camera")),
            settings=self.settings,
            bookmarks=world.get_state("bookmarks") or [],
            notes=world.get_state("notes") or "",
            stats=world.stats(),
            footprints=self.painting.footprints,
            film=world.get_state("film") or {},
        )

    # ---- drawing ----

    def wants_frame(self, pose: PoseStamp) -> bool:
        """Whether drawing again could show anything new: another pose, settings or memory. A
        few frames more are drawn at rest, for what the engine commits there."""
        if self._last_pose is None or not np.array_equal(pose.camera_to_world, self._last_pose):
            self._rest = 0
        if len(self.engine.index) != self._last_index_size:
            self._rest = 0
        return self._rest < REST_FRAMES

    def draw(self, pose: PoseStamp) -> Frame:
        self._last_pose = pose.camera_to_world
        self._last_index_size = len(self.engine.index)
        self._rest += 1
        frame = self._walk(pose)
        self.painting.drawn(frame, walking=not pose.flying)
        self.films.drawn(frame)
        return frame

    def prefetch(self) -> None:
        """Get ready for what the walk is about to need; between two frames."""
        self.engine.prefetch(self.settings)

    def _walk(self, pose: PoseStamp) -> Frame:
        """Draw and, unless the world cannot be written, imagine."""
        if not self.engine.world.read_only:
            try:
                self._journal_step(pose)
                before = self.engine.world.next_frame_id
                frame = self.engine.advance(
                    pose.camera_to_world,
                    self.settings,
                    velocity=pose.velocity,
                    overscan=OVERSCAN,
                )
                made = list(range(before, self.engine.world.next_frame_id))
                if made:
                    self.engine.world.journal("commit", {"ids": made})
                    self.painting.imagined(made)
                return frame
            except SaveError as error:
                self._problem = str(error)
        return self.engine.step(pose.camera_to_world, self.settings, overscan=OVERSCAN)

    def _journal_opening(self) -> None:
        """What a replay has to begin with (see `replay.py`)."""
        world = self.engine.world
        try:
            world.thin_journal()
        except SaveError as error:
            self._problem = str(error)
        world.journal(
            "open",
            {
                "settings": asdict(self.settings),
                "next_frame": world.next_frame_id,
                "context": world.get_state(CONTEXT_STATE) or {},
                **self.engine.run_info(),
            },
        )

    def _journal_step(self, pose: PoseStamp) -> None:
        """A pose that has not changed is not written again, only that it was drawn again."""
        payload = (pose.camera_to_world[:3].tolist(), pose.velocity.tolist())
        if payload == self._journalled:
            self.engine.world.journal("again", {})
        else:
            self._journalled = payload
            names = ("camera_to_world", "velocity")
            self.engine.world.journal("step", dict(zip(names, payload, strict=True)))
        self._journal_rows += 1
        if self._journal_rows % THIN_JOURNAL_EVERY == 0:
            self.engine.world.thin_journal()

    def redraw(self) -> None:
        """Something other than the pose has changed."""
        self._rest = 0

    # ---- beside the walk ----

    @property
    def filming(self) -> bool:
        return self.films.rendering

    @property
    def busy(self) -> bool:
        """Whether `work` has something to do."""
        return self.filming or self.painting.busy

    def work(self) -> list:
        """Draw one model frame of the film that is being rendered, if there is one; else do a
        little of what is being painted."""
        return self.films.work() if self.filming else self.painting.work()

    # ---- saving ----

    def tick(self, pose: PoseStamp | None, drawn: Frame | None) -> Iterator:
        """About once a second: save the camera, flush the world, report. Yields events."""
        now = time.monotonic()
        if now < self._next_save:
            return
        self._next_save = now + SAVE_EVERY_S
        try:
            self._save_camera(pose)
            self.engine.world.flush()
        except SaveError as error:
            self._problem = str(error)
        if self._problem and now >= self._next_warning:
            self._next_warning = now + WARN_EVERY_S
            yield m.Notice(self._problem, "error")
            self._problem = ""
        pages = self.engine.pages.pool.statistics
        yield m.WorldStats(self.engine.world.stats(), process_memory_mb(), pages)
        yield from self.films.recorded()

    def _save_camera(self, pose: PoseStamp | None) -> None:
        world = self.engine.world
        if pose is None or world.read_only:
            return
        camera = {
            "camera_to_world": pose.camera_to_world.tolist(),
            "mode": "fly" if pose.flying else "walk",
        }
        if camera != self._saved_camera:
            world.set_state("camera", camera)
            self._saved_camera = camera

    def close(self, pose: PoseStamp | None) -> None:
        """Save what is left and close the world; never leaves it open.

        Raises:
            SaveError: the last changes could not be written.
        """
        try:
            self.films.close()
            self.painting.close()
            self._save_camera(pose)
        finally:
            try:
                self.engine.close()
            finally:
                self.engine.world.close(force=True)

    # ---- commands ----

    def handle(self, command) -> list:
        """Carry out one command and return the events that answer it.

        Raises:
            ValueError, OSError: with a line for the user.
        """
        world = self.engine.world
        match command:
            case m.ChangeSettings(settings):
                self._change_settings(settings)
            case m.ChangeFrame(frame_id, action):
                return self._change_frame(frame_id, action)
            case m.SetWorldState(key, value):
                world.set_state(key, value)
            case m.Paint() | m.UndoPaint() | m.LeaveFootprints():
                return self.painting.handle(command)
            case m.RequestThumbnails(frame_ids):
                return [self._thumbnails(frame_ids)]
            case m.RequestPicture(frame_id):
                stored = world.read_frame(frame_id)
                return [m.StoredPicture(frame_id, stored.image, stored.kind)]
            case m.RequestMap():
                return [self._map()]
            case m.StartRecording() | m.StopRecording() | m.RenderFilm() | m.CancelFilm():
                self.redraw()  # a resting view is filmed too
                return self.films.handle(command, self.settings)
            case _:
                raise AssertionError(f"unknown command {command!r}")
        return []

    def copy_to(self, target: Path) -> None:
        """Fork the world to `target`. Raises ValueError when it exists already."""
        if target.exists():
            raise ValueError(f"{target} exists already; choose another name")
        self.engine.world.flush()
        with WorldFile.open(self.engine.world.fork(target)) as copy:
            copy.set_state("title", target.stem)

    def _change_settings(self, settings: GenerationSettings) -> None:
        if settings == self.settings:
            return
        self.settings = settings
        self.redraw()
        world = self.engine.world
        if not world.read_only:
            world.set_state("settings", asdict(settings))
            world.journal("settings", asdict(settings))

    def _change_frame(self, frame_id: int, action: str) -> list:
        world = self.engine.world
        match action:
            case "pin" | "unpin":
                world.set_pinned(frame_id, action == "pin")
            case "delete":
                world.delete_frame(frame_id)
                self.engine.forget(frame_id)
            case "restore":
                world.restore_frame(frame_id)
                self.engine.refresh()
            case "undo edit":
                world.undo_edit(frame_id)
                self.engine.refresh()
            case _:
                raise AssertionError(f"unknown action {action!r}")
        world.journal("frame", {"id": frame_id, "action": action})
        self.redraw()
        return [self._map()]

    def _thumbnails(self, frame_ids: tuple[int, ...]) -> m.Thumbnails:
        pictures = {}
        for frame_id in frame_ids:
            try:
                pictures[frame_id] = self.engine.world.read_thumbnail(frame_id)
            except (KeyError, ValueError):
                continue  # deleted meanwhile: the display shows an empty card
        return m.Thumbnails(pictures)

    def _map(self) -> m.FrameMap:
        table = self.engine.world.frame_table()
        return m.FrameMap(
            ids=table.ids,
            positions=table.camera_to_world[:, :3, 3],
            forwards=-table.camera_to_world[:, :3, 2],
            kinds=table.kind,
            pinned=table.pinned,
        )


def process_memory_mb() -> float:
    """Resident memory of this process in megabytes (0 where the platform does not tell)."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * 4096 / 1e6
    except OSError:
        return 0.0
