"""Commands that make, inspect, copy and convert world files."""

from __future__ import annotations

import json
import math
import os
import sys
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from ..geometry import yaw_pitch_of
from ..imports.panorama import world_from_panorama
from ..imports.pictures import world_from_image
from ..imports.source import WorldSource, build_world
from ..imports.transforms import TransformsOptions, world_from_transforms
from ..memory.export import FORMATS, export_world, import_folder
from ..memory.world_file import UnreadableWorld, WorldFile, salvage_world, verify_world
from ..starters import list_starters
from ..worlds_folder import list_worlds, new_world_path, resolve_world
from .progress import progress_bar

WORLD = typer.Argument(..., help="A world's name, or the path of its file.")


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command("new")(new)
    app.command("list")(list_all)
    app.command("info")(info)
    app.command("verify")(verify)
    app.command("fork")(fork)
    app.command("save-as")(fork)
    app.command("compact")(compact)
    app.command("export")(export)
    app.command("import")(import_exported)


def new(
    name: str = typer.Argument(..., help="Name of the new world, or a path ending in .rtfm."),
    image: list[Path] = typer.Option([], help="A photograph: JPEG, PNG or WebP."),
    panorama: Path | None = typer.Option(None, help="An equirectangular 360° picture."),
    transforms: Path | None = typer.Option(None, help="nerfstudio's transforms.json."),
    fov: float | None = typer.Option(
        None, help="Vertical field of view in degrees of the 16:9 crop, where EXIF says none."
    ),
    every: int = typer.Option(1, help="With --transforms: use every N-th picture."),
    limit: int | None = typer.Option(None, "--max", help="… and only the first N of those."),
    scale: float | None = typer.Option(None, help="… metres per unit of the poses."),
    up: str | None = typer.Option(None, help="… the direction that is up, as X,Y,Z."),
) -> None:
    """Make a world from a picture, a panorama or posed pictures."""
    given = [bool(image), panorama is not None, transforms is not None]
    if sum(given) != 1:
        raise ValueError("give one of --image, --panorama or --transforms")
    if transforms is None and (every, limit, scale, up) != (1, None, None, None):
        raise ValueError("--every, --max, --scale and --up belong to --transforms")
    if not image and fov is not None:
        raise ValueError("--fov belongs to --image; the others know theirs")
    path = new_world_path(name)
    if image:
        source = _from_images(image, fov)
    elif panorama is not None:
        source = world_from_panorama(panorama)
    else:
        options = TransformsOptions(every=every, limit=limit, scale=scale, up=_vector(up))
        source = world_from_transforms(transforms, options)
    _write(path, source)


def _from_images(images: list[Path], fov: float | None) -> WorldSource:
    if len(images) > 1:
        raise ValueError(
            "several pictures need camera poses: recover them with COLMAP or nerfstudio "
            "(ns-process-data) and give --transforms, or give a single --image"
        )
    source = world_from_image(images[0], fov)
    if fov is not None and not math.isclose(source.fov_y_radians, math.radians(fov)):
        print("the picture's EXIF knows the field of view; --fov was not needed", file=sys.stderr)
    return source


def _vector(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ValueError(f"--up must be three numbers as in 0,0,1, got {text!r}") from error
    if not all(map(math.isfinite, (x, y, z))):
        raise ValueError(f"--up must be finite numbers, got {text!r}")
    return x, y, z


def _write(path: Path, source: WorldSource) -> None:
    with progress_bar("pictures", source.count) as advance:
        count = build_world(path, path.stem, source, advance)
    fov = math.degrees(source.fov_y_radians)
    print(f"{path}: {count} frame{'s' * (count != 1)}, field of view {fov:.1f}° vertical")


def list_all() -> None:
    """List your worlds and the starter worlds."""
    table = Table("name", "what", box=None)
    for world in list_worlds():
        table.add_row(world.stem, str(world))
    for starter in list_starters():
        table.add_row(starter.name, f"starter: {starter.title} ({starter.credit})")
    Console().print(table)


def info(
    world: str = WORLD,
    json_file: str | None = typer.Option(None, "--json", help="Write JSON to FILE, or - ."),
) -> None:
    """Show what a world holds."""
    with WorldFile.open(resolve_world(world), read_only=True) as opened:
        facts = world_facts(opened)
    if json_file is not None:
        text = json.dumps(facts, indent=2, ensure_ascii=False)
        if json_file == "-":
            print(text)
            return
        target = Path(json_file)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(target)
        return
    table = Table(box=None, show_header=False)
    for key, value in facts.items():
        table.add_row(key, value if isinstance(value, str) else json.dumps(value))
    Console().print(table)


def world_facts(world: WorldFile) -> dict:
    """What `rtfm info` shows; plain JSON values."""
    yaw, pitch = yaw_pitch_of(world.start_pose)
    entries, steps = world.journal_length()
    source_to_world = np.eye(4) if world.source_to_world is None else world.source_to_world
    return {
        "name": world.name,
        "path": str(world.path),
        **world.stats(),
        "journal_entries": entries,
        "journal_steps": steps,
        "fov_y_degrees": math.degrees(world.fov_y_radians),
        "start_position": world.start_pose[:3, 3].tolist(),
        "start_yaw_degrees": math.degrees(yaw),
        "start_pitch_degrees": math.degrees(pitch),
        "source_to_world": source_to_world.tolist(),
        "provenance": world.provenance,
        "model": world.model,
    }


def verify(
    world: str = WORLD,
    salvage: Path | None = typer.Option(
        None, help="Write what is sound of a damaged world to this new file."
    ),
) -> None:
    """Check every frame of a world file. Exits 0 sound, 1 damaged, 2 unreadable."""
    path = resolve_world(world)
    try:
        problems = verify_world(path)
    except UnreadableWorld:
        if salvage is None:
            raise
        problems = ["unreadable as it is"]
    for problem in problems:
        print(f"{path}: {problem}", file=sys.stderr)
    if not problems:
        print(f"{path}: sound")
        return
    if salvage is not None:
        saved = salvage_world(path, salvage)
        print(f"{saved.path}: {saved.kept} frames saved, {len(saved.dropped)} lost")
    else:
        print(f"{path}: damaged; --salvage NEW.rtfm saves what is sound", file=sys.stderr)
    raise typer.Exit(1)


def fork(world: str = WORLD, name: str = typer.Argument(..., help="Name of the copy.")) -> None:
    """Copy a world, also while it is open elsewhere."""
    target = new_world_path(name)
    source = resolve_world(world)
    target.parent.mkdir(parents=True, exist_ok=True)
    with WorldFile.open(source, read_only=True) as opened:
        print(opened.fork(target))


def compact(
    world: str = WORLD,
    drop_undo: bool = typer.Option(False, help="Also forget what edits replaced."),
) -> None:
    """Remove deleted frames for good and give their room back."""
    with WorldFile.open(resolve_world(world)) as opened:
        before, after = opened.compact(drop_undo=drop_undo)
    print(f"{before / 1e6:.1f} MB before, {after / 1e6:.1f} MB after")


def export(
    world: str = WORLD,
    file_format: str = typer.Option("nerfstudio", "--format", help=" | ".join(FORMATS)),
    out: Path = typer.Option(..., help="A new folder, or a file for mp4."),
) -> None:
    """Write a world's frames for other programs."""
    with WorldFile.open(resolve_world(world), read_only=True) as opened:
        count = len(opened.frame_table())
        with progress_bar("frames", count) as advance:
            export_world(opened, out, file_format, lambda done, _: advance(done))
    print(f"{out}: {count} frames")


def import_exported(
    folder: Path = typer.Argument(..., help="A folder written by rtfm export."),
    name: str = typer.Argument(..., help="Name of the new world."),
) -> None:
    """Make a world from an exported folder: the same poses and pixels."""
    target = new_world_path(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    print(import_folder(folder, target))
