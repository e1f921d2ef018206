"""Optimisations applied to a loaded model; the model itself is written plainly."""

from __future__ import annotations

import torch

from .frame_model import FrameModel
from .layers import Convolution, Linear


def compile_for_training(model: FrameModel) -> None:
    """Compile the parts whose shapes repeat; the memory counts make a handful of graphs."""
    for block in model.transformer.blocks:
        block.project = torch.compile(block.project, dynamic=True)
        block.finish = torch.compile(block.finish, dynamic=True)


def prepare(model: FrameModel, device: torch.device) -> FrameModel:
    """Ready a loaded model for inference: weights in bf16 once, so that no call casts them."""
    model = model.eval().requires_grad_(False).to(device)
    for module in model.modules():
        if isinstance(module, Linear | Convolution):
            module.to(torch.bfloat16)
    model.transformer.time.float()
    return model
