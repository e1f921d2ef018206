"""The losses of one batch: what a training step computes, without optimizers or files."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional as F

from ..model.cameras import epipolar_lines
from ..model.frame_model import Cameras, FrameModel, Pages, Prediction, compose
from ..model.matching import own_of, with_other_own, with_own
from ..model.own_distance import unknown_distance
from ..model.pointer import read_memory
from ..model.triangulation import triangulated
from .data import Batch
from .losses import LossWeights, own_loss, pointer_losses, state_loss, truth_of


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


@torch.no_grad()
def with_triangulated(model: FrameModel, batch: Batch, pages: Pages) -> Pages:
    """The pages of a batch with distances that the frames of a scene found together."""
    m, per_scene = batch.memory_count, len(batch.targets) // batch.scenes

    def of_memory(x: torch.Tensor) -> torch.Tensor:
        return x.detach()[::per_scene].repeat_interleave(m, 0)

    of_frames = Pages(
        tuple(map(of_memory, pages.kv)), of_memory(pages.features), of_memory(pages.images),
        of_memory(pages.valid), of_memory(pages.up),
    )  # fmt: skip
    facing = batch.of_memory()
    found, trusted = triangulated(model, facing.target_cameras, of_frames, facing.views)
    own = own_of(pages.features.detach()[::per_scene]).flatten(0, 1)
    own = torch.lerp(own, found, trusted).unflatten(0, (batch.scenes, m))
    own = own.repeat_interleave(per_scene, 0)
    return replace(pages, features=with_other_own(pages.features, own))


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


def losses_of(
    model, batch: Batch, t, noise, weights: LossWeights, triangulating: bool = False
) -> dict[str, torch.Tensor]:
    """All losses of one batch by name, unweighted, and their weighted sum as "total"; with
    `triangulating`, drawn from pages whose distances were triangulated first."""
    truth = truth_of(batch)
    pages = encode_memory(model, batch)
    own = None if pages is None else own_of(pages.features[:: len(batch.targets) // batch.scenes])
    if triangulating and batch.memory_count > 1:
        pages = with_triangulated(model, batch, pages)
    clean = clean_state(batch.targets)
    level = t[:, None, None, None]
    state = level * clean + (1 - level) * noise
    prediction = model.denoise(state, t, batch.target_cameras, pages, batch.views)
    losses = {"state": state_loss(prediction, clean, t, truth.covered)}
    if prediction.pointer is not None:
        h, w = batch.targets.shape[-2:]
        read, _ = read_memory(prediction.pointer, pages.images.unbind(1), batch.views, h, w)
        losses |= pointer_losses(prediction, read, batch, truth)
        losses["own"] = own_loss(own.flatten(0, 1), batch.told(batch.memory_rho.flatten(0, 1)))
    losses["total"] = sum(getattr(weights, name) * value for name, value in losses.items())
    return losses


def triangulation_losses_of(model: FrameModel, batch: Batch, t, noise, weights: LossWeights):
    """Losses of what the memory frames of a batch find together of their own distances."""
    weights = replace(weights, photometric=0.0, state=0.0, gate=0.0)
    return losses_of(model, batch.of_memory(), t, noise, weights)


def matching_losses_of(model: FrameModel, batch: Batch, weights: LossWeights):
    """Losses of the pointer alone, as if the transformer had nothing to say."""
    m, n = batch.memory_count, len(batch.targets)
    per_scene = n // batch.scenes

    def spread(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(0, (batch.scenes, m)).repeat_interleave(per_scene, 0)

    features = spread(model.features(batch.memory.to(model.dtype)).float())
    features = with_own(features, unknown_distance(features))
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


def own_losses_of(model: FrameModel, batch: Batch, weights: LossWeights):
    """Losses of what every frame of a batch, memory and targets, says of its own distances."""
    images = torch.cat([batch.memory, batch.targets])
    cameras, others = batch.memory_cameras, batch.target_cameras
    cameras = Cameras(
        torch.cat([cameras.tangents, others.tangents]), torch.cat([cameras.up, others.up])
    )
    rho = torch.cat([batch.told(batch.memory_rho.flatten(0, 1)), batch.told(batch.rho)])
    _, features = model.encode(images, torch.ones_like(images[:, :1]), cameras)
    losses = {"own": own_loss(own_of(features), rho)}
    losses["total"] = weights.own * losses["own"]
    return losses
