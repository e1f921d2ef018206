"""Small windows that stand over the picture: what they have in common, and where they stand."""

from __future__ import annotations

from imgui_bundle import imgui

from . import theme
from .theme import em

FLAGS = (
    imgui.WindowFlags_.no_decoration
    | imgui.WindowFlags_.no_docking
    | imgui.WindowFlags_.always_auto_resize
    | imgui.WindowFlags_.no_saved_settings
    | imgui.WindowFlags_.no_focus_on_appearing
    | imgui.WindowFlags_.no_move
    | imgui.WindowFlags_.no_nav
)
# The part of the window that docked panels leave free: x, y, width, height.
Area = tuple[float, float, float, float] | None
PASSIVE = FLAGS | imgui.WindowFlags_.no_inputs


def place(x: float, y: float, area: Area = None, *, left: float = 0.0, top: float = 0.0) -> None:
    """Put the next window at a relative place of the area (None: the whole window), within a
    margin."""
    viewport = imgui.get_main_viewport()
    origin_x, origin_y, width, height = area or (
        viewport.work_pos.x,
        viewport.work_pos.y,
        viewport.work_size.x,
        viewport.work_size.y,
    )
    margin = em(0.8)
    position = (
        origin_x + margin + left + x * (width - 2 * margin),
        origin_y + margin + top + y * (height - 2 * margin),
    )
    imgui.set_next_window_pos(position, imgui.Cond_.always, (x, y))


def shade_the_rest() -> None:
    """Right after `imgui.begin` of a question: everything else steps back."""
    viewport, draw = imgui.get_main_viewport(), imgui.get_window_draw_list()
    corner, size = imgui.get_window_pos(), imgui.get_window_size()
    end = (corner.x + size.x, corner.y + size.y)
    right, bottom = viewport.pos.x + viewport.size.x, viewport.pos.y + viewport.size.y
    rounding = imgui.get_style().window_rounding
    draw.push_clip_rect_full_screen()
    draw.add_rect_filled(viewport.pos, (right, bottom), theme.color((0.0, 0.0, 0.0, 0.55)))
    draw.add_rect_filled(corner, end, theme.color(theme.PANEL), rounding)
    draw.add_rect(corner, end, imgui.get_color_u32(imgui.Col_.border), rounding)
    draw.pop_clip_rect()
