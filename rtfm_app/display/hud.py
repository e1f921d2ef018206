"""What lies over the picture: status line, attended frames, keys, the ring of an old frame."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from imgui_bundle import imgui

from . import theme
from .bindings_panel import key_label
from .floating import FLAGS, PASSIVE, Area, place
from .state import AppState
from .textures import TextureCache
from .theme import ICONS, em


def draw_status(state: AppState, area: Area) -> None:
    """Top left: world, frame rates, novelty; one quiet line."""
    place(0.0, 0.0, area)
    imgui.set_next_window_bg_alpha(theme.veil(0.8))
    imgui.begin("##status", None, PASSIVE)
    world = state.world
    theme.text(theme.fit_text(world.name if world else "RTFM", em(14)))
    _dot(world is not None and world.read_only, "read-only", theme.WARNING)
    display, model = state.measured.display.mean(), state.measured.model.mean()
    parts = [f"{1000 / display:.0f} fps" if display else "", _model_rate(state, model)]
    if state.taken is not None:
        parts.append(f"{state.taken.frame.novelty * 100:.0f}% imagined")
    parts.append(f"{'fly' if state.camera.flying else 'walk'} {state.camera.speed:.1f} m/s")
    for part in filter(None, parts):
        _dot(True, part, theme.DIM)
    if state.recording.target is not None:
        imgui.same_line(0, em(0.9))
        theme.text(f"{ICONS.ICON_FA_CIRCLE} {state.recording.frames}", theme.ERROR)
    if state.film_progress.target is not None:
        imgui.same_line(0, em(0.9))
        share = state.film_progress.fraction * 100
        theme.text(f"{ICONS.ICON_FA_CLAPPERBOARD} {share:.0f} %", theme.ACCENT)
    imgui.end()


def _model_rate(state: AppState, mean_ms: float) -> str:
    if state.taken is None or not mean_ms:
        return ""
    if time.perf_counter() - state.taken_at > 1.0 and not state.view_is_old:
        return "model at rest"
    return f"model {1000 / mean_ms:.1f} fps"


def _dot(shown: bool, text: str, tint) -> None:
    if shown:
        imgui.same_line(0, em(0.9))
        theme.text(text, tint)


def draw_age(state: AppState) -> None:
    """A small ring at the bottom right while the picture is of another, older view."""
    if not state.view_is_old:
        return
    viewport = imgui.get_main_viewport()
    draw = imgui.get_foreground_draw_list()
    centre = (viewport.pos.x + em(1.6), viewport.pos.y + viewport.size.y - em(1.6))
    angle = 0.0 if state.preferences.reduced_motion else time.perf_counter() * 4.0
    draw.add_circle(centre, em(0.6), theme.color((0, 0, 0, 0.35)), 24, em(0.22))
    draw.path_arc_to(centre, em(0.6), angle, angle + math.pi * 0.9, 16)
    draw.path_stroke(theme.color(theme.TEXT, 0.9), em(0.13))


def draw_attended(state: AppState, area: Area, textures: TextureCache) -> None:
    """Bottom left: the memory frames that the picture was drawn from, with their weights."""
    if state.taken is None or not state.taken.frame.attended:
        return
    place(0.0, 1.0, area, left=em(2.6) if state.view_is_old else 0.0)
    imgui.set_next_window_bg_alpha(theme.veil(0.8))
    imgui.begin("##attended", None, FLAGS)
    theme.text("Remembered from", theme.DIM)
    width = em(5.6)
    for number, attended in enumerate(state.taken.frame.attended[:6]):
        if number:
            imgui.same_line(0, em(0.5))
        imgui.begin_group()
        _thumbnail(state, textures, attended.frame_id, width)
        _weight_bar(attended.weight, width)
        imgui.end_group()
        theme.tooltip(
            f"Frame {attended.frame_id}: {attended.weight * 100:.0f}% of the picture is read from "
            "this memory. The rest comes from the others or is imagined."
        )
    imgui.end()


def _thumbnail(state: AppState, textures: TextureCache, frame_id: int, width: float) -> None:
    size = (width, width * 9 / 16)
    picture = state.thumbnails.get(frame_id)
    if picture is None:
        corner = imgui.get_cursor_screen_pos()
        end = (corner.x + size[0], corner.y + size[1])
        fill = theme.color(theme.RAISED)
        imgui.get_window_draw_list().add_rect_filled(corner, end, fill, em(0.25))
        imgui.dummy(size)
    else:
        imgui.image(textures.get(("frame", frame_id), picture), size)


def _weight_bar(weight: float, width: float) -> None:
    draw = imgui.get_window_draw_list()
    corner = imgui.get_cursor_screen_pos()
    height = em(0.22)
    end = (corner.x + width, corner.y + height)
    draw.add_rect_filled(corner, end, theme.color(theme.RAISED), height / 2)
    filled = (corner.x + width * min(max(weight, 0.0), 1.0), end[1])
    draw.add_rect_filled(corner, filled, theme.color(theme.ACCENT), height / 2)
    imgui.dummy((width, height))


def key_rows(keys: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """(keys, what they do) of the first minute, as they are bound now."""

    def of(*actions: str) -> str:
        return " ".join(key_label(keys[a][0]) for a in actions if keys.get(a))

    return [
        (of("forward", "left", "back", "right"), "walk"),
        ("Mouse", "look around (click to begin)"),
        (of("run"), "run"),
        ("Wheel", "change speed"),
        (of("toggle_fly"), f"walk or fly ({of('up')} up, {of('down')} down)"),
        (of("paint"), "paint"),
        (of("toggle_overlay"), "hide or show the panels"),
        (of("screenshot"), "screenshot"),
        ("Esc", "free the mouse"),
    ]


def draw_hint(state: AppState, area: Area) -> None:
    """The keys, in the middle, until the first steps have been taken."""
    if state.hint_until < time.monotonic() or state.taken is None:
        return
    place(0.5, 0.5, area)
    imgui.set_next_window_bg_alpha(theme.veil(0.82))
    imgui.begin("##hint", None, PASSIVE)
    theme.sized_text("Walk in", theme.HEADING_SIZE)
    imgui.dummy((0, em(0.1)))
    for key, meaning in key_rows(state.preferences.keys):
        _key_cap(key)
        imgui.same_line(em(7.2))
        theme.text(meaning)
    imgui.end()


def _key_cap(name: str) -> None:
    """The name on a key, as on a keyboard."""
    corner, size = imgui.get_cursor_screen_pos(), imgui.calc_text_size(name)
    left, top, bottom = corner.x - em(0.05), corner.y - em(0.08), corner.y + size.y + em(0.12)
    right = corner.x + size.x + em(0.75)
    draw = imgui.get_window_draw_list()
    draw.add_rect_filled((left, top), (right, bottom + em(0.1)), theme.color(theme.HOVER), em(0.25))
    draw.add_rect_filled((left, top), (right, bottom), theme.color(theme.RAISED), em(0.25))
    imgui.set_cursor_screen_pos((corner.x + em(0.35), corner.y))
    theme.text(name)


def draw_click_hint(state: AppState, area: Area) -> None:
    """One line while the mouse is free and nothing else asks for attention."""
    if state.captured or state.taken is None or state.hint_until > time.monotonic():
        return
    place(1.0, 1.0, area)
    imgui.set_next_window_bg_alpha(theme.veil(0.72))
    imgui.begin("##click", None, PASSIVE)
    theme.text("Click to look around \u00b7 Esc frees the mouse", theme.DIM)
    imgui.end()
