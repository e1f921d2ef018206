"""`StageClock`: how long the stages of a frame took."""

from __future__ import annotations

import time
from contextlib import contextmanager


class StageClock:
    """Milliseconds of named stages; a stage that comes again is added."""

    def __init__(self):
        self._start = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str):
        start = time.perf_counter()
        yield
        self._stages[name] = self._stages.get(name, 0.0) + (time.perf_counter() - start) * 1e3

    def finish(self) -> dict[str, float]:
        return self._stages | {"total": (time.perf_counter() - self._start) * 1e3}
