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
from torch.nn import functional as F

from ..config import PRESETS, ModelConfig
from ..model.cameras import epipolar_lines
from ..model.checkpoint import load_model, save_weights
from ..model.fast import compile_for_training
from ..model.frame_model import FrameModel, Pages, Prediction, compose
from ..model.pointer import read_memory
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
from .flops import drawing_flops, matching_flops
from .losses import LossWeights, pointer_losses, state_loss, truth_of


@dataclass(frozen=True)
class TrainConfig:
    """`minutes` counts training time over all resumptions. In the last share `decay` of it the
    learning rate falls to zero, in the last share `undepthed` known distance teaches nothing but
    the gate. A share `own_frames` of the batches remembers a frame that the model drew itself.
    In a share `matching` of the steps only features, plane sweep and pointer head learn, without
    the transformer: three times as many targets a second for what needs no understanding.

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
    undepthed: float = 0.15
    own_frames: float = 0.25
    matching: float = 0.3
    ema: float = 0.998
    save_minutes: float = 4.0
    compile: bool = True
    seed: int = 0
    family_weights: tuple[tuple[str, float], ...] = ()
    total_targets: int = 0
    model: ModelConfig | None = None
    most_memory: int = max(MEMORY_COUNTS)
    sharded: bool = False


def encode_memory(model: FrameModel, batch: Batch) -> Pages | None:
    """Memory pass of a batch, repeated for the targets of each scene."""
    m, n = batch.memory_count, len(batch.targets)
    if m == 0:
        return None
    valid = batch.memory_valid
    kv, features = model.encode(batch.memory, valid, batch.memory_cameras)
    per_scene = n // batch.scenes

    def spread(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(0, (batch.scenes, m)).repeat_interleave(per_scene, 0)

    return Pages(
        tuple(map(spread, kv)), spread(features), spread(batch.memory), spread(valid),
        spread(batch.memory_cameras.up),
    )  # fmt: skip


def clean_state(targets: torch.Tensor) -> torch.Tensor:
    """The flow state of pictures (N, 3, H, W): their low-pass (N, 3, H / 4, W / 4)."""
    return F.avg_pool2d(targets, 4)


def draw_times(count: int, generator: torch.Generator) -> torch.Tensor:
    """Half of the targets at t = 0 (one-step), the rest logit-normal(-0.8, 0.8)."""
    t = torch.sigmoid(torch.randn(count, generator=generator) * 0.8 - 0.8)
    return torch.where(torch.rand(count, generator=generator) < 0.5, torch.zeros(count), t)


@torch.no_grad()
def with_own_frame(model: FrameModel, batch: Batch, noise: torch.Tensor) -> Batch:
    """Self-forcing (arXiv 2506.08009) for the memory: the model draws the first target of each
    scene, and what it imagined there joins the scene's memory for the other targets."""
    per_scene = len(batch.targets) // batch.scenes
    first = torch.arange(batch.scenes) * per_scene
    rest = torch.arange(len(batch.targets)).reshape(batch.scenes, -1)[:, 1:].flatten()
    drawn_for = batch.only(first)
    pages = encode_memory(model, drawn_for)
    views, cameras = drawn_for.views, drawn_for.target_cameras
    prediction = model.denoise(noise[first], torch.zeros(batch.scenes), cameras, pages, views)
    h, w = batch.targets.shape[-2:]
    drawn, gate, _ = compose(prediction, pages, views, cameras, pages.images.unbind(1), h, w, 0.1)
    picture = ((drawn.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    return batch.only(rest).remembering(batch, first, picture, (gate < 0.65).float())


def losses_of(model, batch: Batch, t, noise, weights: LossWeights) -> dict[str, torch.Tensor]:
    """All losses of one batch by name, unweighted, and their weighted sum as "total"."""
    truth = truth_of(batch)
    pages = encode_memory(model, batch)
    clean = clean_state(batch.targets)
    level = t[:, None, None, None]
    state = level * clean + (1 - level) * noise
    prediction = model.denoise(state, t, batch.target_cameras, pages, batch.views)
    losses = {"state": state_loss(prediction, clean, t, truth.covered)}
    if prediction.pointer is not None:
        h, w = batch.targets.shape[-2:]
        read, _ = read_memory(prediction.pointer, pages.images.unbind(1), batch.views, h, w)
        losses |= pointer_losses(prediction, read, batch, truth)
    losses["total"] = sum(getattr(weights, name) * value for name, value in losses.items())
    return losses


def matching_losses_of(model: FrameModel, batch: Batch, weights: LossWeights):
    """Losses of the pointer alone, as if the transformer had nothing to say."""
    m, n = batch.memory_count, len(batch.targets)
    per_scene = n // batch.scenes

    def spread(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(0, (batch.scenes, m)).repeat_interleave(per_scene, 0)

    features = spread(model.features(batch.memory.to(model.dtype)).float())
    images = spread(batch.memory)
    lines = epipolar_lines(batch.views, *model.sweep.grid_shape)
    logits, _ = model.sweep(features, lines, model.dtype)
    h, w = batch.targets.shape[-2:]
    pointer = model.pointer_head(
        None, logits, features, F.avg_pool2d(images.flatten(0, 1), 2).unflatten(0, (n, m)),
        torch.ones(n, m, 1, h // 2, w // 2), torch.ones(n, m), batch.views, model.dtype,
    )  # fmt: skip
    read, _ = read_memory(pointer, images.unbind(1), batch.views, h, w)
    losses = pointer_losses(Prediction(None, pointer), read, batch, truth_of(batch))
    losses["total"] = sum(getattr(weights, name) * value for name, value in losses.items())
    return losses


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
            is_matrix = (
                parameter.ndim == 2 and ".blocks." in f".{name}" and "modulation" not in name
            )
            (matrices if is_matrix else others).append(parameter)
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
        losses = self.compute(losses_of, batch, t, noise, self.loss_weights())
        flops = drawing_flops(self.model.config, batch, batch.scenes * batch.imagined)
        return losses, len(batch.targets), flops

    def train_step(self, pool: ClipPool) -> dict[str, float]:
        rate = self.learning_rate()
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
        only_matching = self.rng.random() < self.config.matching and self.model.config.pointer
        with nullcontext() if self.device.type == "cpu" else self.device:
            step = self.matching_losses if only_matching else self.drawing_losses
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
        last_save = last_log = time.monotonic()
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
                preview(self.model.config, ema, validation, self.config.out / "preview.png")

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


@torch.no_grad()
def preview(config: ModelConfig, weights: dict, pool: ClipPool, path: Path) -> None:
    """A grid of samples: memory frames | truth | drawn | remembered | distance."""
    from PIL import Image

    model = FrameModel(config)
    model.load_state_dict(weights)
    rng = np.random.default_rng(7)
    rows = []
    for memory in (1, 3, 3, 2, 1, 3):
        batch = make_batch(pool, Shape(1, 2, memory), rng, augment=False)
        n, _, h, w = batch.targets.shape
        pages = encode_memory(model, batch)
        noise = torch.randn(n, 3, h // 4, w // 4, generator=torch.Generator().manual_seed(1))
        prediction = model.denoise(noise, torch.zeros(n), batch.target_cameras, pages, batch.views)
        drawn, gate, _ = compose(
            prediction, pages, batch.views, batch.target_cameras, pages.images.unbind(1), h, w, 0.0
        )
        u = F.interpolate(prediction.pointer.u, size=(h, w))
        shown = list(batch.memory[:3]) + [torch.zeros_like(drawn[0])] * (3 - min(3, memory))
        for i in range(n):
            extra = [(x[i] * 2 - 1).expand(3, -1, -1) for x in (gate, u)]
            rows.append(torch.cat([*shown, batch.targets[i], drawn[i].clamp(-1, 1), *extra], 2))
    grid = ((torch.cat(rows, 1).permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).byte().numpy()
    Image.fromarray(grid).save(path)


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


def run_training(config: TrainConfig) -> None:
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
        trainer = Trainer(config, device)
        if config.compile:
            compile_for_training(trainer.model)
        validation = ClipPool(config.data, "validation")
        if trainer.share.rank == 0:
            print(f"{len(pool)} training clips", flush=True)
        trainer.run(pool, validation if len(validation) else None)
