"""What the frame model is trained on.

Photometric loss on what the pointer reads where a memory frame shows the content, velocity loss on
the flow state, and, until the last stage, supervision of the epipolar coordinate and of the gate by
known distance. Distances are measured in pixels of the memory frame (256 wide).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

from ..model.cameras import epipolar_lines, rho_of, u_of
from ..model.frame_model import Prediction
from ..model.matching import sample
from .data import Batch
from .distributed import share_of_total

STANDING = 1e-4  # in 4 m
OWN_CHANGE = 3.0  # weight of changes beside the likelihood
OWN_STEPS = (1, 2, 4, 8, 16)  # cells: near ones make edges sharp, far ones keep long lines straight


@dataclass(frozen=True)
class LossWeights:
    photometric: float = 2.0
    state: float = 2.0
    planes: float = 0.25
    sweep: float = 0.15
    coordinate: float = 0.06
    gate: float = 0.3
    smooth: float = 8.0
    own: float = 0.2

    def without_depth(self) -> LossWeights:
        """Weights of the last stage: nothing is taught by known distance but the gate."""
        return replace(self, planes=0.0, sweep=0.0, coordinate=0.0, own=0.0)


@dataclass(frozen=True)
class Truth:
    """What known distance says of a batch, at half resolution (N, 1, h, w).

    Attributes:
        u: true epipolar coordinate, 0 where unknown.  known: where it is known.
        covered: 1 where at least one memory frame shows the content.
        real: the same, by frames that the model did not draw itself.
        visible: (N, M, h, w) in which frames.
    """

    u: torch.Tensor
    known: torch.Tensor
    covered: torch.Tensor
    real: torch.Tensor
    visible: torch.Tensor


def truth_of(batch: Batch) -> Truth:
    """Project every target pixel into the memory frames and compare distances."""
    n, _, h, w = batch.rho.shape
    known = batch.rho.isfinite()
    rho = torch.nan_to_num(batch.rho, nan=0.0)
    m = batch.memory_count
    if m == 0:
        zero = torch.zeros_like(rho)
        return Truth(u_of(rho), known, zero, zero, rho.new_zeros(n, 0, h, w))
    lines = epipolar_lines(batch.views, h, w)
    grid, inside = lines.at(rho.flatten(2)[:, None])
    point = lines.origin + rho.flatten(2)[:, None] * lines.step
    expected = rho.flatten(2)[:, 0, None] / (-point[:, :, 2]).clamp(min=0.02)
    stored = batch.memory_rho.repeat_interleave(n // batch.scenes, 0)
    found = sample(torch.nan_to_num(stored, nan=-1.0), grid)[:, :, 0, 0]
    unknown = found < 0
    same = (found - expected).abs() < 0.08 * expected + 0.012
    visible = inside[:, :, 0] & (same | unknown)
    readable = batch.memory_valid.unflatten(0, (batch.scenes, m))
    readable = readable.repeat_interleave(n // batch.scenes, 0)
    visible = (visible & (sample(readable, grid)[:, :, 0, 0] > 0.5)).reshape(n, m, h, w)
    real = visible[:, : m - batch.imagined].any(1, keepdim=True).float()
    return Truth(u_of(rho), known, visible.any(1, keepdim=True).float(), real, visible)


def image_loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    difference = a - b
    return difference.abs() + 2 * difference.square()


def _mean(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    weight = weight.expand_as(x)
    return (x * weight).sum() / share_of_total(weight.sum())


def pointer_losses(prediction: Prediction, read: torch.Tensor, batch: Batch, truth: Truth):
    """Losses of the pointer by name."""
    pointer = prediction.pointer
    covered = truth.real * truth.known
    full = F.interpolate(covered, size=read.shape[-2:], mode="nearest")
    # Turning on the spot says nothing about distances, and its clips do not know them.
    moved = batch.views.memory_from_target[:, :, :3, 3].norm(dim=-1).amax(1) > STANDING
    taught = (truth.known & moved[:, None, None, None]).float()
    n, _, h, w = truth.u.shape
    lines = epipolar_lines(batch.views, h, w)
    true_grid, _ = lines.at(rho_of(truth.u).flatten(2)[:, None])
    grid, _ = lines.at(rho_of(pointer.u).flatten(2)[:, None])
    pixels = (grid - true_grid).mul(grid.new_tensor([128.0, 72.0])).norm(dim=-1)[:, :, 0]
    pixels = pixels.reshape(n, -1, h, w)
    huber = F.huber_loss(pixels, torch.zeros_like(pixels), reduction="none", delta=1.0)
    weight = truth.visible.float() * taught
    shift = (pointer.u - truth.u).abs()
    seen = truth.visible.any(1, keepdim=True).float()
    coarse_u = F.interpolate(truth.u, scale_factor=0.5, mode="area")
    coarse_known = F.interpolate(taught, scale_factor=0.5, mode="area")
    return {
        "photometric": _mean(image_loss(read, batch.targets), full),
        "coordinate": _mean(huber.clamp(max=20), weight)
        + 8 * _mean(shift, taught)
        + 4 * _mean((pointer.u_coarse - coarse_u).abs(), (coarse_known > 0.99).float()),
        "planes": _plane_loss(pointer.logits, truth.u, taught),
        "sweep": _plane_loss(pointer.sweep_logits, truth.u, taught * seen),
        "smooth": _smoothness(pointer.u, batch.targets),
        "gate": _mean(
            F.binary_cross_entropy_with_logits(pointer.gate_logit, truth.covered, reduction="none"),
            truth.known.float() * pointer.inside.amax(1, keepdim=True).float(),
        ),
    }


def _smoothness(u: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Change of the coordinate along rows and columns where the picture itself does not change
    (edge-aware smoothness, 1609.03677)."""
    shown = F.interpolate(picture, size=u.shape[-2:], mode="area")
    loss = u.new_zeros(())
    for axis in (2, 3):
        edge = torch.diff(shown, dim=axis).abs().mean(1, keepdim=True)
        loss = loss + (torch.diff(u, dim=axis).abs() * torch.exp(-8 * edge)).mean()
    return loss


def _plane_loss(logits: torch.Tensor, u: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the candidates against the distances inside each 1/8 cell."""
    planes = logits.shape[1]
    place = u.clamp(0, 1) * (planes - 1)
    low = place.floor().clamp(max=planes - 2)
    share = place - low
    # Sixteen cells at 1/2 fall into one at 1/8: (N, 16, h, w).
    low, near, far = (F.pixel_unshuffle(x, 4) for x in (low, (1 - share) * taught, share * taught))
    target = torch.zeros_like(logits).scatter_add_(1, low.long(), near / 16)
    target.scatter_add_(1, low.long() + 1, far / 16)
    entropy = -(target * logits.log_softmax(1)).sum(1, keepdim=True)
    return entropy.sum() / share_of_total(target.sum())


def state_loss(prediction: Prediction, clean, t, covered: torch.Tensor) -> torch.Tensor:
    """Squared error of the clean state, weighted as velocity error and towards what memory does
    not show."""
    unseen = 1 - F.interpolate(covered, size=clean.shape[-2:], mode="area")
    weight = (0.15 + 0.85 * unseen) / (1 - t).clamp(min=0.3)[:, None, None, None]
    return ((prediction.state - clean).square() * weight).mean()


def own_loss(own: torch.Tensor, rho: torch.Tensor) -> torch.Tensor:
    """How well frames know their own distances: Laplace likelihood, and agreement of the changes
    between cells (gradient matching as in MiDaS, 1907.01341) so that edges are sharp.

    Args:
        own: (F, 2, h, w) of `OwnDistance`.  rho: (F, 1, 2 h, 2 w), NaN where unknown; a frame with
            nothing but infinity in it was taken on the spot and is not known.
    """
    known = rho.isfinite() & (rho.flatten(1) > 0).any(1)[:, None, None, None]
    u = u_of(torch.nan_to_num(rho, nan=0.0))
    found, scale = F.interpolate(own, scale_factor=2, mode="nearest").chunk(2, 1)
    error = (found - u) * known
    likelihood = _mean(error.abs() / scale.exp() + scale, known.float())
    error = F.avg_pool2d(error, 2)
    whole = F.avg_pool2d(known.float(), 2) > 0.99
    change = own.new_zeros(())
    for axis in (2, 3):
        for step in (step for step in OWN_STEPS if step < error.shape[axis]):
            length = error.shape[axis] - step
            both = whole.narrow(axis, step, length) & whole.narrow(axis, 0, length)
            apart = error.narrow(axis, step, length) - error.narrow(axis, 0, length)
            change = change + _mean(apart.abs(), both.float())
    return likelihood + OWN_CHANGE * change
