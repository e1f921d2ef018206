"""The system's file dialogs, without waiting for them (`FileDialogs`)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from imgui_bundle import portable_file_dialogs as dialogs

from ..messages import CopyWorld
from .state import NewWorld

HELPERS = ("zenity", "kdialog", "matedialog", "qarma")
PICTURES = "*.jpg *.jpeg *.png *.webp *.JPG *.JPEG *.PNG"
VIDEOS = "*.mp4 *.mov *.m4v *.mkv *.webm *.avi *.MP4 *.MOV"


class FileDialogs:
    """At most one dialog is open. `choose_*` give False when the system has none."""

    def __init__(self, headless: bool):
        desktop = not sys.platform.startswith("linux") or any(map(shutil.which, HELPERS))
        self.available = desktop and not headless
        self._open = None
        self._finish = None

    def choose_source(self, what: str) -> bool:
        """Ask for pictures, a video or a folder to make a world from."""
        if not self.available:
            return False
        if what == "folder":
            self._open = dialogs.select_folder("Choose a folder of pictures")
            self._finish = lambda result: [NewWorld((Path(result),))] if result else []
            return True
        video = what == "video"
        filters = ["Videos", VIDEOS] if video else ["Pictures", PICTURES]
        title = "Choose a video" if video else "Choose a picture, or several of one place"
        options = dialogs.opt.none if video else dialogs.opt.multiselect
        self._open = dialogs.open_file(title, "", [*filters, "All files", "*"], options)
        self._finish = lambda result: [NewWorld(tuple(map(Path, result)))] if result else []
        return True

    def choose_copy(self, proposed: Path, switch: bool) -> bool:
        if not self.available:
            return False
        self._open = dialogs.save_file("Copy the world to", str(proposed), ["Worlds", "*.rtfm"])
        self._finish = lambda result: [CopyWorld(Path(result), switch)] if result else []
        return True

    def requests(self) -> list:
        """What the user chose, once the dialog is closed."""
        if self._open is None or not self._open.ready(0):
            return []
        result = self._finish(self._open.result())
        self._open = self._finish = None
        return result
