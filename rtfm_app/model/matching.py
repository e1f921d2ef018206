"""Plane sweep: how well the memory frames agree along each target ray.

For every candidate epipolar coordinate the cached features of all memory frames are read where that
candidate would put them; content that is really there looks alike in all of them (the agreement cue
of MVSNet 1804.02505 and MVSplat 2403.14627). With a single memory frame there is nothing to compare
and the transformer's own judgement decides.

The epipolar coordinate u in [0, 1] maps to inverse depth rho (in 1 / 4 m) by
rho(u) = RHO_SCALE * (exp(RHO_RATE * u) - 1): 0 is infinitely far, 1 half a metre away.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ..config import ModelConfig
from .cameras import EpipolarLines
from .layers import Convolution, gelu

RHO_SCALE, RHO_RATE = 0.02, 6.0
GROUPS = 4


def rho_of(u: torch.Tensor) -> torch.Tensor:
    """Inverse depth in 1 / (4 m) of an epipolar coordinate."""
    return RHO_SCALE * (torch.exp(RHO_RATE * u) - 1)


def u_of(rho: torch.Tensor) -> torch.Tensor:
    """Epipolar coordinate of an inverse depth in 1 / (4 m); inverse of `rho_of`."""
    return torch.log1p(rho.clamp(min=0) / RHO_SCALE) / RHO_RATE


class FeatureNet(nn.Module):
    """Picture (N, 3, H, W) -> features (N, C, H / 4, W / 4), part of every frame's page."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.first = Convolution(3, 24, 5, stride=2)
        self.second = Convolution(24, 32, stride=2)
        self.third = Convolution(32, config.match_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = gelu(self.first(image))
        x = gelu(self.second(x))
        return self.third(x)


def sample(features: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """features (N, M, C, h, w) at grid (N, M, D, S, 2) -> (N, M, C, D, S)."""
    n, m, c = features.shape[:3]
    flat = F.grid_sample(
        features.reshape(n * m, c, *features.shape[3:]),
        grid.reshape(n * m, *grid.shape[2:]),
        align_corners=False,
        padding_mode="border",
    )
    return flat.reshape(n, m, c, *grid.shape[2:4])


def agreement(sampled: torch.Tensor, inside: torch.Tensor):
    """Mean and grouped variance over the memory frames that see each position.

    Args:
        sampled: (N, M, C, D, S).  inside: (N, M, D, S) float.
    Returns:
        mean (N, C, D, S), variance (N, GROUPS, D, S), seen share (N, 1, D, S).
    """
    weight = inside[:, :, None]
    total = weight.sum(1).clamp(min=1e-3)
    mean = (weight * sampled).sum(1) / total
    squared = (weight * (sampled - mean[:, None]).square()).sum(1) / total
    n, c, d, s = squared.shape
    variance = squared.reshape(n, GROUPS, c // GROUPS, d, s).mean(2)
    return mean, variance, inside.mean(1)[:, None]


class PlaneSweep(nn.Module):
    """Agreement of the memory along each ray of the 1/8 grid, as candidate logits and features."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.planes = config.planes
        self.grid_shape = (config.height // 8, config.width // 8)
        channels = (GROUPS + 2) * config.planes
        self.first = Convolution(channels, 64)
        self.second = Convolution(64, config.planes)
        self.sharpness = nn.Parameter(torch.tensor(1.0))
        self.outputs = config.planes + 2 * config.match_channels + 1
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)
        self.register_buffer("candidates", torch.linspace(0, 1, config.planes), persistent=False)

    def forward(self, features: torch.Tensor, lines: EpipolarLines, dtype: torch.dtype):
        """features (N, M, C, h, w), lines of the 1/8 grid (S rays).

        Returns:
            logits (N, D, H / 8, W / 8) over the candidates,
            cues (N, outputs, H / 8, W / 8): logits, expected features, features at infinity, seen.
        """
        rows, columns = self.grid_shape
        rho = rho_of(self.candidates)[None, None, :, None]
        grid, inside = lines.at(rho)
        seen_by = inside.to(features.dtype)
        mean, variance, seen = agreement(sample(features, grid), seen_by)
        n, c, d, s = mean.shape
        comparable = (seen_by.sum(1, keepdim=True) > 1.5).to(mean.dtype)
        volume = torch.cat([variance, seen, comparable], 1)
        maps = volume.reshape(n, -1, rows, columns)
        prior = -(variance.mean(1) * comparable[:, 0]) * self.sharpness.exp()
        logits = prior.reshape(n, d, rows, columns)
        logits = logits + self.second(gelu(self.first(maps.to(dtype)))).float()
        share = logits.flatten(2).softmax(1)
        expected = (mean * share[:, None]).sum(2)
        cues = torch.cat(
            [logits.flatten(2) / math.sqrt(d), expected, mean[:, :, 0], seen[:, :, 0]], 1
        )
        return logits, cues.reshape(n, -1, rows, columns)
