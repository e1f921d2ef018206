"""`rtfm film`: a film along key poses, with depth of field and motion blur."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import typer

from ..config import GenerationSettings
from ..film import film_writer
from ..film_path import FilmKey, FilmPath, keys_from_json
from ..film_render import FilmSettings, draw_film
from ..memory.world_file import WorldFile
from .progress import progress_bar
from .render import find_world

UNFINISHED = ".unfinished-film.json"
MAX_KEYS_BYTES = 16 << 20


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("film")(film)


def film(
    world: str = typer.Argument(..., help="A world's name, its file, or a starter's name."),
    keys: str = typer.Option(
        "film", help="bookmarks | film (placed in the window) | a JSON file of key poses."
    ),
    out: Path = typer.Option(..., help="FILE.mp4, or a folder for 000000.png …"),
    seconds: float | None = typer.Option(None, help="Length; else as long as walking takes."),
    fps: int = typer.Option(24, help="Pictures a second."),
    size: str = typer.Option("512x288", help="WIDTHxHEIGHT, 16:9."),
    aperture: float = typer.Option(0.0, help="Diameter of the lens in cm; 0 = all sharp."),
    focus: float | None = typer.Option(
        None, help="Metres to what is sharp; else the keys' own, else what is in the middle."
    ),
    shutter: float = typer.Option(0.0, help="Shutter angle in degrees, 0 to 360; 180 is usual."),
    samples: int = typer.Option(16, help="Model frames a picture, for lens and shutter."),
    steps: int = typer.Option(1, help="Flow steps of each model frame."),
    speed: str = typer.Option("even", help="even, or keys: equal time between keys."),
    commit: bool = typer.Option(False, "--commit", help="Keep what is imagined in the world."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, mps."),
) -> None:
    """Render a film along key poses: depth of field, motion blur, nothing kept unless asked.

    A JSON file of keys is {"keys": [{"camera_to_world": 4x4, "focus_m": metres or null}, …]}.
    Into a folder, a film that was interrupted and is started again alike goes on.
    """
    if speed not in ("even", "keys"):
        raise ValueError(f"--speed must be even or keys, got {speed}")
    settings = FilmSettings(
        seconds=seconds,
        fps=fps,
        height=_height(size),
        even=speed == "even",
        aperture_m=aperture / 100,
        focus_m=focus,
        shutter_degrees=shutter,
        samples=samples,
        steps=steps,
        commit=commit,
    )
    with WorldFile.open(find_world(world), read_only=not commit) as opened:
        path = FilmPath(read_keys(keys, opened), settings.even)
        count = render(opened, path, settings, out, device)
    print(f"{out}: {count} pictures, {settings.seconds_of(path):.1f} s, {path.metres:.1f} m")


def _height(size: str) -> int:
    width, _, height = size.lower().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal()) or int(width) * 9 != int(height) * 16:
        raise ValueError(f"--size must be 16:9 as in 512x288, got {size}")
    return int(height)


def read_keys(keys: str, world: WorldFile) -> list[FilmKey]:
    """The key poses that `--keys` names.

    Raises:
        ValueError: none there, or not readable.
    """
    if keys == "bookmarks":
        return keys_from_json(world.get_state("bookmarks") or [], "the bookmarks")
    if keys == "film":
        film = world.get_state("film") or {}
        return keys_from_json(film.get("keys", []), "the film placed in the window")
    path = Path(keys)
    try:
        if path.stat().st_size > MAX_KEYS_BYTES:
            raise ValueError(f"{path} is over {MAX_KEYS_BYTES >> 20} MB; is it a file of keys?")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ValueError(f"there is no {path}; give a file, or bookmarks, or film") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from error
    values = document.get("keys") if isinstance(document, dict) else document
    return keys_from_json(values, str(path))


def render(
    world: WorldFile, path: FilmPath, settings: FilmSettings, out: Path, device: str = "auto"
) -> int:
    """Render to a film or a folder; returns how many pictures it has then."""
    from ..engine import FrameEngine  # loads torch

    notes, job = out / UNFINISHED, _job(world, path, settings)
    first = _resumed(out, notes, job, settings.picture_count(path))
    writer = film_writer(out, first)
    if out.is_dir():
        notes.write_text(json.dumps({"job": job}), encoding="utf-8")
    try:
        engine = FrameEngine.open(world, device=device)
        generation = GenerationSettings(height=288)
        with progress_bar("pictures", settings.picture_count(path)) as advance:
            advance(first)
            for step in draw_film(engine, path, settings, generation, first):
                if step.picture is not None:
                    writer.add(step.picture, writer.frames / settings.fps)
                    advance(writer.frames)
    finally:
        writer.close()
    if out.is_dir():
        notes.unlink(missing_ok=True)
    return writer.frames


def _resumed(out: Path, notes: Path, job: str, count: int) -> int:
    """How many pictures an interrupted run of the same film has left in the folder."""
    try:
        same = json.loads(notes.read_text(encoding="utf-8")).get("job") == job
    except (OSError, ValueError, AttributeError):
        return 0  # nothing was interrupted here
    if not same:
        return 0
    return next((i for i in range(count) if not (out / f"{i:06d}.png").exists()), count)


def _job(world: WorldFile, path: FilmPath, settings: FilmSettings) -> str:
    """What makes two films the same one."""
    keys = [key.to_json() for key in path.keys]
    text = json.dumps([str(world.path), keys, asdict(settings)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
