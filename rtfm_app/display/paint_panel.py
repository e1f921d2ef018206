"""The Paint panel: brush and sign, taking a stroke back, footprints."""

from __future__ import annotations

from imgui_bundle import imgui

from .. import messages as m
from ..marks import LONGEST_TEXT
from . import theme
from .brush import PaintView
from .state import AppState
from .theme import ICONS, LABEL_WIDTH, em

# Distinguishable with any kind of colour vision (Okabe and Ito), black and white.
SWATCHES = (
    (0.86, 0.12, 0.10), (0.95, 0.64, 0.10), (0.94, 0.89, 0.26), (0.0, 0.62, 0.45),
    (0.34, 0.71, 0.91), (0.0, 0.45, 0.70), (0.80, 0.47, 0.65), (0.08, 0.08, 0.09),
    (0.97, 0.97, 0.95),
)  # fmt: skip


def draw_paint(state: AppState, view: PaintView) -> list:
    requests: list = []
    world = state.world
    view.follow_world(state)
    imgui.begin_disabled(world.read_only)
    _switch(view)
    if imgui.button(f"{ICONS.ICON_FA_ROTATE_LEFT}  Take back the last stroke"):
        requests.append(m.UndoPaint())
    theme.tooltip("Every stroke can be taken back, also those of earlier visits.")
    _brush(view)
    theme.heading("Walking")
    changed, view.footprints = imgui.checkbox("Leave footprints", view.footprints)
    theme.tooltip("Walking leaves footprints on the ground behind you. This world keeps them.")
    if changed:
        requests.append(m.LeaveFootprints(view.footprints))
    imgui.end_disabled()
    if world.read_only:
        theme.text("This world is open read-only.", theme.WARNING)
    return requests


def _switch(view: PaintView) -> None:
    label = f"{ICONS.ICON_FA_PAINTBRUSH}  " + ("Put the brush away" if view.active else "Paint")
    width = (imgui.get_content_region_avail().x, 0)
    pressed = imgui.button(label, width) if view.active else theme.primary_button(label, width)
    if pressed:
        view.active = not view.active
        view.path.clear()
    said = "Drag on the picture." if view.tool == "brush" else "Click where the sign shall be."
    theme.text(said if view.active else "What you paint stays in the world.", theme.DIM)


def _brush(view: PaintView) -> None:
    theme.heading("Brush")
    for name, label in (("brush", "Brush"), ("sign", "Sign")):
        if name == "sign":
            imgui.same_line(0, em(1.2))
        if imgui.radio_button(label, view.tool == name):
            view.tool = name
    if view.tool == "brush":
        view.radius = _slider("Size", view.radius * 100, 0.5, 12.0, "%.1f %%") / 100
        view.softness = _slider("Softness", view.softness * 100, 0.0, 100.0, "%.0f %%") / 100
    else:
        view.sign_height = _slider("Size", view.sign_height * 100, 3.0, 40.0, "%.0f %%") / 100
        _label("Text")
        _, text = imgui.input_text("##text", view.text)
        view.text = text[:LONGEST_TEXT] or " "
    _colour(view)


def _colour(view: PaintView) -> None:
    _label("Colour")
    flags = imgui.ColorEditFlags_.no_alpha | imgui.ColorEditFlags_.no_inputs
    changed, colour = imgui.color_edit3("##colour", list(view.colour), flags)
    if changed:
        view.colour = tuple(colour)
    _fill(view.colour)
    size = em(1.35)
    imgui.push_style_color(imgui.Col_.border, theme.FAINT)  # black is seen too
    imgui.push_style_var(imgui.StyleVar_.frame_border_size, em(0.07))
    for number, swatch in enumerate(SWATCHES):
        if number:
            imgui.same_line(0, em(0.3))
        if imgui.color_button(f"##swatch{number}", (*swatch, 1.0), 0, (size, size)):
            view.colour = swatch
        _fill(swatch)
    imgui.pop_style_var()
    imgui.pop_style_color()


def _fill(colour: tuple) -> None:
    """The colour of the button before: with large text ImGui leaves some of them empty."""
    low, high = imgui.get_item_rect_min(), imgui.get_item_rect_max()
    edge = em(0.1)
    imgui.get_window_draw_list().add_rect_filled(
        (low.x + edge, low.y + edge),
        (high.x - edge, high.y - edge),
        imgui.color_convert_float4_to_u32((*colour, 1.0)),
        em(0.2),
    )


def _slider(label: str, value: float, low: float, high: float, form: str) -> float:
    _label(label)
    _, value = imgui.slider_float(f"##{label}", value, low, high, form)
    return min(max(value, low), high)


def _label(label: str) -> None:
    imgui.align_text_to_frame_padding()
    theme.text(label)
    imgui.same_line(em(LABEL_WIDTH))
    imgui.set_next_item_width(imgui.get_content_region_avail().x)
