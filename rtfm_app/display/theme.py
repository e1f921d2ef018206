"""Fonts, colours and spacing of the interface. All lengths are in `em`, so that it scales."""

from __future__ import annotations

from pathlib import Path

import imgui_bundle
from imgui_bundle import icons_fontawesome_6 as icons
from imgui_bundle import imgui

FONT_SIZE = 15.0
TITLE_SIZE = 34.0
HEADING_SIZE = 19.0
LABEL_WIDTH = 9.2

TEXT = (0.92, 0.93, 0.95, 1.0)
DIM = (0.62, 0.66, 0.72, 1.0)
FAINT = (0.48, 0.52, 0.58, 1.0)
PANEL = (0.066, 0.075, 0.092, 1.0)
RAISED = (0.135, 0.152, 0.185, 1.0)
HOVER = (0.19, 0.22, 0.27, 1.0)
ACCENT = (0.35, 0.66, 0.95, 1.0)
ACCENT_DIM = (0.22, 0.42, 0.64, 1.0)
PRIMARY_HOVER = (0.28, 0.52, 0.78, 1.0)
WARNING = (0.96, 0.72, 0.28, 1.0)
ERROR = (0.98, 0.46, 0.38, 1.0)
BACKGROUND = (0.055, 0.062, 0.075, 1.0)
# Distinguishable with any kind of colour vision (sky blue and orange of Okabe and Ito, and the
# violet that is furthest from both for every kind of it; what surrounds a photograph is of a darker
# blue than the photograph): seed, generated, edit, surroundings.
KIND_COLORS = (
    (0.34, 0.71, 0.91, 1.0),
    (0.95, 0.64, 0.10, 1.0),
    (0.66, 0.38, 1.0, 1.0),
    (0.16, 0.36, 0.56, 1.0),
)
KIND_NAMES = ("seed", "generated", "edit", "surroundings")

# With high contrast, what is written in the first is shown in the second.
STRONGER = {
    TEXT: (1.0, 1.0, 1.0, 1.0),
    DIM: (0.90, 0.91, 0.93, 1.0),
    FAINT: (0.80, 0.82, 0.85, 1.0),
    PANEL: (0.0, 0.0, 0.0, 1.0),
    BACKGROUND: (0.0, 0.0, 0.0, 1.0),
    ACCENT: (0.55, 0.80, 1.0, 1.0),
    ERROR: (1.0, 0.60, 0.53, 1.0),
}

ICONS = icons

_high_contrast = False


def load_fonts() -> None:
    """Once, after the ImGui context was made."""
    fonts = imgui.get_io().fonts
    folder = Path(imgui_bundle.__file__).parent / "assets" / "fonts"
    fonts.add_font_from_file_ttf(str(folder / "Roboto" / "Roboto-Regular.ttf"), FONT_SIZE)
    merge = imgui.ImFontConfig()
    merge.merge_mode = True
    merge.glyph_min_advance_x = FONT_SIZE * 1.25
    fonts.add_font_from_file_ttf(
        str(folder / "Font_Awesome_6_Free-Solid-900.otf"), FONT_SIZE * 0.86, merge
    )


def apply_style(scale: float, *, high_contrast: bool = False) -> None:
    """Colours and spacing for this interface scale, from scratch."""
    global _high_contrast
    _high_contrast = high_contrast
    style = imgui.get_style()
    _reset(style)
    imgui.style_colors_dark()
    style.window_padding = (12, 11)
    style.frame_padding = (8, 4)
    style.cell_padding = (4, 2)
    style.indent_spacing = 21
    style.item_spacing = (8, 7)
    style.item_inner_spacing = (6, 4)
    style.window_rounding = style.popup_rounding = 9
    style.child_rounding = style.frame_rounding = style.grab_rounding = 5
    style.tab_rounding = 5
    style.scrollbar_size = 11
    style.scrollbar_rounding = 6
    style.grab_min_size = 11
    style.tab_border_size = 0
    style.popup_border_size = style.window_border_size = 1
    style.frame_border_size = 1 if high_contrast else 0
    style.window_title_align = (0.0, 0.5)
    style.window_menu_button_position = imgui.Dir.none
    style.docking_separator_size = 2
    style.separator_text_border_size = 1
    style.separator_text_padding = (0, 4)
    style.separator_text_align = (0.0, 0.5)
    style.hover_delay_normal = 0.35
    _colors(style)
    style.scale_all_sizes(scale)
    style.font_scale_dpi = scale


def _reset(style) -> None:
    """Every size as ImGui has it; what is not set again would be scaled anew at each change."""
    fresh = imgui.Style()
    for name in dir(fresh):
        value = getattr(fresh, name)
        if not name.startswith(("_", "font_")) and not callable(value):
            setattr(style, name, value)


def _colors(style) -> None:
    c = imgui.Col_
    for name, color in {
        c.text: TEXT,
        c.text_disabled: DIM,
        c.window_bg: PANEL,
        c.child_bg: (0, 0, 0, 0),
        c.popup_bg: (0.085, 0.096, 0.118, 0.98),
        c.border: (1, 1, 1, 0.55 if _high_contrast else 0.08),
        c.frame_bg: RAISED,
        c.frame_bg_hovered: HOVER,
        c.frame_bg_active: HOVER,
        c.title_bg: PANEL,
        c.title_bg_active: PANEL,
        c.title_bg_collapsed: PANEL,
        c.button: RAISED,
        c.button_hovered: HOVER,
        c.button_active: ACCENT_DIM,
        c.header: RAISED,
        c.header_hovered: HOVER,
        c.header_active: ACCENT_DIM,
        c.check_mark: ACCENT,
        c.slider_grab: ACCENT_DIM,  # the value is written over it
        c.slider_grab_active: PRIMARY_HOVER,
        c.separator: (1, 1, 1, 0.09),
        c.separator_hovered: ACCENT_DIM,
        c.separator_active: ACCENT,
        c.resize_grip: (1, 1, 1, 0.05),
        c.resize_grip_hovered: ACCENT_DIM,
        c.resize_grip_active: ACCENT,
        c.tab: (0, 0, 0, 0),
        c.tab_hovered: HOVER,
        c.tab_selected: RAISED,
        c.tab_selected_overline: ACCENT,
        c.tab_dimmed: (0, 0, 0, 0),
        c.tab_dimmed_selected: RAISED,
        c.tab_dimmed_selected_overline: (0, 0, 0, 0),
        c.docking_preview: (*ACCENT[:3], 0.45),
        c.docking_empty_bg: (0, 0, 0, 0),
        c.scrollbar_bg: (0, 0, 0, 0),
        c.scrollbar_grab: (1, 1, 1, 0.13),
        c.scrollbar_grab_hovered: (1, 1, 1, 0.22),
        c.plot_histogram: ACCENT,
        c.plot_lines: ACCENT,
        c.nav_cursor: ACCENT,
        c.text_selected_bg: (*ACCENT[:3], 0.35),
        c.modal_window_dim_bg: (0, 0, 0, 0.55),
    }.items():
        style.set_color_(name, shown(color))


def em(size: float = 1.0) -> float:
    """`size` times the height of the text, in pixels."""
    return imgui.get_font_size() * size


def shown(rgba: tuple) -> tuple:
    """The colour as the user wants it."""
    return STRONGER.get(rgba, rgba) if _high_contrast else rgba


def veil(alpha: float) -> float:
    """Opacity of a small window over the picture."""
    return 1.0 if _high_contrast else alpha


def color(rgba, alpha: float = 1.0) -> int:
    """Packed colour for draw lists."""
    r, g, b, a = shown(tuple(rgba))
    return imgui.color_convert_float4_to_u32((r, g, b, a * alpha))


def text(value: str, rgba=TEXT) -> None:
    imgui.text_colored(shown(rgba), value)


def sized_text(value: str, size: float, rgba=TEXT) -> None:
    """Text at another size (unscaled pixels)."""
    imgui.push_font(None, size)
    imgui.text_colored(shown(rgba), value)
    imgui.pop_font()


def push_heading_font() -> None:
    """Until `imgui.pop_font`."""
    imgui.push_font(None, HEADING_SIZE)


def picture_button(label: str, texture, size) -> bool:
    """A picture to click, `size` with its narrow frame."""
    frame = em(0.14)
    imgui.push_style_var(imgui.StyleVar_.frame_padding, (frame, frame))
    pressed = imgui.image_button(label, texture, (size[0] - 2 * frame, size[1] - 2 * frame))
    imgui.pop_style_var()
    return pressed


def heading(value: str) -> None:
    imgui.dummy((0, em(0.1)))
    imgui.push_style_color(imgui.Col_.text, shown(DIM))
    imgui.separator_text(value)
    imgui.pop_style_color()


def tooltip(value: str) -> None:
    """Wrapped tooltip of the item before."""
    if imgui.is_item_hovered(
        imgui.HoveredFlags_.delay_normal | imgui.HoveredFlags_.allow_when_disabled
    ):
        imgui.begin_tooltip()
        imgui.push_text_wrap_pos(em(22))
        imgui.text(value)
        imgui.pop_text_wrap_pos()
        imgui.end_tooltip()


def value_row(label: str, value: str, label_width: float = 9.0) -> None:
    """A dim label and a value, aligned in columns."""
    imgui.text_colored(shown(DIM), label)
    imgui.same_line(em(label_width))
    imgui.text(value)


def primary_button(label: str, size=(0, 0)) -> bool:
    imgui.push_style_color(imgui.Col_.button, ACCENT_DIM)
    imgui.push_style_color(imgui.Col_.button_hovered, PRIMARY_HOVER)
    pressed = imgui.button(label, size)
    imgui.pop_style_color(2)
    return pressed


def fit_text(value: str, width: float) -> str:
    """The text, shortened with an ellipsis to `width` pixels."""
    if imgui.calc_text_size(value).x <= width:
        return value
    while value and imgui.calc_text_size(value + "\u2026").x > width:
        value = value[:-1]
    return value + "\u2026"
