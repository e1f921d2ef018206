"""One writer a world, across processes: an advisory lock on a file beside the world.

The kernel drops the lock when its holder dies, so a crash never leaves a world locked. The world
file itself is not locked this way: see `schema.check_header` on descriptors of open databases.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class WorldInUse(ValueError):
    """Another window or process has the world open for writing."""


class WriterLock:
    """Held from construction until `release`.

    Raises:
        WorldInUse: someone else holds it.
        ValueError: the folder cannot be written.
    """

    def __init__(self, world_path: Path):
        self._path = world_path.with_name(world_path.name + "-lock")
        try:
            self._descriptor = self._acquire()
        except BlockingIOError:
            raise WorldInUse(
                f"{world_path}: is open in another window or process; "
                "close it there, or open it read-only"
            ) from None
        except OSError as error:
            raise ValueError(
                f"{world_path}: cannot be opened for writing ({error.strerror}); "
                "open it read-only, or copy it to a folder that you may write"
            ) from None

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # the last holder may have removed the name between our open and our lock
                if os.path.exists(self._path) and os.path.samestat(
                    os.fstat(descriptor), os.stat(self._path)
                ):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def release(self) -> None:
        """Remove the lock file while still holding it, then let go."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
