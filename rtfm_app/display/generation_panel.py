"""The Generation panel: every generation setting, with what it does and a way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from imgui_bundle import imgui

from .. import messages as m
from ..config import GenerationSettings
from . import theme
from .state import AppState, ChangePreferences, SwapSettings
from .theme import ICONS, em

DEFAULTS = GenerationSettings()
PRESETS = {
    "Fast": replace(DEFAULTS, inter_steps=1, key_steps=1, memory_frames=2, height=144),
    "Balanced": DEFAULTS,
    "Beautiful": replace(DEFAULTS, inter_steps=2, key_steps=8, memory_frames=6, height=432),
}
HEIGHTS = (144, 216, 288, 360, 432, 576)


@dataclass(frozen=True)
class Row:
    """One setting: its field, label, explanation, and range for a slider (None for a box)."""

    name: str
    label: str
    help: str
    low: float | None = None
    high: float | None = None
    format: str = "%.2f"


SECTIONS: dict[str, tuple[Row, ...]] = {
    "Picture": (
        Row("height", "Resolution", "Size of the picture that the model draws."),
        Row("inter_steps", "Steps", "Steps for each picture while walking. More is slower.", 1, 16),
        Row(
            "pointer",
            "Read from memory",
            "Sample remembered pictures directly, which keeps them sharp. Off shows what the model "
            "draws by itself.",
        ),
    ),
    "Memory": (
        Row(
            "memory_frames",
            "Frames attended",
            "How many remembered pictures each new one is drawn from. 0 dreams freely.",
            0,
            16,
        ),
        Row(
            "memory_guidance",
            "Guidance",
            "How strongly imagined parts follow memory. 1 is as trained; more doubles the time.",
            0.0,
            5.0,
        ),
        Row(
            "kv_budget_mb",
            "Cache",
            "Memory for encoded frames, in megabytes. A larger cache re-encodes less.",
            64,
            4096,
            "%d MB",
        ),
    ),
    "Imagination": (
        Row(
            "imagination",
            "Imagination",
            "What was never seen: 0 mirrors what is known, 1 is all newly imagined.",
            0.0,
            1.0,
        ),
        Row("key_steps", "Steps for keyframes", "Steps for pictures that are kept.", 1, 16),
        Row(
            "novelty_threshold",
            "Keep when new",
            "A picture is kept in memory when more than this share of it is new.",
            0.0,
            1.0,
        ),
        Row(
            "look_ahead_s",
            "Look ahead",
            "How far ahead of you, in seconds, unknown places are imagined.",
            0.0,
            3.0,
            "%.1f s",
        ),
        Row(
            "noise_temperature",
            "Variety",
            "Strength of the noise that imagination starts from. 1 is as trained.",
            0.0,
            2.0,
        ),
        Row("noise_seed", "Seed", "Another number imagines other things from here on."),
    ),
}


def draw_generation(state: AppState) -> list:
    requests: list = []
    settings = state.settings
    requests += _presets(state)
    for title, rows in SECTIONS.items():
        theme.heading(title)
        for row in rows:
            settings = _draw_row(row, settings)
    theme.heading("View")
    requests += _view_options(state)
    if settings != state.settings:
        requests.append(m.ChangeSettings(settings))
    return requests


def _presets(state: AppState) -> list:
    requests: list = []
    width = (imgui.get_content_region_avail().x - 2 * imgui.get_style().item_spacing.x) / 3
    for number, (name, preset) in enumerate(PRESETS.items()):
        if number:
            imgui.same_line()
        chosen = state.settings == preset
        button = theme.primary_button if chosen else imgui.button
        if button(name, (width, 0)):
            requests.append(m.ChangeSettings(preset))
    theme.text(f"Set {state.settings_slot}", theme.DIM)
    theme.tooltip("Two sets of settings, A and B; the X key flips between them on the same view.")
    imgui.same_line()
    if imgui.small_button(f"{ICONS.ICON_FA_RIGHT_LEFT}  Compare A / B"):
        requests.append(SwapSettings())
    return requests


def _draw_row(row: Row, settings: GenerationSettings) -> GenerationSettings:
    """One setting with its reset button; returns the settings, changed or not."""
    value = getattr(settings, row.name)
    default = getattr(DEFAULTS, row.name)
    imgui.push_id(row.name)
    label_width = em(9.2)
    right = imgui.get_cursor_pos_x() + imgui.get_content_region_avail().x
    imgui.align_text_to_frame_padding()
    theme.text(row.label)
    theme.tooltip(row.help)
    imgui.same_line(label_width)
    reset_width = em(1.9)
    imgui.set_next_item_width(max(imgui.get_content_region_avail().x - reset_width, em(4)))
    changed, new = _editor(row, value)
    theme.tooltip(row.help)
    if value != default:
        imgui.same_line(right - em(1.55))
        imgui.push_style_color(imgui.Col_.button, (0, 0, 0, 0))
        if imgui.button(ICONS.ICON_FA_ROTATE_LEFT):
            changed, new = True, default
        imgui.pop_style_color()
        theme.tooltip("Back to the default")
    imgui.pop_id()
    if not changed or new == value:
        return settings
    try:
        return replace(settings, **{row.name: new})
    except ValueError:
        return settings  # typed out of range: the slider shows the old value again


def _editor(row: Row, value):
    """(changed, new value) of the widget that fits the setting's type."""
    if row.name == "height":
        return _resolution(value)
    if isinstance(value, bool):
        return imgui.checkbox("##value", value)
    if isinstance(value, int):
        if row.low is None:
            return imgui.input_int("##value", value)
        form = row.format if "%d" in row.format else "%d"
        flags = imgui.SliderFlags_.logarithmic if row.high > 1000 else 0
        return imgui.slider_int("##value", value, int(row.low), int(row.high), form, flags)
    return imgui.slider_float("##value", value, row.low, row.high, row.format)


def _resolution(value: int):
    heights = sorted({*HEIGHTS, value})
    names = [f"{h * 16 // 9} \u00d7 {h}" for h in heights]
    changed, chosen = imgui.combo("##value", heights.index(value), names)
    return changed, heights[chosen]


def _view_options(state: AppState) -> list:
    preferences = state.preferences
    for name, label, help_text in (
        ("show_coverage", "Colour what is imagined", "Orange is imagined, blue is remembered."),
        (
            "smooth_frames",
            "Smooth motion",
            "Between two pictures of the model, follow your steps with its own guess of distance. "
            "Turning is always exact.",
        ),
        (
            "solid_walking",
            "Solid ground",
            "Walk mode follows the ground and stops before obstacles, where the model is sure of "
            "distance. G turns it off.",
        ),
    ):
        changed, value = imgui.checkbox(label, getattr(preferences, name))
        theme.tooltip(help_text)
        if changed:
            preferences = replace(preferences, **{name: value})
    return [ChangePreferences(preferences)] if preferences != state.preferences else []
