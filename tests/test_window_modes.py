"""The window as such: full screen, resizing, the frame rate limit, the sign of an old picture, and
what F9 and the Speed panel give away."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import ImageGrab
from test_app import (  # noqa: F401 (fixtures)
    PROGRAM,
    TESTS,
    opened,
    own_folders,
    play,
    press,
    until,
    world,
    x_display,
)

from rtfm_app.display.performance_panel import report
from rtfm_app.display.window import glfw
from rtfm_app.preferences import Preferences, load_preferences, save_preferences

pytestmark = pytest.mark.gl


@pytest.mark.slow
def test_full_screen_and_back_and_any_size_show_the_whole_world(x_display, world, tmp_path):  # noqa: F811
    config = tmp_path / "small"
    save_preferences(Preferences(window_width=800, window_height=450, show_overlay=False), config)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "DISPLAY": x_display,
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
        "RTFM_CONFIG_DIR": str(config),
    }
    words = [sys.executable, str(program), str(world), str(tmp_path / "end.png"), str(TESTS), "600"]
    process = subprocess.Popen(words, env=environment)

    def xdotool(*words):
        done = subprocess.run(["xdotool", *words], env=environment, capture_output=True, text=True)
        return done.stdout.split()

    def seen() -> np.ndarray:
        """Which pixels of the screen are not black; nothing of this world is."""
        return np.asarray(ImageGrab.grab(xdisplay=x_display).convert("RGB")).sum(2) > 20

    def wait(what, condition):
        deadline = time.monotonic() + 120
        while not condition():
            assert process.poll() is None and time.monotonic() < deadline, what
            time.sleep(0.1)

    try:
        wait("the world", lambda: seen().mean() > 0.3)
        assert not seen().all(), "the window is smaller than the screen"
        ((left, *_), (top, *_)) = (np.flatnonzero(seen().any(axis)) for axis in (0, 1))
        xdotool("mousemove", str(left + 300), str(top + 200))
        xdotool("key", "F11")
        wait("full screen", lambda: seen().all())
        xdotool("key", "F11")
        wait("a window again", lambda: 0.3 < seen().mean() < 0.5)
        for width, height in (("1000", "380"), ("660", "640")):
            xdotool("windowsize", xdotool("search", "--name", "RTFM|pattern")[-1], width, height)
            share = int(width) * int(height) / (1280 * 720)
            wait("the new size", lambda share=share: abs(seen().mean() - share) < 0.01)
        process.terminate()  # as at the end of a desktop session
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    kept = load_preferences(config)[0]
    assert not kept.full_screen and (kept.window_width, kept.window_height) == (660, 640)


def test_the_frame_rate_limit_holds(world):  # noqa: F811
    save_preferences(Preferences(frame_rate_cap=15))

    def script(app):
        yield from opened(app)
        begun, frames = time.perf_counter(), 20
        for _ in range(frames):
            yield
        assert time.perf_counter() - begun > (frames - 2) / 15

    assert play(script, world) == 0


def test_an_old_picture_is_marked_until_a_new_one_comes(world):  # noqa: F811
    def corner(app) -> np.ndarray:
        return app.window.read_pixels()[-40:, :50].astype(int)

    def script(app):
        yield from opened(app)
        press(app, glfw.KEY_TAB)
        assert not app.state.view_is_old, "a resting view is never old"
        app.state.camera = replace(app.state.camera, yaw=app.state.camera.yaw + 0.3)
        yield from until(lambda: app.state.view_is_old)
        yield
        marked = corner(app)
        app.state.taken_at = time.perf_counter()  # without the mark, the view the same
        yield
        assert np.abs(marked - corner(app)).max() > 60
        yield from until(lambda: abs(turn_of(app) - app.state.camera.yaw) < 1e-6)
        yield
        assert not app.state.view_is_old

    def turn_of(app) -> float:
        pose = app.state.taken.frame.camera_to_world
        return float(np.arctan2(pose[0, 2], pose[2, 2]))

    assert play(script, world, engine_options={"delay_s": 2.5}, limit_s=40) == 0


def test_f9_records_the_walk_as_a_film(world, tmp_path, monkeypatch):  # noqa: F811
    target = tmp_path / "walk.mp4"
    monkeypatch.setattr("rtfm_app.window_desk.media_path", lambda suffix: target)

    def script(app):
        yield from opened(app)
        press(app, glfw.KEY_F9)
        app.inputs.key("W", True, 1.0)
        yield from until(lambda: app.state.recording.frames > 5)
        app.inputs.key("W", False, 1.1)
        press(app, glfw.KEY_F9)
        yield from until(lambda: any("Film saved" in t.text for t in app.state.toasts))

    assert play(script, world) == 0
    with av.open(str(target)) as film:
        assert sum(1 for _ in film.decode(video=0)) > 5


def test_the_numbers_are_copied_as_json(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        app.window.capture(True)
        app.inputs.mouse_moved(5.0, 0.0, time.perf_counter())
        yield from until(lambda: app.state.pages is not None and len(app.state.measured.warp))
        numbers = json.loads(json.dumps(report(app.state)))
        wanted = {"display_p50_ms", "outside_gl_p99_ms", "warp_max_ms", "generated_p90_ms"}
        wanted |= {"stage_denoise_ms", "worker_memory_mb", "kv_hit_rate", "world_size_bytes"}
        assert wanted <= set(numbers)
        assert numbers["warp_max_ms"] > 0 and 0 <= numbers["kv_hit_rate"] <= 1

    assert play(script, world) == 0
