"""A film being rendered beside the walk (`FilmJob`): one model frame at a time, when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av

from . import messages as m
from .config import GenerationSettings
from .film import film_writer
from .film_path import FilmPath, keys_from_json
from .film_render import FilmStep, draw_film
from .link import PoseStamp
from .memory.world_file import SaveError

REPORT_EVERY_S = 0.2
PREVIEW_EVERY_S = 1.0
TROUBLE = (OSError, ValueError, SaveError, av.error.FFmpegError)


class _Walker:
    """The engine as a film uses it: what is to be remembered is walked as the user walks, so that
    it stands in the journal."""

    def __init__(self, engine, walk: Callable):
        self.world = engine.world
        self.step = engine.step
        self._walk = walk

    def advance(self, camera_to_world, settings):
        return self._walk(PoseStamp(camera_to_world))


class FilmJob:
    """See the module docstring.

    Args:
        walk: draws a `PoseStamp` as while walking, commits included.
    Raises:
        ValueError: fewer than two keys, or a target that is no film.
    """

    def __init__(self, engine, walk: Callable, settings: GenerationSettings, order: m.RenderFilm):
        path = FilmPath(keys_from_json(order.keys), order.settings.even)
        self.target: Path = order.target
        self._fps = order.settings.fps
        self._writer = film_writer(order.target)
        self._steps: Iterator[FilmStep] = draw_film(
            _Walker(engine, walk), path, order.settings, settings
        )
        self._begun = time.monotonic()
        self._reported = self._previewed = 0.0

    def step(self) -> tuple[list, bool]:
        """Draw one model frame: (events, whether the film has ended)."""
        try:
            step = next(self._steps, None)
            if step is None:
                return self._finished(), True
            if step.picture is not None:
                self._writer.add(step.picture, self._writer.frames / self._fps)
        except TROUBLE as error:
            self.discard()
            return [m.FilmProgress(None), m.Notice(f"The film stopped: {error}", "error")], True
        return self._report(step), False

    def _report(self, step: FilmStep) -> list:
        now = time.monotonic()
        if now - self._reported < REPORT_EVERY_S:
            return []
        self._reported = now
        left = (now - self._begun) / step.done * (step.total - step.done)
        picture = None
        if step.picture is not None and now - self._previewed > PREVIEW_EVERY_S:
            picture, self._previewed = step.picture, now
        return [m.FilmProgress(self.target, step.done / step.total, left, picture)]

    def _finished(self) -> list:
        self._writer.close()
        return [m.FilmProgress(None), m.Notice(f"Film saved to {self.target}")]

    def discard(self) -> None:
        """Give it up. An MP4 leaves nothing; pictures that are done stay."""
        self._steps.close()
        self._writer.discard()
