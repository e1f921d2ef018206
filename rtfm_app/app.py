"""The desktop program: `run_app`. One loop: poll, camera, submit, take, draw.

The loop never waits for the model, which lives in the worker process. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import platformdirs
from PIL import Image

from . import camera as walking
from . import messages as m
from .controller import Controller, new_state
from .display import state as ui
from .display.catalogue import Catalogue
from .display.clipboard import Clipboard
from .display.dialogs import FileDialogs
from .display.frame_view import FrameView
from .display.interface import Interface
from .display.window import Window
from .gamepad import Gamepad
from .input import Controls, InputState, Sensitivity
from .link import PoseStamp
from .preferences import LAYOUT_NAME, config_folder, load_preferences
from .sound import Sound
from .worker import WorkerHandle, WorkerOptions

log = logging.getLogger(__name__)
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
    """Owns the window and the loop; what is shown is in `state`, what is done in `controller`."""

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
        self.interface = Interface(self.window, preferences, _read_layout())
        self.dialogs = FileDialogs(headless)
        self.clipboard = Clipboard()
        self.gamepad = Gamepad()
        self.sound = Sound(enabled=not headless)
        self.state.renderer = self.window.renderer
        self.first_shown: float | None = None
        self._captured_before_brush = False
        self._input_time = 0.0
        self._counted_input = 0.0
        self._surroundings: walking.Surroundings | None = None
        self._last_swap = time.perf_counter()
        self._next_frame = self._last_look = self._last_swap
        self._screenshots: list[Path] = []
        self._savers: list[threading.Thread] = []
        self._apply_preferences(None)
        for complaint in complaints:
            self.state.toast(complaint, "warning")
        self.state.catalogue.refresh()
        if preferences.full_screen and not headless:
            self.window.toggle_full_screen()

    def run(self, exit_after_s: float | None, scripted_world: bool, on_frame) -> int:
        """The loop (module docstring); returns the exit code."""
        while not self.window.should_close:
            started = time.perf_counter()
            self.window.poll()
            controls = self._controls(started)
            self._move(controls, started)
            self._last_look = started
            self._submit()
            self.controller.receive()
            self._take()
            if self._draws_now(started):
                drawing = time.perf_counter()
                self._draw()
                self._measure(started, drawing, time.perf_counter(), controls)
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
            self._act(action)
        return controls

    def _act(self, action: str) -> None:
        state, controller = self.state, self.controller
        match action:
            case "toggle_overlay":
                state.show_overlay = not state.show_overlay
                self._change_preferences(show_overlay=state.show_overlay)
            case "next_panel":
                self._change_preferences(show_overlay=True)
                state.show_overlay = True
                self.window.capture(False)
                self.interface.overlay.next_panel()
            case "full_screen":
                self._carry_out([ui.ToggleFullScreen()])
            case "screenshot":
                self._carry_out([ui.TakeScreenshot()])
            case "record":
                self._carry_out([ui.ToggleRecording()])
            case "paint":
                self._toggle_brush()
            case "undo_paint":
                if state.world is not None:
                    controller.handle([m.UndoPaint()])
            case "swap_settings":
                controller.handle([ui.SwapSettings()])
            case "bookmark":
                controller.handle([ui.AddBookmark()])
            case "home":
                controller.go_home()
            case "toggle_solid":
                solid = not state.preferences.solid_walking
                self._change_preferences(solid_walking=solid)
                state.toast("Solid ground" if solid else "Walking through everything")
            case "mute":
                muted = not state.preferences.muted
                self._change_preferences(muted=muted)
                state.toast("Sound off" if muted else "Sound on")
            case _ if action.startswith("place_"):
                controller.go_to_bookmark(int(action.removeprefix("place_")))

    def _toggle_brush(self) -> None:
        """The brush needs a free mouse; without it the walk goes on as it did before."""
        state = self.state
        if state.world is None:
            return
        if state.world.read_only:
            state.toast("This world is open read-only: nothing can be painted.", "warning")
            return
        state.show_overlay = True
        if self.interface.overlay.toggle_brush():
            self._captured_before_brush = self.window.captured
            self.window.capture(False)
        elif self._captured_before_brush:
            self.window.capture(True)

    def _move(self, controls: Controls, now: float) -> None:
        state = self.state
        if controls.newest_event:
            self._input_time = controls.newest_event
        walker = state.camera if state.world is not None else None
        self.sound.update(walker, state.preferences.volume, state.preferences.muted)
        if state.world is None:
            return
        if not controls.idle:
            self.controller.glide = None
            state.hint_until = min(state.hint_until, time.monotonic() + 4.0)
        flying = state.camera.flying
        if self.controller.glide is not None:
            state.camera, arrived = self.controller.glide.at(time.monotonic())
            if arrived:
                self.controller.glide = None
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
        taken = self.controller.worker.take()
        if taken is None:
            return
        now = time.perf_counter()
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
        moving = state.camera.velocity.any() or self.controller.glide is not None
        newest = max(self.window.touched_at, state.taken_at, self._input_time)
        waiting = state.progress is not None or state.importing is not None or state.view_is_old
        if moving or waiting or self._screenshots or now - newest < AWAKE_S:
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
        self._save_screenshots()
        window.swap()
        if state.world is not None and self.interface.clicked_world:
            window.capture(True)
        if state.world is None or state.failure is not None:
            window.capture(False)
        self._carry_out(requests + self.dialogs.requests() + self.clipboard.requests(state))

    def _measure(self, started: float, drawing: float, swapped: float, controls: Controls) -> None:
        measured = self.state.measured
        interval = swapped - self._last_swap
        if interval < RESTING_INTERVAL_S or started - self._last_swap < RESTING_INTERVAL_S / 2:
            measured.display.add(interval * 1e3)
        uploading, self.view.upload_s = self.view.upload_s, 0.0
        measured.outside_gl.add((drawing - started - uploading + self.interface.python_s) * 1e3)
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

    # ---- requests that need the window ----

    def _carry_out(self, requests: list) -> None:
        before = self.state.preferences
        for request in self.controller.handle(requests):
            match request:
                case ui.ToggleFullScreen():
                    self.window.toggle_full_screen()
                    self._change_preferences(full_screen=self.window.full_screen)
                case ui.TakeScreenshot():
                    self._screenshots.append(_picture_path("png"))
                case ui.ToggleRecording():
                    self._toggle_recording()
                case ui.ChooseSource(what):
                    if not self.dialogs.choose_source(what):
                        self.controller.ask_path(what)
                case ui.Paste(text):
                    self.clipboard.paste(text)
                case ui.ChooseCopyTarget(switch):
                    if not self.dialogs.choose_copy(self.controller.default_copy(), switch):
                        self.controller.ask_path("save as" if switch else "copy")
                case m.CopyWorld(target, switch):
                    self.controller.copy_world(target, switch=switch)
                case ui.CopyText(text):
                    self.interface.copy_text(text)
                    self.state.toast("Copied")
                case ui.QuitProgram():
                    self.window.request_close()
                case _:
                    raise AssertionError(f"unknown request {request!r}")
        if self.state.preferences != before:
            self._apply_preferences(before)

    def _change_preferences(self, **changes) -> None:
        before = self.state.preferences
        self.controller.change_preferences(replace(before, **changes))
        self._apply_preferences(before)

    def _apply_preferences(self, before) -> None:
        """Make the parts follow the preferences; `before` None = all of them."""
        preferences = self.state.preferences
        self.inputs.keys = preferences.keys
        self.inputs.pad_buttons, self.inputs.pad_axes = preferences.pad, preferences.axes
        self.inputs.sensitivity = Sensitivity(
            mouse=preferences.mouse_sensitivity,
            pad=preferences.pad_sensitivity,
            keys=preferences.key_sensitivity,
            invert_y=preferences.invert_y,
            dead_zone=preferences.pad_dead_zone,
        )
        self.interface.follow(preferences)
        if before is None:
            return
        if before.vsync != preferences.vsync:
            self.window.set_vsync(preferences.vsync)

    def _toggle_recording(self) -> None:
        state = self.state
        if state.world is None:
            return
        if state.recording.target is not None:
            self.controller.worker.send(m.StopRecording())
        else:
            self.controller.worker.send(m.StartRecording(_picture_path("mp4")))

    def _save_screenshots(self) -> None:
        """Of the whole window, before it is swapped; written in the background."""
        for path in self._screenshots:
            saver = threading.Thread(
                target=self._write_picture, args=(self.window.read_pixels(), path), daemon=False
            )
            saver.start()
            self._savers.append(saver)
        self._screenshots.clear()
        self._savers = [s for s in self._savers if s.is_alive()]

    def _write_picture(self, pixels: np.ndarray, path: Path) -> None:
        try:
            write_png(pixels, path)
            self.state.toast(f"Screenshot: {path}")
        except OSError as error:
            self.state.toast(f"The screenshot could not be saved: {error}", "error")

    def close(self, screenshot: Path | None = None) -> None:
        """Save everything and close; the screenshot shows the window as it was last drawn."""
        try:
            if screenshot is not None:
                self._draw()
                write_png(self.window.read_pixels(), Path(screenshot))
            width, height = self.window.window_size
            if not self.window.headless:
                self._change_preferences(window_width=width, window_height=height)
                _write_layout(self.interface.layout())
        finally:
            self.controller.close()
            for saver in self._savers:
                saver.join()
            self.clipboard.close()
            self.sound.close()
            self.gamepad.close()
            self.interface.release()
            self.view.release()
            self.window.close()


BACKGROUND = (0.055, 0.062, 0.075)


def write_png(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) uint8 through a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    Image.fromarray(pixels).save(temporary, format="PNG", compress_level=3)
    os.replace(temporary, path)


def _picture_path(suffix: str) -> Path:
    folder = platformdirs.user_pictures_path() if suffix == "png" else _videos()
    return folder / "RTFM" / f"rtfm-{datetime.now():%Y%m%d-%H%M%S-%f}.{suffix}"


def _videos() -> Path:
    return platformdirs.user_videos_path()


def _read_layout() -> str:
    try:
        return (config_folder() / LAYOUT_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # the first time, or unreadable: the panels stand where they stand by default


def _write_layout(text: str) -> None:
    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LAYOUT_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        log.warning("the panels' layout could not be saved: %s", error)
