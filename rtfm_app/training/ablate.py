"""What the parts of the model are worth, and what its size is worth, at an equal training budget.

    python -m rtfm_app.training.ablate --data data/clips --out runs/ablate --targets 1000

Trains every variant from scratch for the same number of target frames with the same seed and
schedule, evaluates each on the quick covered and office sets and on held-out clips, and writes
table.json and table.md after every variant, scaling.png once two sizes are done. Run again, it
goes on where it stopped. One seed and a small budget: differences of a few tenths of a decibel are
within noise.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import typer

from ..config import PRESETS, GenerationSettings, ModelConfig
from ..model.checkpoint import load_model
from .data import MEMORY_COUNTS, ClipPool, Shape, make_batch
from .eval_set import load_places
from .evaluate_office import evaluate_office
from .evaluate_places import Scores, evaluate_walk
from .evaluate_worlds import Subject
from .losses import LossWeights
from .scaling_plot import plot_scaling
from .step import losses_of
from .train import TrainConfig, Trainer

VALIDATION_BATCHES = 12
REPORTED = ("covered_psnr", "covered_gain", "office_psnr", "office_gain", "validation_photometric",
            "validation_state", "parameters", "training_flops")  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A model that differs from `embedded` in one thing."""

    says: str
    changes: dict = field(default_factory=dict)
    most_memory: int = max(MEMORY_COUNTS)

    @property
    def model(self) -> ModelConfig:
        return replace(PRESETS["embedded"], **self.changes)


VARIANTS = {
    "embedded": Variant("everything (320 x 8)"),
    "no_pointer": Variant("no pointer head: the flow state alone", {"pointer": False}),
    "no_prope": Variant("no camera transform of keys and values", {"prope": False}),
    "memory_1": Variant("at most 1 memory frame", most_memory=1),
    "size_192": Variant("smaller, 192 x 6", {"dim": 192, "depth": 6, "heads": 3}),
    "size_512": Variant("larger, 512 x 10", {"dim": 512, "depth": 10, "heads": 8}),
    "memory_2": Variant("at most 2 memory frames", most_memory=2),
}
SIZES = ("size_192", "embedded", "size_512")


def train_variant(variant: Variant, data: Path, out: Path, targets: int, seed: int) -> Trainer:
    """Train one variant for `targets` target frames (resumes)."""
    config = TrainConfig(
        data, out, model=variant.model, most_memory=variant.most_memory, total_targets=targets,
        warmup_steps=10, seed=seed, compile=False, save_minutes=2.0,
    )  # fmt: skip
    trainer = Trainer(config)
    if trainer.done < 1:
        trainer.run(ClipPool(data, "train"))
    return trainer


def measure(weights: Path, variant: Variant, data: Path) -> dict[str, float]:
    """Covered, office and held-out losses of one trained variant."""
    subject = Subject.load(weights, "cpu")
    memory = min(GenerationSettings().memory_frames, variant.most_memory)
    settings = replace(GenerationSettings(), memory_frames=memory)
    scores = Scores()
    for place in load_places(limit_per_family=1):
        between = place.of_role("between")[::2]
        evaluate_walk(subject, replace(place, targets=tuple(between)), settings, scores)
    office = evaluate_office(subject, 3, settings, share=2)
    return (
        scores.flat()
        | {f"office_{name}": float(value) for name, value in office.items()}
        | validation_losses(weights, data, memory)
    )


@torch.no_grad()
def validation_losses(weights: Path, data: Path, memory: int) -> dict[str, float]:
    """Mean unweighted losses of one-step drawing on the same held-out batches for all variants."""
    model = load_model(weights).train()
    pool, rng = ClipPool(data, "validation"), np.random.default_rng(11)
    noise = torch.Generator().manual_seed(11)
    rows = []
    for _ in range(VALIDATION_BATCHES):
        batch = make_batch(pool, Shape(2, 3, memory), rng, augment=False)
        n, _, h, w = batch.targets.shape
        start = torch.randn(n, 3, h // 4, w // 4, generator=noise)
        losses = losses_of(model, batch, torch.zeros(n), start, LossWeights())
        rows.append({name: float(value) for name, value in losses.items()})
    return {f"validation_{name}": float(np.mean([r[name] for r in rows])) for name in rows[0]}


def table_of(results: dict[str, dict], budget: str) -> str:
    """The results as markdown."""
    head = "| variant | " + " | ".join(REPORTED) + " |"
    lines = [budget, "", head, "|" + "---|" * (len(REPORTED) + 1)]
    for name, row in results.items():
        cells = [f"{row[key]:.4g}" if key in row else "" for key in REPORTED]
        lines.append(f"| {name}: {VARIANTS[name].says} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def ablate(
    data: Path = typer.Option(..., help="Folder of clips."),
    out: Path = typer.Option(..., help="Runs and tables; run again to go on."),
    targets: int = typer.Option(1000, help="Target frames that every variant is trained on."),
    only: str = typer.Option(",".join(VARIANTS), help="Variants, comma-separated."),
    seed: int = typer.Option(0, help="Seed of weights and data."),
) -> None:
    """Train and measure the variants one after the other."""
    unknown = [name for name in only.split(",") if name not in VARIANTS]
    if unknown:
        raise typer.BadParameter(f"no variant {unknown[0]!r}; use {', '.join(VARIANTS)}")
    results: dict[str, dict] = {}
    for name in only.split(","):
        folder = out / f"{name}-{targets}-{seed}"
        done = folder / "result.json"
        if not done.exists():
            trainer = train_variant(VARIANTS[name], data, folder, targets, seed)
            if trainer.done < 1:  # asked to stop
                return
            found = measure(folder / "ema.safetensors", VARIANTS[name], data)
            found |= {
                "parameters": sum(p.numel() for p in trainer.model.parameters()),
                "training_flops": trainer.flops, "training_targets": trainer.targets,
                "training_seconds": trainer.seconds,
            }  # fmt: skip
            _write(done, json.dumps(found, indent=1))
        results[name] = json.loads(done.read_text())
        clips = len(list((data / "train").glob("*.clip.npz")))
        budget = f"{targets} target frames each, seed {seed}, {clips} clips"
        _write(out / "table.json", json.dumps({"budget": budget, "results": results}, indent=1))
        _write(out / "table.md", table_of(results, budget))
        sizes = [n for n in SIZES if n in results]
        if len(sizes) > 1:
            points = [(n, results[n]["training_flops"], results[n]["validation_photometric"])
                      for n in sizes]  # fmt: skip
            plot_scaling(points, budget, out / "scaling.png")
        print(f"{name}: covered {results[name]['covered_psnr']:.2f} dB", flush=True)


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


if __name__ == "__main__":
    typer.run(ablate)
