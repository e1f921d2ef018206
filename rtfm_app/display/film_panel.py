"""The Film panel: key poses, a preview of the path, and rendering it at high quality."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from imgui_bundle import imgui

from .. import messages as m
from ..film_path import FilmKey
from ..film_plan import FilmPlan, thumbnail_image
from . import theme
from .state import (
    AddFilmKey,
    AppState,
    ChangeFilm,
    FocusHere,
    GoTo,
    KeysFromBookmarks,
    PreviewFilm,
    ScrubFilm,
    StartFilm,
    StopPreview,
)
from .textures import TextureCache
from .theme import ICONS, em

HEIGHTS = (288, 360, 576, 720, 1080)
RATES = (24, 25, 30, 60)
FALLBACK_FRAME_MS = 250.0
LABEL = 7.5


@dataclass
class FilmView:
    """Pictures of the keys that were decoded, and whether single pictures are wanted."""

    pictures: dict[str, np.ndarray | None] = field(default_factory=dict)
    as_pictures: bool = False


def draw_film(state: AppState, view: FilmView, textures: TextureCache) -> list:
    if state.world is None:
        theme.text("No world is open.", theme.FAINT)
        return []
    requests = _keys(state, view, textures)
    if state.film.path is None:
        missing = "Add two key poses or more: the camera flies through them."
        imgui.push_text_wrap_pos(0)
        theme.text(missing, theme.FAINT)
        imgui.pop_text_wrap_pos()
        return requests
    requests += _preview(state)
    requests += _camera(state)
    requests += _render(state, view, textures)
    return requests


# ---- key poses ----


def _keys(state: AppState, view: FilmView, textures: TextureCache) -> list:
    requests: list = []
    if theme.primary_button(f"{ICONS.ICON_FA_PLUS}  Add key here"):
        requests.append(AddFilmKey())
    theme.tooltip("The film passes through this very view.")
    imgui.same_line()
    imgui.begin_disabled(len(state.bookmarks) < 2)
    if imgui.button(f"{ICONS.ICON_FA_BOOKMARK}  From bookmarks"):
        requests.append(KeysFromBookmarks())
    imgui.end_disabled()
    theme.tooltip("Take the bookmarks of this world as keys, in their order.")
    for number, key in enumerate(state.film.keys):
        imgui.push_id(number)
        requests += _key_row(state, view, textures, number, key)
        imgui.pop_id()
    return requests


def _key_row(state: AppState, view: FilmView, textures, number: int, key: FilmKey) -> list:
    requests: list = []
    plan = state.film
    width = em(5.2)
    picture = decoded(view.pictures, key.thumbnail)
    size = (width, width * 9 / 16)
    if picture is not None:
        texture = textures.get(("film", key.thumbnail[:64], len(key.thumbnail)), picture)
        clicked = theme.picture_button("##go", texture, size)
    else:
        clicked = imgui.button("Go", size)
    theme.tooltip("Fly there.")
    if clicked:
        requests.append(GoTo(np.asarray(key.camera_to_world)))
    imgui.same_line()
    imgui.begin_group()
    focus = "focus by itself" if key.focus_m is None else f"focus {key.focus_m:.1f} m"
    theme.text(f"{number + 1}", theme.TEXT)
    imgui.same_line(0, em(0.7))
    theme.text(focus, theme.DIM)
    for icon, hint, request in _key_buttons(plan, number, key):
        if imgui.small_button(f"{icon}##{hint}"):
            requests.append(request)
        theme.tooltip(hint)
        imgui.same_line(0, em(0.25))
    imgui.new_line()
    imgui.end_group()
    return requests


def _key_buttons(plan: FilmPlan, number: int, key: FilmKey):
    """(icon, what it does, request) each."""
    yield ICONS.ICON_FA_CAMERA, "Put this key where the camera is now.", AddFilmKey(number)
    if key.focus_m is None:
        hint = "What is in the middle of the view now is sharp at this key."
        yield ICONS.ICON_FA_CROSSHAIRS, hint, FocusHere(number)
    else:
        by_itself = plan.with_key(number, replace(key, focus_m=None))
        yield ICONS.ICON_FA_CROSSHAIRS, "Let the focus find itself again.", ChangeFilm(by_itself)
    yield ICONS.ICON_FA_ARROW_UP, "Earlier.", ChangeFilm(plan.moved_key(number, -1))
    yield ICONS.ICON_FA_ARROW_DOWN, "Later.", ChangeFilm(plan.moved_key(number, 1))
    yield ICONS.ICON_FA_XMARK, "Take this key out.", ChangeFilm(plan.without_key(number))


def decoded(cache: dict, text: str) -> np.ndarray | None:
    """The picture of a thumbnail text, decoded once."""
    if text and text not in cache:
        cache[text] = thumbnail_image(text)
    return cache.get(text)


# ---- path and camera ----


def _preview(state: AppState) -> list:
    requests: list = []
    theme.heading(f"Path \u00b7 {state.film.metres:.1f} m")
    label = f"{ICONS.ICON_FA_STOP}  Stop" if state.previewing else f"{ICONS.ICON_FA_PLAY}  Preview"
    if imgui.button(label, (em(6.5), 0)):
        requests.append(StopPreview() if state.previewing else PreviewFilm())
    theme.tooltip("Fly along the path with the live model. Any key of yours ends it.")
    imgui.same_line()
    imgui.set_next_item_width(-1)
    seconds = state.film.seconds
    shown = f"{state.film_share * seconds:.1f} of {seconds:.1f} s"
    moved, share = imgui.slider_float("##share", state.film_share, 0.0, 1.0, shown)
    if moved:
        requests.append(ScrubFilm(share))
    return requests


def _camera(state: AppState) -> list:
    """Length, lens and shutter."""
    plan, requests = state.film, []
    settings = plan.settings

    def change(**changes) -> None:
        requests.append(ChangeFilm(plan.with_settings(**changes)))

    own, seconds = imgui.slider_float(
        *_row("Length"), plan.seconds, 1.0, 120.0, "%.1f s", imgui.SliderFlags_.logarithmic
    )
    theme.tooltip("As long as walking the path takes, until you change it.")
    if own:
        change(seconds=min(max(seconds, 0.5), 3600.0))
    toggled, even = imgui.checkbox("Constant speed", settings.even)
    theme.tooltip("Off: equally long from each key to the next.")
    if toggled:
        change(even=even)
    if settings.seconds is not None:
        imgui.same_line()
        if imgui.small_button("Walking pace"):
            change(seconds=None)
    theme.heading("Lens and shutter")
    moved, aperture = imgui.slider_float(
        *_row("Lens"), settings.aperture_m * 100, 0.0, 30.0, _lens_text(settings.aperture_m)
    )
    theme.tooltip("Diameter of the lens. The larger, the more blurred is what is out of focus.")
    if moved:
        change(aperture_m=min(max(aperture / 100, 0.0), 1.0))
    if settings.aperture_m > 0:
        _focus(state, change, requests)
    moved, shutter = imgui.slider_float(
        *_row("Shutter"), settings.shutter_degrees, 0.0, 360.0, "%.0f\u00b0"
    )
    theme.tooltip(
        "How long the shutter is open: 180\u00b0 is half of each picture's time, as usual."
    )
    if moved:
        change(shutter_degrees=min(max(shutter, 0.0), 360.0))
    return requests


def _row(label: str) -> tuple[str]:
    """A label at the left of the next widget; gives the widget's own hidden label."""
    imgui.align_text_to_frame_padding()
    theme.text(label, theme.DIM)
    imgui.same_line(em(LABEL))
    imgui.set_next_item_width(-1)
    return (f"##{label}",)


def _lens_text(aperture_m: float) -> str:
    return "%.1f cm" if aperture_m > 0 else "all sharp"


def _focus(state: AppState, change, requests: list) -> None:
    settings = state.film.settings
    given = settings.focus_m is not None
    toggled, by_itself = imgui.checkbox("Focus finds itself", not given)
    theme.tooltip("The keys' own distances, else what stands in the middle of the picture.")
    if toggled:
        change(focus_m=None if by_itself else 3.0)
    imgui.same_line()
    if imgui.small_button(f"{ICONS.ICON_FA_CROSSHAIRS}  Focus here"):
        requests.append(FocusHere())
    theme.tooltip("What is in the middle of the view now is sharp in the whole film.")
    if given:
        flags = imgui.SliderFlags_.logarithmic
        moved, metres = imgui.slider_float(
            *_row("Focus"), settings.focus_m, 0.2, 200.0, "%.1f m", flags
        )
        if moved:
            change(focus_m=min(max(metres, 0.1), 1000.0))


# ---- rendering ----


def _render(state: AppState, view: FilmView, textures: TextureCache) -> list:
    theme.heading("Render")
    if state.film_progress.target is not None:
        return _rendering(state, textures)
    plan, requests = state.film, []
    settings = plan.settings

    def change(**changes) -> None:
        requests.append(ChangeFilm(plan.with_settings(**changes)))

    names = [f"{height * 16 // 9} \u00d7 {height}" for height in HEIGHTS]
    chosen, index = imgui.combo(*_row("Size"), _index(HEIGHTS, settings.height), names)
    if chosen:
        change(height=HEIGHTS[index])
    rates = [f"{rate} a second" for rate in RATES]
    chosen, index = imgui.combo(*_row("Pictures"), _index(RATES, settings.fps), rates)
    if chosen:
        change(fps=RATES[index])
    blurred = settings.aperture_m > 0 or settings.shutter_degrees > 0
    imgui.begin_disabled(not blurred)
    moved, samples = imgui.slider_int(*_row("Samples"), settings.samples, 4, 128)
    imgui.end_disabled()
    theme.tooltip("Model frames averaged for each picture. More are smoother, and take longer.")
    if moved:
        change(samples=min(max(samples, 1), 1024))
    moved, steps = imgui.slider_int(*_row("Steps"), settings.steps, 1, 4)
    if moved:
        change(steps=min(max(steps, 1), 64))
    toggled, commit = imgui.checkbox("Keep what is imagined", settings.commit)
    theme.tooltip(
        "Off: the world stays as it is. On: the path is walked once before, and what nobody has "
        "seen yet is remembered."
    )
    if toggled:
        change(commit=commit)
    imgui.same_line()
    _, view.as_pictures = imgui.checkbox("Single pictures", view.as_pictures)
    label = f"{ICONS.ICON_FA_CLAPPERBOARD}  Render film"
    if theme.primary_button(label, (-1, em(2.1))):
        requests.append(StartFilm(view.as_pictures))
    frame_ms = state.measured.model.mean() or FALLBACK_FRAME_MS
    minutes = plan.model_frames * frame_ms / 60_000
    theme.text(f"about {_minutes(minutes)} \u00b7 {plan.model_frames} model frames", theme.FAINT)
    return requests


def _index(values: tuple[int, ...], value: int) -> int:
    return values.index(value) if value in values else 0


def _minutes(minutes: float) -> str:
    if minutes < 1:
        return f"{max(minutes * 60, 1):.0f} s"
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _rendering(state: AppState, textures: TextureCache) -> list:
    progress = state.film_progress
    theme.text(theme.fit_text(str(progress.target), imgui.get_content_region_avail().x), theme.DIM)
    theme.tooltip(str(progress.target))
    imgui.progress_bar(progress.fraction, (-1, 0), f"{progress.fraction * 100:.0f} %")
    left = f"{_minutes(progress.seconds_left / 60)} left" if progress.seconds_left else "beginning"
    theme.text(left, theme.DIM)
    imgui.same_line()
    requests: list = []
    if imgui.button(f"{ICONS.ICON_FA_XMARK}  Give up"):
        requests.append(m.CancelFilm())
    if progress.picture is not None:
        width = imgui.get_content_region_avail().x
        texture = textures.get("film picture", progress.picture)
        imgui.image(texture, (width, width * 9 / 16))
    theme.text("You can walk on meanwhile.", theme.FAINT)
    return requests
