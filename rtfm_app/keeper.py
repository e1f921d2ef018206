"""Keeping house on the start screen: the controller's part (`Keeper`). Files are touched in a
thread, one task after the other; what went wrong is told."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from .display import state as ui
from .world_care import bring_back, rename_world, set_notes, throw_away


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
            case ui.BringBack():
                trashed, self._state.trashed = self._state.trashed, None
                if trashed is not None:
                    self._begin(lambda: bring_back(trashed) and None)
            case _:
                return False
        return True

    def _begin(self, task: Callable) -> None:
        before = self._thread

        def work() -> None:
            if before is not None:
                before.join()
            try:
                self._done.put((task(), None))
            except (ValueError, OSError) as error:
                self._done.put((None, str(error)))

        self._thread = threading.Thread(target=work, name="rtfm-keeper")
        self._thread.start()

    def tick(self) -> None:
        """Tell what came of the tasks, and show the worlds as they are now."""
        while not self._done.empty():
            trashed, problem = self._done.get()
            if problem is not None:
                self._state.toast(problem, "error")
            if trashed is not None:
                self._state.trashed = trashed
            self._state.catalogue.refresh()
