"""Optimisations applied to a loaded model; the model itself is written plainly."""

from __future__ import annotations

import torch

from .frame_model import FrameModel


def compile_for_training(model: FrameModel) -> None:
    """Compile the parts whose shapes repeat; the memory counts make a handful of graphs."""
    for block in model.transformer.blocks:
        block.project = torch.compile(block.project, dynamic=True)
        block.finish = torch.compile(block.finish, dynamic=True)
    model.transformer.gather = torch.compile(model.transformer.gather, dynamic=True)
