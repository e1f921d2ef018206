"""`rtfm worlds render`: training clips from the ray-marched worlds."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def add_to(app: typer.Typer) -> None:
    """Register this group of commands."""
    worlds = typer.Typer(help="Training worlds.", no_args_is_help=True)
    worlds.callback()(_group)
    worlds.command("render")(render)
    app.add_typer(worlds, name="worlds")


def _group() -> None:
    """Training worlds."""


def render(
    out: Path = typer.Option(..., help="Folder of the clips; those that exist are skipped."),
    families: str = typer.Option("all", help="Comma list, or all."),
    seeds: str = typer.Option("0-19", help="Like 0-200 or 3,8,9."),
    scenes: int = typer.Option(1, help="Clips of each place."),
    frames: int = typer.Option(16, help="Frames of each clip."),
) -> None:
    """Render training clips; an interrupted run goes on where it stopped."""
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software GL: draw in this thread
    from ..worlds.generate import FAMILIES, generate, parse_seeds

    names = list(FAMILIES) if families == "all" else families.split(",")
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise ValueError(f"no family {unknown[0]!r}; there are {', '.join(FAMILIES)}")
    written = generate(out, names, parse_seeds(seeds), scenes, frames)
    print(f"{written} clips written to {out}")
