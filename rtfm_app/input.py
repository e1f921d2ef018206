"""Events of keyboard, mouse and gamepad to `Controls`. Pure: no window, no clock.

The window reports what happened (`key`, `mouse_moved`, `wheel`, `pad`, `released_all`); once per
display frame `take` gives what it amounts to. Keys are named as in `preferences.toml` ("W",
"LEFT_SHIFT", "CTRL+Z"), so bindings do not depend on a windowing library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

HELD = (
    "forward",
    "back",
    "left",
    "right",
    "up",
    "down",
    "run",
    "turn_left",
    "turn_right",
    "look_up",
    "look_down",
)
PRESSED = (
    "toggle_fly",
    "toggle_solid",
    "toggle_overlay",
    "next_panel",
    "full_screen",
    "screenshot",
    "record",
    "paint",
    "undo_paint",
    "swap_settings",
    "mute",
    "bookmark",
    "home",
    "faster",
    "slower",
    *(f"place_{number}" for number in range(1, 10)),
)
DEFAULT_KEYS: dict[str, tuple[str, ...]] = {
    "forward": ("W", "UP"),
    "back": ("S", "DOWN"),
    "left": ("A", "LEFT"),
    "right": ("D", "RIGHT"),
    "up": ("SPACE",),
    "down": ("C", "LEFT_CONTROL"),
    "run": ("LEFT_SHIFT",),
    "turn_left": ("J",),
    "turn_right": ("L",),
    "look_up": ("I",),
    "look_down": ("K",),
    "toggle_fly": ("F",),
    "toggle_solid": ("G",),
    "toggle_overlay": ("TAB", "F1"),
    "next_panel": ("F2",),
    "full_screen": ("F11",),
    "screenshot": ("F12",),
    "record": ("F9",),
    "paint": ("P",),
    "undo_paint": ("CTRL+Z",),
    "swap_settings": ("X",),
    "mute": ("M",),
    "bookmark": ("B",),
    "home": ("HOME",),
    "faster": ("EQUAL", "KP_ADD"),
    "slower": ("MINUS", "KP_SUBTRACT"),
    **{f"place_{number}": (str(number),) for number in range(1, 10)},
}
DEFAULT_PAD: dict[str, str] = {
    "toggle_fly": "Y",
    "toggle_overlay": "START",
    "screenshot": "BACK",
    "run": "LEFT_STICK",
    "up": "A",
    "down": "B",
    "swap_settings": "X",
    "bookmark": "RIGHT_SHOULDER",
    "home": "LEFT_SHOULDER",
    "toggle_solid": "RIGHT_STICK",
    "faster": "DPAD_UP",
    "slower": "DPAD_DOWN",
}
PAD_BUTTONS = (
    *("A", "B", "X", "Y", "BACK", "START", "LEFT_STICK", "RIGHT_STICK"),
    *("LEFT_SHOULDER", "RIGHT_SHOULDER", "DPAD_UP", "DPAD_DOWN", "DPAD_LEFT", "DPAD_RIGHT"),
)
PAD_AXES = ("LEFT_X", "LEFT_Y", "RIGHT_X", "RIGHT_Y", "LEFT_TRIGGER", "RIGHT_TRIGGER")
# What each axis does; "-" before its name turns it round (SDL's Y points down).
DEFAULT_AXES: dict[str, str] = {
    "move_right": "LEFT_X",
    "move_forward": "-LEFT_Y",
    "turn_right": "RIGHT_X",
    "look_up": "-RIGHT_Y",
    "rise": "RIGHT_TRIGGER",
    "sink": "LEFT_TRIGGER",
}
MOUSE_RADIANS_PER_COUNT = 0.0022
STICK_DEAD_ZONE = 0.14
STICK_RADIANS_PER_S = 2.6
KEY_RADIANS_PER_S = 1.4


@dataclass(frozen=True)
class PadState:
    """One look at a gamepad: sticks in [-1, 1] (x right, y DOWN, as SDL gives them), triggers in
    [0, 1], names of the buttons held."""

    left: tuple[float, float] = (0.0, 0.0)
    right: tuple[float, float] = (0.0, 0.0)
    triggers: tuple[float, float] = (0.0, 0.0)
    buttons: frozenset[str] = frozenset()

    def axes(self, dead_zone: float = STICK_DEAD_ZONE) -> dict[str, float]:
        """Values by the names in PAD_AXES, the sticks' dead zone taken out."""
        sticks = (*_dead_zone(self.left, dead_zone), *_dead_zone(self.right, dead_zone))
        return dict(zip(PAD_AXES, (*sticks, *self.triggers), strict=True))


@dataclass(frozen=True)
class Sensitivity:
    """Factors on the looking speed of mouse, sticks and keys; 1 is the default. `dead_zone` is the
    share of a stick's way that counts as rest."""

    mouse: float = 1.0
    pad: float = 1.0
    keys: float = 1.0
    invert_y: bool = False
    dead_zone: float = STICK_DEAD_ZONE


@dataclass(frozen=True)
class Controls:
    """What the user wants in this display frame.

    Attributes:
        right, up, forward: wanted motion in [-1, 1], along the camera's axes.
        run: faster.
        yaw_radians, pitch_radians: how far to turn now (yaw left, pitch up positive).
        speed_steps: notches of the wheel, positive = faster.
        actions: one-shot actions, in order.
        newest_event: time of the newest event contained, seconds; 0 when there was none.
    """

    right: float = 0.0
    up: float = 0.0
    forward: float = 0.0
    run: bool = False
    yaw_radians: float = 0.0
    pitch_radians: float = 0.0
    speed_steps: float = 0.0
    actions: tuple[str, ...] = ()
    newest_event: float = 0.0

    @property
    def idle(self) -> bool:
        """No motion and no turning is asked for."""
        return not (self.right or self.up or self.forward or self.yaw_radians or self.pitch_radians)


@dataclass
class InputState:
    """Collects events between two display frames (module docstring)."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_KEYS))
    pad_buttons: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_PAD))
    pad_axes: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_AXES))
    sensitivity: Sensitivity = field(default_factory=Sensitivity)
    _down: set[str] = field(default_factory=set)
    _pad: PadState = field(default_factory=PadState)
    _turn: list[float] = field(default_factory=lambda: [0.0, 0.0])
    _wheel: float = 0.0
    _actions: list[str] = field(default_factory=list)
    _newest_event: float = 0.0

    def key(self, name: str, pressed: bool, time_s: float, *, ctrl: bool = False) -> None:
        """A key went down or up, perhaps with a control key. Releases must always be reported,
        presses only while the world (and not a text field) has the keyboard."""
        self._newest_event = time_s
        if not pressed:
            self._down.discard(name)
        elif ctrl and self.obeys(f"CTRL+{name}"):  # else it is a held key: down and forward
            self._actions += self._actions_of(f"CTRL+{name}")
        elif name not in self._down:
            self._down.add(name)
            self._actions += self._actions_of(name)

    def obeys(self, name: str) -> bool:
        """Whether this key, or chord with Ctrl, does something at once."""
        return bool(self._actions_of(name))

    def _actions_of(self, name: str) -> list[str]:
        return [action for action in PRESSED if name in self.keys.get(action, ())]

    def mouse_moved(self, dx: float, dy: float, time_s: float) -> None:
        """The captured mouse moved by counts (x right, y down)."""
        scale = MOUSE_RADIANS_PER_COUNT * self.sensitivity.mouse
        self._turn[0] -= dx * scale
        self._turn[1] += dy * scale * (1 if self.sensitivity.invert_y else -1)
        self._newest_event = time_s

    def wheel(self, notches: float, time_s: float) -> None:
        self._wheel += notches
        self._newest_event = time_s

    def pad(self, state: PadState, time_s: float) -> None:
        """The gamepad as it is now."""
        if state == self._pad:
            return
        fresh = state.buttons - self._pad.buttons
        self._actions += [a for a in PRESSED if self.pad_buttons.get(a) in fresh]
        self._pad = state
        self._newest_event = time_s

    def released_all(self) -> None:
        """Focus was lost or the mouse freed: nothing is held any more."""
        self._down.clear()
        self._turn = [0.0, 0.0]

    def take(self, dt: float) -> Controls:
        """What happened since the last call, `dt` seconds ago."""
        axis = self._pad_axes()
        turn = axis("turn_right", _curve) * STICK_RADIANS_PER_S * self.sensitivity.pad
        tilt = axis("look_up", _curve) * STICK_RADIANS_PER_S * self.sensitivity.pad
        if self.sensitivity.invert_y:
            tilt = -tilt
        turn += self._axis("turn_left", "turn_right") * KEY_RADIANS_PER_S * self.sensitivity.keys
        tilt += self._axis("look_down", "look_up") * KEY_RADIANS_PER_S * self.sensitivity.keys
        faster, slower = (self._actions.count(action) for action in ("faster", "slower"))
        controls = Controls(
            right=_limit(self._axis("left", "right") + axis("move_right")),
            up=_limit(self._axis("down", "up") + axis("rise") - axis("sink")),
            forward=_limit(self._axis("back", "forward") + axis("move_forward")),
            run=self._held("run"),
            yaw_radians=self._turn[0] - turn * dt,
            pitch_radians=self._turn[1] + tilt * dt,
            speed_steps=self._wheel + faster - slower,
            actions=tuple(a for a in self._actions if a not in ("faster", "slower")),
            newest_event=self._newest_event,
        )
        self._turn, self._wheel, self._newest_event = [0.0, 0.0], 0.0, 0.0
        self._actions.clear()
        return controls

    def _pad_axes(self) -> Callable:
        """A function from what an axis does to its value now."""
        values = self._pad.axes(self.sensitivity.dead_zone)

        def value(meaning: str, shape: Callable = float) -> float:
            name = self.pad_axes.get(meaning, "")
            sign = -1.0 if name.startswith("-") else 1.0
            return sign * shape(values.get(name.removeprefix("-"), 0.0))

        return value

    def _held(self, action: str) -> bool:
        if self.pad_buttons.get(action) in self._pad.buttons:
            return True
        return any(name in self._down for name in self.keys.get(action, ()))

    def _axis(self, negative: str, positive: str) -> float:
        return float(self._held(positive)) - float(self._held(negative))


def _limit(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _curve(value: float) -> float:
    """Fine near the centre, full at the rim."""
    return math.copysign(value * value, value)


def _dead_zone(stick: tuple[float, float], size: float) -> tuple[float, float]:
    """A radial dead zone, rescaled so that motion starts at zero."""
    length = math.hypot(*stick)
    if length <= size:
        return 0.0, 0.0
    scale = min((length - size) / (1 - size), 1.0) / length
    return stick[0] * scale, stick[1] * scale
