"""`rtfm render`: scripted views of a world as pictures or a film."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import typer

from ..config import GenerationSettings
from ..memory.world_file import KINDS, WorldFile
from ..render import View, read_poses, render_film, render_pictures, walk_views
from ..starters import find_starter, open_starter
from ..walk import guided_walk, parse_walk, walk_poses
from ..worlds_folder import is_path, resolve_world, worlds_folder
from .progress import progress_bar

GIVEN = [KINDS.index(kind) for kind in ("seed", "surroundings")]


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("render")(render)


def render(
    world: str = typer.Argument(..., help="A world's name, its file, or a starter's name."),
    out: Path = typer.Option(..., help="A folder for 000000.png …, or FILE.mp4."),
    walk: str | None = typer.Option(None, help='For example "w 3; turn 90; look 10; wait 1".'),
    poses: Path | None = typer.Option(None, help="A poses.json (see the README)."),
    tour: bool = typer.Option(False, help="A guided walk of 20 seconds."),
    no_commit: bool = typer.Option(
        False, "--no-commit", help="Remember nothing; each picture depends on its pose alone."
    ),
    size: str = typer.Option("512x288", help="WIDTHxHEIGHT, 16:9."),
    steps: int | None = typer.Option(None, help="Flow steps of each picture."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, mps."),
    deterministic: bool = typer.Option(False, help="The same pictures bit for bit each time."),
) -> None:
    """Draw a walk or given poses without a window."""
    if sum((walk is not None, poses is not None, tour)) != 1:
        raise ValueError("give one of --walk, --poses or --tour")
    settings = _settings(size, steps)
    commands = parse_walk(walk) if walk is not None else None
    path = find_world(world)
    with WorldFile.open(path, read_only=no_commit) as opened:
        if poses is not None:
            views = read_poses(poses, opened.source_to_world)
        elif commands is not None:
            views = walk_views(walk_poses(opened.start_pose, commands))
        else:
            views = tour_views(opened)
        drawn = draw(opened, views, out, settings, not no_commit, device, deterministic)
    print(f"{out}: {drawn} picture{'s' * (drawn != 1)}")


def _settings(size: str, steps: int | None) -> GenerationSettings:
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", size)
    if not found or int(found[1]) * 9 != int(found[2]) * 16:
        raise ValueError(f"--size must be 16:9 as in 512x288, got {size}")
    settings = GenerationSettings(height=int(found[2]))
    return settings if steps is None else replace(settings, inter_steps=steps, key_steps=steps)


def find_world(name_or_path: str) -> Path:
    """The file of a world; a starter's name makes its world when it is not there yet."""
    if not is_path(name_or_path) and not (worlds_folder() / f"{name_or_path}.rtfm").exists():
        starter = find_starter(name_or_path)
        if starter is not None:
            return open_starter(starter.name)
    return resolve_world(name_or_path)


def tour_views(world: WorldFile) -> list[View]:
    """The guided walk through a world."""
    table = world.frame_table()
    seeds = table.camera_to_world[np.isin(table.kind, GIVEN)]
    return walk_views(guided_walk(world.start_pose, seeds))


def draw(
    world: WorldFile,
    views: list[View],
    out: Path,
    settings: GenerationSettings,
    commit: bool,
    device: str = "auto",
    deterministic: bool = False,
) -> int:
    """Render into a folder, or a film if `out` ends in .mp4; returns the number of pictures."""
    from ..engine import FrameEngine  # loads torch

    if out.suffix.lower() not in ("", ".mp4") and not out.is_dir():
        raise ValueError(f"--out must be a folder or end in .mp4, got {out}")
    engine = FrameEngine.open(world, device=device, deterministic=deterministic)
    write = render_film if out.suffix.lower() == ".mp4" else render_pictures
    with progress_bar("pictures", len(views)) as advance:
        return write(engine, views, out, settings, commit=commit, on_picture=advance)
