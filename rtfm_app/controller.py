"""What happens between the interface and the worker: events change the state, requests become
commands. No window, no GL, no ImGui; the application owns one and asks it for what is left to do.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import messages as m
from .arrivals import Arrivals
from .camera import camera_at
from .display import state as ui
from .display.catalogue import Catalogue
from .display.measurements import Measurements
from .film_desk import FilmDesk, FilmFlight
from .imports.structure import PICTURE_SUFFIXES
from .keeper import Keeper
from .places import Places
from .preferences import Preferences, save_preferences
from .worker import WorkerHandle
from .worlds_folder import SUFFIX, free_world_path

COPIES = ("copy", "save as")
HINT_S = 14.0
SETTINGS_EVERY_S = 0.08
SAVE_PREFERENCES_AFTER_S = 1.5
THUMBNAILS_KEPT = 1024


class Controller:
    """Changes `state`; talks to `worker`. `outcome` is the exit code so far."""

    def __init__(self, state: ui.AppState, worker: WorkerHandle):
        self.state = state
        self.worker = worker
        self.outcome = 0
        self._keep_camera = False
        self._world_path: Path | None = None
        self._asked_thumbnails: set[int] = set()
        self._settings_sent = 0.0
        self._settings_waiting = False
        self._preferences_changed: float | None = None
        self.places = Places(state, worker.send)
        self.film = FilmDesk(state, worker.send, self.places.follow)
        self.arrivals = Arrivals(state, self.open_path)
        self.keeper = Keeper(state)

    # ---- opening ----

    def open_path(self, path: Path) -> None:
        """Open a world file, or make a world from a picture."""
        self._leave_world()
        self.state.progress = m.Progress(f"Opening {path.stem.replace('_', ' ')}")
        if path.suffix == SUFFIX:
            self._world_path = path
            self.worker.send(m.OpenWorld(path))
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            self.worker.send(m.NewWorldFromPicture(path, self.state.preferences.surroundings))
        else:
            self.state.progress = None
            self.arrivals.receive([path])

    def show_start(self) -> None:
        self._leave_world()
        self._world_path = None
        self.worker.send(m.CloseWorld())
        self.state.catalogue.refresh()

    def _leave_world(self) -> None:
        state = self.state
        self._send_settings()
        self.film.save()
        state.world = state.taken = state.frame_map = state.picture = None
        state.thumbnails.clear()
        state.world_stats = {}
        state.recording = m.RecordingState(None)
        self._asked_thumbnails.clear()
        self.places.glide = None

    def restart_worker(self) -> None:
        """Start the model again and go on where the camera is."""
        self.state.failure = None
        self.state.worker_ready = False
        self.state.progress = m.Progress("Loading the model")
        self._asked_thumbnails.clear()
        self.worker.start()
        if self._world_path is not None:
            self._keep_camera = self.state.world is not None
            self.worker.send(m.OpenWorld(self._world_path))

    # ---- events of the worker ----

    def receive(self) -> None:
        """Take in what the worker said, and notice when it is gone."""
        for event in self.worker.events():
            self._on_event(event)
        if not self.worker.alive and self.state.failure is None:
            code = self.worker.exit_code
            self._fail(m.WorkerFailed(f"Its process ended unexpectedly (exit code {code})."))

    def _on_event(self, event) -> None:
        state = self.state
        match event:
            case m.Progress():
                state.progress = event
            case m.WorkerReady():
                state.worker_ready = True
                if self._world_path is None:
                    state.progress = None
            case m.WorldOpened():
                self._on_opened(event)
            case m.WorldClosed():
                state.progress = None
            case m.OpenFailed(_, message):
                state.progress = None
                state.toast(message, "error")
                self._world_path = None
                self.outcome = 2
                state.catalogue.refresh()
            case m.Notice(text, level):
                state.progress = None
                state.toast(text, level)
            case m.WorldStats(stats, memory_mb, pages):
                state.world_stats, state.worker_memory_mb = stats, memory_mb
                state.pages = pages
            case m.Thumbnails(pictures):
                while len(state.thumbnails) > THUMBNAILS_KEPT:
                    oldest = next(iter(state.thumbnails))
                    state.thumbnails.pop(oldest)
                    self._asked_thumbnails.discard(oldest)
                state.thumbnails.update(pictures)
            case m.FrameMap():
                state.frame_map = event
            case m.StoredPicture():
                state.picture = event
            case m.Painted(_, number):
                if number:
                    state.painted = (number, time.perf_counter())
            case m.RecordingState():
                state.recording = event
            case m.FilmProgress():
                self.film.on_event(event)
            case m.WorkerFailed():
                self._fail(event)

    def _on_opened(self, opened: m.WorldOpened) -> None:
        state = self.state
        self._world_path = opened.path
        state.world, state.world_stats = opened, opened.stats
        state.settings, state.bookmarks = opened.settings, list(opened.bookmarks)
        state.progress = None
        self.film.opened(opened)
        state.measured = Measurements()
        self.outcome = 0
        self.worker.skip_frames()
        if not self._keep_camera:
            saved = opened.camera
            pose = np.array(saved["camera_to_world"]) if saved else opened.start_pose
            flying = bool(saved) and saved["mode"] == "fly"
            solid = state.preferences.solid_walking
            state.camera = camera_at(pose, flying=flying, solid=solid)
        self._keep_camera = False
        if opened.read_only:
            state.toast("This world is open read-only: nothing new will be kept.", "warning")
        if not state.preferences.seen_hint:
            state.hint_until = time.monotonic() + HINT_S
            self.change_preferences(replace(state.preferences, seen_hint=True))

    def _fail(self, failure: m.WorkerFailed) -> None:
        self.state.failure = failure
        self.state.progress = None
        self.state.worker_ready = False
        self.outcome = 1

    # ---- requests of the interface ----

    def handle(self, requests: list) -> list:
        """Carry out what can be done here; returns the rest, for the application."""
        return [request for request in requests if not self._handle(request)]

    def _handle(self, request) -> bool:
        state = self.state
        desks = (self.film, self.arrivals, self.keeper, self.places)
        if any(desk.handle(request) for desk in desks):
            return True
        match request:
            case ui.OpenPath(path):
                self.open_path(path)
            case ui.OpenStarter(name):
                self._open_starter(name)
            case ui.ShowStart():
                self.show_start()
            case ui.RestartWorker():
                self.restart_worker()
            case ui.ChangePreferences(preferences):
                self.change_preferences(preferences)
            case ui.SwapSettings():
                self._swap_settings()
            case ui.AnswerQuestion(text):
                self._answer(text)
            case ui.Choose(chosen):
                state.choice = None
                if chosen is not None:
                    self._handle(chosen)
            case m.ChangeSettings(settings):
                state.settings, self._settings_waiting = settings, True
            case m.RequestThumbnails(frame_ids):
                self.ask_thumbnails(frame_ids)
            case m.RequestPicture(frame_id):
                if state.picture is None or state.picture.frame_id != frame_id:
                    state.picture = m.StoredPicture(frame_id, np.zeros((9, 16, 3), np.uint8), "")
                    self.worker.send(request)
            case _ if type(request).__module__ == m.__name__:
                self.worker.send(request)
            case _:
                return False
        return True

    def _open_starter(self, name: str) -> None:
        self._leave_world()
        self.state.progress = m.Progress("Opening")
        self.worker.send(m.OpenStarterWorld(name))

    def _swap_settings(self) -> None:
        state = self.state
        state.settings, state.other_settings = state.other_settings, state.settings
        state.settings_slot = "B" if state.settings_slot == "A" else "A"
        self._settings_waiting = True
        state.toast(f"Settings {state.settings_slot}")

    def change_preferences(self, preferences: Preferences) -> None:
        self.state.preferences = preferences
        if self.state.camera.solid != preferences.solid_walking:
            solid = preferences.solid_walking
            self.state.camera = replace(self.state.camera, solid=solid, eye_height=None)
        self._preferences_changed = time.monotonic()

    # ---- asking for paths ----

    def ask_path(self, purpose: str) -> None:
        """Let the user type a path (there is no file dialog)."""
        text = str(self.default_copy()) if purpose in COPIES else ""
        self.state.question = ui.PathQuestion(purpose, text)

    def default_copy(self) -> Path:
        return free_world_path(self.state.world.path.stem if self.state.world else "world")

    def _answer(self, text: str | None) -> None:
        question, self.state.question = self.state.question, None
        if not text or question is None:
            return
        path = Path(text.strip("'\"")).expanduser()
        if question.purpose not in COPIES:
            self.arrivals.receive([path])
        else:
            self.copy_world(path, switch=question.purpose == "save as")

    def copy_world(self, target: Path, *, switch: bool) -> None:
        if target.suffix != SUFFIX:
            target = target.with_name(target.name + SUFFIX)
        self._send_settings()
        self.worker.send(m.CopyWorld(target, switch))

    # ---- every display frame ----

    def ask_thumbnails(self, frame_ids) -> None:
        """Ask for the thumbnails that were not asked for yet."""
        wanted = tuple(i for i in frame_ids if i not in self._asked_thumbnails)
        if wanted:
            self._asked_thumbnails.update(wanted)
            self.worker.send(m.RequestThumbnails(wanted))

    def tick(self) -> None:
        """Send what was held back, save what has changed."""
        now = time.monotonic()
        self.film.tick(now)
        self.arrivals.tick()
        self.keeper.tick()
        self.state.previewing = isinstance(self.places.glide, FilmFlight)
        if self._settings_waiting and now - self._settings_sent > SETTINGS_EVERY_S:
            self._send_settings()
        changed = self._preferences_changed
        if changed is not None and now - changed > SAVE_PREFERENCES_AFTER_S:
            self.save_preferences()

    def _send_settings(self) -> None:
        if self._settings_waiting:
            self._settings_waiting = False
            self._settings_sent = time.monotonic()
            self.worker.send(m.ChangeSettings(self.state.settings))

    def save_preferences(self) -> None:
        """Write the preferences if they have changed; a full disk is told, not fatal."""
        if self._preferences_changed is None:
            return
        self._preferences_changed = None
        try:
            save_preferences(self.state.preferences)
        except OSError as error:
            self.state.toast(f"The preferences could not be saved: {error}", "warning")

    def close(self) -> None:
        self._send_settings()
        self.film.save()
        self.arrivals.close()
        self.save_preferences()
        self.worker.close()


def new_state(preferences: Preferences, catalogue: Catalogue) -> ui.AppState:
    """The state before any world is open."""
    return ui.AppState(
        preferences=preferences,
        catalogue=catalogue,
        camera=camera_at(np.eye(4), solid=preferences.solid_walking),
        show_overlay=preferences.show_overlay,
    )
