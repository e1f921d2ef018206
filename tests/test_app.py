"""The program as a person uses it: without a display server with injected input, and once on a
real X server with real keys."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pattern_engine
import pytest
from PIL import Image

from rtfm_app import messages as m
from rtfm_app.app import run_app
from rtfm_app.config import GenerationSettings
from rtfm_app.display import state as ui
from rtfm_app.display.window import glfw, imgui  # through it: see its import order
from rtfm_app.memory.world_file import WorldFile
from rtfm_app.worker import WorkerOptions

pytestmark = pytest.mark.gl
TESTS = Path(__file__).parent
SIZE = (640, 360)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("RTFM_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_PICTURES_DIR", str(tmp_path / "pictures"))


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "place.rtfm"
    pattern_engine.make_world(path)
    return path


def play(script, world=None, *, engine="open_engine", limit_s=25, **options):
    """Run the program headless; `script(app)` is a generator that is advanced after each display
    frame and ends the program when it ends."""
    running = []
    deadline = time.monotonic() + limit_s

    def on_frame(app):
        app.window.touched_at = time.perf_counter()
        if not running:
            running.append(script(app))
        assert time.monotonic() < deadline, "the script does not come to its end"
        if next(running[0], "end") == "end":
            app.window.request_close()

    worker = WorkerOptions(
        f"pattern_engine:{engine}", options.pop("engine_options", {}), (str(TESTS),)
    )
    return run_app(
        world, headless=True, worker_options=worker, size=SIZE, on_frame=on_frame, **options
    )


def until(condition):
    while not condition():
        yield


def opened(app):
    yield from until(lambda: app.state.taken is not None)


def test_w_walks_forward_the_mouse_turns_and_escape_frees(world):
    seen = {}

    def script(app):
        yield from opened(app)
        app.window.capture(True)
        start = app.state.camera
        app.window.on_key(glfw.KEY_W, glfw.PRESS)
        yield from until(lambda: app.state.camera.position[2] < start.position[2] - 0.3)
        app.window.on_key(glfw.KEY_ESCAPE, glfw.PRESS)
        assert not app.window.captured
        stopped = app.state.camera.position[2]
        for _ in range(60):
            yield
        seen["coasted"] = stopped - app.state.camera.position[2]
        app.window.capture(True)
        x, y = app.window._cursor
        app.window.on_cursor(x + 100, y)
        yield
        seen["yaw"] = app.state.camera.yaw - start.yaw

    assert play(script, world) == 0
    assert seen["coasted"] < 0.4, "Esc must release held keys"
    assert seen["yaw"] == pytest.approx(-0.22)


def test_the_mouse_turns_the_picture_within_one_display_frame_even_when_the_model_is_slow(world):
    seen = {}

    def script(app):
        yield from opened(app)
        app.state.show_overlay = False
        app.window.capture(True)
        yield
        before, number = app.window.read_pixels().astype(int), app.state.taken.number
        x, y = app.window._cursor
        app.window.on_cursor(x + 60, y)
        yield
        after = app.window.read_pixels().astype(int)
        seen["changed"] = np.abs(after - before).mean()
        seen["same frame"] = app.state.taken.number == number

    assert play(script, world, engine_options={"delay_s": 1.5}) == 0
    assert seen["same frame"] and seen["changed"] > 5


def test_reopening_returns_to_the_same_place_and_view(world):
    poses = []

    def walk(app):
        yield from opened(app)
        app.state.camera = replace(
            app.state.camera, position=np.array([0.4, 1.5, -0.7]), yaw=0.8, pitch=-0.1, flying=True
        )
        yield
        poses.append(app.state.camera)

    def look(app):
        yield from opened(app)
        poses.append(app.state.camera)

    assert play(walk, world) == 0 and play(look, world) == 0
    assert np.allclose(poses[0].camera_to_world, poses[1].camera_to_world)
    assert poses[1].flying


def test_settings_act_and_ab_flips_on_the_same_view(world):
    def script(app):
        yield from opened(app)
        small = GenerationSettings(height=144)
        app.desk.carry_out([m.ChangeSettings(small)])
        yield from until(lambda: app.state.taken.frame.image.shape[0] == 144)
        pose = app.state.taken.frame.camera_to_world
        app.inputs.key("X", True, 1.0)
        yield from until(lambda: app.state.taken.frame.image.shape[0] == 288)
        assert np.array_equal(pose, app.state.taken.frame.camera_to_world)
        assert app.state.settings_slot == "B"

    assert play(script, world) == 0


def test_bookmarks_bring_back_and_stay_in_the_world(world):
    def script(app):
        yield from opened(app)
        start = app.state.camera.camera_to_world
        app.inputs.key("B", True, 1.0)
        yield from until(lambda: app.state.bookmarks)
        app.state.camera = replace(app.state.camera, position=np.array([2.0, 1.6, 2.0]), yaw=2.0)
        yield
        app.inputs.key("1", True, 1.1)
        yield from until(lambda: np.allclose(app.state.camera.camera_to_world, start))

    assert play(script, world) == 0
    with WorldFile.open(world, read_only=True) as stored:
        assert stored.get_state("bookmarks")[0]["name"] == "Place 1"


def test_f12_saves_the_whole_window(world, tmp_path, monkeypatch):
    monkeypatch.setattr("rtfm_app.snapshots.media_path", lambda suffix: tmp_path / f"shot.{suffix}")

    def script(app):
        yield from opened(app)
        app.inputs.key("F12", True, 1.0)
        yield from until(lambda: any("Screenshot" in t.text for t in app.state.toasts))

    assert play(script, world) == 0
    assert Image.open(tmp_path / "shot.png").size == SIZE


def test_a_crash_of_the_model_shows_and_start_again_goes_on_from_here(world):
    def script(app):
        yield from opened(app)
        app.state.camera = replace(app.state.camera, position=np.array([9.0, 1.6, 0.0]))
        yield from until(lambda: app.state.failure is not None)
        assert "exit code 9" in app.state.failure.message
        app.state.camera = replace(app.state.camera, position=np.array([1.0, 1.6, 0.0]))
        app.desk.carry_out([ui.RestartWorker()])
        number = app.state.taken.number
        yield from until(lambda: app.state.taken and app.state.taken.number > number)
        assert app.state.camera.position[0] == 1.0 and app.controller.outcome == 0

    assert play(script, world, engine_options={"crash_beyond_x": 5.0}) == 0


def test_sigterm_ends_the_program_and_keeps_the_place(world):
    def script(app):
        yield from opened(app)
        app.state.camera = replace(app.state.camera, position=np.array([2.0, 1.6, 0.0]))
        before = app.state.taken.number
        yield from until(lambda: app.state.taken.number > before)
        os.kill(os.getpid(), signal.SIGTERM)
        yield from until(lambda: False)

    assert play(script, world) == 0
    with WorldFile.open(world, read_only=True) as stored:
        assert stored.get_state("camera")["camera_to_world"][0][3] == 2.0


def press(app, key, mods=0):
    app.window.on_key(key, glfw.PRESS, mods)
    app.window.on_key(key, glfw.RELEASE, mods)


def test_p_takes_the_brush_a_drag_paints_and_ctrl_z_takes_it_back(world):
    def drag(app, *places):
        io = imgui.get_io()
        for number, place in enumerate(places):
            io.add_mouse_pos_event(*place)
            yield
            if number == 0:
                io.add_mouse_button_event(0, True)
                yield
        io.add_mouse_button_event(0, False)
        yield

    def edits(app):
        return app.state.world_stats.get("edits")

    def script(app):
        yield from opened(app)
        app.window.capture(True)
        press(app, glfw.KEY_P)
        for _ in range(6):  # the panel comes to the front and the brush stays in the hand
            yield
        paint = app.interface.overlay.paint
        assert paint.active and not app.window.captured
        yield from drag(app, (100, 180), (130, 180), (160, 185))
        yield from until(lambda: edits(app))
        press(app, glfw.KEY_Z, glfw.MOD_CONTROL)
        yield from until(lambda: any("taken back" in t.text for t in app.state.toasts))
        yield from until(lambda: edits(app) == 0)
        press(app, glfw.KEY_P)
        yield from until(lambda: not paint.active and app.window.captured)

    assert play(script, world) == 0


def test_a_bad_picture_dropped_on_the_window_is_explained(tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")

    def script(app):
        yield from until(lambda: app.state.worker_ready)
        app.window.on_drop([str(broken)])
        yield from until(lambda: any("broken.jpg" in t.text for t in app.state.toasts))
        assert app.state.world is None and app.state.progress is None

    assert play(script) == 0


def test_other_worlds_and_back(world):
    def script(app):
        yield from opened(app)
        app.desk.carry_out([ui.ShowStart()])
        yield from until(lambda: app.state.world is None and app.state.progress is None)
        yield
        app.desk.carry_out([ui.OpenPath(world)])
        yield from opened(app)

    assert play(script, world) == 0


def test_scripted_run_ends_by_itself_with_a_screenshot_of_world_and_overlay(world, tmp_path):
    target = tmp_path / "end.png"
    worker = WorkerOptions("pattern_engine:open_engine", {}, (str(TESTS),))
    code = run_app(
        world,
        exit_after_s=0.5,
        screenshot=target,
        headless=True,
        worker_options=worker,
        size=(1280, 720),
    )
    picture = np.asarray(Image.open(target)).astype(int)
    assert code == 0 and picture.shape == (720, 1280, 3)
    assert picture[200:400, 200:600].std() > 10, "the world is to be seen"
    assert picture[:, 1100:].mean() < 70, "the panels are to be seen"


def test_a_world_that_cannot_be_opened_ends_a_scripted_run_with_code_2(tmp_path):
    worker = WorkerOptions("pattern_engine:open_engine", {}, (str(TESTS),))
    missing = tmp_path / "missing.rtfm"
    assert run_app(missing, exit_after_s=1, headless=True, worker_options=worker, size=SIZE) == 2


def test_display_modules_do_without_torch():
    code = (
        "import sys, rtfm_app.app, rtfm_app.display.screenshots; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=TESTS.parent).returncode == 0


# ---- a real X server ----


@pytest.fixture
def x_display(tmp_path):
    """A display of its own: its number is chosen by Xvfb."""
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.fail("this test needs Xvfb and xdotool: sudo apt install xvfb xdotool")
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1280x720x24", "-noreset"],
        pass_fds=(write_end,),
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as numbers:
        number = numbers.readline().strip()
    yield f":{number}"
    server.send_signal(signal.SIGTERM)
    server.wait(10)


PROGRAM = """
import sys
from pathlib import Path
from rtfm_app.app import run_app
from rtfm_app.worker import WorkerOptions
if __name__ == "__main__":
    options = WorkerOptions("pattern_engine:open_engine", {}, (sys.argv[3],))
    sys.exit(run_app(Path(sys.argv[1]), exit_after_s=float(sys.argv[4]),
                     screenshot=Path(sys.argv[2]), worker_options=options))
"""


@pytest.mark.slow
def test_real_window_walks_with_real_keys_and_turns_with_the_real_mouse(x_display, world, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "DISPLAY": x_display,
        "PYTHONPATH": f"{TESTS.parent}{os.pathsep}{TESTS}",
    }
    shot = tmp_path / "real.png"
    process = subprocess.Popen(
        [sys.executable, str(program), str(world), str(shot), str(TESTS), "24"], env=environment
    )

    def xdotool(*words):
        return subprocess.run(["xdotool", *words], env=environment, capture_output=True, text=True)

    def stored_pose():
        with WorldFile.open(world, read_only=True) as stored:
            camera = stored.get_state("camera")
            return np.array(camera["camera_to_world"]) if camera else stored.start_pose

    try:
        deadline = time.monotonic() + 90
        while not xdotool("search", "--name", "RTFM|pattern").stdout.strip():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.2)
        # The world on disk tells what the program did, however slowly this machine does it.
        while process.poll() is None and stored_pose()[2, 3] > -0.4:
            xdotool("mousemove", "400", "400", "click", "1")
            xdotool("keydown", "w")
            time.sleep(1.0)
        xdotool("keyup", "w")
        while process.poll() is None and -stored_pose()[0, 2] < 0.15:
            xdotool("mousemove_relative", "--", "24", "0")
            time.sleep(0.1)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    pose = stored_pose()
    assert pose[2, 3] < -0.4, "W walks forward"
    forward = -pose[:3, 2]
    assert forward[0] > 0.1, "the mouse to the right turns to the right"
    assert Image.open(shot).size[0] >= 1000
