"""The plain transformer: one set of blocks for the memory pass and the denoise pass.

Memory pass: one frame alone; the keys and values of every block (patch RoPE applied, camera
transform not yet) are its KV page. Denoise pass: target tokens attend to themselves and to the
pages of M memory frames, whose keys and values are brought into the target's camera by PRoPE
(arXiv 2507.10496): half of each head's channels, four vectors x, y, z, w of equal length, go
through P_target P_memory^-1; the other half carry the 2-D RoPE of the patch.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ..config import ModelConfig
from .layers import Linear


class ExplicitBackwardAttention(torch.autograd.Function):
    """SDPA forward with the backward written as matrix products: SDPA's own CPU backward is
    several times slower."""

    @staticmethod
    def forward(ctx, q, k, v):
        out = F.scaled_dot_product_attention(q, k, v)
        ctx.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        probabilities = ((q * scale) @ k.transpose(-1, -2)).softmax(-1)
        grad_v = probabilities.transpose(-1, -2) @ grad
        grad_scores = (grad @ v.transpose(-1, -2)) - (grad * out).sum(-1, keepdim=True)
        grad_scores = probabilities * grad_scores
        return (grad_scores @ k) * scale, (grad_scores.transpose(-1, -2) @ q) * scale, grad_v


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Attention over (B, H, T, D)."""
    if q.requires_grad and q.device.type == "cpu":
        return ExplicitBackwardAttention.apply(q, k, v)
    return F.scaled_dot_product_attention(q, k, v)


def patch_rope(rows: int, columns: int, channels: int, base: float = 100.0):
    """cos and sin (T, channels / 2) of the 2-D rotary embedding of a token grid."""
    quarter = channels // 4
    frequencies = base ** (-torch.arange(quarter) / quarter)
    x = torch.arange(columns).float() - (columns - 1) / 2
    y = torch.arange(rows).float() - (rows - 1) / 2
    angles = torch.cat(
        [
            (x[None, :, None] * frequencies).expand(rows, columns, quarter),
            (y[:, None, None] * frequencies).expand(rows, columns, quarter),
        ],
        -1,
    ).reshape(rows * columns, 2 * quarter)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Block(nn.Module):
    """Pre-norm block, modulated by AdaLN: shared modulation plus this block's own offset."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        dim, heads = config.dim, config.heads
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.out = Linear(dim, dim)
        self.up = Linear(dim, config.mlp_ratio * dim)
        self.down = Linear(config.mlp_ratio * dim, dim)
        self.modulation = nn.Parameter(torch.randn(6, dim) * 0.02)
        self.q_scale = nn.Parameter(torch.ones(dim // heads))
        self.k_scale = nn.Parameter(torch.ones(dim // heads))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def project(self, x, modulation, cos, sin, dtype):
        """Queries, keys, values (N, H, T, D / H) with RoPE on the second half of the channels."""
        n, t, d = x.shape
        m = modulation + self.modulation
        y = F.layer_norm(x, (d,)) * (1 + m[:, None, 1]) + m[:, None, 0]
        qkv = self.qkv(y.to(dtype)).reshape(n, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        half = d // self.heads // 2
        q = F.rms_norm(q.float(), (2 * half,)) * self.q_scale
        k = F.rms_norm(k.float(), (2 * half,)) * self.k_scale

        def with_rope(a):
            return torch.cat(
                [a[..., :half].to(dtype), rotate(a[..., half:], cos, sin).to(dtype)], -1
            )

        return with_rope(q), with_rope(k), with_rope(v.float())

    def finish(self, x, attended, modulation, cos, sin):
        """Residual updates from the attention's result and from the MLP."""
        n, t, d = x.shape
        m = modulation + self.modulation
        half = d // self.heads // 2
        o = attended
        o = torch.cat([o[..., :half], rotate(o[..., half:].float(), cos, -sin).to(o.dtype)], -1)
        x = x + (1 + m[:, None, 2]) * self.out(o.transpose(1, 2).reshape(n, t, d))
        y = F.layer_norm(x, (d,)) * (1 + m[:, None, 4]) + m[:, None, 3]
        hidden = F.gelu(self.up(y.to(attended.dtype)), approximate="tanh")
        return x + (1 + m[:, None, 5]) * self.down(hidden)


class Transformer(nn.Module):
    """Blocks, flow-time embedding and class embedding."""

    attend = staticmethod(attend)

    def __init__(self, config: ModelConfig, classes: int = 32):
        super().__init__()
        self.config = config
        self.time = nn.Sequential(
            Linear(256, config.dim), nn.SiLU(), Linear(config.dim, 6 * config.dim)
        )
        self.classes = nn.Embedding(classes, 6 * config.dim)
        nn.init.zeros_(self.classes.weight)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.depth)])
        cos, sin = patch_rope(*config.tokens_shape, config.dim // config.heads // 2)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def modulation(self, t: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(N, 6, D) from flow times (N,) and class ids (N,), 0 = no class."""
        frequencies = torch.exp(-math.log(1000) * torch.arange(128, device=t.device) / 128)
        angles = t.float()[:, None] * frequencies * 100
        embedded = self.time(torch.cat([angles.cos(), angles.sin()], -1))
        keep = (classes > 0).float()[:, None]
        return (embedded + keep * self.classes(classes)).float().reshape(-1, 6, self.config.dim)

    def memory_pass(self, x, modulation, dtype) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """x (N, T, D) -> the KV page of each frame, a tensor (N, 2, H, T, D / H) per block, and
        the tokens (N, T, D) that reach the last block: of that only keys and values are used."""
        pages = []
        for index, block in enumerate(self.blocks):
            q, k, v = block.project(x, modulation, self.cos, self.sin, dtype)
            pages.append(torch.stack([k, v], 1))
            if index + 1 < len(self.blocks):
                x = block.finish(x, self.attend(q, k, v), modulation, self.cos, self.sin)
        return tuple(pages), x

    def denoise_pass(self, x, modulation, pages, prope, dtype):
        """x (N, T, D) target tokens, pages a tensor (N, M, 2, H, T, D / H) per block or None, prope
        (N, M, 4, 4) or None -> (N, T, D). Memory is only read."""
        matrices = None
        if prope is not None:
            matrices = head_matrices(prope, self.config.dim // self.config.heads, dtype)
        for index, block in enumerate(self.blocks):
            q, k, v = block.project(x, modulation, self.cos, self.sin, dtype)
            if pages is not None:
                k, v = self.gather(k, v, pages[index], matrices)
            x = block.finish(x, self.attend(q, k, v), modulation, self.cos, self.sin)
        return x

    def gather(self, k, v, page, matrices):
        """Keys and values of the target (N, H, T, D) and, behind them, those of M memory frames
        (N, M, 2, H, T, D), brought into the target's camera by `head_matrices`."""
        n, m, _, h, t, d = page.shape
        if matrices is not None:
            page = torch.bmm(page.reshape(n * m, 2 * h * t, d), matrices).reshape(page.shape)
        page = page.permute(2, 0, 3, 1, 4, 5).reshape(2, n, h, m * t, d)
        return torch.cat([k, page[0]], 2), torch.cat([v, page[1]], 2)


def head_matrices(prope: torch.Tensor, channels: int, dtype: torch.dtype) -> torch.Tensor:
    """(N, M, 4, 4) camera transforms as matrices (N * M, D, D) for the rows of keys and values: the
    transform acts on four vectors of D / 8 channels, the other half of the channels stays. One
    matrix product does what elementwise arithmetic would do in sixteen passes."""
    quarter = channels // 8
    eye = torch.eye(quarter, device=prope.device)
    moved = torch.einsum("nmij,ab->nmjaib", prope, eye).reshape(-1, 4 * quarter, 4 * quarter)
    full = torch.eye(channels, device=prope.device).repeat(len(moved), 1, 1)
    full[:, : 4 * quarter, : 4 * quarter] = moved
    return full.to(dtype)
