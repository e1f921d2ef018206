"""The worker process: newest pose in, newest frame out, commands and events through a pipe.

The engine is built by a factory that is named, not passed ("module:attribute"), so that its module
(and torch with it) is imported in the worker only. `WorkerHandle` is the display's side: it never
waits for the model. The world lives here; the display knows it only through messages.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from . import messages as m
from .imports.pictures import world_from_image
from .imports.source import build_world
from .imports.surroundings import with_surroundings
from .link import FrameBoard, PoseBoard, PoseStamp, TakenFrame
from .memory.world_file import SaveError
from .starters import open_starter
from .world_care import rename_world, renamed_path
from .world_session import WorldSession
from .worlds_folder import free_world_path

DEFAULT_ENGINE = "rtfm_app.engine:FrameEngine.open"
REFUSALS = (ValueError, KeyError, OSError, SaveError)
NICENESS = 5
IDLE_WAIT_S = 0.004
ASLEEP_WAIT_S = 0.05


@dataclass(frozen=True)
class WorkerOptions:
    """`engine` names the factory: called as factory(world, **engine_options); what it returns is
    used as `FrameEngine` is. `paths` are added to the module search path of the process."""

    engine: str = DEFAULT_ENGINE
    engine_options: dict[str, Any] = field(default_factory=dict)
    paths: tuple[str, ...] = ()


def load_factory(name: str) -> Callable:
    """The callable that "module:attribute.attribute" names."""
    module_name, _, attributes = name.partition(":")
    target = importlib.import_module(module_name)
    for attribute in attributes.split("."):
        target = getattr(target, attribute)
    return target


def worker_main(
    channel: Connection, poses: PoseBoard, frames: FrameBoard, options: WorkerOptions
) -> None:
    """Entry of the process. Ends on `Quit`, when the display is gone, or with an error."""
    _prepare_process(options)
    try:
        worker = Worker(channel, poses, frames, options)
        signal.signal(signal.SIGTERM, lambda *_: worker.stop())
        worker.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the display is gone; the session has been closed on the way out
    except KeyboardInterrupt:
        return
    except Exception as error:
        detail = traceback.format_exc()
        print(detail, file=sys.stderr)
        with contextlib.suppress(OSError):  # gone; the traceback is on standard error
            channel.send(m.WorkerFailed(f"{type(error).__name__}: {error}", detail))
        sys.exit(1)


def _prepare_process(options: WorkerOptions) -> None:
    """Before torch is imported: one core stays with the display (on two cores the model is faster
    with one thread than with two that wait for each other), and threads that wait must sleep, not
    spin."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (cores or 1) - 1)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")
    _yield_to_display()
    for path in options.paths:
        if path not in sys.path:
            sys.path.append(path)


def _yield_to_display() -> None:
    """The display comes first. A batch process never takes the core from another one when it
    wakes: on two cores that keeps the display thread from waiting up to 16 ms, several times a
    second, and costs the model nothing."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # some containers refuse it: then without
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Worker:
    """Loop of the worker process (module docstring)."""

    def __init__(self, channel: Connection, poses: PoseBoard, frames: FrameBoard, options):
        self._channel = channel
        self._poses = poses
        self._frames = frames
        self._options = options
        self._open_engine: Callable | None = None
        self._session: WorldSession | None = None
        self._quit = False

    def run(self) -> None:
        self._send(m.Progress("Loading the model"))
        self._open_engine = load_factory(self._options.engine)
        self._send(m.WorkerReady())
        wait_s = 0.0
        try:
            while not self._quit:
                self._handle_commands(wait_s)
                wait_s = self._advance()
        finally:
            self._close_session()

    def stop(self) -> None:
        """Save and end soon."""
        self._quit = True

    def _advance(self) -> float:
        """Draw one frame if there is anything new to draw; returns how long to wait for commands
        before the next look, in seconds."""
        session = self._session
        if session is None:
            return ASLEEP_WAIT_S
        pose = self._poses.read()
        drawn = None
        if pose is not None and session.wants_frame(pose):
            started = time.perf_counter()
            drawn = session.draw(pose)
            self._frames.write(drawn, input_time=pose.input_time, started=started)
            session.prefetch()
        for event in session.tick(pose, drawn):
            self._send(event)
        for event in session.work():
            self._send(event)
        return 0.0 if drawn is not None or session.busy else IDLE_WAIT_S

    def _send(self, event) -> None:
        self._channel.send(event)

    def _handle_commands(self, wait_s: float) -> None:
        while self._channel.poll(wait_s) and not self._quit:
            wait_s = 0.0
            command = self._channel.recv()
            try:
                self._handle(command)
            except REFUSALS as error:
                self._send(m.Notice(str(error).strip("'"), "error"))

    def _handle(self, command) -> None:
        match command:
            case m.Quit():
                self._quit = True
            case m.OpenWorld(path, read_only):
                self._open(path, read_only)
            case m.NewWorldFromPicture(image, surroundings):
                self._new_from_picture(image, surroundings)
            case m.OpenStarterWorld(name):
                self._open_starter(name)
            case m.CloseWorld():
                self._close_session()
                self._send(m.WorldClosed())
            case m.CopyWorld(target, switch):
                self._copy(target, switch)
            case m.RenameWorld(name):
                self._rename(name)
            case _:
                if self._session is not None:
                    for event in self._session.handle(command):
                        self._send(event)

    def _open(self, path: Path, read_only: bool) -> None:
        self._close_session()
        self._poses.clear()
        self._send(m.Progress(f"Opening {path.stem.replace('_', ' ')}"))
        try:
            self._session = WorldSession.open(
                path, self._open_engine, self._options.engine_options, read_only
            )
        except REFUSALS as error:
            self._send(m.OpenFailed(path, str(error)))
            return
        self._send(self._session.opened_event())

    def _new_from_picture(self, image: Path, surroundings: str) -> None:
        self._send(m.Progress(f"Reading {image.name}"))
        try:
            path = free_world_path(image.stem)
            source = with_surroundings(world_from_image(image), surroundings)
            build_world(path, path.stem, source)
        except REFUSALS as error:
            self._send(m.OpenFailed(image, str(error)))
            return
        self._open(path, read_only=False)

    def _open_starter(self, name: str) -> None:
        text = f"Preparing {name.replace('_', ' ')}"
        self._send(m.Progress(text))
        try:
            path = open_starter(name, lambda share: self._send(m.Progress(text, share)))
        except REFUSALS as error:
            self._send(m.OpenFailed(Path(name), str(error)))
            return
        self._open(path, read_only=False)

    def _copy(self, target: Path, switch: bool) -> None:
        if self._session is None:
            return
        self._send(m.Progress(f"Copying to {target.stem}"))
        self._session.copy_to(target)
        if switch:
            self._open(target, read_only=False)
        else:
            self._send(m.Notice(f"Copied to {target}"))

    def _rename(self, name: str) -> None:
        """The file must be closed meanwhile; the walk goes on where it is."""
        if self._session is None:
            return
        path, pose = self._session.path, self._poses.read()
        target = renamed_path(path, name)
        self._close_session()
        try:
            rename_world(path, name)
        finally:
            self._open(target if target.exists() else path, read_only=False)
            if pose is not None:
                self._poses.write(pose)

    def _close_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            try:
                session.close(self._poses.read())
            except SaveError as error:
                self._send(m.Notice(str(error), "error"))


class WorkerHandle:
    """The display's side of the worker. Nothing here waits, apart from `close`."""

    def __init__(self, options: WorkerOptions = WorkerOptions()):  # noqa: B008 (frozen)
        self._context = multiprocessing.get_context("spawn")
        self._options = options
        self._poses = PoseBoard(self._context)
        self._frames = FrameBoard(self._context)
        self._channel: Connection | None = None
        self._process = None

    def start(self) -> None:
        """Start the process, or start it again after it ended."""
        if self._process is not None:
            self.close(timeout_s=0.5)
        self._poses.clear()
        self._frames.skip()
        self._channel, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=worker_main,
            args=(theirs, self._poses, self._frames, self._options),
            name="rtfm-worker",
            daemon=True,
        )
        self._process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.exitcode

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def send(self, command) -> bool:
        """Queue a command; False when the worker is gone."""
        try:
            self._channel.send(command)
        except (OSError, AttributeError):
            return False
        return True

    def events(self) -> list:
        """All events that have arrived."""
        received = []
        try:
            while self._channel is not None and self._channel.poll(0):
                received.append(self._channel.recv())
        except (EOFError, OSError):
            pass  # the worker ended; `alive` tells
        return received

    def submit(self, pose: PoseStamp) -> None:
        self._poses.write(pose)

    def take(self) -> TakenFrame | None:
        """The newest frame, each once."""
        return self._frames.take()

    def holds(self, taken: TakenFrame) -> bool:
        """Whether that frame's pictures for the card are still whole, see `FrameBoard.holds`."""
        return self._frames.holds(taken)

    def draw_for_software(self, on: bool) -> None:
        """Whether the display's graphics card is a processor (see `card.py`)."""
        self._frames.for_software = on

    def skip_frames(self) -> None:
        """Never show what was drawn before now (another world was opened)."""
        self._frames.skip()

    def close(self, timeout_s: float = 10.0) -> None:
        """Ask the worker to save and end; end it by force after the timeout."""
        process, self._process = self._process, None
        if process is None:
            return
        self.send(m.Quit())
        deadline = time.monotonic() + timeout_s
        while process.is_alive() and time.monotonic() < deadline:
            self.events()  # a worker that is sending must not block on a full pipe
            process.join(0.02)
        if process.is_alive():
            process.kill()
            process.join()
        self._channel.close()
        self._channel = None
