"""Operations of a training step, counted on the meta device, once per batch shape.

A backward pass is counted as twice its forward pass; what is recomputed is not counted, nor is
what is not a matrix product or convolution.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from ..bench_roofline import (
    count_flops,
    denoise_products,
    empty_features,
    empty_views,
    memory_products,
    pointer_products,
)
from ..config import ModelConfig
from ..model.cameras import epipolar_lines
from ..model.frame_model import FrameModel
from .data import Batch

FORWARD_AND_BACKWARD = 3


def drawing_flops(
    config: ModelConfig, batch: Batch, drawn_before: int = 0, triangulated: bool = False
) -> int:
    """Of a step that trains everything on a batch; `drawn_before`: frames that the model first
    drew itself, without gradients; `triangulated`: it first found the memory's distances."""
    n, m = len(batch.targets), batch.memory_count
    memory = batch.scenes * m * memory_flops(config)
    own = batch.scenes * m * target_flops(config, m) if triangulated else 0
    if drawn_before:
        own += drawn_before * (target_flops(config, m - 1) + (m - 1) * memory_flops(config))
    return FORWARD_AND_BACKWARD * (n * target_flops(config, m) + memory) + own


def matching_flops(config: ModelConfig, batch: Batch) -> int:
    """Of a step that trains features, plane sweep and pointer head alone."""
    n, m = len(batch.targets), batch.memory_count
    work = n * _matching_target(config, m) + batch.scenes * m * _features(config)
    return FORWARD_AND_BACKWARD * work


def target_flops(config: ModelConfig, memory_frames: int) -> int:
    """Of the denoise pass of one target, forward; exactly linear in the memory frames."""
    if memory_frames == 0:
        return _dreamt(config)
    one, two = _target(config, 1), _target(config, 2)
    return one + (memory_frames - 1) * (two - one)


@lru_cache
def _target(config: ModelConfig, memory_frames: int) -> int:
    def work(model: FrameModel) -> None:
        denoise_products(model, memory_frames)
        if config.pointer:
            pointer_products(model, memory_frames)

    return _count(config, work)


@lru_cache
def memory_flops(config: ModelConfig) -> int:
    """Of the memory pass of one frame, forward."""
    return _count(config, memory_products)


@lru_cache
def _features(config: ModelConfig) -> int:
    def work(model: FrameModel) -> None:
        model.features(torch.empty(1, 3, config.height, config.width, dtype=model.dtype))

    return _count(config, work)


def _matching_target(config: ModelConfig, memory_frames: int) -> int:
    one, two = _matched(config, 1), _matched(config, 2)
    return one + (memory_frames - 1) * (two - one)


@lru_cache
def _matched(config: ModelConfig, memory_frames: int) -> int:
    def work(model: FrameModel) -> None:
        lines = epipolar_lines(empty_views(memory_frames), *model.sweep.grid_shape)
        model.sweep(empty_features(config, memory_frames), lines, model.dtype)
        pointer_products(model, memory_frames)

    return _count(config, work)


@lru_cache
def _dreamt(config: ModelConfig) -> int:
    def work(model: FrameModel) -> None:
        tokens = torch.empty(1, config.tokens, config.dim)
        modulation = model.transformer.modulation(torch.empty(1), torch.empty(1, dtype=torch.long))
        model.transformer.denoise_pass(tokens, modulation, None, None, model.dtype)

    return _count(config, work)


@lru_cache
def _twin(config: ModelConfig) -> FrameModel:
    with torch.device("meta"):
        return FrameModel(config).requires_grad_(False)


def _count(config: ModelConfig, work) -> int:
    return count_flops(lambda: work(_twin(config)))
