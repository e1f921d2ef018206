"""What a killed program leaves: files that were being written under a temporary name."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

COMPANIONS = ("-wal", "-shm", "-journal")


def remove_abandoned(folder: Path, before: str, after: str) -> None:
    """Remove files and folders named `before`PID`after` whose writer, process PID, was killed; of
    databases also what SQLite keeps beside them. What cannot be removed stays."""
    for path in folder.iterdir():
        name = path.name
        for companion in COMPANIONS:
            name = name.removesuffix(companion)
        pid = name.removeprefix(before).removesuffix(after)
        named = name == f"{before}{pid}{after}" and pid.isascii() and pid.isdecimal()
        if not named or _runs(int(pid)):
            continue
        with contextlib.suppress(OSError):  # on Windows, one that is still written
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _runs(pid: int) -> bool:
    if pid == os.getpid():
        return True
    if os.name == "nt":  # there `os.kill` would end it
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
