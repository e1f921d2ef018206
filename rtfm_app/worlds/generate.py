"""Training clips from the ray-marched worlds.

    python -m rtfm_app.worlds.generate --out data/clips --families lake,objects --seeds 0-200
    python -m rtfm_app.worlds.generate --preview sheet.png --seeds 8,9

Clips that exist are skipped, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..training.clips import Clip, save_clip, split_of
from .builder import Scene
from .paths import make_path
from .renderer import WorldRenderer, shrink_image, shrink_inverse_depth
from .scenes import FAMILIES, make_scene

HEIGHT, WIDTH = 144, 256
ATTEMPTS = 4
TEXTURE_SIZE = 256


def generate_clip(
    family: str, seed: int, scene: int = 0, frames: int = 16,
    renderer: WorldRenderer | None = None,
) -> Clip:  # fmt: skip
    """Clip number `scene` of the place (family, seed); a pure function of these numbers."""
    renderer = renderer or WorldRenderer(TEXTURE_SIZE)
    place = make_scene(family, seed)
    renderer.load(place)
    for attempt in range(ATTEMPTS):
        clip = film(renderer, place, scene, attempt, frames)
        if is_worth_seeing(clip):
            break
    return clip


def film(renderer, place: Scene, scene: int, attempt: int, frames: int) -> Clip:
    """Walk one path through the loaded place, drawn at 3/2 of the size for smooth edges."""
    path = make_path(place, place.seed * 1000 + scene * 10 + attempt, frames)
    size = HEIGHT * 3 // 2, WIDTH * 3 // 2
    shots = [renderer.render(pose, path.fov_y_radians, *size) for pose in path.poses]
    return Clip(
        images=np.stack([shrink_image(shot.image, HEIGHT, WIDTH) for shot in shots]),
        inverse_depth=np.stack([shrink_inverse_depth(shot.seen, 3) for shot in shots]),
        camera_to_world=path.poses, fov_y_radians=path.fov_y_radians,
        family=place.family, seed=place.seed, scene=scene, biome=place.family,
        mood=place.mood.name,
    )  # fmt: skip


def is_worth_seeing(clip: Clip) -> bool:
    """False when a wall fills several frames or nothing but a flat colour is seen."""
    near = (clip.inverse_depth > 1 / 0.6).mean(axis=(1, 2)) > 0.5
    flat = clip.images.reshape(len(clip.images), -1).std(axis=1) < 8
    return (near | flat).sum() <= len(clip.images) // 8


def parse_seeds(text: str) -> list[int]:
    """'3', '0-9' (last one included) or a comma list of both.

    Raises:
        ValueError: not of that form.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ValueError(f"seeds must look like 0-200 or 3,8,9; got {text!r}")
        seeds += range(int(first), int(last or first) + 1)
    return seeds


def clip_path(out: Path, family: str, seed: int, scene: int) -> Path:
    return out / split_of(seed) / f"{family}-{seed:06d}-{scene:03d}.clip.npz"


def generate(out: Path, families: list[str], seeds: list[int], scenes: int, frames: int) -> int:
    """Write the clips that are missing; returns how many."""
    jobs = [(family, seed, scene) for scene in range(scenes) for seed in seeds
            for family in families if not clip_path(out, family, seed, scene).exists()]  # fmt: skip
    renderer = WorldRenderer(TEXTURE_SIZE) if jobs else None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeRemainingColumn())  # fmt: skip
    with Progress(*columns) as progress:
        task = progress.add_task("clips", total=len(jobs))
        for family, seed, scene in jobs:
            save_clip(generate_clip(family, seed, scene, frames, renderer), out)
            progress.update(task, advance=1, description=f"{family} {seed}")
    return len(jobs)


def contact_sheet(families: list[str], seeds: list[int], views: int = 4, height: int = HEIGHT):
    """Picture (H, W, 3) uint8 with a row for each place: `views` poses of one path."""
    renderer, width, rows = WorldRenderer(), height * 16 // 9, []
    for family in families:
        for seed in seeds:
            renderer.load(make_scene(family, seed))
            path = make_path(renderer.scene, seed * 1000, 4 * views)
            shots = [renderer.render(pose, path.fov_y_radians, height * 3 // 2, width * 3 // 2)
                     for pose in path.poses[::4]]  # fmt: skip
            rows.append(np.concatenate([shrink_image(s.image, height, width) for s in shots], 1))
    return np.concatenate(rows)


def main(
    out: Path = typer.Option(Path("data/clips"), help="folder of the clips"),
    families: str = typer.Option("all", help="comma list, or all"),
    seeds: str = typer.Option("0-19", help="like 0-200 or 3,8,9"),
    scenes: int = typer.Option(1, help="clips of each place"),
    frames: int = typer.Option(16, help="frames of each clip"),
    preview: Path | None = typer.Option(None, help="write a contact sheet here instead of clips"),
) -> None:
    names = list(FAMILIES) if families == "all" else families.split(",")
    try:
        unknown = [name for name in names if name not in FAMILIES]
        if unknown:
            raise ValueError(f"no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
        if preview:
            Image.fromarray(contact_sheet(names, parse_seeds(seeds))).save(preview)
            return
        written = generate(out, names, parse_seeds(seeds), scenes, frames)
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    typer.echo(f"{written} clips written to {out}")


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software GL: draw in this thread
    typer.run(main)
