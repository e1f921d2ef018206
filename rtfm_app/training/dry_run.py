"""What training a preset would take on GPUs that are not here.

    rtfm train --preset base --dry-run

Parameters, operations and bytes are counted on the meta device; nothing is allocated. Activations
are an estimate: what a block keeps for its backward pass, in bf16, without checkpointing.
"""

from __future__ import annotations

import torch

from ..bench_roofline import H100, Accelerator
from ..config import PRESETS, ModelConfig
from ..model.frame_model import FrameModel
from .data import MEMORY_COUNTS, MEMORY_ODDS
from .flops import FORWARD_AND_BACKWARD, memory_flops, target_flops
from .train import learned_by_muon

# Bytes of one number of one token that a block keeps: its input, both norms, q, k, v, attention,
# the MLP's hidden layer (four times as wide) before and after GELU, in bf16 or float32.
KEPT_BYTES = 34
TOKENS_A_PARAMETER = 20.0  # target tokens a parameter of a compute-optimal run (arXiv 2203.15556)


def training_estimate(
    preset: str,
    *,
    gpus: int = 8,
    targets_a_gpu: int = 8,
    accelerator: Accelerator = H100,
    share_of_peak: float = 0.4,
) -> dict:
    """Parameters, operations a target frame, memory of a GPU, predicted targets a second, budget.

    Raises:
        ValueError: no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r} is unknown; use one of {', '.join(PRESETS)}")
    config = PRESETS[preset]
    with torch.device("meta"):
        model = FrameModel(config)
    parameters = sum(p.numel() for p in model.parameters())
    matrices = sum(p.numel() for name, p in model.named_parameters() if learned_by_muon(name, p))
    flops = _flops_a_target(config)
    predicted = gpus * accelerator.flops_per_s * share_of_peak / flops
    # float32 weights, gradients and averages; Muon keeps one number a weight, AdamW two.
    state = 4 * (3 * parameters + matrices + 2 * (parameters - matrices))
    frames = targets_a_gpu * (1 + _memory_a_target())
    activations = frames * config.tokens * config.dim * config.depth * KEPT_BYTES
    # FSDP2 shards the state; weights are gathered once a step and kept until the backward pass.
    sharded = state / gpus + 4 * parameters
    room = accelerator.memory_bytes - sharded
    budget = TOKENS_A_PARAMETER * parameters / config.tokens
    return {
        "parameters": parameters,
        "parameters_by_muon": matrices,
        "kv_bytes_per_page": config.kv_bytes_per_page,
        "flops_per_target": flops,
        "state_gb": state / 1e9,
        "state_gb_per_gpu_ddp": state / 1e9,
        "state_gb_per_gpu_fsdp": state / gpus / 1e9,
        "activations_gb_per_gpu": activations / 1e9,
        "memory_gb_per_gpu_ddp": (state + activations) / 1e9,
        "memory_gb_per_gpu_fsdp": (sharded + activations) / 1e9,
        "targets_per_gpu_that_fit_fsdp": int(max(0, room) * targets_a_gpu // activations),
        "fits_ddp": float(state + activations < accelerator.memory_bytes),
        "predicted_targets_per_s": predicted,
        "budget_targets": budget,
        "budget_flops": budget * flops,
        "budget_gpu_hours": budget / predicted * gpus / 3600,
        "machine": {
            "accelerator": accelerator.name, "gpus": gpus, "share_of_peak": share_of_peak,
        },
        "settings": {"preset": preset, "targets_a_gpu": targets_a_gpu},
    }  # fmt: skip


def _flops_a_target(config: ModelConfig) -> float:
    """Mean over the memory counts that training draws; matching steps cost less."""
    total = 0.0
    for memory, odds in zip(MEMORY_COUNTS, MEMORY_ODDS, strict=True):
        shared = memory / _targets_a_scene(memory) * memory_flops(config)
        total += odds * FORWARD_AND_BACKWARD * (target_flops(config, memory) + shared)
    return total


def _memory_a_target() -> float:
    odds = zip(MEMORY_COUNTS, MEMORY_ODDS, strict=True)
    return sum(odd * memory / _targets_a_scene(memory) for memory, odd in odds)


def _targets_a_scene(memory: int) -> int:
    return 2 if memory <= 1 else 3
