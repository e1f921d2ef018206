"""Worlds are made in a process of their own (`ImportHandle`), so that neither the window nor the
model waits, and so that it can be given up at any moment: recovering poses cannot be interrupted
from within, and a broken file must not take the program with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from .imports.recognise import ImportRequest
from .messages import Progress
from .worlds_folder import SUFFIX, free_world_path

REPORT_EVERY_S = 0.1
NICENESS = 5


@dataclass(frozen=True)
class ImportDone:
    """The world is at `path`; `missing` names pictures that are not in it."""

    path: Path
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportFailed:
    """`message` says what is wrong and what to do; `instead` is another way to go on."""

    message: str
    instead: ImportRequest | None = None


class ImportHandle:
    """At most one import at a time. Nothing here waits."""

    def __init__(self):
        self._context = multiprocessing.get_context("spawn")
        self._process = None
        self._channel = None
        self._request: ImportRequest | None = None
        self._target: Path | None = None
        self._scratch: Path | None = None

    @property
    def busy(self) -> bool:
        return self._process is not None

    def start(self, request: ImportRequest) -> None:
        """Begin to make a world. One that is being made is given up."""
        self.cancel()
        self._request, self._target = request, free_world_path(request.name)
        self._scratch = Path(tempfile.mkdtemp(prefix="rtfm-import-"))
        self._channel, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=import_main,
            args=(theirs, request, self._target, self._scratch),
            name="rtfm-import",
            daemon=True,
        )
        self._process.start()
        theirs.close()

    def events(self) -> list[Progress | ImportDone | ImportFailed]:
        """What happened since the last call; `ImportDone` and `ImportFailed` come last."""
        received: list = []
        if self._process is None:
            return received
        try:
            while self._process is not None and self._channel.poll(0):
                received.append(self._channel.recv())
                if not isinstance(received[-1], Progress):
                    self.cancel()
        except (EOFError, OSError):
            received.append(ImportFailed(self._ended_badly()))
            self.cancel()
        return received

    def _ended_badly(self) -> str:
        self._process.join(1.0)
        name = self._request.paths[0].name
        return (
            f"making a world from {name} ended unexpectedly (exit code {self._process.exitcode}); "
            "try fewer or smaller pictures"
        )

    def cancel(self) -> None:
        """End the process, if there is one, and remove what it left unfinished."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.is_alive():
            process.kill()
        process.join()
        self._channel.close()
        shutil.rmtree(self._scratch, ignore_errors=True)
        for leftover in self._target.parent.glob(f".*.{process.pid}.unfinished{SUFFIX}*"):
            leftover.unlink(missing_ok=True)


def import_main(channel, request: ImportRequest, target: Path, scratch: Path) -> None:
    """Entry of the process."""
    tempfile.tempdir = str(scratch)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    last = 0.0

    def report(text: str, share: float | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_EVERY_S:
            last = now
            channel.send(Progress(text, share))

    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):  # the window is gone
        channel.send(_made(request, target, report))


def _made(request: ImportRequest, target: Path, report) -> ImportDone | ImportFailed:
    from .imports.colmap import NotPosed
    from .imports.make import make_world

    try:
        return ImportDone(target, tuple(make_world(request, target, report)))
    except NotPosed as error:
        instead = replace(request, kind="video picture") if request.kind == "video" else None
        return ImportFailed(str(error), instead)
    except (ValueError, KeyError, OSError, MemoryError) as error:
        return ImportFailed(str(error).strip("'") or type(error).__name__)
