"""What no memory frame shows starts from a mirrored reading of one memory frame.

A direction outside that frame's field of view reads the picture mirrored at its border: a triangle
wave in azimuth, one reflection in elevation. It is sharp and continuous and keeps the horizon, the
light and the texture of the place with nothing learned; what is learned is added on top. Upwards
the reflection soon turns into soft colours (`SOFT_RADIANS` in frame_model): a sky or a ceiling may
be plain, trees must not hang from it.
"""

from __future__ import annotations

import torch

from .cameras import target_rays

BORDER = 0.97


def mirrored_grid(
    memory_from_target: torch.Tensor,
    tan_target: torch.Tensor,
    tan_memory: torch.Tensor,
    up_memory: torch.Tensor,
    height: int,
    width: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each target pixel reads one memory frame, (N, H, W, 2) for grid_sample, and by how many
    radians it lies above that frame's upper border (N, 1, H, W).

    Azimuth and elevation are measured about the memory camera's own vertical axis, unpitched by
    the world's up direction so that the horizon is kept while turning.

    Args:
        memory_from_target: (N, 4, 4).  tan_target, tan_memory: (N, 2).
        up_memory: (N, 3) the world's +Y in memory camera axes.
    """
    rays = memory_from_target[:, :3, :3] @ target_rays(tan_target, height, width)
    level = _level_rotation(up_memory)
    x, y, z = (level @ rays).unbind(1)
    azimuth = torch.atan2(x, -z)
    elevation = torch.atan2(y, torch.sqrt(x * x + z * z))
    limit = torch.atan(tan_memory[:, :1]) * BORDER
    wave = torch.remainder(azimuth + limit, 4 * limit)
    azimuth = torch.where(wave > 2 * limit, 4 * limit - wave, wave) - limit
    pitch = torch.atan2(-up_memory[:, 2], up_memory[:, 1]).neg()[:, None]
    half = torch.atan(tan_memory[:, 1:] * torch.cos(azimuth)) * BORDER
    relative = elevation + pitch
    folded = torch.where(relative > half, 2 * half - relative, relative)
    folded = torch.where(relative < -half, -2 * half - relative, folded)
    elevation = torch.maximum(torch.minimum(folded, half), -half) - pitch
    direction = torch.stack(
        [
            torch.cos(elevation) * torch.sin(azimuth),
            torch.sin(elevation),
            -torch.cos(elevation) * torch.cos(azimuth),
        ],
        1,
    )
    back = level.transpose(1, 2) @ direction
    depth = back[:, 2].neg().clamp(min=0.05)
    grid = torch.stack(
        [back[:, 0] / depth / tan_memory[:, :1], -back[:, 1] / depth / tan_memory[:, 1:]], -1
    )
    above = (relative - half).clamp(min=0)
    return (
        grid.clamp(-1, 1).reshape(-1, height, width, 2),
        above.reshape(-1, 1, height, width),
    )


def _level_rotation(up: torch.Tensor) -> torch.Tensor:
    """Rotations (N, 3, 3) about the camera's x axis that bring `up` (N, 3) into the plane x, +Y
    (roll is left alone)."""
    angle = torch.atan2(up[:, 2], up[:, 1])
    c, s = torch.cos(angle), torch.sin(angle)
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = [one, zero, zero, zero, c, s, zero, -s, c]
    return torch.stack(rows, -1).reshape(-1, 3, 3)
