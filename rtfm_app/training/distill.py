"""`rtfm distill --teacher WEIGHTS --data CLIPS --out RUN`: fewer flow steps for what is imagined.

The student starts as the teacher. From the same noise, the teacher draws the flow state in many
steps; the student learns to land on that very sample in one step (inter frames) and, from its own
first half step, in two (keyframes). The pairing of noise and sample makes this a plain regression
(knowledge distillation, arXiv 2101.02388; rectified flow's reflow pairs, arXiv 2209.03003), which
suits a model of this size; nothing is adversarial and nothing needs a guidance pass. The pointer is
held to the teacher's: it already needs one pass only.

It is a `Trainer`: resumes to the step, runs under torchrun, logs and saves alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ..model.frame_model import Prediction
from ..model.pointer import Pointer
from ..model.sampler import generate
from .data import Batch, ClipPool, draw_shape
from .distributed import share_of_total
from .flops import drawing_flops, memory_flops, target_flops
from .losses import truth_of
from .step import encode_memory
from .train import TrainConfig, Trainer, run_training

POINTER_WEIGHT = 1.0
KEYFRAME_STEPS = 2


@dataclass(frozen=True)
class DistillConfig(TrainConfig):
    """`init_from` is the teacher; it draws in `teacher_steps` Euler steps."""

    teacher_steps: int = 16
    learning_rate: float = 1e-4
    matching: float = 0.0
    own_frames: float = 0.0

    def __post_init__(self):
        if self.init_from is None:
            raise ValueError("distillation needs a teacher's weights")
        if self.teacher_steps <= KEYFRAME_STEPS:
            raise ValueError(f"the teacher must take more than {KEYFRAME_STEPS} steps, "
                             f"got {self.teacher_steps}")  # fmt: skip


@torch.no_grad()
def teach(teacher, batch: Batch, noise: torch.Tensor, steps: int) -> Prediction:
    """The teacher's sample (N, 3, H / 4, W / 4) from this noise, and its pointer."""
    pages = encode_memory(teacher, batch)
    return generate(teacher, noise, batch.target_cameras, pages, batch.views, steps=steps)


def distill_losses_of(
    model, batch: Batch, noise: torch.Tensor, taught: Prediction
) -> dict[str, torch.Tensor]:
    """How far the student is from the teacher's sample after one step and after two, and from its
    pointer; the weighted sum as "total"."""
    pages = encode_memory(model, batch)
    cameras, views = batch.target_cameras, batch.views
    start = noise.new_zeros(len(noise))
    first = model.denoise(noise, start, cameras, pages, views)
    halfway = noise + (first.state.detach() - noise) / KEYFRAME_STEPS
    second = model.denoise(
        halfway, start + 1 / KEYFRAME_STEPS, cameras, pages, views, pointer=False
    )
    # Where memory shows the content the state is hardly seen.
    unseen = 1 - F.interpolate(truth_of(batch).covered, size=noise.shape[-2:], mode="area")
    weight = 0.15 + 0.85 * unseen
    losses = {
        "one_step": ((first.state - taught.state).square() * weight).mean(),
        "two_step": ((second.state - taught.state).square() * weight).mean(),
    }
    total = losses["one_step"] + losses["two_step"]
    if first.pointer is not None:
        losses["pointer"] = pointer_distance(first.pointer, taught.pointer)
        total = total + POINTER_WEIGHT * losses["pointer"]
    return losses | {"total": total}


def pointer_distance(mine: Pointer, taught: Pointer) -> torch.Tensor:
    """Zero where both pointers read the same: coordinates where the teacher remembers, its choice
    among the memory frames, and how much is remembered."""
    gate = taught.gate
    apart = ((mine.u - taught.u).abs() * gate).sum() / share_of_total(gate.sum())
    choice = F.kl_div(
        mine.view_logits.log_softmax(1), taught.view_logits.log_softmax(1),
        reduction="none", log_target=True,
    )  # fmt: skip
    remembered = (mine.gate - gate).square().mean()
    return 8 * apart + 0.1 * choice.sum(1).mean() + remembered


class Distiller(Trainer):
    """A trainer whose truth is the teacher."""

    config: DistillConfig

    def __init__(self, config: DistillConfig, device: torch.device | None = None):
        super().__init__(config, device)
        self.teacher = self.frozen_twin(config.init_from)

    def drawing_losses(self, pool: ClipPool) -> tuple[dict[str, torch.Tensor], int, int]:
        config, share = self.config, self.share
        batch = self.make_batch(pool, draw_shape(self.rng, config.targets))
        n, _, h, w = batch.targets.shape
        noise = torch.randn(n * share.ranks, 3, h // 4, w // 4, generator=self.generator)
        noise = share.of(noise).to(self.device)
        taught = teach(self.teacher, batch, noise, config.teacher_steps)
        losses = self.compute(distill_losses_of, batch, noise, taught)
        return losses, n, self._flops(batch)

    def _flops(self, batch: Batch) -> int:
        model, n, m = self.model.config, len(batch.targets), batch.memory_count
        teaching = n * self.config.teacher_steps * target_flops(replace(model, pointer=False), m)
        teaching += batch.scenes * m * memory_flops(model)
        second = 3 * n * target_flops(replace(model, pointer=False), m)
        return drawing_flops(model, batch) + second + teaching


def run_distillation(config: DistillConfig) -> None:
    """Distil until `config.minutes` are used up or SIGTERM asks to stop.

    Raises:
        ValueError: unreadable teacher or an empty data folder.
    """
    run_training(config, Distiller)
