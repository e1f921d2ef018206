"""The program as it is installed, on a real X server, by mouse and keyboard: start screen, a world,
a walk, a setting, paint, quit, and back again at the same place. The model is the shipped one."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageGrab
from test_app import x_display  # noqa: F401 (fixture)

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.memory.world_file import StoredFrame, WorldFile

pytestmark = [pytest.mark.gl, pytest.mark.slow]
ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 240
REST_S = 1.0
AGAIN_S = 2.0
QUIET = (slice(130, 560), slice(20, 300))  # rows, columns: world, and neither hint nor panel


class Desktop:
    """A screen, what is seen on it, and hands."""

    def __init__(self, display: str, folder: Path):
        self._display, self._folder = display, folder
        self._environment = {
            **os.environ,
            "DISPLAY": display,
            "PYTHONPATH": str(ROOT),
            "RTFM_CONFIG_DIR": str(folder / "config"),
            "RTFM_WORLDS_DIR": str(folder / "worlds"),
            "SDL_AUDIODRIVER": "dummy",
        }
        self.program: subprocess.Popen | None = None

    def start(self, *arguments: str) -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-m", "rtfm_app", *arguments], env=self._environment
        )

    def hands(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self._environment, check=True, capture_output=True)

    def see(self) -> np.ndarray:
        """The screen, (720, 1280, 3)."""
        return np.asarray(ImageGrab.grab(xdisplay=self._display).convert("RGB")).astype(np.int16)

    def wait(self, what: str, condition, action=lambda: None):
        """Until `condition` gives something true; `action` is repeated now and then until it is."""
        deadline = time.monotonic() + PATIENCE_S
        acted = 0.0
        while True:
            found = condition()
            if found:
                return found
            assert self.program.poll() is None, f"the program ended before: {what}"
            if time.monotonic() > deadline:
                ImageGrab.grab(xdisplay=self._display).save(self._folder / "screen.png")
                raise AssertionError(f"waited in vain for: {what}; see {self._folder}/screen.png")
            if time.monotonic() - acted > AGAIN_S:
                action()
                acted = time.monotonic()
            time.sleep(0.1)

    def quit(self) -> int:
        """With the keyboard; returns the program's exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self.program.poll() is None:
            assert time.monotonic() < deadline, "the program does not quit"
            self.hands("key", "ctrl+q")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.program.wait(5)
        return self.program.returncode

    def at_rest(self, world: Path) -> np.ndarray:
        """What is shown once the model has drawn the same view again and the picture stays."""
        last, since = self.see()[QUIET], time.monotonic()

        def unchanged():
            nonlocal last, since
            now = self.see()[QUIET]
            if not drawn_again(world) or not np.array_equal(now, last):
                last, since = now, time.monotonic()
            return time.monotonic() - since > REST_S

        self.wait("a picture at rest", unchanged)
        return last


@pytest.fixture
def desktop(x_display, tmp_path):  # noqa: F811
    desktop = Desktop(x_display, tmp_path)
    yield desktop
    if desktop.program is not None and desktop.program.poll() is None:
        desktop.program.kill()
        desktop.program.wait()


@pytest.fixture
def place(tmp_path):
    """A world in a colour that nothing else on the start screen has."""
    path = tmp_path / "worlds" / "magenta.rtfm"
    start = pose_from_yaw_pitch((0, 1.6, 0), 0, 0)
    fov = np.radians(60)
    rng = np.random.default_rng(1)
    squares = rng.uniform(0.75, 1.0, (18, 32, 1)) * (230, 25, 200)
    picture = np.kron(squares, np.ones((16, 16, 1))).astype(np.uint8)
    with WorldFile.create(path, name="magenta", start_pose=start, fov_y_radians=fov) as world:
        world.add_frame(StoredFrame("seed", start, fov, picture))
    return path


def magenta(screen: np.ndarray) -> np.ndarray:
    return (screen[..., 0] > 150) & (screen[..., 1] < 60) & (screen[..., 2] > 120)


def where_magenta(screen: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and columns, once there is a card full of it."""
    rows, columns = np.nonzero(magenta(screen))
    return (rows, columns) if len(rows) > 500 else None


def red(screen: np.ndarray) -> int:
    """Pixels of the brush's first colour, which is nowhere in the world."""
    return int(((screen[..., 0] > 150) & (screen[..., 1] < 110) & (screen[..., 2] < 110)).sum())


def edits(path: Path) -> int:
    with WorldFile.open(path, read_only=True) as world:
        return world.stats()["edits"]


def stored(path: Path, key: str):
    with WorldFile.open(path, read_only=True) as world:
        return world.get_state(key)


def steps(path: Path) -> int:
    with WorldFile.open(path, read_only=True) as world:
        return world.journal_length()[1]


def drawn_again(path: Path) -> bool:
    """Whether the newest view, with the newest settings, was drawn more than once."""
    with WorldFile.open(path, read_only=True) as world:
        kinds = [e.kind for e in world.journal_entries() if e.kind != "commit"]
    return kinds[-1:] == ["again"]


def position(path: Path) -> np.ndarray:
    camera = stored(path, "camera")
    return np.array(camera["camera_to_world"])[:3, 3] if camera else np.zeros(3)


def test_from_the_start_screen_into_a_world_and_back_again(desktop, place):
    desktop.start()
    rows, columns = desktop.wait("the world's card", lambda: where_magenta(desktop.see()))
    card = (str(int(columns.mean())), str(int(rows.mean())))

    def click_the_card():  # again, if X gave the window its focus between press and release
        screen = desktop.see()
        if where_magenta(screen) and (screen[:100] < 20).mean() > 0.5:
            desktop.hands("mousemove", *card, "click", "1")

    desktop.wait("the world to open", lambda: steps(place), click_the_card)
    desktop.wait("its picture", lambda: magenta(desktop.see()).mean() > 0.3)

    # walk; the mouse is captured by a click into the world
    before = desktop.at_rest(place)
    desktop.hands("mousemove", "300", "300", "click", "1")
    desktop.hands("keydown", "w")
    desktop.wait("a step forward", lambda: position(place)[2] < -0.5)
    desktop.hands("keyup", "w")
    walked = desktop.at_rest(place)
    assert np.abs(walked - before).mean() > 1, "walking is to be seen"

    # by keyboard alone: take the panel, press its first button ("Fast"), which draws small pictures
    desktop.hands("key", "Escape")
    desktop.hands("key", "F2")
    desktop.wait(
        "a setting to change",
        lambda: stored(place, "settings") is not None,
        lambda: desktop.hands("key", "Down", "key", "space"),
    )
    desktop.hands("key", "Escape")
    changed = desktop.at_rest(place)
    assert not np.array_equal(changed, walked), "the setting is to be seen"
    panels = desktop.see()[:, 900:]

    # paint: P takes the brush and frees the mouse, a drag leaves a stroke
    assert red(changed) == 0
    desktop.wait(
        "the brush",
        lambda: not np.array_equal(desktop.see()[:, 900:], panels),
        lambda: desktop.hands("key", "p"),
    )
    desktop.hands("mousemove", "80", "300", "mousedown", "1")
    for x in (120, 160, 200, 240):
        desktop.hands("mousemove", str(x), str(300 + x // 10))
    desktop.hands("mouseup", "1")
    desktop.wait("the stroke to be kept", lambda: edits(place))
    desktop.hands("key", "p")
    changed = desktop.at_rest(place)
    assert red(changed) > 1000, "the stroke is to be seen"

    # quit with the keyboard; everything is saved
    assert desktop.quit() == 0
    here, settings = position(place), stored(place, "settings")

    # again: the same place, the same settings, the same picture
    drawn = steps(place)
    desktop.start(str(place))
    desktop.wait("the same world", lambda: magenta(desktop.see()).mean() > 0.3)
    desktop.wait("a new picture", lambda: steps(place) > drawn)
    again = desktop.at_rest(place)
    assert np.array_equal(position(place), here)
    assert stored(place, "settings") == settings
    assert np.abs(again - changed).mean() < 1.0, "the view is the same, the stroke in it"

    # take the stroke back
    desktop.hands("key", "ctrl+z")
    desktop.wait("the stroke to be gone", lambda: edits(place) == 0)
    desktop.wait("a picture without it", lambda: red(desktop.see()[QUIET]) == 0)
    assert desktop.quit() == 0
