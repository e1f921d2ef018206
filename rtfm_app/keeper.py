"""Keeping house on the start screen: the controller's part (`Keeper`). Files are touched in a
thread, one task after the other; what went wrong is told."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from . import messages as m
from .display import state as ui
from .memory.world_file import SaveError, salvage_world
from .world_care import Trashed, bring_back, rename_world, set_notes, throw_away
from .worlds_folder import free_world_path


class Keeper:
    """Renames, throws away, brings back and annotates worlds that are not open."""

    def __init__(self, state: ui.AppState):
        self._state = state
        self._done: queue.SimpleQueue = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def handle(self, request) -> bool:
        """Whether the request was for the keeper; it is done in a moment then."""
        match request:
            case ui.RenameFile(path, name):
                self._begin(lambda: rename_world(path, name) and None)
            case ui.NoteFile(path, text):
                self._begin(lambda: set_notes(path, text))
            case ui.DeleteFile(path):
                self._begin(lambda: throw_away(path))
            case ui.SalvageFile(path):
                self._begin(lambda: self._salvage(path))
            case ui.BringBack():
                trashed, self._state.trashed = self._state.trashed, None
                if trashed is not None:
                    self._begin(lambda: bring_back(trashed) and None)
            case _:
                return False
        return True

    def _salvage(self, path: Path) -> str:
        text = f"Saving what is sound of {path.stem}"

        def report(done: int, total: int) -> None:
            self._state.progress = m.Progress(text, done / max(total, 1))

        self._state.progress = m.Progress(text)
        try:
            saved = salvage_world(path, free_world_path(f"{path.stem} saved"), report)
        finally:
            self._state.progress = None
        return f"{saved.kept} frames are in {saved.path.stem}, {len(saved.dropped)} were lost"

    def _begin(self, task: Callable) -> None:
        before = self._thread

        def work() -> None:
            if before is not None:
                before.join()
            try:
                self._done.put((task(), None))
            except (ValueError, OSError, SaveError) as error:
                self._done.put((None, str(error)))

        self._thread = threading.Thread(target=work, name="rtfm-keeper")
        self._thread.start()

    def tick(self) -> None:
        """Tell what came of the tasks, and show the worlds as they are now."""
        while not self._done.empty():
            result, problem = self._done.get()
            if problem is not None:
                self._state.toast(problem, "error")
            if isinstance(result, Trashed):
                self._state.trashed = result
            elif isinstance(result, str):
                self._state.toast(result)
            self._state.catalogue.refresh()
