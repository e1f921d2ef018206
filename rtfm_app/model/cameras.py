"""Relative cameras of a target frame and its memory frames, as the network needs them.

Everything is formed in float64 from absolute poses and only then cast, and only relative transforms
enter the network, so a world works the same ten kilometres from its origin.

The epipolar coordinate u in [0, 1] maps to inverse depth rho (in 1 / 4 m) by
rho(u) = RHO_SCALE * (exp(RHO_RATE * u) - 1): 0 is infinitely far, 1 half a metre away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..geometry import ASPECT, invert_pose

METRES_PER_UNIT = 4.0
RHO_SCALE, RHO_RATE = 0.02, 6.0


def rho_of(u: torch.Tensor) -> torch.Tensor:
    """Inverse depth in 1 / (4 m) of an epipolar coordinate."""
    return RHO_SCALE * (torch.exp(RHO_RATE * u) - 1)


def u_of(rho: torch.Tensor) -> torch.Tensor:
    """Epipolar coordinate of an inverse depth in 1 / (4 m); inverse of `rho_of`."""
    return torch.log1p(rho.clamp(min=0) / RHO_SCALE) / RHO_RATE


@dataclass(frozen=True)
class Views:
    """N target cameras, each with M memory cameras.

    Attributes:
        memory_from_target: (N, M, 4, 4) float32 rigid transforms, translation in units of 4 m.
        tan_target: (N, 2) half-field tangents (x, y) of the targets.
        tan_memory: (N, M, 2) the same of the memory frames.
    """

    memory_from_target: torch.Tensor
    tan_target: torch.Tensor
    tan_memory: torch.Tensor

    @property
    def count(self) -> int:
        return self.memory_from_target.shape[1]

    def prope(self) -> torch.Tensor:
        """P_target P_memory^-1, (N, M, 4, 4): takes what is expressed in a memory frame's clip
        coordinates to the target's (PRoPE, arXiv 2507.10496)."""
        rotation_t = self.memory_from_target[..., :3, :3].transpose(-1, -2)
        translation = -(rotation_t @ self.memory_from_target[..., :3, 3:])
        target_from_memory = torch.zeros_like(self.memory_from_target)
        target_from_memory[..., :3, :3] = rotation_t
        target_from_memory[..., :3, 3:] = translation
        target_from_memory[..., 3, 3] = 1.0
        ones = torch.ones_like(self.tan_target)
        rows = torch.cat([1 / self.tan_target, ones], -1)[:, None, :, None]
        columns = torch.cat([self.tan_memory, torch.ones_like(self.tan_memory)], -1)[:, :, None, :]
        return target_from_memory * rows * columns


def relative_views(
    target_to_world: np.ndarray,
    target_tan_y: np.ndarray,
    memory_to_world: np.ndarray,
    memory_tan_y: np.ndarray,
) -> Views:
    """Views from absolute poses.

    Args:
        target_to_world: (N, 4, 4) float64.  target_tan_y: (N,).
        memory_to_world: (N, M, 4, 4) float64.  memory_tan_y: (N, M).
    """
    relative = invert_pose(memory_to_world) @ target_to_world[:, None]
    relative[..., :3, 3] /= METRES_PER_UNIT

    def tangents(tan_y: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.stack([tan_y * ASPECT, tan_y], -1).astype(np.float32))

    return Views(
        torch.from_numpy(relative.astype(np.float32)),
        tangents(np.asarray(target_tan_y, dtype=np.float64)),
        tangents(np.asarray(memory_tan_y, dtype=np.float64)),
    )


def target_rays(tan_target: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Rays (N, 3, H * W) through the pixel centres in target camera axes, z = -1."""
    x = (torch.arange(width, device=tan_target.device) * 2 + 1) / width - 1
    y = 1 - (torch.arange(height, device=tan_target.device) * 2 + 1) / height
    grid = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], 0).flatten(1)
    scaled = grid[None] * tan_target[:, :, None]
    return torch.cat([scaled, -torch.ones_like(scaled[:, :1])], 1)


@dataclass(frozen=True)
class EpipolarLines:
    """The lines along which each target ray runs in each memory frame.

    A target pixel whose content lies at inverse depth rho (1 / 4 m) is seen by memory frame m at
    homogeneous `origin + rho * step` (x, y already divided by the memory's tangents).

    Attributes:
        origin: (N, M, 3, S) where infinitely far content lies, for S rays.
        step: (N, M, 3, 1).
    """

    origin: torch.Tensor
    step: torch.Tensor

    def at(self, rho: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Positions for `rho` (N, 1 or M, D, S): grid coordinates (N, M, D, S, 2) with y down, as
        grid_sample takes them, and which of them fall inside the picture (N, M, D, S) bool."""
        depth = (self.origin[:, :, 2:] + rho * self.step[:, :, 2:]).neg()
        in_front = depth > 0.02
        inverse = 1.0 / depth.clamp(min=0.02)
        x = (self.origin[:, :, :1] + rho * self.step[:, :, :1]) * inverse
        y = (self.origin[:, :, 1:2] + rho * self.step[:, :, 1:2]) * inverse
        inside = in_front & (x.abs() < 1) & (y.abs() < 1)
        return torch.stack([x.clamp(-3, 3), -y.clamp(-3, 3)], -1), inside


def epipolar_lines(views: Views, height: int, width: int) -> EpipolarLines:
    """Lines of an H x W grid of target rays."""
    rays = target_rays(views.tan_target, height, width)
    scale = torch.cat([1 / views.tan_memory, torch.ones_like(views.tan_memory[..., :1])], -1)
    rotated = views.memory_from_target[..., :3, :3] @ rays[:, None]
    return EpipolarLines(
        rotated * scale[..., None],
        (views.memory_from_target[..., :3, 3] * scale)[..., None],
    )
