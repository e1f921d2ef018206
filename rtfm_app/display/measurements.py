"""How fast the program is just now (`Measurements`), for the Speed panel and for `rtfm bench`."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

HISTORY = 240


class Series:
    """The newest measurements of one thing, for graphs and percentiles."""

    def __init__(self, length: int = HISTORY):
        self._values: deque[float] = deque(maxlen=length)

    def add(self, value: float) -> None:
        self._values.append(value)

    def __len__(self) -> int:
        return len(self._values)

    def array(self) -> np.ndarray:
        return np.fromiter(self._values, np.float64, len(self._values))

    def mean(self) -> float:
        return sum(self._values) / len(self._values) if self._values else 0.0

    def percentile(self, q: float) -> float:
        return float(np.percentile(self.array(), q)) if self._values else 0.0

    def highest(self) -> float:
        return max(self._values, default=0.0)


@dataclass(frozen=True)
class Moment:
    """A moment, or the time between two, in seconds: on the clock, and as this thread's own
    processor time. The difference of the two is time that other threads took from us."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @classmethod
    def now(cls) -> Moment:
        return cls(time.perf_counter(), time.thread_time())

    def __add__(self, other: Moment) -> Moment:
        return Moment(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: Moment) -> Moment:
        return Moment(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


@dataclass
class Measurements:
    """Milliseconds. `display`: from swap to swap; `outside_gl`: our own work in a display
    frame, the layout of the interface with it, drawing it not; `outside_gl_cpu`: the same without
    the time in which another thread had our core;
    `model`: from model frame to model frame; `warp`: input event to the swap that shows it by
    time-warp; `generated`: input event to the swap that shows a model frame made for it."""

    display: Series = field(default_factory=Series)
    outside_gl: Series = field(default_factory=Series)
    outside_gl_cpu: Series = field(default_factory=Series)
    model: Series = field(default_factory=lambda: Series(60))
    warp: Series = field(default_factory=Series)
    generated: Series = field(default_factory=Series)

    def summary(self) -> dict[str, float]:
        """Flat, for JSON."""
        result = {}
        for name, series in vars(self).items():
            for label, q in (("p50", 50), ("p90", 90), ("p99", 99)):
                result[f"{name}_{label}_ms"] = round(series.percentile(q), 2)
            result[f"{name}_max_ms"] = round(series.highest(), 2)
        return result
