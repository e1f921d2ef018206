"""What a memory frame alone says of its distances.

Every page carries, at a quarter of the resolution, the epipolar coordinate that its own picture
suggests and how sure it is: a single-picture prior, seen once and shared by all views that read the
page. A candidate along a target ray is plausible where the page expects something at just that
distance; nearer than that the page looks through it, farther it hides it. The pointer head takes
this as evidence beside the agreement of several frames; it may overrule it.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from ..config import ModelConfig
from .cameras import EpipolarLines, u_of
from .layers import Convolution, Linear, gelu

OWN_CHANNELS = 2
CONTEXT = 24
SHARPEST, VAGUEST = -4.0, 1.0  # bounds of the logarithm of the Laplace scale
STEP = 0.02  # an error of about one candidate is none


class OwnDistance(nn.Module):
    """Tokens, features and pixels of a frame to its own coordinate u and the logarithm of its
    Laplace scale (F, 2, H / 4, W / 4)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.shape = config.tokens_shape
        self.context = Linear(config.dim, 16 * CONTEXT)
        self.first = Convolution(CONTEXT + 2 * config.match_channels + 48, 64)
        self.second = Convolution(64, 64)
        self.third = Convolution(64, 64)
        self.last = Convolution(64, OWN_CHANNELS)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.constant_(self.last.bias, 0.3)

    def forward(self, tokens: torch.Tensor, features: torch.Tensor, images: torch.Tensor):
        """tokens (F, T, D), features (F, C, H / 4, W / 4), images (F, 3, H, W), one precision."""
        rows, columns = self.shape
        context = self.context(tokens).unflatten(1, (rows, columns)).unflatten(3, (CONTEXT, 4, 4))
        context = context.permute(0, 3, 1, 4, 2, 5).reshape(
            len(tokens), CONTEXT, 4 * rows, 4 * columns
        )
        return self.convolved(torch.cat([context, features, F.pixel_unshuffle(images, 4)], 1))

    def convolved(self, x: torch.Tensor) -> torch.Tensor:
        """All inputs in one map (F, C, H / 4, W / 4) to the result of `forward`."""
        x = gelu(self.first(x))
        x = x + gelu(self.second(x))
        x = x + gelu(self.third(x))
        u, scale = self.last(x).float().chunk(2, 1)
        return torch.cat([u, scale.clamp(SHARPEST, VAGUEST)], 1)


def unknown_distance(features: torch.Tensor) -> torch.Tensor:
    """In the place of `OwnDistance`'s result for features (N, M, C, h, w): nothing is known."""
    shape = (*features.shape[:2], 1, *features.shape[3:])
    return torch.cat([features.new_full(shape, 0.3), features.new_full(shape, 8.0)], 2)


def expected_coordinate(lines: EpipolarLines, rho: torch.Tensor) -> torch.Tensor:
    """Coordinate u (N, M, D, S) that the memory frames would see for content at inverse depth `rho`
    (N, 1 or M, D, S) from the target."""
    depth = (lines.origin[:, :, 2:] + rho * lines.step[:, :, 2:]).neg().clamp(min=0.02)
    return u_of(rho / depth).clamp(max=1.5)


def fitting(own: torch.Tensor, expected: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How well candidates fit what the pages expect.

    Args:
        own: (N, M, 2, D, S) read from the pages where the candidates would be seen.
        expected: (N, M, D, S) of `expected_coordinate`.
    Returns:
        fit (N, M, D, S) in (0, 1] and side in (-1, 1): negative where the page's own content hides
        the candidate, positive where it looks through it.
    """
    u, scale = own.unbind(2)
    off = (expected - u) / (scale.exp() + STEP)
    return torch.exp(-off.abs()), torch.tanh(0.5 * off)


def gathered(fit: torch.Tensor, side: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Evidence of all pages together (N, 3, D, S): mean and best fit, mean side, of the pages that
    show the candidate, `inside` (N, M, D, S) float."""
    total = inside.sum(1).clamp(min=1e-3)
    fit = fit * inside
    return torch.stack([fit.sum(1) / total, fit.amax(1), (side * inside).sum(1) / total], 1)
