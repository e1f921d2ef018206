"""How fast the program is just now (`Measurements`), for the Speed panel and for `rtfm bench`."""

from __future__ import annotations

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


@dataclass
class Measurements:
    """Milliseconds. `display`: from swap to swap; `outside_gl`: our own work in a display frame;
    `model`: from model frame to model frame; `warp`: input event to the swap that shows it by
    time-warp; `generated`: input event to the swap that shows a model frame made for it."""

    display: Series = field(default_factory=Series)
    outside_gl: Series = field(default_factory=Series)
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
