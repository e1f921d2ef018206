"""New worlds from what a user drops, chooses, pastes or types: the controller's part (`Arrivals`).

A thing is recognised, what cannot be told is asked, and the world is made in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from . import messages as m
from .display import state as ui
from .import_process import ImportDone, ImportFailed, ImportHandle
from .imports.recognise import ImportRequest, recognise
from .worlds_folder import SUFFIX


class Arrivals:
    """`open_world` is called with the file of a finished world when nothing else is open."""

    def __init__(self, state: ui.AppState, open_world: Callable[[Path], None]):
        self._state, self._open_world = state, open_world
        self._imports = ImportHandle()

    def handle(self, request) -> bool:
        """Whether the request was for here; then it is done."""
        match request:
            case ui.NewWorld(paths):
                self.receive(list(paths))
            case ui.StartImport(order):
                self._start(order)
            case ui.CancelImport():
                self._imports.cancel()
                self._state.importing = None
            case _:
                return False
        return True

    def receive(self, paths: list[Path]) -> None:
        """Open a world file, or begin to make a world of what was given."""
        if not paths:
            return
        if len(paths) == 1 and paths[0].suffix == SUFFIX:
            self._open_world(paths[0])
            return
        try:
            order = recognise(paths)
        except (ValueError, OSError) as error:
            self._state.toast(str(error), "error")
            return
        if order.maybe_panorama:
            self._ask_panorama(order)
        else:
            self._start(order)

    def _ask_panorama(self, order: ImportRequest) -> None:
        self._state.choice = ui.Choice(
            f"What is {order.paths[0].name}?",
            "It is twice as wide as high, as 360\u00b0 panoramas are.",
            (
                ("A 360\u00b0 panorama", ui.StartImport(replace(order, kind="panorama"))),
                ("An ordinary picture", ui.StartImport(order)),
            ),
        )

    def _start(self, order: ImportRequest) -> None:
        self._state.importing = m.Progress(f"Reading {order.paths[0].name}")
        choice = self._state.preferences.surroundings
        self._imports.start(replace(order, surroundings=choice))

    def tick(self) -> None:
        """Take in what the process said."""
        for event in self._imports.events():
            match event:
                case m.Progress():
                    self._state.importing = event
                case ImportDone(path, missing):
                    self._done(path, missing)
                case ImportFailed(message, instead):
                    self._failed(message, instead)

    def _done(self, path: Path, missing: tuple[str, ...]) -> None:
        state = self._state
        state.importing = None
        state.catalogue.refresh()
        if missing:
            shown = ", ".join(missing[:5]) + (" \u2026" if len(missing) > 5 else "")
            state.toast(f"{len(missing)} pictures could not be placed: {shown}", "warning")
        if state.world is None and state.progress is None:
            self._open_world(path)
        else:
            state.toast(f"The world {path.stem} is ready; it is among your worlds")

    def _failed(self, message: str, instead: ImportRequest | None) -> None:
        self._state.importing = None
        if instead is None:
            self._state.toast(message, "error")
            return
        self._state.choice = ui.Choice(
            "No world from this video",
            message[:1].upper() + message[1:] + ".",
            (("Use its first sharp picture", ui.StartImport(instead)),),
        )

    def close(self) -> None:
        self._imports.cancel()
