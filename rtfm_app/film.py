"""Films as files: an MP4 (`FilmWriter`) or a folder of pictures (`PictureWriter`)."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from .unfinished import remove_abandoned

TICKS_PER_SECOND = 1000


class FilmWriter:
    """An H.264 film with the true time between pictures. The file gets its name only when it is
    complete; a picture of another size than the first is scaled to the first.

    Args:
        crf: x264's quality, lower is better; 18 is hard to tell from the pictures themselves.
    """

    def __init__(self, path: Path, *, crf: int = 18, ticks_per_second: int = TICKS_PER_SECOND):
        self.path = path
        self.frames = 0
        self._crf = crf
        self._ticks_per_second = ticks_per_second
        self._unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished{path.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(path.parent, f".{path.stem}.", f".unfinished{path.suffix}")
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
        tick = round((time_s - self._start_s) * self._ticks_per_second)
        tick = max(tick, self._last_tick + 1)
        picture.pts, picture.time_base = tick, Fraction(1, self._ticks_per_second)
        self._last_tick = tick
        self._container.mux(self._stream.encode(picture))
        self.frames += 1

    def _start(self, image: np.ndarray, time_s: float) -> None:
        height, width = image.shape[:2]
        stream = self._container.add_stream("libx264", rate=30)
        stream.width, stream.height = width // 2 * 2, height // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, self._ticks_per_second)
        stream.options = {"crf": str(self._crf), "preset": "veryfast"}
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

    def discard(self) -> None:
        """Give the film up; no file is left."""
        self._container.close()
        self._unfinished.unlink(missing_ok=True)


class PictureWriter:
    """`000000.png` … in a folder, each written through a temporary name. Used as `FilmWriter`."""

    def __init__(self, folder: Path, first: int = 0):
        self.path = folder
        self.frames = first
        folder.mkdir(parents=True, exist_ok=True)
        for number in (first, first + 1):  # a killed run was writing one of them
            remove_abandoned(folder, f".{number:06d}.png.", "")

    def add(self, image: np.ndarray, time_s: float) -> None:
        path = self.path / f"{self.frames:06d}.png"
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        Image.fromarray(image).save(unfinished, format="PNG", compress_level=3)
        unfinished.replace(path)
        self.frames += 1

    def close(self) -> None:
        """Every picture is whole already."""

    def discard(self) -> None:
        """The pictures drawn so far stay: they are whole."""


def film_writer(target: Path, first: int = 0) -> FilmWriter | PictureWriter:
    """A writer of an MP4, or of pictures where `target` is a folder or has no ending.

    Raises:
        ValueError: another ending.
    """
    if target.suffix.lower() == ".mp4":
        return FilmWriter(target, ticks_per_second=90_000)
    if target.suffix and not target.is_dir():
        raise ValueError(f"{target}: a film is a file ending in .mp4, or a folder of pictures")
    return PictureWriter(target, first)
