"""Write pictures to an MP4 as they come, each shown until the next one (`FilmWriter`)."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

TICKS_PER_SECOND = 1000


class FilmWriter:
    """An H.264 film with the true time between pictures. The file gets its name only when it is
    complete; a picture of another size than the first is scaled to the first."""

    def __init__(self, path: Path):
        self.path = path
        self.frames = 0
        self._unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._unfinished), "w")
        self._stream = None
        self._start_s = 0.0
        self._last_tick = -1

    def add(self, image: np.ndarray, time_s: float) -> None:
        """Append (H, W, 3) uint8, shown from `time_s` on (any clock, seconds)."""
        if self._stream is None:
            self._start(image, time_s)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        picture = picture.reformat(self._stream.width, self._stream.height, "yuv420p")
        tick = max(int((time_s - self._start_s) * TICKS_PER_SECOND), self._last_tick + 1)
        picture.pts, picture.time_base = tick, Fraction(1, TICKS_PER_SECOND)
        self._last_tick = tick
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def _start(self, image: np.ndarray, time_s: float) -> None:
        height, width = image.shape[:2]
        stream = self._container.add_stream("libx264", rate=30)
        stream.width, stream.height = width // 2 * 2, height // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS_PER_SECOND)
        stream.options = {"crf": "18", "preset": "veryfast"}
        stream.codec_context.thread_count = 1
        self._stream, self._start_s = stream, time_s

    def close(self) -> None:
        """Finish the film. Without a single picture no file is made."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
        if self.frames:
            os.replace(self._unfinished, self.path)
        else:
            self._unfinished.unlink(missing_ok=True)
