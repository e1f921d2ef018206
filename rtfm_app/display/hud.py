"""What lies over the picture: status line, attended frames, hints, notices, progress, failures."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from imgui_bundle import imgui

from .. import messages as m
from . import theme
from .bindings_panel import key_label
from .state import AnswerQuestion, AppState, CancelImport, Choose, RestartWorker, ShowStart
from .textures import TextureCache
from .theme import ICONS, em

_FLAGS = (
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
_PASSIVE = _FLAGS | imgui.WindowFlags_.no_inputs


def draw_status(state: AppState, area: Area) -> None:
    """Top left: world, frame rates, novelty; one quiet line."""
    _place(0.0, 0.0, area)
    imgui.set_next_window_bg_alpha(theme.veil(0.8))
    imgui.begin("##status", None, _PASSIVE)
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
    _place(0.0, 1.0, area, left=em(2.6) if state.view_is_old else 0.0)
    imgui.set_next_window_bg_alpha(theme.veil(0.8))
    imgui.begin("##attended", None, _FLAGS)
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
    _place(0.5, 0.5, area)
    imgui.set_next_window_bg_alpha(theme.veil(0.82))
    imgui.begin("##hint", None, _PASSIVE)
    theme.sized_text("Walk in", theme.HEADING_SIZE)
    imgui.dummy((0, em(0.1)))
    for key, meaning in key_rows(state.preferences.keys):
        theme.text(key, theme.ACCENT)
        imgui.same_line(em(6.5))
        theme.text(meaning)
    imgui.end()


def draw_click_hint(state: AppState, area: Area) -> None:
    """One line while the mouse is free and nothing else asks for attention."""
    if state.captured or state.taken is None or state.hint_until > time.monotonic():
        return
    _place(1.0, 1.0, area)
    imgui.set_next_window_bg_alpha(theme.veil(0.72))
    imgui.begin("##click", None, _PASSIVE)
    theme.text("Click to look around \u00b7 Esc frees the mouse", theme.DIM)
    imgui.end()


def draw_toasts(state: AppState, area: Area = None) -> None:
    """Notices at the top; below the status line where there is one (`area`)."""
    now = time.monotonic()
    toasts = [t for t in state.toasts if t.until > now]
    if not toasts:
        return
    _place(0.5, 0.0, area, top=em(3.0) if area else em(0.2))
    imgui.set_next_window_bg_alpha(theme.veil(0.88))
    imgui.begin("##toasts", None, _PASSIVE)
    for toast in toasts[-4:]:
        icon, tint = {
            "info": (ICONS.ICON_FA_CIRCLE_INFO, theme.ACCENT),
            "warning": (ICONS.ICON_FA_TRIANGLE_EXCLAMATION, theme.WARNING),
            "error": (ICONS.ICON_FA_CIRCLE_XMARK, theme.ERROR),
        }[toast.level]
        theme.text(icon, tint)
        imgui.same_line()
        imgui.push_text_wrap_pos(min(em(36), area[2] - em(3)) if area else em(36))
        imgui.text_unformatted(toast.text)
        imgui.pop_text_wrap_pos()
    imgui.end()


def draw_progress(state: AppState) -> None:
    """What is being waited for, in the middle."""
    progress = state.progress
    if progress is None and state.world is not None and state.taken is None:
        progress = m.Progress("Drawing the first view")
    if progress is None or state.failure is not None:
        return
    _place(0.5, 0.5 if state.worker_ready or state.world is not None else 1.0)
    imgui.set_next_window_bg_alpha(theme.veil(0.95))
    imgui.begin("##progress", None, _PASSIVE)
    theme.text(progress.text + "\u2026")
    _bar(state, progress.fraction, em(16))
    imgui.end()


def _bar(state: AppState, fraction: float | None, width: float) -> None:
    """How far; `fraction` None = going on for some time."""
    if fraction is None:
        fraction = -0.5 if state.preferences.reduced_motion else -imgui.get_time()
    imgui.progress_bar(fraction, (width, em(0.4)), "")


def draw_importing(state: AppState) -> list:
    """A world is being made: how far, and a way to give it up. Everything else stays usable."""
    if state.importing is None:
        return []
    requests: list = []
    _place(0.5, 1.0)
    imgui.set_next_window_bg_alpha(theme.veil(0.95))
    imgui.begin("##importing", None, _FLAGS & ~imgui.WindowFlags_.no_nav)
    theme.text(f"New world: {state.importing.text}\u2026")
    fraction = state.importing.fraction
    if fraction is not None:
        imgui.same_line(0, em(0.7))
        theme.text(f"{fraction * 100:.0f} %", theme.DIM)
    imgui.begin_group()
    imgui.dummy((0, em(0.35)))
    _bar(state, fraction, em(18))
    imgui.end_group()
    imgui.same_line()
    if imgui.button("Cancel"):
        requests.append(CancelImport())
    imgui.end()
    return requests


def draw_choice(state: AppState) -> list:
    """A question with buttons; Escape is Cancel."""
    choice = state.choice
    if choice is None:
        return []
    requests: list = []
    _place(0.5, 0.4)
    imgui.set_next_window_bg_alpha(theme.veil(0.97))
    imgui.begin("##choice", None, _FLAGS & ~imgui.WindowFlags_.no_nav)
    if imgui.is_window_appearing():
        imgui.set_window_focus()
    theme.sized_text(theme.fit_text(choice.title, em(22)), theme.HEADING_SIZE)
    imgui.push_text_wrap_pos(em(32))
    theme.text(choice.text, theme.DIM)
    imgui.pop_text_wrap_pos()
    imgui.dummy((0, em(0.2)))
    for number, (label, request) in enumerate(choice.answers):
        if number:
            imgui.same_line()
        if theme.primary_button(label) if number == 0 else imgui.button(label):
            requests.append(Choose(request))
    imgui.same_line()
    if imgui.button("Cancel") or imgui.is_key_pressed(imgui.Key.escape):
        requests.append(Choose(None))
    imgui.end()
    return requests


def draw_failure(state: AppState) -> list:
    """The model process has ended: say so, offer to go on."""
    failure: m.WorkerFailed | None = state.failure
    if failure is None:
        return []
    requests: list = []
    _place(0.5, 0.5)
    imgui.set_next_window_bg_alpha(theme.veil(0.95))
    imgui.begin("##failure", None, _FLAGS & ~imgui.WindowFlags_.no_nav)
    if imgui.is_window_appearing():
        imgui.set_window_focus()
        imgui.set_keyboard_focus_here()
    theme.sized_text("The model has stopped", theme.HEADING_SIZE, theme.ERROR)
    imgui.push_text_wrap_pos(em(30))
    imgui.text_unformatted(failure.message)
    theme.text("The world is safe on disk. Start the model again to go on from here.", theme.DIM)
    imgui.pop_text_wrap_pos()
    imgui.dummy((0, em(0.2)))
    if theme.primary_button("Start again", (em(8), 0)):
        requests.append(RestartWorker())
    imgui.same_line()
    if imgui.button("Other worlds", (em(8), 0)):
        requests += [RestartWorker(), ShowStart()]
    if failure.detail:
        imgui.same_line()
        if imgui.button("Copy details", (em(8), 0)):
            imgui.set_clipboard_text(failure.detail)
    imgui.end()
    return requests


QUESTIONS = {
    "picture": ("Which picture?", "Its path: JPEG, PNG or WebP. You can also drop it here."),
    "video": ("Which video?", "Its path: MP4, MOV or another. You can also drop it here."),
    "folder": ("Which folder?", "Its path: a transforms.json or pictures are in it."),
    "copy": ("Copy to which file?", "The path of the new world file."),
}


def draw_question(state: AppState) -> list:
    """Ask for a path, where the system has no file dialog."""
    question = state.question
    if question is None:
        return []
    requests: list = []
    _place(0.5, 0.4)
    imgui.begin("##question", None, _FLAGS & ~imgui.WindowFlags_.no_nav)
    title, text = QUESTIONS.get(question.purpose, QUESTIONS["copy"])
    theme.sized_text(title, theme.HEADING_SIZE)
    theme.text(text, theme.DIM)
    imgui.set_next_item_width(em(30))
    if imgui.is_window_appearing():
        imgui.set_keyboard_focus_here()
    entered, question.text = imgui.input_text(
        "##path", question.text, imgui.InputTextFlags_.enter_returns_true
    )
    if theme.primary_button("OK", (em(6), 0)) or entered:
        requests.append(AnswerQuestion(question.text.strip()))
    imgui.same_line()
    if imgui.button("Cancel", (em(6), 0)) or imgui.is_key_pressed(imgui.Key.escape):
        requests.append(AnswerQuestion(None))
    imgui.end()
    return requests


def _place(x: float, y: float, area: Area = None, *, left: float = 0.0, top: float = 0.0) -> None:
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
