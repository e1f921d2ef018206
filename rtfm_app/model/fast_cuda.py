"""What a prepared model does otherwise on CUDA: the denoise pass is a graph per number of memory
frames and resolution, and attention is flash-attn's where that package is installed.
"""

from __future__ import annotations

from typing import cast

import torch

from ..device import Recorded, capture_cuda
from .transformer import Transformer


class GraphedTransformer(Transformer):
    """Replays its denoise pass; KV pages are copied only when they have changed."""

    passes: Recorded

    def denoise_pass(self, x, modulation, pages, prope, dtype):
        if pages is None or prope is None or torch.is_grad_enabled():
            return super().denoise_pass(x, modulation, pages, prope, dtype)
        return self.passes(x, modulation, prope, *pages)


def prepare_for_cuda(
    transformer: Transformer, precision: torch.dtype, capture=capture_cuda
) -> None:
    """`capture`: `device.capture_cuda`, or its twin where there is no CUDA."""
    attend = flash_attention()
    if attend is not None:
        transformer.attend = attend  # pyright: ignore[reportAttributeAccessIssue]

    def denoise(x, modulation, prope, *pages):
        return Transformer.denoise_pass(transformer, x, modulation, pages, prope, precision)

    transformer.__class__ = GraphedTransformer
    cast(GraphedTransformer, transformer).passes = Recorded(denoise, capture)


def flash_attention():
    """`transformer.attend` by flash-attn (extra `flash`), or None without the package."""
    try:
        from flash_attn import flash_attn_func  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Over (B, H, T, D); flash-attn wants (B, T, H, D)."""
        return flash_attn_func(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)

    return attend
