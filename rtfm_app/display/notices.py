"""What the program says by itself: notices, and how far long work is. Nothing must be answered."""

from __future__ import annotations

import time

from imgui_bundle import imgui

from .. import messages as m
from . import theme
from .floating import FLAGS, PASSIVE, Area, place
from .state import AppState, CancelImport
from .theme import ICONS, em


def draw_toasts(state: AppState, area: Area = None) -> None:
    """Notices at the top; below the status line where there is one (`area`)."""
    now = time.monotonic()
    toasts = [t for t in state.toasts if t.until > now]
    if not toasts:
        return
    place(0.5, 0.0, area, top=em(3.0) if area else em(0.2))
    imgui.set_next_window_bg_alpha(theme.veil(0.88))
    imgui.begin("##toasts", None, PASSIVE)
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
    place(0.5, 0.5 if state.worker_ready or state.world is not None else 1.0)
    imgui.set_next_window_bg_alpha(theme.veil(0.95))
    imgui.begin("##progress", None, PASSIVE)
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
    place(0.5, 1.0)
    imgui.set_next_window_bg_alpha(theme.veil(0.95))
    imgui.begin("##importing", None, FLAGS & ~imgui.WindowFlags_.no_nav)
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
