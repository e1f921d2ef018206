"""The whole interface over the world: panels in a dock at the right, and the head-up display."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from imgui_bundle import imgui
from imgui_bundle.imgui import internal

from ..messages import ChangeFrame
from . import hud, notices, questions
from .brush import PaintView, draw_brush
from .controls_panel import KeysView, draw_controls
from .film_panel import FilmView, draw_film
from .floating import Area
from .generation_panel import draw_generation
from .memory_panel import MapView, draw_memory
from .paint_panel import draw_paint
from .performance_panel import draw_performance
from .state import AppState
from .textures import TextureCache
from .theme import em
from .world_panel import WorldView, draw_world

PANELS = ("Picture", "Memory", "Speed", "World", "Paint", "Film", "Options")
PANEL_WIDTH = 25.5
SPARE = 12
DOCK = 0x5254464D  # any fixed number: saved layouts refer to it


@dataclass
class OverlayView:
    """What the interface itself remembers between frames."""

    map: MapView = field(default_factory=MapView)
    world: WorldView = field(default_factory=WorldView)
    paint: PaintView = field(default_factory=PaintView)
    film: FilmView = field(default_factory=FilmView)
    keys: KeysView = field(default_factory=KeysView)
    front: str | None = "Picture"
    by_keyboard: bool = False
    raising_paint: bool = False
    unfocus: bool = False
    arranged: bool = False
    widened_for: float = 0.0
    area: Area = None
    focused: str | None = None

    def next_panel(self) -> None:
        """Give the keyboard to the panel after the one that has it."""
        after = PANELS.index(self.focused) + 1 if self.focused in PANELS else 0
        self.front, self.by_keyboard = PANELS[after % len(PANELS)], True

    def toggle_brush(self) -> bool:
        """Take the brush, with its panel in front, or put it away; returns whether it is held."""
        self.paint.active = not self.paint.active
        self.paint.path.clear()
        if self.paint.active:
            self.front, self.raising_paint = "Paint", True
        return self.paint.active


def draw_overlay(state: AppState, view: OverlayView, textures: TextureCache) -> list:
    """Everything over the world; returns requests."""
    requests: list = []
    area = None
    if not state.show_overlay:
        view.keys.waiting = None
    else:
        requests += _draw_panels(state, view, textures)
        requests += draw_brush(state, view.paint)
        area = view.area
        hud.draw_status(state, area)
        hud.draw_attended(state, area, textures)
        if not view.paint.active:
            hud.draw_click_hint(state, area)
    hud.draw_age(state)
    hud.draw_hint(state, area)
    return requests


def draw_notices(state: AppState, area: Area = None) -> list:
    """What is shown over everything, on the start screen too; `area` is what panels leave free."""
    notices.draw_toasts(state, area)
    notices.draw_progress(state)
    requests = notices.draw_importing(state) + questions.draw_failure(state)
    return requests + questions.draw_question(state) + questions.draw_choice(state)


def _draw_panels(state: AppState, view: OverlayView, textures: TextureCache) -> list:
    flags = (
        imgui.DockNodeFlags_.passthru_central_node
        | imgui.DockNodeFlags_.no_docking_over_central_node
    )
    dock = imgui.get_id("##dock")
    if not view.arranged:
        _arrange(dock)
    narrow = (em(0.26), imgui.get_style().frame_padding.y)
    imgui.push_style_var(imgui.StyleVar_.frame_padding, narrow)  # of the tabs
    imgui.dock_space_over_viewport(dock, imgui.get_main_viewport(), flags)
    imgui.pop_style_var()
    view.arranged = True
    draw = {
        "Picture": lambda: draw_generation(state),
        "Memory": lambda: draw_memory(state, view.map, textures),
        "Speed": lambda: draw_performance(state),
        "World": lambda: draw_world(state, view.world, textures),
        "Paint": lambda: draw_paint(state, view.paint),
        "Film": lambda: draw_film(state, view.film, textures),
        "Options": lambda: draw_controls(state, view.keys),
    }
    requests: list = []
    docked: list = []
    view.focused = None
    beside = 0
    for name in PANELS:
        if beside:  # a panel that the saved layout does not know yet joins the others
            imgui.set_next_window_dock_id(beside, imgui.Cond_.first_use_ever)
        seen = imgui.begin(name, None, imgui.WindowFlags_.no_collapse)[0]
        beside = imgui.get_window_dock_id() or beside
        if name == "Options" and not seen:
            view.keys.waiting = None
        if name == "Paint":
            view.raising_paint = view.raising_paint and not seen
            if not seen and not view.raising_paint:
                view.paint.active = False
        if seen:
            requests += draw[name]()
            if imgui.is_window_focused(imgui.FocusedFlags_.child_windows):
                view.focused = name
            if imgui.is_window_docked():
                docked.append((imgui.get_window_pos(), imgui.get_window_size()))
        imgui.end()
    if beside and view.widened_for != em():
        view.widened_for = em()
        _widen(beside)
    view.area = _free_area(docked)
    view.world.forgotten += [
        r.frame_id for r in requests if isinstance(r, ChangeFrame) and r.action == "delete"
    ]
    if view.front is not None:
        imgui.set_window_focus(view.front)
        if view.by_keyboard:
            imgui.set_nav_cursor_visible(True)
        view.unfocus = not view.by_keyboard
        view.front, view.by_keyboard = None, False
    elif view.unfocus:  # the tab is in front now; the keyboard goes back to the world
        imgui.set_window_focus(None)
        view.unfocus = False
    return requests


def _arrange(dock: int) -> None:
    """The panels as tabs at the right, unless a saved layout has them elsewhere."""
    if internal.dock_builder_get_node(dock) is not None:
        return
    viewport = imgui.get_main_viewport()
    internal.dock_builder_remove_node(dock)
    internal.dock_builder_add_node(dock, internal.DockNodeFlagsPrivate_.dock_space)
    internal.dock_builder_set_node_size(dock, viewport.size)
    share = _panel_width() / viewport.size.x
    split = internal.dock_builder_split_node(dock, imgui.Dir.right, share)
    for name in PANELS:
        internal.dock_builder_dock_window(name, split.id_at_dir)
    internal.dock_builder_finish(dock)


def _panel_width() -> float:
    """So wide that every tab and row fits, but never half of the window."""
    return min(em(PANEL_WIDTH), 0.45 * imgui.get_main_viewport().size.x)


def _widen(dock_id: int) -> None:
    """Panels from a layout that was saved for smaller text, or with fewer tabs, get room."""
    node = internal.dock_builder_get_node(dock_id)
    if node is None or node.parent_node is None or node.size.x >= _panel_width():
        return
    internal.dock_builder_set_node_size(dock_id, (_panel_width(), node.size.y))


def _free_area(docked: list) -> Area:
    """What panels docked to the left and right edges leave: (x, y, width, height)."""
    viewport = imgui.get_main_viewport()
    left, right = viewport.pos.x, viewport.pos.x + viewport.size.x
    edge = em(0.5)
    for pos, size in docked:
        if pos.x + size.x > viewport.pos.x + viewport.size.x - edge:
            right = min(right, pos.x)
        elif pos.x < viewport.pos.x + edge:
            left = max(left, pos.x + size.x)
    return left, viewport.pos.y, max(right - left, 1.0), viewport.size.y


def visible_pixels(area: Area, framebuffer: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The free area in framebuffer pixels, with a little to spare."""
    if area is None:
        return None
    viewport = imgui.get_main_viewport()
    scale = framebuffer[0] / max(viewport.size.x, 1)
    left = max(int((area[0] - viewport.pos.x) * scale) - SPARE, 0)
    width = math.ceil(area[2] * scale) + 2 * SPARE
    return left, 0, min(width, framebuffer[0] - left), framebuffer[1]
