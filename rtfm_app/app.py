"""The desktop program: `run_app`. One loop: poll, camera, submit, take, draw.

The loop never waits for the model, which lives in the worker process. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import camera as walking
from .controller import Controller, new_state
from .display.catalogue import Catalogue
from .display.clipboard import Clipboard
from .display.frame_view import FrameView
from .display.interface import Interface
from .display.measurements import Moment
from .display.window import Window
from .gamepad import Gamepad
from .input import Controls, InputState
from .link import PoseStamp, TakenFrame
from .preferences import load_layout, load_preferences, save_layout
from .snapshots import Snapshots, write_png
from .sound import Sound
from .window_desk import WindowDesk
from .worker import WorkerHandle, WorkerOptions

HEAT_STRENGTH = 0.75
ICONIFIED_WAIT_S = 0.05
AWAKE_S = 0.6
RESTING_INTERVAL_S = 0.1
SOFTWARE_CAP = 45


def run_app(
    world: Path | None = None,
    *,
    exit_after_s: float | None = None,
    screenshot: Path | None = None,
    headless: bool = False,
    worker_options: WorkerOptions = WorkerOptions(),  # noqa: B008 (frozen)
    size: tuple[int, int] | None = None,
    scale: float | None = None,
    on_frame: Callable[[App], None] | None = None,
) -> int:
    """Open the window and walk until it is closed.

    Args:
        world: a world file or a picture to open; None shows the start screen.
        exit_after_s: end by itself this many seconds after the first model frame was shown (after
            the first display frame when `world` is None).
        screenshot: where to write a PNG of the whole window at the end.
        headless: without a display server, through EGL.
        size: of the window in pixels; None as last time.
        scale: of the interface; None as the monitor has it.
        on_frame: called after every display frame (tests, screenshots).
    Returns:
        Exit code: 0, 1 when the model process failed, 2 when `world` could not be opened.
    Raises:
        DisplayUnavailable (a ValueError): no window can be opened here.
    """
    app = App(worker_options, headless=headless, size=size, scale=scale)
    try:
        with _closing_when_terminated(app.window):
            if world is not None:
                app.controller.open_path(Path(world))
            return app.run(exit_after_s, world is not None, on_frame)
    finally:
        app.close(screenshot)


@contextlib.contextmanager
def _closing_when_terminated(window: Window) -> Iterator[None]:
    """`kill` and the end of a desktop session save everything, as closing the window does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = signal.signal(signal.SIGTERM, lambda *_: window.request_close())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class App:
    """Owns the window and the loop; what is shown is in `state`, what is done in `controller`, or
    in `desk` where it needs the window."""

    def __init__(self, options: WorkerOptions, *, headless: bool, size, scale: float | None):
        preferences, complaints = load_preferences()
        self.inputs = InputState()
        self.state = new_state(preferences, Catalogue())
        worker = WorkerHandle(options)
        worker.start()  # it loads the model while the window opens
        try:
            self.window = Window(
                self.inputs,
                width=(size or (preferences.window_width, 0))[0],
                height=(size or (0, preferences.window_height))[1],
                headless=headless,
                vsync=preferences.vsync,
                scale=scale,
            )
        except BaseException:
            worker.close(timeout_s=1.0)
            raise
        worker.draw_for_software(self.window.software)
        self.controller = Controller(self.state, worker)
        self.view = FrameView(self.window.gl, software=self.window.software)
        self.interface = Interface(self.window, preferences, load_layout())
        self.clipboard = Clipboard()
        self.gamepad = Gamepad()
        self.sound = Sound(enabled=not headless)
        self.state.renderer = self.window.renderer
        self.first_shown: float | None = None
        self._input_time = 0.0
        self._counted_input = 0.0
        self._surroundings: walking.Surroundings | None = None
        self._last_swap = time.perf_counter()
        self._next_frame = self._last_look = self._last_swap
        self._snapshots = Snapshots(self.state.toast)
        self.desk = WindowDesk(
            self.controller,
            self.window,
            self.inputs,
            self.interface,
            self.clipboard,
            self._snapshots,
        )
        self.desk.apply_preferences(None)
        for complaint in complaints:
            self.state.toast(complaint, "warning")
        self.state.catalogue.refresh()
        if preferences.full_screen and not headless:
            self.window.toggle_full_screen()

    def run(self, exit_after_s: float | None, scripted_world: bool, on_frame) -> int:
        """The loop (module docstring); returns the exit code."""
        gc.freeze()  # what was made until here stays: collections while walking need not look at it
        while not self.window.should_close:
            begun = Moment.now()
            started = begun.wall_s
            self.window.poll()
            controls = self._controls(started)
            self._move(controls, started)
            self._last_look = started
            self._submit()
            self.controller.receive()
            self._take()
            if self._draws_now(started):
                ready = Moment.now() - begun
                self._draw()
                self._measure(started, ready, controls)
            if on_frame is not None:
                on_frame(self)
            if exit_after_s is not None and self._is_over(exit_after_s, scripted_world):
                break
            self._pace()
        return self.controller.outcome if scripted_world else 0

    # ---- one display frame ----

    def _controls(self, now: float) -> Controls:
        self.controller.arrivals.receive(list(self.window.dropped))
        self.window.dropped.clear()
        self.state.pressed_key = self.window.take_pressed_key()
        pad = self.gamepad.read()
        self.state.pad, self.state.pad_name = pad, self.gamepad.name
        if pad is not None:
            self.inputs.pad(pad, now)
        controls = self.inputs.take(now - self._last_look)
        if self.interface.overlay.keys.waiting is not None:  # it is being told what a key does
            return Controls(newest_event=controls.newest_event)
        for action in controls.actions:
            self.desk.act(action)
        return controls

    def _move(self, controls: Controls, now: float) -> None:
        state = self.state
        if controls.newest_event:
            self._input_time = controls.newest_event
        walker = state.camera if state.world is not None else None
        self.sound.update(walker, state.preferences.volume, state.preferences.muted)
        if state.world is None:
            return
        if not controls.idle:
            self.controller.places.glide = None
            state.hint_until = min(state.hint_until, time.monotonic() + 4.0)
        flying = state.camera.flying
        if self.controller.places.glide is not None:
            state.camera, arrived = self.controller.places.glide.at(time.monotonic())
            if arrived:
                self.controller.places.glide = None
        else:
            dt = now - self._last_look
            state.camera = walking.step(state.camera, controls, dt, self._surroundings)
        if state.camera.flying != flying:
            state.toast("Flying: Space up, C down" if state.camera.flying else "Walking")

    def _submit(self) -> None:
        camera = self.state.camera
        if self.state.world is not None:
            self.controller.worker.submit(
                PoseStamp(
                    camera_to_world=camera.camera_to_world,
                    velocity=camera.velocity,
                    yaw_rate=camera.yaw_rate,
                    input_time=self._input_time,
                    flying=camera.flying,
                )
            )
        self.controller.tick()

    def _take(self) -> None:
        state = self.state
        if state.world is None:
            self.view.clear()
            self._surroundings = None
            return
        worker = self.controller.worker
        while (taken := worker.take()) is not None:
            self._show(taken)
            if worker.holds(taken):
                break  # else this process was held up, and the next one is there

    def _show(self, taken: TakenFrame) -> None:
        state, now = self.state, time.perf_counter()
        if state.taken is not None and taken.started - state.taken.finished < 0.1:
            state.measured.model.add((taken.finished - state.taken.finished) * 1e3)
        state.taken, state.taken_at = taken, now
        self.view.show(taken.frame, taken.card)
        self._surroundings = walking.Surroundings.of_frame(taken.frame)
        self.controller.ask_thumbnails(a.frame_id for a in taken.frame.attended)

    def _draws_now(self, now: float) -> bool:
        """Whether this display frame is worth drawing: always while something moves or has just
        happened, now and then else, so that a resting program leaves the machine alone."""
        state = self.state
        moving = state.camera.velocity.any() or self.controller.places.glide is not None
        newest = max(self.window.touched_at, state.taken_at, self._input_time)
        waiting = state.progress is not None or state.importing is not None or state.view_is_old
        if moving or waiting or self._snapshots.waiting or now - newest < AWAKE_S:
            return True
        return now - self._last_swap > RESTING_INTERVAL_S

    def _draw(self) -> None:
        window, state = self.window, self.state
        if window.iconified:
            time.sleep(ICONIFIED_WAIT_S)
        state.captured, state.full_screen = window.captured, window.full_screen
        window.begin(self.interface.visible)
        if state.world is None or self.view.frame is None:
            window.gl.clear(*BACKGROUND)
        else:
            self.view.draw(
                state.camera.camera_to_world,
                state.world.fov_y_radians,
                window.framebuffer_size,
                smooth=state.preferences.smooth_frames,
                heat=HEAT_STRENGTH if state.preferences.show_coverage else 0.0,
            )
        window.end_world()
        requests = self.interface.draw(state)
        self._snapshots.take(window.read_pixels)
        window.swap()
        if state.world is not None and self.interface.clicked_world:
            window.capture(True)
        if state.world is None or state.failure is not None:
            window.capture(False)
        self.desk.carry_out(requests + self.desk.chosen())

    def _measure(self, started: float, ready: Moment, controls: Controls) -> None:
        """`ready`: from the begin of the display frame until it was drawn."""
        measured, swapped = self.state.measured, time.perf_counter()
        interval = swapped - self._last_swap
        if interval < RESTING_INTERVAL_S or started - self._last_swap < RESTING_INTERVAL_S / 2:
            measured.display.add(interval * 1e3)
        own = ready - self.view.uploading + self.interface.laying_out
        self.view.uploading = Moment()
        measured.outside_gl.add(own.wall_s * 1e3)
        measured.outside_gl_cpu.add(own.cpu_s * 1e3)
        if controls.newest_event:
            measured.warp.add((swapped - controls.newest_event) * 1e3)
        taken = self.state.taken
        if taken is not None and taken.input_time > self._counted_input:
            self._counted_input = taken.input_time
            measured.generated.add((swapped - taken.input_time) * 1e3)
        self._last_swap = swapped

    def _pace(self) -> None:
        """Sleep until the next display frame is due; a missed one is not made up for."""
        cap = self.state.preferences.frame_rate_cap
        interval = 1.0 / (min(cap, SOFTWARE_CAP) if self.window.software else cap)
        now = time.perf_counter()
        self._next_frame = max(self._next_frame + interval, now - interval)
        if self._next_frame > now:
            time.sleep(self._next_frame - now)

    def _is_over(self, exit_after_s: float, scripted_world: bool) -> bool:
        now = time.perf_counter()
        shown = self.state.taken is not None or not scripted_world
        if self.first_shown is None and shown:
            self.first_shown = now
        if scripted_world and self.controller.outcome:
            return True
        return self.first_shown is not None and now - self.first_shown >= exit_after_s

    def close(self, screenshot: Path | None = None) -> None:
        """Save everything and close; the screenshot shows the window as it was last drawn."""
        try:
            if screenshot is not None:
                self._draw()
                write_png(self.window.read_pixels(), Path(screenshot))
            width, height = self.window.window_size
            if not self.window.headless:
                self.desk.change_preferences(window_width=width, window_height=height)
                save_layout(self.interface.layout())
        finally:
            self.controller.close()
            self._snapshots.close()
            self.clipboard.close()
            self.sound.close()
            self.gamepad.close()
            self.interface.release()
            self.view.release()
            self.window.close()
            gc.unfreeze()


BACKGROUND = (0.055, 0.062, 0.075)
