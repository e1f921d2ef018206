"""Plane sweep: how well the memory frames agree along each target ray.

For every candidate epipolar coordinate the cached features of all memory frames are read where that
candidate would put them; content that is really there looks alike in those frames that see it (the
agreement cue of MVSNet 1804.02505 and MVSplat 2403.14627). Convolutions over candidates and rays
then settle what the features alone leave open. With a single memory frame there is nothing to
compare and the transformer's own judgement decides.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from ..config import ModelConfig
from .cameras import EpipolarLines, rho_of
from .layers import Convolution, Convolution3d, gelu
from .own_distance import OWN_CHANNELS, expected_coordinate, fitting, gathered

GROUPS = 4
APART = 4.0  # distance of two features that are not both seen


class FeatureNet(nn.Module):
    """Picture (N, 3, H, W) -> features (N, 2 C, H / 4, W / 4), part of every frame's page: C coarse
    ones that see far around, for the sweep, and C fine ones, for the refinement."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        channels = config.match_channels
        self.first = Convolution(3, 24, 5, stride=2)
        self.second = Convolution(24, 48, stride=2)
        self.third = Convolution(48, 48)
        self.wide1 = Convolution(48, 64, stride=2)
        self.wide2 = Convolution(64, 64)
        self.wide3 = Convolution(64, 64)
        self.coarse = Convolution(64, channels, 1)
        self.lateral = Convolution(64, 48, 1)
        self.fine = Convolution(48, channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = gelu(self.first(image))
        x = gelu(self.second(x))
        x = x + gelu(self.third(x))
        wide = gelu(self.wide1(x))
        wide = wide + gelu(self.wide2(wide))
        wide = wide + gelu(self.wide3(wide))
        coarse = normalised(_twice(self.coarse(wide)))
        fine = normalised(self.fine(x + _twice(self.lateral(wide))))
        return torch.cat([coarse, fine], 1)


def with_own(features: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """What a page keeps for the pointer (…, 2 C + 2, h, w): coarse features, the frame's own
    distance (`OwnDistance`), fine features."""
    coarse, fine = features.chunk(2, -3)
    return torch.cat([coarse, own, fine], -3)


def own_of(features: torch.Tensor) -> torch.Tensor:
    """The frame's own distance (…, 2, h, w) in what a page keeps."""
    coarse = (features.shape[-3] - OWN_CHANNELS) // 2
    return features.narrow(-3, coarse, OWN_CHANNELS)


def with_other_own(features: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """What a page keeps (…, 2 C + 2, h, w) with other own distances (…, 2, h, w)."""
    coarse = (features.shape[-3] - OWN_CHANNELS) // 2
    rest = features.narrow(-3, coarse + OWN_CHANNELS, coarse)
    return torch.cat([features.narrow(-3, 0, coarse), own.to(features.dtype), rest], -3)


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def normalised(x: torch.Tensor) -> torch.Tensor:
    """Features (N, C, h, w) of mean square 1 at every position."""
    return x * torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-4).to(x.dtype)


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


def evidence(features: torch.Tensor, grid: torch.Tensor, inside: torch.Tensor):
    """`agreement` of what `sample` reads: features (N, M, C, h, w) at grid (N, M, D, S, 2)."""
    return agreement(sample(features, grid), inside)


def agreement(sampled: torch.Tensor, inside: torch.Tensor):
    """How alike the memory frames are that see each position.

    Args:
        sampled: (N, M, C, D, S).  inside: (N, M, D, S) float.
    Returns:
        mean (N, C, D, S), grouped variance over the frames (N, GROUPS, D, S), grouped squared
        distance of the two frames that agree best (N, GROUPS, D, S): content hidden from one frame
        still agrees in two others.
    """
    frames = sampled.unbind(1)
    seen = [one[:, None] for one in inside.unbind(1)]
    total = sum(seen).clamp(min=1e-3)
    mean = sum(f * s for f, s in zip(frames, seen, strict=True)) / total
    variance = sum(_grouped((f - mean).square()) * s for f, s in zip(frames, seen, strict=True))
    best = torch.full_like(variance, APART)
    for i, j in pairs(len(frames)):
        apart = _grouped((frames[i] - frames[j]).square()) - APART
        best = torch.minimum(best, apart * seen[i] * seen[j] + APART)
    return mean, variance / total, best


def pairs(count: int) -> list[tuple[int, int]]:
    """Neighbours in a ring of `count` frames: every frame is compared with two others."""
    if count < 3:
        return [(0, 1)][: count - 1]
    return [(i, (i + 1) % count) for i in range(count)]


def _grouped(x: torch.Tensor) -> torch.Tensor:
    n, c, d, s = x.shape
    return x.reshape(n, GROUPS, c // GROUPS, d, s).mean(2)


class PlaneSweep(nn.Module):
    """Agreement of the memory along each ray of the 1/8 grid, as candidate logits and features."""

    evidence = staticmethod(evidence)

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.planes, self.channels = config.planes, config.match_channels
        self.grid_shape = (config.height // 8, config.width // 8)
        volume = config.volume_channels
        self.first = Convolution3d(2 * GROUPS + 2 + 3, volume, 1)
        self.second = Convolution3d(volume, volume)
        self.third = Convolution3d(volume, volume)
        self.last = Convolution3d(volume, 2, 1)
        self.across1 = Convolution(2 * self.planes, 64)
        self.across2 = Convolution(64, self.planes)
        self.outputs = config.planes + 2 * self.channels + 1
        nn.init.zeros_(self.across2.weight)
        nn.init.zeros_(self.across2.bias)
        self.register_buffer("candidates", torch.linspace(0, 1, config.planes), persistent=False)

    def forward(self, features: torch.Tensor, lines: EpipolarLines, dtype: torch.dtype):
        """features (N, M, 2 C + 2, h, w) of `with_own`, lines of the 1/8 grid (S rays).

        Returns:
            logits (N, D, H / 8, W / 8) over the candidates,
            cues (N, outputs, H / 8, W / 8): logits, expected features, features at infinity, seen.
        """
        rows, columns = self.grid_shape
        rho = rho_of(self.candidates)[None, None, :, None]
        grid, inside = lines.at(rho)
        seen_by = inside.to(features.dtype)
        mean, variance, best = self.evidence(features[:, :, : self.channels], grid, seen_by)
        own = sample(own_of(features), grid)
        expected_of_page = gathered(*fitting(own, expected_coordinate(lines, rho)), seen_by)
        n, c, d, s = mean.shape
        seen = seen_by.mean(1, keepdim=True)
        comparable = (seen_by.sum(1, keepdim=True) > 1.5).to(mean.dtype)
        volume = torch.cat([variance, best, seen, comparable, expected_of_page], 1)
        logits = self._regularised(volume.reshape(n, -1, d, rows, columns).to(dtype))
        share = logits.flatten(2).softmax(1)
        expected = (mean * share[:, None]).sum(2)
        cues = torch.cat(
            [logits.flatten(2) / math.sqrt(d), expected, mean[:, :, 0], seen[:, 0, :1]], 1
        )
        return logits, cues.reshape(n, -1, rows, columns)

    def _regularised(self, volume: torch.Tensor) -> torch.Tensor:
        """Candidate logits of the agreement volume (N, channels, D, rows, columns): the same filter
        for every candidate, then a small correction that knows the candidates by name."""
        x = F.relu(self.first(volume))
        x = x + F.relu(self.second(x))
        x = x + F.relu(self.third(x))
        x = self.last(x)
        correction = self.across2(gelu(self.across1(x.flatten(1, 2))))
        return x[:, 0].float() + correction.float()
