"""`FeatureNet` and `OwnDistance` without passes of their own for GELU and residuals."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .matching import FeatureNet, normalised
from .own_distance import SHARPEST, VAGUEST, OwnDistance


class InferenceFeatureNet(FeatureNet):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.third.residual(self.second.activated(self.first.activated(image)))
        wide = self.wide2.residual(self.wide1.activated(x))
        wide = self.wide3.residual(wide)
        coarse = normalised(_twice(self.coarse(wide)))
        fine = normalised(self.fine(x + _twice(self.lateral(wide))))
        return torch.cat([coarse, fine], 1)


class InferenceOwnDistance(OwnDistance):
    def convolved(self, x: torch.Tensor) -> torch.Tensor:
        x = self.third.residual(self.second.residual(self.first.activated(x)))
        u, scale = self.last(x).float().chunk(2, 1)
        return torch.cat([u, scale.clamp(SHARPEST, VAGUEST)], 1)


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
