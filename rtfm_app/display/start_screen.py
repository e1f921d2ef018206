"""The first thing a person sees: starter worlds, own worlds, and ways to a new world."""

from __future__ import annotations

import time
from dataclasses import replace

from imgui_bundle import imgui

from ..imports.references import choices, readable
from . import theme
from .catalogue import Card
from .state import (
    AppState,
    BringBack,
    ChangePreferences,
    ChooseSource,
    OpenPath,
    OpenStarter,
    Paste,
    QuitProgram,
)
from .textures import TextureCache
from .theme import ICONS, em
from .world_cards import CARD_WIDTH, StartView, card_height, card_menu, draw_banner, draw_card

SOURCES = (
    ("picture", ICONS.ICON_FA_IMAGE, "A picture or 360\u00b0 panorama\u2026"),
    ("video", ICONS.ICON_FA_VIDEO, "A video of a walk\u2026"),
    ("folder", ICONS.ICON_FA_FOLDER_OPEN, "A folder of pictures, posed or not\u2026"),
)

SURROUNDINGS_HELP = (
    "A photograph shows one side of a place. The other sides are made up from a 360\u00b0 "
    "photograph that comes with the program. Automatic takes the one that suits yours best; "
    "none leaves them to be imagined as you walk."
)


def draw_start_screen(state: AppState, view: StartView, textures: TextureCache) -> list:
    """Fills the window; returns requests."""
    requests: list = []
    viewport = imgui.get_main_viewport()
    imgui.set_next_window_pos(viewport.pos)
    imgui.set_next_window_size(viewport.size)
    imgui.push_style_color(imgui.Col_.window_bg, theme.shown(theme.BACKGROUND))
    imgui.push_style_var(imgui.StyleVar_.window_rounding, 0)
    imgui.push_style_var(imgui.StyleVar_.window_padding, (0, 0))
    imgui.push_style_var(imgui.StyleVar_.window_border_size, 0)
    flags = imgui.WindowFlags_
    imgui.begin(
        "##start",
        None,
        flags.no_decoration
        | flags.no_move
        | flags.no_docking
        | flags.no_saved_settings
        | flags.no_bring_to_front_on_focus,
    )
    imgui.pop_style_var(3)
    columns, margin = _columns(viewport.size.x)
    imgui.set_cursor_pos((0, 0))
    imgui.begin_child("##page", (0, 0), imgui.ChildFlags_.nav_flattened)
    imgui.set_cursor_pos((margin, em(2.2)))
    imgui.begin_group()
    requests += _header(state, viewport.size.x - 2 * margin)
    own, starters = state.catalogue.worlds, state.catalogue.starters  # a thread replaces them
    own_first = any(card.problem is None for card in own)
    if own_first:
        last = next(card for card in own if card.problem is None)
        requests += _continue(last, view, viewport.size.x - 2 * margin, textures)
        rest = [card for card in own if card is not last]
        requests += _section(view, "Your worlds", rest, columns, textures)
    requests += _section(view, "Starter worlds", starters, columns, textures)
    if not own_first:
        requests += _own_worlds(state, own, view, columns, textures)
    imgui.dummy((1, em(1.5)))
    imgui.end_group()
    imgui.end_child()
    imgui.end()
    imgui.pop_style_color()
    return requests


def _columns(width: float) -> tuple[int, float]:
    """(cards in a row, left margin in pixels)."""
    card, gap = em(CARD_WIDTH), em(1.1)
    columns = max(1, int((width - em(4) + gap) // (card + gap)))
    columns = min(columns, 5)
    return columns, max((width - columns * card - (columns - 1) * gap) / 2, em(1))


def _header(state: AppState, width: float) -> list:
    requests: list = []
    left = imgui.get_cursor_pos_x()
    theme.sized_text("RTFM", theme.TITLE_SIZE)
    imgui.push_text_wrap_pos(left + width * 0.62)
    theme.text("Walk into a picture. What you have not seen yet is imagined, and stays.", theme.DIM)
    imgui.pop_text_wrap_pos()
    below = imgui.get_cursor_pos_y()
    label = f"{ICONS.ICON_FA_PLUS}  New world"
    button = imgui.calc_text_size(label).x + em(2.6)
    imgui.set_cursor_pos((left + width - button, em(2.5)))
    if theme.primary_button(label, (button, em(2.4))):
        imgui.open_popup("##new")
    below_button = (imgui.get_item_rect_max().x, imgui.get_item_rect_max().y + em(0.3))
    imgui.set_next_window_pos(below_button, imgui.Cond_.appearing, (1.0, 0.0))
    requests += _new_world_menu(state)
    hint = "or drop a picture, a video or a folder on this window"
    imgui.set_cursor_pos((left + width - imgui.calc_text_size(hint).x, em(5.2)))
    theme.text(hint, theme.FAINT)
    imgui.set_cursor_pos((left, max(below, imgui.get_cursor_pos_y()) + em(0.6)))
    pasted = imgui.is_key_chord_pressed(imgui.Key.mod_ctrl | imgui.Key.v)
    if pasted and not imgui.get_io().want_text_input:
        requests.append(Paste(imgui.get_clipboard_text() or ""))
    if state.trashed is not None:
        theme.text(f"{state.trashed.path.stem} was thrown away.", theme.DIM)
        imgui.same_line()
        if imgui.small_button(f"{ICONS.ICON_FA_ROTATE_LEFT}  Bring it back"):
            requests.append(BringBack())
    return requests


def _new_world_menu(state: AppState) -> list:
    requests: list = []
    if imgui.begin_popup("##new"):
        theme.text("Make a world from", theme.DIM)
        for what, icon, label in SOURCES:
            if imgui.menu_item(f"{icon}   {label}", "", False)[0]:
                requests.append(ChooseSource(what))
        if imgui.menu_item(f"{ICONS.ICON_FA_PASTE}   What is in the clipboard", "Ctrl+V", False)[0]:
            requests.append(Paste(imgui.get_clipboard_text() or ""))
        imgui.separator()
        requests += _surroundings(state)
        imgui.end_popup()
    return requests


def _surroundings(state: AppState) -> list:
    """What lies around a single photograph; remembered."""
    known, chosen = choices(), state.preferences.surroundings
    imgui.align_text_to_frame_padding()
    theme.text("Surroundings of a photograph", theme.DIM)
    imgui.same_line()
    imgui.set_next_item_width(em(12))
    names = [readable(choice) for choice in known]
    changed, index = imgui.combo("##surroundings", known.index(chosen), names)
    theme.tooltip(SURROUNDINGS_HELP)
    if not changed:
        return []
    return [ChangePreferences(replace(state.preferences, surroundings=known[index]))]


def _continue(card: Card, view: StartView, width: float, textures: TextureCache) -> list:
    """The world of the last walk, large."""
    imgui.dummy((1, em(0.2)))
    requests: list = [OpenPath(card.path)] if draw_banner(card, width, textures) else []
    requests += card_menu(card, view)
    imgui.dummy((1, em(0.9)))
    return requests


def _section(
    view: StartView, title: str, cards: list[Card], columns: int, textures: TextureCache
) -> list:
    if not cards:
        return []
    requests: list = []
    left = imgui.get_cursor_pos_x()
    imgui.dummy((1, em(0.2)))
    theme.sized_text(title, theme.HEADING_SIZE)
    imgui.dummy((1, em(0.1)))
    top, height = imgui.get_cursor_pos_y(), card_height()
    for number, card in enumerate(cards):
        row, column = divmod(number, columns)
        x = left + column * (em(CARD_WIDTH) + em(1.1))
        imgui.set_cursor_pos((x, top + row * (height + em(1.0))))
        if draw_card(card, textures):
            if card.starter is not None:
                requests.append(OpenStarter(card.starter))
            else:
                requests.append(OpenPath(card.path))
        if card.path is not None:
            requests += card_menu(card, view)
    rows = -(-len(cards) // columns)
    imgui.set_cursor_pos((left, top + rows * (height + em(1.0))))
    imgui.dummy((1, 1))
    return requests


def _own_worlds(
    state: AppState, own: list[Card], view: StartView, columns: int, textures: TextureCache
) -> list:
    if own:
        return _section(view, "Your worlds", own, columns, textures)
    imgui.dummy((1, em(0.2)))
    theme.sized_text("Your worlds", theme.HEADING_SIZE)
    if state.catalogue.problem:
        theme.text(state.catalogue.problem, theme.WARNING)
    elif state.catalogue.loading:
        theme.text("Reading\u2026" + "." * (int(time.monotonic() * 3) % 3), theme.FAINT)
    else:
        theme.text("None yet. Open a starter world, or make one from a picture.", theme.FAINT)
    return []


def draw_quit_hint() -> list:
    """A way out without a mouse."""
    return [QuitProgram()] if imgui.is_key_chord_pressed(imgui.Key.mod_ctrl | imgui.Key.q) else []
