"""The Controls panel: sensitivity, window, interface, and which key does what."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imgui_bundle import imgui

from ..input import DEFAULT_KEYS, HELD, PRESSED
from ..preferences import Preferences
from . import theme
from .state import AppState, ChangePreferences, ToggleFullScreen
from .theme import ICONS, em

LABELS = {
    "forward": "Forward",
    "back": "Back",
    "left": "Left",
    "right": "Right",
    "up": "Up (fly)",
    "down": "Down (fly)",
    "run": "Run",
    "toggle_fly": "Walk or fly",
    "toggle_solid": "Solid ground",
    "toggle_overlay": "Panels",
    "full_screen": "Full screen",
    "screenshot": "Screenshot",
    "record": "Record film",
    "swap_settings": "Compare A / B",
    "bookmark": "Keep this place",
    "home": "Back to the start",
}


@dataclass
class KeysView:
    """The action whose key is being chosen."""

    waiting: str | None = None


def draw_controls(state: AppState, view: KeysView) -> list:
    preferences = state.preferences
    requests: list = []
    theme.heading("Looking and moving")
    preferences = _slider(preferences, "mouse_sensitivity", "Mouse", 0.2, 3.0)
    preferences = _slider(preferences, "pad_sensitivity", "Gamepad", 0.2, 3.0)
    preferences = _check(preferences, "invert_y", "Invert up and down")
    theme.heading("Window")
    preferences = _slider(preferences, "interface_scale", "Interface size", 0.75, 2.5)
    preferences = _check(preferences, "vsync", "Wait for the screen (vsync)")
    preferences = _check(preferences, "reduced_motion", "Less motion in the interface")
    preferences = _frame_cap(preferences)
    if imgui.button("Window" if state.full_screen else "Full screen"):
        requests.append(ToggleFullScreen())
    theme.heading("Keys")
    preferences = _keys(preferences, state, view)
    if imgui.button("All keys back to default"):
        preferences = replace(preferences, keys=dict(DEFAULT_KEYS))
    if preferences != state.preferences:
        requests.append(ChangePreferences(preferences))
    return requests


def _slider(preferences: Preferences, name: str, label: str, low: float, high: float):
    imgui.align_text_to_frame_padding()
    theme.text(label)
    imgui.same_line(em(9.2))
    imgui.set_next_item_width(imgui.get_content_region_avail().x)
    changed, value = imgui.slider_float(f"##{name}", getattr(preferences, name), low, high, "%.2f")
    clamped = min(max(value, low), high)
    return replace(preferences, **{name: clamped}) if changed else preferences


def _check(preferences: Preferences, name: str, label: str) -> Preferences:
    changed, value = imgui.checkbox(label, getattr(preferences, name))
    return replace(preferences, **{name: value}) if changed else preferences


def _frame_cap(preferences: Preferences) -> Preferences:
    imgui.align_text_to_frame_padding()
    theme.text("Frame rate limit")
    imgui.same_line(em(9.2))
    imgui.set_next_item_width(imgui.get_content_region_avail().x)
    changed, value = imgui.slider_int("##cap", preferences.frame_rate_cap, 30, 240)
    value = min(max(value, 30), 240)
    return replace(preferences, frame_rate_cap=value) if changed else preferences


def _keys(preferences: Preferences, state: AppState, view: KeysView) -> Preferences:
    if view.waiting is not None and state.pressed_key is not None:
        if state.pressed_key != "ESCAPE":
            preferences = rebind(preferences, view.waiting, state.pressed_key)
        view.waiting = None
    for action in HELD + PRESSED:
        if action not in LABELS:
            continue
        imgui.push_id(action)
        imgui.align_text_to_frame_padding()
        theme.text(LABELS[action])
        imgui.same_line(em(9.2))
        waiting = view.waiting == action
        names = ", ".join(key_label(k) for k in preferences.keys.get(action, ())) or "\u2013"
        width = imgui.get_content_region_avail().x
        label = "press a key\u2026" if waiting else theme.fit_text(names, width - em(1))
        if imgui.button(f"{label}##key", (width, 0)):
            view.waiting = None if waiting else action
        imgui.pop_id()
    theme.text(f"{ICONS.ICON_FA_CIRCLE_INFO}  Click a key, then press another.", theme.FAINT)
    return preferences


def rebind(preferences: Preferences, action: str, key: str) -> Preferences:
    """Give `key` to `action` alone: it is taken from whatever had it."""
    keys = {a: tuple(k for k in names if k != key) for a, names in preferences.keys.items()}
    keys[action] = (key,)
    return replace(preferences, keys=keys)


def key_label(name: str) -> str:
    return name.replace("_", " ").title() if len(name) > 1 else name
