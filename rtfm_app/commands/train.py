"""`rtfm train`: train the frame model."""

from __future__ import annotations

from pathlib import Path

import typer

from ..config import PRESETS


def add_to(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    data: Path = typer.Option(..., help="Folder of clips (see training/clips.py)."),
    out: Path = typer.Option(..., help="Run folder: checkpoint, log, EMA weights, previews."),
    preset: str = typer.Option("embedded", help=f"One of {', '.join(PRESETS)}."),
    init_from: Path = typer.Option(None, help="Start from these weights."),
    minutes: float = typer.Option(60.0, help="Training time over all resumptions."),
    targets: int = typer.Option(8, help="Target frames a step."),
    learning_rate: float = typer.Option(1e-3, help="Peak learning rate."),
    family_weight: list[str] = typer.Option([], metavar="NAME=WEIGHT", help="Draw more or less."),
    compiled: bool = typer.Option(True, "--compile/--no-compile", help="Compile the blocks."),
) -> None:
    """Train the frame model. Resumes to the step when OUT holds a checkpoint."""
    from ..training.train import TrainConfig, parse_family_weights, run_training

    run_training(
        TrainConfig(
            data=data, out=out, preset=preset, init_from=init_from, minutes=minutes,
            targets=targets, learning_rate=learning_rate, compile=compiled,
            family_weights=parse_family_weights(family_weight),
        )
    )  # fmt: skip
