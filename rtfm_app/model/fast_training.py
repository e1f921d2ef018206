"""Reading and comparing features while training, by compiled kernels with a backward pass.

Plain, the plane sweep stores what every memory frame shows at every candidate and passes over it a
dozen times forwards and backwards; the kernels keep it in registers. The plain twins are in
`matching`; where there are no kernels, or another number of channels, they are used.
"""

from __future__ import annotations

import torch

from . import matching
from .fast_kernels import MOST_FRAMES, Kernels, kernels

CHANNELS = 16  # what the kernels are written for


def evidence(features: torch.Tensor, grid: torch.Tensor, inside: torch.Tensor):
    """`matching.evidence`; no gradients for `grid` and `inside`."""
    compiled = _kernels_for(features, grid)
    if compiled is None or features.shape[1] > MOST_FRAMES:
        return matching.evidence(features, grid, inside)
    mean, compared = _Evidence.apply(features, grid, inside, compiled)
    variance, best = compared.chunk(2, 1)
    return mean, variance, best


def sample(features: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """`matching.sample`; no gradient for `grid`."""
    compiled = _kernels_for(features, grid)
    if compiled is None:
        return matching.sample(features, grid)
    return _Sample.apply(features, grid, compiled)


def _kernels_for(features: torch.Tensor, grid: torch.Tensor) -> Kernels | None:
    fits = features.shape[2] == CHANNELS and features.dtype == grid.dtype == torch.float32
    on_cpu = features.device.type == "cpu" and not grid.requires_grad
    return kernels(torch.float32) if fits and on_cpu else None


def _rows(features: torch.Tensor) -> torch.Tensor:
    """(N, M, C, h, w) -> dense (N, M, h, w, C)."""
    return features.permute(0, 1, 3, 4, 2).contiguous()


class _Evidence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, grid, inside, compiled: Kernels):
        rows, grid, inside = _rows(features), grid.contiguous(), inside.float().contiguous()
        n, m, d, s, _ = grid.shape
        mean, compared = rows.new_empty(n, d, s, CHANNELS), rows.new_empty(n, d, s, 8)
        sizes = n, m, d * s, *rows.shape[2:4]
        compiled("evidence", *sizes, rows, grid, inside, mean, compared)
        ctx.save_for_backward(rows, grid, inside)
        ctx.compiled, ctx.sizes = compiled, sizes
        return mean.permute(0, 3, 1, 2), compared.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx, to_mean, to_compared):
        rows, grid, inside = ctx.saved_tensors
        to_rows = torch.zeros_like(rows)
        to_mean, to_compared = (x.permute(0, 2, 3, 1).contiguous() for x in (to_mean, to_compared))
        ctx.compiled(
            "evidence_backward", *ctx.sizes, rows, grid, inside, to_mean, to_compared, to_rows
        )
        return to_rows.permute(0, 1, 4, 2, 3), None, None, None


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, grid, compiled: Kernels):
        rows, grid = _rows(features), grid.contiguous()
        n, m, d, s, _ = grid.shape
        sizes = n * m, d * s, *rows.shape[2:4]
        read = rows.new_empty(n, m, d, s, CHANNELS)
        compiled("read_rows", *sizes, rows, grid, read)
        ctx.save_for_backward(grid)
        ctx.compiled, ctx.sizes, ctx.shape = compiled, sizes, rows.shape
        return read.permute(0, 1, 4, 2, 3)

    @staticmethod
    def backward(ctx, gradient):
        (grid,) = ctx.saved_tensors
        to_rows = gradient.new_zeros(ctx.shape)
        gradient = gradient.permute(0, 1, 3, 4, 2).contiguous()
        ctx.compiled("read_rows_backward", *ctx.sizes, grid, gradient, to_rows)
        return to_rows.permute(0, 1, 4, 2, 3), None, None
