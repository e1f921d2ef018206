"""A new world from the clipboard (`Clipboard`): a path, files, or a picture, without waiting.

Text comes from the window system through ImGui; pictures through Pillow, which asks the platform
(on Linux through wl-paste or xclip, if one of them is installed)."""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
from pathlib import Path
from urllib.parse import unquote, urlparse

from PIL import Image, ImageGrab

from .state import AppState, NewWorld

NAME = "Pasted picture"
LONGEST_TEXT = 20_000


class Clipboard:
    """`paste` begins to look; `requests` gives what was found, once."""

    def __init__(self):
        self._found: queue.SimpleQueue = queue.SimpleQueue()
        self._folders: list[Path] = []

    def paste(self, text: str) -> None:
        paths = paths_in(text)
        if paths:
            self._found.put(paths)
        else:
            threading.Thread(target=self._look, name="rtfm-clipboard", daemon=True).start()

    def _look(self) -> None:
        try:
            grabbed = ImageGrab.grabclipboard()
        except NotImplementedError:
            self._found.put("pictures are pasted through wl-paste or xclip; install one of them")
            return
        except (OSError, ValueError, SyntaxError) as error:
            self._found.put(f"the clipboard cannot be read ({error}); save the picture and drop it")
            return
        if isinstance(grabbed, Image.Image):
            folder = Path(tempfile.mkdtemp(prefix="rtfm-paste-"))
            self._folders.append(folder)
            grabbed.convert("RGB").save(folder / f"{NAME}.png", compress_level=1)
            self._found.put((folder / f"{NAME}.png",))
        elif grabbed:
            self._found.put(tuple(Path(name) for name in grabbed))
        else:
            self._found.put("there is no picture in the clipboard; copy one, or drop a file here")

    def requests(self, state: AppState) -> list:
        """What was found since the last call; what was not is told."""
        if self._found.empty():
            return []
        found = self._found.get()
        if isinstance(found, str):
            state.toast(found[:1].upper() + found[1:], "warning")
            return []
        return [NewWorld(found)]

    def close(self) -> None:
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)


def paths_in(text: str) -> tuple[Path, ...]:
    """The existing files and folders that a text names, a path or file:// address a line."""
    if not text or len(text) > LONGEST_TEXT:
        return ()
    paths = []
    for line in filter(None, (line.strip().strip("'\"") for line in text.splitlines())):
        address = urlparse(line)
        path = Path(unquote(address.path)) if address.scheme == "file" else Path(line)
        try:
            exists = path.expanduser().exists()
        except (OSError, ValueError, RuntimeError):
            exists = False
        if not exists:
            return ()
        paths.append(path.expanduser())
    return tuple(paths)
