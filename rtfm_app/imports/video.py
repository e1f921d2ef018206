"""The sharp pictures of a video, one for each stretch of time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mts")
MAX_PICTURES = 150
SHORTEST_EVERY_S = 0.25
JUDGED_WIDTH = 320
Progress = Callable[[float], None]


@dataclass(frozen=True)
class VideoPicture:
    """One picture of a video: RGB, upright, and its time in seconds."""

    image: Image.Image
    time_s: float


def read_video(
    path: Path | str,
    every_s: float | None = None,
    most: int = MAX_PICTURES,
    on_share: Progress = lambda share: None,
) -> Iterator[VideoPicture]:
    """The sharpest picture of each `every_s` seconds of a video.

    Args:
        every_s: None = such that at most `most` pictures come, and not oftener than four a second.
        on_share: told how much of the video has been read, 0 to 1.
    Raises:
        ValueError: missing, not a video, or nothing in it can be decoded.
    """
    path = Path(path)
    if every_s is not None and not (math.isfinite(every_s) and every_s > 0):
        raise ValueError(f"--every must be a number of seconds above zero, got {every_s:g}")
    if not path.is_file():
        raise ValueError(f"there is no video {path}; check the path")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path} has no pictures in it; give a video")
            yield from _sharpest(container, path, every_s, most, on_share)
    except av.error.FFmpegError as error:
        raise ValueError(
            f"{path} cannot be read as a video ({error.strerror}); convert it to MP4"
        ) from error


def _sharpest(container, path: Path, every_s, most: int, on_share) -> Iterator[VideoPicture]:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    length = _length_s(container, stream)
    every = every_s or max(length / most, SHORTEST_EVERY_S)
    best, best_score, best_window, count, start = None, -1.0, 0, 0, None
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        start = frame.time if start is None else start
        window = int((frame.time - start) / every + 1e-6)
        if best is not None and window != best_window:
            yield _picture(best, start)
            best, best_score, count = None, -1.0, count + 1
            on_share(min((frame.time - start) / length, 1.0) if length else 0.0)
            if count >= most:
                return
        score = sharpness(frame)
        if score > best_score:
            best, best_score, best_window = frame, score, window
    if best is None:
        raise ValueError(f"{path} has no picture that can be decoded; convert it to MP4")
    yield _picture(best, start)


def _length_s(container, stream) -> float:
    """Seconds, 0 where the file does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else 0.0


def sharpness(frame: av.VideoFrame) -> float:
    """Variance of the Laplacian of a small grey version; motion blur and bad focus lower it."""
    width = min(JUDGED_WIDTH, frame.width)
    height = max(round(frame.height * width / frame.width), 8)
    grey = frame.reformat(width, height, "gray").to_ndarray()
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _picture(frame: av.VideoFrame, start: float) -> VideoPicture:
    pixels = frame.to_ndarray(format="rgb24")
    quarter_turns = round(frame.rotation / 90) % 4
    pixels = np.ascontiguousarray(np.rot90(pixels, quarter_turns))
    return VideoPicture(Image.fromarray(pixels), frame.time - start)


def first_picture(path: Path | str) -> VideoPicture:
    """The sharpest picture of the first second, for a world from one photograph."""
    return next(read_video(path, every_s=1.0))
