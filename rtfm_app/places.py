"""Going to a place (`Places`): smooth flights of the camera, bookmarks, back to the start."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import messages as m
from .camera import CameraState
from .display import state as ui
from .film_desk import FilmFlight
from .film_plan import thumbnail_text
from .geometry import yaw_pitch_of

GLIDE_S = 0.9


@dataclass(frozen=True)
class Glide:
    """A smooth flight of the camera to a pose."""

    start: CameraState
    target: np.ndarray
    begun: float

    def at(self, now: float) -> tuple[CameraState, bool]:
        """(camera, whether it has arrived)."""
        share = min((now - self.begun) / GLIDE_S, 1.0)
        eased = share * share * (3 - 2 * share)
        yaw, pitch = yaw_pitch_of(self.target)
        turn = math.remainder(yaw - self.start.yaw, math.tau)
        position = self.start.position + (self.target[:3, 3] - self.start.position) * eased
        camera = replace(
            self.start,
            position=position,
            yaw=self.start.yaw + turn * eased,
            pitch=self.start.pitch + (pitch - self.start.pitch) * eased,
            roll=self.start.roll * (1 - eased),
            velocity=np.zeros(3),
            eye_height=None,
        )
        return camera, share >= 1.0


class Places:
    """Changes `state.bookmarks`; `glide` is the flight that the camera is on, if it is on one."""

    def __init__(self, state: ui.AppState, send: Callable):
        self._state = state
        self._send = send
        self.glide: Glide | FilmFlight | None = None

    def handle(self, request) -> bool:
        """Carry a request out; False when it is none of a place."""
        match request:
            case ui.GoTo(pose):
                self._fly_to(pose)
            case ui.AddBookmark():
                self._add_bookmark()
            case m.SetWorldState("bookmarks", bookmarks):
                self._state.bookmarks = bookmarks
                self._send(request)
            case _:
                return False
        return True

    def follow(self, flight: FilmFlight | None) -> None:
        """Preview a film's path, or stop."""
        self.glide = flight

    def go_to_bookmark(self, number: int) -> None:
        """Fly to the n-th bookmark (from 1), if there is one."""
        if 1 <= number <= len(self._state.bookmarks):
            pose = self._state.bookmarks[number - 1]["camera_to_world"]
            self._fly_to(np.array(pose, dtype=np.float64))

    def go_home(self) -> None:
        if self._state.world is not None:
            self._fly_to(self._state.world.start_pose)

    def _fly_to(self, pose: np.ndarray) -> None:
        state = self._state
        begun = time.monotonic() - GLIDE_S * state.preferences.reduced_motion
        self.glide = Glide(state.camera, pose, begun)

    def _add_bookmark(self) -> None:
        state = self._state
        if state.world is None:
            return
        pose = state.camera.camera_to_world.tolist()
        shown = thumbnail_text(state.taken.frame.image) if state.taken is not None else ""
        name = f"Place {len(state.bookmarks) + 1}"
        place = {"name": name, "camera_to_world": pose, "thumbnail": shown}
        self.handle(m.SetWorldState("bookmarks", [*state.bookmarks, place]))
        state.toast(f"{name} kept: the number keys bring you back")
