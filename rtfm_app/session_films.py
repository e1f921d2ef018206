"""Films of one open world, in the worker (`SessionFilms`): the walk as it is drawn, and one along
key poses that is rendered beside the walk."""

from __future__ import annotations

import time
from collections.abc import Callable

from . import messages as m
from .config import GenerationSettings
from .film import FilmWriter
from .film_job import FilmJob
from .frame import Frame


class SessionFilms:
    """`engine` draws; `walk` draws as walking does, imagining what is new, for a film that keeps
    it."""

    def __init__(self, engine, walk: Callable):
        self._engine = engine
        self._walk = walk
        self._recording: FilmWriter | None = None
        self._job: FilmJob | None = None

    @property
    def rendering(self) -> bool:
        return self._job is not None

    def recorded(self) -> list:
        """How far the recording is; nothing when there is none."""
        if self._recording is None:
            return []
        return [m.RecordingState(self._recording.path, self._recording.frames)]

    def drawn(self, frame: Frame) -> None:
        """The walker sees `frame`."""
        if self._recording is not None:
            self._recording.add(frame.image, time.perf_counter())

    def handle(self, command, settings: GenerationSettings) -> list:
        """Raises ValueError, OSError: with a line for the user."""
        match command:
            case m.StartRecording(target):
                self._stop_recording()
                self._recording = FilmWriter(target)
                return [m.RecordingState(target, 0)]
            case m.StopRecording():
                return self._stop_recording()
            case m.RenderFilm():
                return self._begin(command, settings)
            case m.CancelFilm():
                return self._cancel()
        return []

    def work(self) -> list:
        """Draw one model frame of the film that is being rendered, if there is one."""
        if self._job is None:
            return []
        events, ended = self._job.step()
        if ended:
            self._job = None
        return events

    def close(self) -> None:
        """Give up what is being rendered, finish what is being recorded."""
        self._cancel()
        self._stop_recording()

    def _begin(self, order: m.RenderFilm, settings: GenerationSettings) -> list:
        self._cancel()
        if order.settings.commit and self._engine.world.read_only:
            raise ValueError("this world is open read-only: switch off keeping what is imagined")
        self._job = FilmJob(self._engine, self._walk, settings, order)
        return [m.FilmProgress(order.target)]

    def _cancel(self) -> list:
        if self._job is None:
            return []
        job, self._job = self._job, None
        job.discard()
        return [m.FilmProgress(None), m.Notice("The film was given up")]

    def _stop_recording(self) -> list:
        if self._recording is None:
            return []
        film, self._recording = self._recording, None
        film.close()
        return [m.RecordingState(None), m.Notice(f"Film saved to {film.path}")]
