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
from ..imports.references import AUTO
from ..imports.source import WorldSource, build_world
from ..imports.structure import StructureOptions, world_from_pictures, world_from_video
from ..imports.surroundings import with_surroundings
from ..imports.transforms import TransformsOptions, world_from_transforms
from ..memory.export import FORMATS, export_world, import_folder
from ..memory.world_file import UnreadableWorld, WorldFile, salvage_world, verify_world
from ..starters import list_starters
from ..world_care import rename_world, throw_away
from ..worlds_folder import list_worlds, new_world_path, resolve_world
from .progress import progress_bar, report_bar

WORLD = typer.Argument(..., help="A world's name, or the path of its file.")


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command("new")(new)
    app.command("list")(list_all)
    app.command("info")(info)
    app.command("verify")(verify)
    app.command("fork")(fork)
    app.command("save-as")(fork)
    app.command("rename")(rename)
    app.command("delete")(delete)
    app.command("compact")(compact)
    app.command("export")(export)
    app.command("import")(import_exported)


def new(
    name: str = typer.Argument(..., help="Name of the new world, or a path ending in .rtfm."),
    image: list[Path] = typer.Option(
        [], help="A photograph: JPEG, PNG or WebP. Several: poses are recovered."
    ),
    images: Path | None = typer.Option(None, help="A folder of photographs of one place."),
    video: Path | None = typer.Option(None, help="A video of a walk; poses are recovered."),
    panorama: Path | None = typer.Option(None, help="An equirectangular 360° picture."),
    transforms: Path | None = typer.Option(None, help="nerfstudio's transforms.json."),
    fov: float | None = typer.Option(
        None, help="Vertical field of view in degrees of the 16:9 crop, where EXIF says none."
    ),
    every: float | None = typer.Option(
        None, help="With --transforms: use every N-th picture; with --video: seconds between two."
    ),
    limit: int | None = typer.Option(None, "--max", help="… and the most pictures to use."),
    start: int | None = typer.Option(
        None, help="With --transforms: which of the used pictures the walk starts at, from 0."
    ),
    scale: float | None = typer.Option(
        None, help="Metres per unit of --transforms; else times the estimated size."
    ),
    up: str | None = typer.Option(None, help="With --transforms: what is up, as X,Y,Z."),
    surroundings: str | None = typer.Option(
        None, help="With --image: what lies around it: auto, none, or the name of a panorama."
    ),
) -> None:
    """Make a world from a picture, a panorama, posed pictures, a video or unposed pictures."""
    posed, unposed = transforms is not None, video is not None or images is not None
    unposed = unposed or len(image) > 1
    if sum((bool(image), images is not None, video is not None, panorama is not None, posed)) != 1:
        raise ValueError("give one of --image, --images, --video, --panorama or --transforms")
    if not (posed or unposed) and (limit, scale) != (None, None):
        raise ValueError("--max and --scale belong to --transforms, --video and --images")
    if every is not None and not posed and video is None:
        raise ValueError("--every belongs to --transforms and --video")
    if not posed and (up, start) != (None, None):
        raise ValueError("--up and --start belong to --transforms")
    if fov is not None and (posed or panorama is not None):
        raise ValueError("--fov belongs to pictures and videos; the others know theirs")
    if surroundings is not None and (unposed or not image):
        raise ValueError("--surroundings belongs to a single --image")
    path = new_world_path(name)
    with report_bar() as report:
        if unposed:
            options = StructureOptions(every, limit, 1.0 if scale is None else scale, fov)
            source = (
                world_from_video(video, options, report)
                if video is not None
                else world_from_pictures(image or [images], options, report)
            )
        elif image:
            source = _from_image(image[0], fov, surroundings or AUTO)
        elif panorama is not None:
            source = world_from_panorama(panorama)
        else:
            steps = _whole("--every", every)
            options = TransformsOptions(steps, limit, start or 0, scale, _vector(up))
            source = world_from_transforms(transforms, options)
    _write(path, source)


def _from_image(image: Path, fov: float | None, surroundings: str) -> WorldSource:
    source = world_from_image(image, fov)
    if fov is not None and not math.isclose(source.fov_y_radians, math.radians(fov)):
        print("the picture's EXIF knows the field of view; --fov was not needed", file=sys.stderr)
    return with_surroundings(source, surroundings)


def _whole(option: str, number: float | None) -> int:
    if number is not None and number != int(number):
        raise ValueError(f"{option} must be a whole number with --transforms, got {number:g}")
    return 1 if number is None else int(number)


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
    missing = (source.provenance or {}).get("not_placed", [])
    if missing:
        print(f"could not be placed: {', '.join(missing)}", file=sys.stderr)
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
        opened.fork(target)
    with WorldFile.open(target) as copy:
        copy.set_state("title", target.stem)
    print(target)


def rename(world: str = WORLD, name: str = typer.Argument(..., help="Its new name.")) -> None:
    """Give a world, and its file, another name."""
    print(rename_world(resolve_world(world), name))


def delete(world: str = WORLD) -> None:
    """Throw a world away; it can be taken out of the folder .trash for a month."""
    thrown = throw_away(resolve_world(world))
    print(f"{thrown.path} is now {thrown.kept}")


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
