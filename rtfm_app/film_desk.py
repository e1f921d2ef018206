"""The film panel's part of the controller: keys, preview, rendering (`FilmDesk`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import platformdirs

from . import messages as m
from .camera import CameraState, camera_at
from .display import state as ui
from .film_path import FilmKey, FilmPath
from .film_plan import FilmPlan, plan_from_json, thumbnail_text
from .film_render import middle_distance

SAVE_AFTER_S = 0.5


@dataclass(frozen=True)
class FilmFlight:
    """A preview: the camera flies along the path with the live model. Used as a glide is."""

    path: FilmPath
    seconds: float
    begun: float
    walker: CameraState
    on_share: Callable[[float], None]

    def at(self, now: float) -> tuple[CameraState, bool]:
        share = (now - self.begun) / self.seconds
        self.on_share(min(share, 1.0))
        return on_path(self.path, share, self.walker), share >= 1.0


def on_path(path: FilmPath, share: float, walker: CameraState) -> CameraState:
    """The walker standing on the path."""
    return camera_at(
        path.pose_at(share), flying=walker.flying, solid=walker.solid, speed=walker.speed
    )


class FilmDesk:
    """Carries out what the film panel asks for. `send` takes worker commands; `glide` is told what
    the camera shall follow (None: nothing)."""

    def __init__(self, state: ui.AppState, send: Callable, glide: Callable):
        self._state, self._send, self._glide = state, send, glide
        self._changed: float | None = None

    def opened(self, opened: m.WorldOpened) -> None:
        """A world was opened: its film is on the table."""
        self._state.film = plan_from_json(opened.film)
        self._state.film_progress = m.FilmProgress(None)
        self._state.film_share = 0.0
        self._changed = None

    def handle(self, request) -> bool:
        """Whether the request was for the desk; then it is done."""
        state = self._state
        match request:
            case ui.ChangeFilm(plan):
                self._change(plan)
            case ui.AddFilmKey(index):
                self._add_key(index)
            case ui.FocusHere(index):
                self._focus_here(index)
            case ui.KeysFromBookmarks():
                saved = {"keys": state.bookmarks}
                self._change(replace(state.film, keys=plan_from_json(saved).keys))
            case ui.PreviewFilm():
                self._preview()
            case ui.ScrubFilm(share):
                self._glide(None)
                state.film_share = share
                if state.film.path is not None:
                    state.camera = on_path(state.film.path, share, state.camera)
            case ui.StopPreview():
                self._glide(None)
            case ui.StartFilm(as_pictures):
                self._start(as_pictures)
            case _:
                return False
        return True

    def on_event(self, event: m.FilmProgress) -> None:
        picture = event.picture if event.picture is not None else self._state.film_progress.picture
        self._state.film_progress = replace(event, picture=picture)

    def _change(self, plan: FilmPlan) -> None:
        self._state.film = plan
        self._changed = time.monotonic()

    def _add_key(self, index: int | None) -> None:
        state = self._state
        if state.world is None:
            return
        shown = thumbnail_text(state.taken.frame.image) if state.taken is not None else ""
        pose = state.camera.camera_to_world
        if index is not None:
            key = replace(state.film.keys[index], camera_to_world=pose, thumbnail=shown)
            self._change(state.film.with_key(index, key))
            return
        key = FilmKey(pose, name=f"Key {len(state.film.keys) + 1}", thumbnail=shown)
        self._change(replace(state.film, keys=(*state.film.keys, key)))

    def _focus_here(self, index: int | None) -> None:
        """What stands in the middle of the view becomes sharp: at one key, or in the whole film."""
        state = self._state
        metres = middle_distance(state.taken.frame) if state.taken is not None else None
        if metres is None:
            state.toast("The model is not sure how far the middle of this view is", "warning")
        elif index is None:
            self._change(state.film.with_settings(focus_m=metres))
        else:
            self._change(
                state.film.with_key(index, replace(state.film.keys[index], focus_m=metres))
            )

    def _preview(self) -> None:
        state, plan = self._state, self._state.film
        if plan.path is None:
            state.toast("Add two key poses at different places first", "warning")
            return

        def on_share(share: float) -> None:
            state.film_share = share

        start = state.film_share if state.film_share < 0.999 else 0.0
        begun = time.monotonic() - start * plan.seconds
        self._glide(FilmFlight(plan.path, plan.seconds, begun, state.camera, on_share))

    def _start(self, as_pictures: bool) -> None:
        state, plan = self._state, self._state.film
        if state.world is None or plan.path is None:
            state.toast("Add two key poses at different places first", "warning")
            return
        name = f"{state.world.path.stem}-{datetime.now():%Y%m%d-%H%M%S}"
        folder = film_folder()
        target = folder / name if as_pictures else folder / f"{name}.mp4"
        keys = [key.to_json() for key in plan.keys]
        state.film_progress = m.FilmProgress(target)
        self._send(m.RenderFilm(target, keys, plan.settings))

    def tick(self, now: float) -> None:
        """Keep the plan in the world, a moment after the last change."""
        if self._changed is not None and now - self._changed > SAVE_AFTER_S:
            self.save()

    def save(self) -> None:
        if self._changed is not None and self._state.world is not None:
            self._send(m.SetWorldState("film", self._state.film.to_json()))
        self._changed = None


def film_folder() -> Path:
    """Where films go."""
    return platformdirs.user_videos_path() / "RTFM"
