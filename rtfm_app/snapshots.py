"""Screenshots of the whole window (`Snapshots`), and where pictures and films are put."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import platformdirs
from PIL import Image


class Snapshots:
    """Writes in the background; `say(text, level)` tells the user how it went."""

    def __init__(self, say: Callable[[str, str], None]):
        self._say = say
        self._asked: list[Path] = []
        self._savers: list[threading.Thread] = []

    @property
    def waiting(self) -> bool:
        """Whether one was asked for and not taken yet."""
        return bool(self._asked)

    def ask(self) -> None:
        self._asked.append(media_path("png"))

    def take(self, read_pixels: Callable[[], np.ndarray]) -> None:
        """Take those that were asked for; call when all is drawn, before it is swapped."""
        for path in self._asked:
            saver = threading.Thread(target=self._write, args=(read_pixels(), path))
            saver.start()
            self._savers.append(saver)
        self._asked.clear()
        self._savers = [s for s in self._savers if s.is_alive()]

    def close(self) -> None:
        """Wait until everything is written."""
        for saver in self._savers:
            saver.join()

    def _write(self, pixels: np.ndarray, path: Path) -> None:
        try:
            write_png(pixels, path)
            self._say(f"Screenshot: {path}", "info")
        except OSError as error:
            self._say(f"The screenshot could not be saved: {error}", "error")


def write_png(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) uint8 through a temporary name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    Image.fromarray(pixels).save(temporary, format="PNG", compress_level=3)
    os.replace(temporary, path)


def media_path(suffix: str) -> Path:
    """A new file, named by the time, in the user's folder of pictures or of films."""
    folder = platformdirs.user_pictures_path() if suffix == "png" else _videos()
    return folder / "RTFM" / f"rtfm-{datetime.now():%Y%m%d-%H%M%S-%f}.{suffix}"


def _videos() -> Path:
    return platformdirs.user_videos_path()
