"""Features of pictures for Fréchet distances: the encoder of TAEF2 (assets/taef2, MIT).

The encoder is a small convolutional autoencoder's; its 32 latent channels are averaged over tiles
of 64 x 64 pixels, and a Gaussian is fitted to the tiles that lie in the regions of interest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from ..resources import asset

TILE = 64
WIDTH = 64
LATENT = 32


class ResidualBlock(nn.Module):
    def __init__(self, channels: int, pool: bool = False):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )  # fmt: skip
        self.pool = None
        if pool:
            wide = 4 * channels
            self.pool = nn.Sequential(
                nn.Conv2d(channels, wide, 1, bias=False), nn.GroupNorm(4, wide), nn.ReLU(),
                nn.Conv2d(wide, channels, 1, bias=False),
            )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return F.relu(self.conv(x) + x)


def build_encoder() -> nn.Sequential:
    """TAEF2's encoder: pictures (N, 3, H, W) in 0..1 to latents (N, 32, H / 8, W / 8)."""

    def down():
        return nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1, bias=False)

    def block(pool: bool = False):
        return ResidualBlock(WIDTH, pool)

    encoder = nn.Sequential(
        nn.Conv2d(3, WIDTH, 3, padding=1), block(),
        down(), block(), block(), block(),
        down(), block(), block(), block(),
        down(), block(True), block(True), block(True),
        nn.Conv2d(WIDTH, LATENT, 3, padding=1),
    )  # fmt: skip
    encoder.load_state_dict(load_file(asset("taef2/encoder.safetensors")))
    return encoder.eval().requires_grad_(False)


class PictureFeatures:
    """Call with a picture (H, W, 3) uint8 and a mask: features (tiles, 2 * LATENT), means and
    standard deviations of the latents, of the tiles that lie mostly in the mask."""

    def __init__(self):
        self.encoder = build_encoder()

    @torch.no_grad()
    def __call__(self, picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        latent = self.encoder(image)
        cells = TILE // 8
        mean = F.avg_pool2d(latent, cells, cells // 2)
        spread = (F.avg_pool2d(latent**2, cells, cells // 2) - mean**2).clamp(min=0).sqrt()
        share = F.avg_pool2d(torch.from_numpy(mask)[None, None].float(), TILE, TILE // 2)
        chosen = share[0, 0] > 0.8
        return torch.cat([mean, spread], 1)[0][:, chosen].T.double().numpy()


@dataclass
class FeatureStatistics:
    """A Gaussian fitted to feature vectors."""

    rows: list[np.ndarray] = field(default_factory=list)

    def add(self, features: np.ndarray) -> None:
        self.rows.append(features)

    def joined(self, other: FeatureStatistics) -> FeatureStatistics:
        return FeatureStatistics(self.rows + other.rows)

    def distance(self, other: FeatureStatistics) -> float:
        """Fréchet distance of the two Gaussians."""
        a, b = np.concatenate(self.rows), np.concatenate(other.rows)
        return frechet_distance(a, b)


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Between Gaussians fitted to (N, C) and (M, C) samples."""
    ridge = 1e-6 * np.eye(a.shape[1])
    cov_a, cov_b = np.cov(a, rowvar=False) + ridge, np.cov(b, rowvar=False) + ridge
    root_a = _root(cov_a)
    cross = _root(root_a @ cov_b @ root_a)
    apart = a.mean(0) - b.mean(0)
    return float(apart @ apart + np.trace(cov_a) + np.trace(cov_b) - 2 * np.trace(cross))


def _root(matrix: np.ndarray) -> np.ndarray:
    """Square root of a symmetric positive matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(values.clip(0))) @ vectors.T
