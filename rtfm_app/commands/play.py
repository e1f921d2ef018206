"""`rtfm play`: the window, or where there is no display, a film of a guided walk."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import typer

from ..config import GenerationSettings
from ..imports.make import make_world
from ..imports.recognise import recognise
from ..memory.schema import check_header
from ..memory.world_file import WorldFile
from ..starters import list_starters
from ..worlds_folder import SUFFIX, free_world_path, is_path
from .progress import report_bar
from .render import draw, find_world, tour_views

FILM = Path("walk.mp4")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
# What the window loads at run time, and the Debian package that has it.
SYSTEM_LIBRARIES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libGLX_mesa.so.0": "libglx-mesa0",
}


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("play")(play)


def play(
    context: typer.Context,
    world: list[str] = typer.Argument(
        None, help="A world, a starter's name, or a picture, video or folder."
    ),
    exit_after: float | None = typer.Option(
        None, help="Quit this many seconds after the first model frame was shown."
    ),
    screenshot: Path | None = typer.Option(None, help="A PNG of the whole window at exit."),
) -> None:
    """Open the window and walk. With no display, record a guided walk to walk.mp4."""
    if exit_after is not None and not exit_after >= 0:
        raise ValueError(f"--exit-after must be 0 or more seconds, got {exit_after:g}")
    context.exit(open_window(world or [], exit_after, screenshot))


def open_window(
    names: list[str], exit_after_s: float | None = None, screenshot: Path | None = None
) -> int:
    """Show the window until it is closed; returns the exit code."""
    if len(names) > 1:
        raise ValueError(f"one world can be open at a time, got {len(names)}: {', '.join(names)}")
    target = _target(names[0]) if names else None
    if not has_display():
        if screenshot is not None:
            raise ValueError("--screenshot needs a display; run it under xvfb-run")
        return record_walk(target)
    check_system_libraries()
    from ..app import run_app  # loads the window's libraries

    return run_app(target, exit_after_s=exit_after_s, screenshot=screenshot)


def _target(name: str) -> Path:
    """A world file, or what the window makes a world of: a picture, a video, a folder."""
    path = Path(name)
    if name.lower().endswith(PICTURE_SUFFIXES):
        return _checked_picture(path)
    if ".rtfm" not in name and (path.is_file() or (path.is_dir() and is_path(name))):
        order = recognise([path])
        return path if order.kind != "picture" else _checked_picture(path)
    path = find_world(name)
    check_header(path)
    return path


def _checked_picture(path: Path) -> Path:
    from ..imports.pictures import frame_of_picture, read_picture

    frame_of_picture(read_picture(path))
    return path


def has_display() -> bool:
    """Whether a window could be shown here."""
    if not sys.platform.startswith("linux"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def check_system_libraries(libraries: dict[str, str] | None = None) -> None:
    """Raise ValueError naming the Debian packages of libraries that cannot be loaded."""
    if not sys.platform.startswith("linux"):
        return
    missing = []
    for library, package in (SYSTEM_LIBRARIES if libraries is None else libraries).items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    if missing:
        raise ValueError(
            f"system libraries are missing; install them with: sudo apt-get install "
            f"{' '.join(missing)} libgl1-mesa-dri"
        )


def record_walk(target: Path | None) -> int:
    """Film a guided walk through a world (None: the first starter) to walk.mp4."""
    world_path = _world_for_film(target)
    print(f"no display here: recording a 20-second guided walk through {world_path.stem} …")
    with WorldFile.open(world_path) as world:
        count = draw(world, tour_views(world), FILM, GenerationSettings(), commit=True)
    print(f"{FILM.resolve()}: {count} pictures. With a display, rtfm opens a window instead.")
    return 0


def _world_for_film(target: Path | None) -> Path:
    if target is None:
        return find_world(list_starters()[0].name)
    if target.suffix == SUFFIX:
        return target
    order = recognise([target])
    path = free_world_path(order.name)
    with report_bar() as report:
        make_world(order, path, report)
    return path
