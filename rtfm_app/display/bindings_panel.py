"""Which key, button and axis does what: lower half of the Options panel.

Click a binding (or press Enter on it), then press the key or button, or push the stick. While one
is being chosen, `KeysView.waiting` is set and the application hands no input to the world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from imgui_bundle import imgui

from ..input import DEFAULT_AXES, DEFAULT_KEYS, DEFAULT_PAD, HELD, PRESSED, PadState
from ..preferences import Preferences
from . import theme
from .state import AppState
from .theme import ICONS, LABEL_WIDTH, em

AXIS_CHOSEN = 0.6
LABELS = {
    "forward": "Forward",
    "back": "Back",
    "left": "Left",
    "right": "Right",
    "up": "Up (fly)",
    "down": "Down (fly)",
    "run": "Run",
    "turn_left": "Look left",
    "turn_right": "Look right",
    "look_up": "Look up",
    "look_down": "Look down",
    "faster": "Faster",
    "slower": "Slower",
    "toggle_fly": "Walk or fly",
    "toggle_solid": "Solid ground",
    "toggle_overlay": "Panels",
    "next_panel": "Next panel",
    "full_screen": "Full screen",
    "screenshot": "Screenshot",
    "record": "Record film",
    "paint": "Paint",
    "undo_paint": "Take a stroke back",
    "swap_settings": "Compare A / B",
    "mute": "Sound",
    "bookmark": "Keep this place",
    "home": "Back to the start",
    **{f"place_{number}": f"Place {number}" for number in range(1, 10)},
}
AXIS_LABELS = {
    "move_right": "Walk right",
    "move_forward": "Walk forward",
    "turn_right": "Look right",
    "look_up": "Look up",
    "rise": "Up (fly)",
    "sink": "Down (fly)",
}


@dataclass
class KeysView:
    """(table, action) whose binding is being chosen, the gamepad as it was before, and the section
    to scroll to ("Keys" or "Gamepad")."""

    waiting: tuple[str, str] | None = None
    pad_before: PadState | None = None
    scroll_to: str | None = None


def draw_bindings(preferences: Preferences, state: AppState, view: KeysView) -> Preferences:
    """Returns the preferences, changed or not."""
    preferences = _listen(preferences, state, view)
    _section("Keys", view)
    theme.text(
        f"{ICONS.ICON_FA_CIRCLE_INFO}  Click a key, then press another; Ctrl may go with it.",
        theme.FAINT,
    )
    for action in (*HELD, *PRESSED):
        names = preferences.keys.get(action, ())
        shown = ", ".join(key_label(k) for k in names)
        _binding("keys", action, _label(action), shown, state, view)
    if imgui.button("All keys back to default"):
        preferences = replace(preferences, keys=dict(DEFAULT_KEYS))
    _section("Gamepad", view)
    theme.text(theme.fit_text(state.pad_name or "None is plugged in.", em(18)), theme.FAINT)
    for meaning, label in AXIS_LABELS.items():
        shown = axis_label(preferences.axes.get(meaning, ""))
        _binding("axes", meaning, label, shown, state, view)
    for action in (*HELD, *PRESSED):
        shown = key_label(preferences.pad.get(action, ""))
        _binding("pad", action, _label(action), shown, state, view)
    if imgui.button("The whole gamepad back to default"):
        preferences = replace(preferences, pad=dict(DEFAULT_PAD), axes=dict(DEFAULT_AXES))
    return preferences


def _section(title: str, view: KeysView) -> None:
    if view.scroll_to == title:
        imgui.set_scroll_here_y(0.0)
        view.scroll_to = None
    theme.heading(title)


def _label(action: str) -> str:
    return LABELS.get(action) or action.replace("_", " ").capitalize()


def _binding(table: str, action: str, label: str, shown: str, state: AppState, view: KeysView):
    """One row: what is done, and a button that shows by what."""
    imgui.push_id(f"{table}/{action}")
    imgui.align_text_to_frame_padding()
    theme.text(label)
    imgui.same_line(em(LABEL_WIDTH))
    waiting = view.waiting == (table, action)
    width = imgui.get_content_region_avail().x
    asked = {
        "keys": "press a key\u2026",
        "pad": "press a button\u2026",
        "axes": "push a stick\u2026",
    }
    text = asked[table] if waiting else theme.fit_text(shown or "\u2013", width - em(1))
    if imgui.button(f"{text}##binding", (width, 0)):
        view.waiting = None if waiting else (table, action)
        view.pad_before = state.pad
        state.pressed_key = None  # the key that has just pressed this button
    imgui.pop_id()


def _listen(preferences: Preferences, state: AppState, view: KeysView) -> Preferences:
    """Take what was pressed or pushed for the binding that waits."""
    if view.waiting is None:
        return preferences
    table, action = view.waiting
    if state.pressed_key == "ESCAPE":
        view.waiting = None
        return preferences
    chosen = _LISTENERS[table](state, view)
    if chosen is None:
        return preferences
    view.waiting = None
    return {"keys": rebind, "pad": rebind_pad, "axes": rebind_axis}[table](
        preferences, action, chosen
    )


def _pressed_key(state: AppState, view: KeysView) -> str | None:
    return state.pressed_key


def _pressed_button(state: AppState, view: KeysView) -> str | None:
    if state.pad is None:
        return None
    held_before = view.pad_before.buttons if view.pad_before else frozenset()
    view.pad_before = replace(state.pad, buttons=state.pad.buttons & held_before)
    return next(iter(sorted(state.pad.buttons - held_before)), None)


def _pushed_axis(state: AppState, view: KeysView) -> str | None:
    """The axis that is pushed now and was not when the choice began, with its direction."""
    if state.pad is None:
        return None
    before = view.pad_before.axes() if view.pad_before else {}
    for name, value in state.pad.axes().items():
        if abs(value) > AXIS_CHOSEN > abs(before.get(name, 0.0)):
            return name if value > 0 else f"-{name}"
    return None


_LISTENERS: dict[str, Callable[[AppState, KeysView], str | None]] = {
    "keys": _pressed_key,
    "pad": _pressed_button,
    "axes": _pushed_axis,
}


def rebind(preferences: Preferences, action: str, key: str) -> Preferences:
    """Give `key` to `action` alone: it is taken from whatever had it."""
    keys = {a: tuple(k for k in names if k != key) for a, names in preferences.keys.items()}
    keys[action] = (key,)
    return replace(preferences, keys=keys)


def rebind_pad(preferences: Preferences, action: str, button: str) -> Preferences:
    """Give a gamepad button to `action` alone."""
    pad = {a: "" if name == button else name for a, name in preferences.pad.items()}
    return replace(preferences, pad=pad | {action: button})


def rebind_axis(preferences: Preferences, meaning: str, axis: str) -> Preferences:
    """Give an axis to `meaning` alone; "-" before its name turns it round."""
    plain = axis.removeprefix("-")
    axes = {m: "" if a.removeprefix("-") == plain else a for m, a in preferences.axes.items()}
    return replace(preferences, axes=axes | {meaning: axis})


def key_label(name: str) -> str:
    return name.replace("_", " ").title() if len(name) > 1 else name


def axis_label(name: str) -> str:
    """Which way the stick goes."""
    side, _, part = name.removeprefix("-").partition("_")
    ways = {"X": ("right", "left"), "Y": ("down", "up")}
    if part not in ways:
        return key_label(name.removeprefix("-")).capitalize()
    return f"{side.capitalize()} stick {ways[part][name.startswith('-')]}"
