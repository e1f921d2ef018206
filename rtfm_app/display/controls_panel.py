"""The Options panel: looking and moving, sound, window, easier reading; then keys and gamepad."""

from __future__ import annotations

from dataclasses import replace

from imgui_bundle import imgui

from ..preferences import Preferences
from . import theme
from .bindings_panel import KeysView, draw_bindings
from .state import AppState, ChangePreferences, ToggleFullScreen
from .theme import LABEL_WIDTH, em

__all__ = ["KeysView", "draw_controls"]


def draw_controls(state: AppState, view: KeysView) -> list:
    preferences = state.preferences
    requests: list = []
    theme.heading("Looking and moving")
    preferences = _slider(preferences, "mouse_sensitivity", "Mouse", 0.2, 3.0)
    preferences = _slider(preferences, "pad_sensitivity", "Gamepad", 0.2, 3.0)
    preferences = _slider(preferences, "pad_dead_zone", "Stick at rest", 0.0, 0.5)
    theme.tooltip("How far a stick may be off its centre before it counts.")
    preferences = _slider(preferences, "key_sensitivity", "Looking keys", 0.2, 3.0)
    preferences = _check(preferences, "invert_y", "Invert up and down")
    theme.heading("Sound")
    heard = not preferences.muted
    changed, heard = imgui.checkbox("Steps and wind", heard)
    if changed:
        preferences = replace(preferences, muted=not heard)
    imgui.begin_disabled(preferences.muted)
    preferences = _slider(preferences, "volume", "Volume", 0.0, 1.0)
    imgui.end_disabled()
    theme.heading("Window")
    preferences = _check(preferences, "vsync", "Wait for the screen (vsync)")
    preferences = _frame_cap(preferences)
    preferences = _check(preferences, "smooth_frames", "Smooth motion between pictures")
    theme.tooltip("Between two pictures of the model, follow your steps. Turning is always exact.")
    if imgui.button("Window" if state.full_screen else "Full screen"):
        requests.append(ToggleFullScreen())
    theme.heading("Easier to see")
    preferences = _slider(preferences, "interface_scale", "Interface size", 0.75, 2.5)
    preferences = _check(preferences, "high_contrast", "High contrast")
    preferences = _check(preferences, "reduced_motion", "Less motion")
    theme.tooltip("Go to a place at once instead of flying there; nothing spins or slides.")
    preferences = draw_bindings(preferences, state, view)
    if preferences != state.preferences:
        requests.append(ChangePreferences(preferences))
    return requests


def _slider(preferences: Preferences, name: str, label: str, low: float, high: float):
    imgui.align_text_to_frame_padding()
    theme.text(label)
    imgui.same_line(em(LABEL_WIDTH))
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
    imgui.same_line(em(LABEL_WIDTH))
    imgui.set_next_item_width(imgui.get_content_region_avail().x)
    changed, value = imgui.slider_int("##cap", preferences.frame_rate_cap, 30, 240)
    value = min(max(value, 30), 240)
    return replace(preferences, frame_rate_cap=value) if changed else preferences
