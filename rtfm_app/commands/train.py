"""`rtfm train` and `rtfm distill`: train the frame model, then make it need fewer steps."""

from __future__ import annotations

from pathlib import Path

import typer

from ..config import PRESETS

DATA = typer.Option(..., help="Folder of clips (see training/clips.py).")
OUT = typer.Option(..., help="Run folder: checkpoint, log, EMA weights, previews.")
COMPILED = typer.Option(True, "--compile/--no-compile", help="Compile the blocks.")
SHARDED = typer.Option(False, "--sharded", help="Under torchrun: FSDP2 instead of DDP.")


def add_to(app: typer.Typer) -> None:
    app.command("train")(train)
    app.command("distill")(distill)


def train(
    data: Path = typer.Option(None, help="Folder of clips (see training/clips.py)."),
    out: Path = typer.Option(None, help="Run folder: checkpoint, log, EMA weights, previews."),
    preset: str = typer.Option("embedded", help=f"One of {', '.join(PRESETS)}."),
    init_from: Path = typer.Option(None, help="Start from these weights."),
    minutes: float = typer.Option(60.0, help="Training time over all resumptions."),
    total_targets: int = typer.Option(0, help="Length in target frames, instead of minutes."),
    targets: int = typer.Option(8, help="Target frames a step, over all devices."),
    learning_rate: float = typer.Option(1e-3, help="Peak learning rate."),
    family_weight: list[str] = typer.Option([], metavar="NAME=WEIGHT", help="Draw more or less."),
    compiled: bool = COMPILED,
    sharded: bool = SHARDED,
    dry_run: bool = typer.Option(False, help="Only print what it would take on H100 GPUs."),
    gpus: int = typer.Option(8, min=1, help="How many, for --dry-run."),
) -> None:
    """Train the frame model. Resumes to the step when OUT holds a checkpoint.

    On several devices: torchrun --nproc-per-node 8 -m rtfm_app train …
    """
    if dry_run:
        from ..training.dry_run import training_estimate
        from .measure import print_numbers

        print_numbers(training_estimate(preset, gpus=gpus))
        return
    for value, name in ((data, "--data"), (out, "--out")):
        if value is None:
            raise ValueError(f"rtfm train needs {name} (only --dry-run does without)")
    from ..training.train import TrainConfig, parse_family_weights, run_training

    run_training(
        TrainConfig(
            data=data, out=out, preset=preset, init_from=init_from, minutes=minutes,
            targets=targets, learning_rate=learning_rate, compile=compiled, sharded=sharded,
            total_targets=total_targets, family_weights=parse_family_weights(family_weight),
        )
    )  # fmt: skip


def distill(
    teacher: Path = typer.Option(..., help="Weights of the trained model."),
    data: Path = DATA,
    out: Path = OUT,
    minutes: float = typer.Option(30.0, help="Training time over all resumptions."),
    total_targets: int = typer.Option(0, help="Length in target frames, instead of minutes."),
    targets: int = typer.Option(8, help="Target frames a step, over all devices."),
    learning_rate: float = typer.Option(1e-4, help="Peak learning rate."),
    teacher_steps: int = typer.Option(16, help="Flow steps of the teacher."),
    compiled: bool = COMPILED,
    sharded: bool = SHARDED,
) -> None:
    """Teach a trained model to imagine in one step (inter frames) and two (keyframes). Resumes to
    the step when OUT holds a checkpoint."""
    from ..training.distill import DistillConfig, run_distillation

    run_distillation(
        DistillConfig(
            data=data, out=out, init_from=teacher, minutes=minutes, total_targets=total_targets,
            targets=targets, learning_rate=learning_rate, teacher_steps=teacher_steps,
            compile=compiled, sharded=sharded,
        )
    )  # fmt: skip
