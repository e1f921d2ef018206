"""`rtfm train --data CLIPS --out RUN`: train the frame model.

Resumes to the step from RUN/checkpoint.pt (weights, EMA, optimizers, data generator, torch
generator). The learning rate is constant after a warm-up and falls to zero over the last share of
the run (warmup-stable-decay), so that a run can be made longer at any time.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..config import PRESETS, ModelConfig
from ..model.checkpoint import load_model, save_weights
from ..model.fast import compile_for_training
from ..model.frame_model import FrameModel
from .data import MEMORY_COUNTS, Batch, ClipPool, Shape, draw_shape, make_batch
from .distributed import (
    Share,
    from_first,
    full,
    load_optimizer,
    mean_over_processes,
    moved,
    process_group,
    sharded_like,
    wrapped,
)
from .flops import FORWARD_AND_BACKWARD, drawing_flops, matching_flops, memory_flops
from .losses import LossWeights
from .preview import draw_preview
from .step import (
    draw_times,
    losses_of,
    matching_losses_of,
    own_losses_of,
    triangulation_losses_of,
    with_own_frame,
)


@dataclass(frozen=True)
class TrainConfig:
    """`minutes` counts training time over all resumptions. In the last share `decay` of it the
    learning rate falls to zero, in the last share `undepthed` known distance teaches nothing but
    the gate. A share `own_frames` of the batches remembers a frame that the model drew itself.
    In a share `matching` of the steps only features, plane sweep and pointer head learn, without
    the transformer: three times as many targets a second for what needs no understanding. In a
    share `own_distance` only the memory pass and what it says of a frame's own distances learn.
    In a share `triangulation` memory frames learn to find their distances together, and a share
    `triangulated` of the other batches with several memory frames is drawn from what they found.

    `targets` are those of the global batch. With `total_targets` the run's length is that many
    target frames and not `minutes`. `model` takes the place of the preset. `most_memory` caps the
    memory frames. `sharded` chooses FSDP2 instead of DDP under torchrun."""

    data: Path
    out: Path
    preset: str = "embedded"
    init_from: Path | None = None
    minutes: float = 60.0
    targets: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    decay: float = 0.3
    undepthed: float = 0.05
    own_frames: float = 0.25
    matching: float = 0.15
    own_distance: float = 0.2
    triangulation: float = 0.1
    triangulated: float = 0.5
    ema: float = 0.998
    save_minutes: float = 4.0
    compile: bool = True
    seed: int = 0
    family_weights: tuple[tuple[str, float], ...] = ()
    total_targets: int = 0
    model: ModelConfig | None = None
    most_memory: int = max(MEMORY_COUNTS)
    sharded: bool = False


def learned_by_muon(name: str, parameter: torch.Tensor) -> bool:
    """The transformer's matrices; everything else is AdamW's."""
    return parameter.ndim == 2 and ".blocks." in f".{name}" and "modulation" not in name


class Trainer:
    def __init__(self, config: TrainConfig, device: torch.device | None = None):
        self.config = config
        self.device = device or torch.device("cpu")
        self.share = Share.of_this_process()
        torch.manual_seed(config.seed)
        model_config = config.model or PRESETS[config.preset]
        self.model = (
            load_model(config.init_from).train() if config.init_from else FrameModel(model_config)
        )
        self.checkpoint = config.out / "checkpoint.pt"
        config.out.mkdir(parents=True, exist_ok=True)
        saved = None
        if self.checkpoint.exists():
            saved = torch.load(self.checkpoint, weights_only=True, map_location="cpu")
            self.model.load_state_dict(saved["model"])
        self.model.to(self.device)
        self.compute = wrapped(self.model, self.device, config.sharded)
        self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        matrices, others = [], []
        for name, parameter in self.model.named_parameters():
            (matrices if learned_by_muon(name, parameter) else others).append(parameter)
        self.optimizers = [
            torch.optim.Muon(matrices, lr=config.learning_rate, weight_decay=config.weight_decay,
                             momentum=0.95, ns_steps=3, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=config.learning_rate, betas=(0.9, 0.95),
                              weight_decay=config.weight_decay, fused=True),
        ]  # fmt: skip
        self.step, self.seconds, self.targets, self.flops = 0, 0.0, 0, 0
        if saved is not None:
            self._resume(saved)

    def _resume(self, saved: dict) -> None:
        self.ema = {
            k: sharded_like(v.to(self.device), self.ema[k]) for k, v in saved["ema"].items()
        }
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            load_optimizer(optimizer, state)
        self.step, self.seconds = saved["step"], saved["seconds"]
        self.targets, self.flops = saved.get("targets", 0), saved.get("flops", 0)
        self.rng.bit_generator.state = json.loads(saved["rng"])
        self.generator.set_state(saved["generator"])

    def save(self) -> None:
        """Checkpoint to resume from, and the EMA weights as they would ship. All processes call
        it, the first one writes."""
        saved = full(
            {
                "model": self.model.state_dict(),
                "ema": self.ema,
                "optimizers": [o.state_dict() for o in self.optimizers],
            }
        )
        saved |= {
            "step": self.step,
            "seconds": self.seconds,
            "targets": self.targets,
            "flops": self.flops,
            "rng": json.dumps(self.rng.bit_generator.state),
            "generator": self.generator.get_state(),
        }
        if self.share.rank == 0:
            temporary = self.checkpoint.with_suffix(f".{os.getpid()}.part")
            torch.save(saved, temporary)
            os.replace(temporary, self.checkpoint)
            notes = {"step": self.step, "training_seconds": int(self.seconds)}
            weights = self.config.out / "ema.safetensors"
            save_weights(saved["ema"], self.model.config, weights, **notes)
        from_first(None)  # nobody goes on before the files are there

    @property
    def done(self) -> float:
        """Share of the run that is behind us."""
        if self.config.total_targets:
            return self.targets / self.config.total_targets
        return self.seconds / (self.config.minutes * 60)

    def learning_rate(self) -> float:
        config = self.config
        warm = min(1.0, (self.step + 1) / config.warmup_steps)
        return config.learning_rate * warm * min(1.0, max(0.01, (1 - self.done) / config.decay))

    def loss_weights(self) -> LossWeights:
        undepthed = self.done > 1 - self.config.undepthed
        return LossWeights().without_depth() if undepthed else LossWeights()

    def frozen_twin(self, weights: Path) -> FrameModel:
        """Another model on this device that does not learn."""
        return load_model(weights).train().requires_grad_(False).to(self.device)

    def make_batch(self, pool: ClipPool, shape: Shape) -> Batch:
        """This process's share of the next global batch."""
        memory = min(shape.memory, self.config.most_memory)
        shape = replace(shape, scenes=self.share.whole_scenes(shape.scenes), memory=memory)
        return moved(make_batch(pool, shape, self.rng, share=self.share), self.device)

    def matching_losses(self, pool: ClipPool) -> tuple[dict[str, torch.Tensor], int, int]:
        """Losses of a step of matching alone, its targets and operations in this process."""
        memory = int(self.rng.choice((2, 3, 4, 5), p=(0.3, 0.35, 0.25, 0.1)))
        shape = Shape(max(1, self.config.targets // 2), 3, memory)
        batch = self.make_batch(pool, shape)
        losses = self.compute(matching_losses_of, batch, self.loss_weights())
        return losses, len(batch.targets), matching_flops(self.model.config, batch)

    def own_losses(self, pool: ClipPool) -> tuple[dict[str, torch.Tensor], int, int]:
        """The same of a step of the frames' own distances; every frame counts as a target."""
        batch = self.make_batch(pool, Shape(self.config.targets, 1, 1))  # of many places
        losses = self.compute(own_losses_of, batch, self.loss_weights())
        frames = len(batch.targets) + len(batch.memory)
        return losses, frames, FORWARD_AND_BACKWARD * frames * memory_flops(self.model.config)

    def triangulation_losses(self, pool: ClipPool) -> tuple[dict[str, torch.Tensor], int, int]:
        """The same of a step in which memory frames find their distances together; each of them
        counts as a target."""
        memory = int(self.rng.choice((2, 3, 4, 5), p=(0.25, 0.25, 0.25, 0.25)))
        shape = Shape(max(1, round(self.config.targets / memory)), 1, memory)
        batch = self.make_batch(pool, shape)
        frames = len(batch.memory)
        config = self.model.config
        noise = torch.zeros(frames, 3, config.height // 4, config.width // 4, device=self.device)
        losses = self.compute(
            triangulation_losses_of, batch, noise.new_zeros(frames), noise, self.loss_weights()
        )
        return losses, frames, drawing_flops(config, batch.of_memory(), 0)

    def drawing_losses(self, pool: ClipPool) -> tuple[dict[str, torch.Tensor], int, int]:
        """The same of a step that trains everything."""
        batch = self.make_batch(pool, draw_shape(self.rng, self.config.targets))
        n, _, h, w = batch.targets.shape
        ranks = self.share.ranks
        noise = torch.randn(n * ranks, 3, h // 4, w // 4, generator=self.generator)
        noise = self.share.of(noise).to(self.device)
        if batch.memory_count and self.rng.random() < self.config.own_frames:
            with torch.no_grad():
                per_scene = n // batch.scenes
                batch = self.compute(with_own_frame, batch, noise)
                noise = noise.unflatten(0, (-1, per_scene))[:, 1:].flatten(0, 1)
        t = draw_times(len(batch.targets) * ranks, self.generator)
        t = self.share.of(t).to(self.device)
        several = self.model.config.pointer and batch.memory_count > 1
        triangulating = several and self.rng.random() < self.config.triangulated
        losses = self.compute(losses_of, batch, t, noise, self.loss_weights(), triangulating)
        drawn = batch.scenes * batch.imagined
        flops = drawing_flops(self.model.config, batch, drawn, triangulating)
        return losses, len(batch.targets), flops

    def _drawn_step(self):
        """What this step trains; what known distance teaches alone ends with it."""
        config, weights = self.config, self.loss_weights()
        place = self.rng.random()
        if place < config.matching:
            return self.matching_losses
        place -= config.matching
        if weights.own > 0 and place < config.own_distance:
            return self.own_losses
        if weights.coordinate > 0 and 0 <= place - config.own_distance < config.triangulation:
            return self.triangulation_losses
        return self.drawing_losses

    def train_step(self, pool: ClipPool) -> dict[str, float]:
        rate = self.learning_rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
        step = self._drawn_step() if self.model.config.pointer else self.drawing_losses
        with nullcontext() if self.device.type == "cpu" else self.device:
            losses, n, flops = step(pool)
            losses["total"].backward()
        norm = full(torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0))
        if torch.isfinite(norm):
            for optimizer in self.optimizers:
                optimizer.step()
        self.step += 1
        self.targets += n * self.share.ranks
        self.flops += flops * self.share.ranks
        self._update_ema()
        logged = mean_over_processes({k: float(v.detach()) for k, v in losses.items()})
        return logged | {
            "targets": n * self.share.ranks, "flops": flops * self.share.ranks,
            "gradient_norm": float(norm), "learning_rate": rate,
        }  # fmt: skip

    @torch.no_grad()
    def _update_ema(self) -> None:
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.model.state_dict().items():
            self.ema[name].lerp_(value, 1 - decay)

    def run(self, pool: ClipPool, validation: ClipPool | None = None) -> None:
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        last_save = last_log = from_first(time.monotonic())
        recent: list[dict] = []
        while self.done < 1 and not from_first(bool(stop)):
            start = time.monotonic()
            recent.append(self.train_step(pool))
            # Compilation and pauses do not count as training. One clock for all processes.
            self.seconds = from_first(self.seconds + min(time.monotonic() - start, 15.0))
            now = from_first(time.monotonic())
            if now - last_log > 60:
                self._log(recent, now - last_log)
                recent, last_log = [], now
            if now - last_save > self.config.save_minutes * 60:
                self.save()
                self._look_around(pool, validation)
                last_save = now
        if recent:
            self._log(recent, time.monotonic() - last_log)
        self.save()

    def _look_around(self, pool: ClipPool, validation: ClipPool | None) -> None:
        """Load new clips, the same in every process, and draw the preview."""
        if pool.refresh(from_first(pool.listed())) and self.share.rank == 0:
            print(f"{len(pool)} clips", flush=True)
        if validation is not None and self.model.config.pointer:
            ema = full(self.ema)
            if self.share.rank == 0:
                validation.refresh()
                draw_preview(self.model.config, ema, validation, self.config.out / "preview.png")

    def _log(self, recent: list[dict], elapsed: float) -> None:
        if self.share.rank:
            return
        names = sorted({k for r in recent for k in r} - {"flops"})
        row = {k: float(np.mean([r[k] for r in recent if k in r])) for k in names}
        row["targets_per_s"] = sum(r["targets"] for r in recent) / elapsed
        row["flops_per_s"] = sum(r["flops"] for r in recent) / elapsed
        row |= {"step": self.step, "minutes": self.seconds / 60}
        with open(self.config.out / "log.jsonl", "a") as stream:
            stream.write(json.dumps(row) + "\n")
        print(" ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)


def parse_family_weights(items: list[str]) -> tuple[tuple[str, float], ...]:
    """`NAME=WEIGHT` items as pairs.

    Raises:
        ValueError: an item of another form.
    """
    pairs = []
    for item in items:
        name, _, weight = item.partition("=")
        try:
            pairs.append((name, float(weight)))
        except ValueError as error:
            raise ValueError(f"family weight {item!r} must look like office=0.5") from error
    return tuple(pairs)


def run_training(config: TrainConfig, kind: type[Trainer] | None = None) -> None:
    """Train until `config.minutes` are used up or SIGTERM asks to stop.

    Raises:
        ValueError: an unknown preset, unreadable weights or an empty data folder.
    """
    if config.preset not in PRESETS:
        raise ValueError(f"preset {config.preset!r} is unknown; use one of {', '.join(PRESETS)}")
    pool = ClipPool(config.data, "train", dict(config.family_weights))
    if not len(pool):
        raise ValueError(
            f"{config.data} holds no training clips; make some with "
            "`python -m rtfm_app.worlds.generate`"
        )
    with process_group() as device:
        trainer = (kind or Trainer)(config, device)
        if config.compile:
            compile_for_training(trainer.model)
        validation = ClipPool(config.data, "validation")
        if trainer.share.rank == 0:
            print(f"{len(pool)} training clips", flush=True)
        trainer.run(pool, validation if len(validation) else None)
