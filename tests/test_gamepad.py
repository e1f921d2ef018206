"""Gamepads, by SDL's own virtual joystick: plugged in, used, pulled out."""

import ctypes
from pathlib import Path

import numpy as np
import pygame
import pytest
from test_app import opened, own_folders, play, until, world  # noqa: F401 (fixtures)

from rtfm_app.gamepad import Gamepad
from rtfm_app.input import PAD_AXES, PAD_BUTTONS
from rtfm_app.preferences import Preferences, save_preferences

GAME_CONTROLLER = 1


class VirtualPad:
    """A gamepad that SDL believes in. Axes and buttons are named as in `rtfm_app.input`, buttons
    numbered as SDL numbers them."""

    BUTTONS = ("A", "B", "X", "Y", "BACK", "", "START", "LEFT_STICK", "RIGHT_STICK")

    def __init__(self):
        folder = Path(pygame.__file__).parent.parent / "pygame_ce.libs"
        names = [str(p) for p in folder.glob("libSDL2-2*.so*")] or ["libSDL2-2.0.so.0"]
        self._sdl = ctypes.CDLL(names[0])
        self._sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
        self._sdl.SDL_JoystickSetVirtualAxis.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_int16,
        ]
        self._sdl.SDL_JoystickSetVirtualButton.argtypes = [
            ctypes.c_void_p,
            ctypes.c_int,
            ctypes.c_uint8,
        ]
        self.index = self._sdl.SDL_JoystickAttachVirtual(GAME_CONTROLLER, len(PAD_AXES), 15, 0)
        assert self.index >= 0
        self._handle = self._sdl.SDL_JoystickOpen(self.index)

    def push(self, axis: str, value: float) -> None:
        number = PAD_AXES.index(axis)
        self._sdl.SDL_JoystickSetVirtualAxis(self._handle, number, int(value * 32767))

    def press(self, button: str, down: bool = True) -> None:
        self._sdl.SDL_JoystickSetVirtualButton(self._handle, self.BUTTONS.index(button), down)

    def pull_out(self) -> None:
        self._sdl.SDL_JoystickDetachVirtual(self.index)


def test_a_gamepad_is_found_when_it_is_plugged_in_and_rests_when_it_is_pulled_out():
    gamepad = Gamepad()
    try:
        assert gamepad.read() is None and gamepad.name is None
        pad = VirtualPad()
        assert gamepad.read() is not None and gamepad.name
        pad.push("LEFT_Y", -1.0)
        pad.push("RIGHT_TRIGGER", 1.0)
        pad.press("Y")
        state = gamepad.read()
        assert state.left == pytest.approx((0.0, -1.0), abs=1e-3)
        assert state.triggers[1] == pytest.approx(1.0, abs=1e-3) and state.buttons == {"Y"}
        pad.pull_out()
        assert gamepad.read().left == (0.0, 0.0), "nothing may stay pushed"
        assert gamepad.read() is None and gamepad.name is None
        again = VirtualPad()
        assert gamepad.read() is not None
        again.pull_out()
    finally:
        gamepad.close()


def test_every_button_has_a_name_that_can_be_bound():
    gamepad = Gamepad()
    assert set(gamepad._buttons.values()) == set(PAD_BUTTONS)
    gamepad.close()


@pytest.mark.gl
def test_the_program_is_walked_with_a_gamepad(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        start = app.state.camera
        pad = VirtualPad()
        pad.push("LEFT_Y", -1.0)
        yield from until(lambda: app.state.camera.position[2] < start.position[2] - 0.3)
        pad.push("LEFT_Y", 0.0)
        pad.push("RIGHT_X", 1.0)
        yield from until(lambda: app.state.camera.yaw < start.yaw - 0.2)
        pad.push("RIGHT_X", 0.0)
        pad.press("Y")
        yield from until(lambda: app.state.camera.flying)
        pad.press("Y", False)
        pad.push("RIGHT_TRIGGER", 1.0)
        height = app.state.camera.position[1]
        yield from until(lambda: app.state.camera.position[1] > height + 0.2)
        pad.push("LEFT_X", 1.0)
        pad.pull_out()
        yield from until(lambda: app.state.pad is None)
        yield from until(lambda: not app.state.camera.velocity.any())
        place = app.state.camera.position
        for _ in range(5):
            yield
        assert np.array_equal(app.state.camera.position, place)

    assert play(script, world) == 0


@pytest.mark.gl
def test_a_remapped_gamepad_obeys_the_preferences(world):  # noqa: F811
    defaults = Preferences()
    axes = defaults.axes | {"move_forward": "RIGHT_TRIGGER", "turn_right": "-LEFT_X"}
    save_preferences(Preferences(axes=axes, pad=defaults.pad | {"toggle_fly": "A", "up": "Y"}))

    def script(app):
        yield from opened(app)
        start = app.state.camera
        pad = VirtualPad()
        pad.push("RIGHT_TRIGGER", 1.0)
        yield from until(lambda: app.state.camera.position[2] < start.position[2] - 0.2)
        pad.push("LEFT_X", -1.0)
        yield from until(lambda: app.state.camera.yaw < start.yaw - 0.1)
        pad.press("A")
        yield from until(lambda: app.state.camera.flying)
        pad.pull_out()
        yield

    assert play(script, world) == 0
