"""Where the files that ship with the program lie: weights, starter pictures, shaders.

In a checkout they are `assets/` and `shaders/` beside the package; in an installed wheel they are
folders inside the package. Nothing here writes.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def checkout_root() -> Path | None:
    """The folder of the git checkout that this package runs from, None when it is installed."""
    root = PACKAGE.parent
    return root if (root / "pyproject.toml").is_file() and (root / "saves").is_dir() else None


def asset(path: str) -> Path:
    """Absolute path of `path` (relative, forward slashes) under the shipped `assets` folder."""
    return _find("assets", path)


def shader(path: str) -> Path:
    """Absolute path of `path` (relative, forward slashes) under the shipped `shaders` folder."""
    return _find("shaders", path)


def _find(folder: str, path: str) -> Path:
    """A resource that may or may not exist: the caller decides what its absence means."""
    installed = PACKAGE / folder
    return (installed if installed.is_dir() else PACKAGE.parent / folder) / path
