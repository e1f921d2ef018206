"""The system's file dialogs, without waiting for them (`FileDialogs`)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from imgui_bundle import portable_file_dialogs as dialogs

from ..messages import CopyWorld
from .state import OpenPath

HELPERS = ("zenity", "kdialog", "matedialog", "qarma")


class FileDialogs:
    """At most one dialog is open. `choose_*` give False when the system has none."""

    def __init__(self, headless: bool):
        desktop = not sys.platform.startswith("linux") or any(map(shutil.which, HELPERS))
        self.available = desktop and not headless
        self._open = None
        self._finish = None

    def choose_picture(self) -> bool:
        if not self.available:
            return False
        filters = ["Pictures", "*.jpg *.jpeg *.png *.webp *.JPG *.JPEG *.PNG", "All files", "*"]
        self._open = dialogs.open_file("Choose a picture", "", filters)
        self._finish = lambda result: [OpenPath(Path(result[0]))] if result else []
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
