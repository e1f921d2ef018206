"""What no memory frame shows starts from a mirrored reading of one memory frame.

A direction outside that frame's field of view reads the picture mirrored at its border: a triangle
wave in azimuth, one reflection in elevation. It is sharp and continuous and keeps the horizon, the
light and the texture of the place with nothing learned; what is learned is added on top. Upwards
the reflection soon turns into the soft colours of the upper border, and those into one: a sky or a
ceiling may be plain, trees must not hang from it. Downwards what is mirrored is level ground, not
angles: no house stands on its roof before one's feet, and paving keeps its size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .cameras import target_rays

BORDER = 0.97
SOFT_RADIANS, PLAIN_RADIANS = 0.12, 0.6
GROUND_RADIANS = 0.3  # so far below the horizon a border is one of the ground, and of nothing else
HORIZON = 0.01


@dataclass(frozen=True)
class MirroredReading:
    """Where each pixel of N targets reads one memory frame.

    Attributes:
        grid: (N, H, W, 2) for grid_sample, mirrored at all borders.
        capped: the same, but directions above the picture read its upper border.
        above: (N, 1, H, W) by how many radians a direction lies above the picture.
    """

    grid: torch.Tensor
    capped: torch.Tensor
    above: torch.Tensor


def mirrored_reading(
    memory_from_target: torch.Tensor,
    tan_target: torch.Tensor,
    tan_memory: torch.Tensor,
    up_memory: torch.Tensor,
    height: int,
    width: int,
) -> MirroredReading:
    """Azimuth and elevation are measured about the memory camera's own vertical axis, unpitched by
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
    folded = 2 * torch.maximum(torch.minimum(relative, half), -half) - relative

    def towards(elevation: torch.Tensor) -> torch.Tensor:
        elevation = torch.maximum(torch.minimum(elevation, half), -half) - pitch
        flat = torch.cos(elevation)
        return torch.stack(
            [flat * torch.sin(azimuth), torch.sin(elevation), -flat * torch.cos(azimuth)], 1
        )

    def grid(direction: torch.Tensor) -> torch.Tensor:
        back = level.transpose(1, 2) @ direction
        depth = back[:, 2].neg().clamp(min=0.05)
        place = torch.stack(
            [back[:, 0] / depth / tan_memory[:, :1], -back[:, 1] / depth / tan_memory[:, 1:]], -1
        )
        return place.clamp(-1, 1).reshape(-1, height, width, 2)

    above = (relative - half).clamp(min=0).reshape(-1, 1, height, width)
    ground = _ground_mirrored(azimuth, elevation, -half - pitch)
    share = ((half + pitch) / GROUND_RADIANS).clamp(0, 1) * (relative < -half)
    sharp = torch.lerp(towards(folded), ground, share[:, None])
    return MirroredReading(grid(sharp), grid(towards(torch.minimum(relative, half))), above)


def _ground_mirrored(azimuth, elevation, border) -> torch.Tensor:
    """Unit directions (N, 3, P) of the points of level ground that lie as far behind the picture's
    lower border as those that a direction shows lie before it; `border` is its elevation."""
    metres = 1 / torch.tan((-elevation).clamp(min=HORIZON))
    farthest = 1 / torch.tan((-border).clamp(min=HORIZON))
    ahead = (2 * farthest - metres) * torch.cos(azimuth)
    direction = torch.stack([metres * torch.sin(azimuth), -torch.ones_like(ahead), -ahead], 1)
    return F.normalize(direction, dim=1)


def read_mirrored(image: torch.Tensor, reading: MirroredReading, mode: str) -> torch.Tensor:
    """The mirrored reading (1, 3, H, W) of `image` (1, 3, H', W'); `mode` is grid_sample's."""
    sample = {"align_corners": False, "padding_mode": "border"}
    sharp = F.grid_sample(image, reading.grid, mode=mode, **sample)
    if not bool(reading.above.any()):
        return sharp
    plain = F.interpolate(image, size=(9, 16), mode="area")
    soft = F.grid_sample(plain, reading.capped, **sample)
    top = plain[:, :, :1].mean(-1, keepdim=True)
    soft = torch.lerp(soft, top.expand_as(soft), _ease(reading.above / PLAIN_RADIANS))
    return torch.lerp(sharp, soft, _ease(reading.above / SOFT_RADIANS))


def _ease(x: torch.Tensor) -> torch.Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def _level_rotation(up: torch.Tensor) -> torch.Tensor:
    """Rotations (N, 3, 3) about the camera's x axis that bring `up` (N, 3) into the plane x, +Y
    (roll is left alone)."""
    angle = torch.atan2(up[:, 2], up[:, 1])
    c, s = torch.cos(angle), torch.sin(angle)
    zero, one = torch.zeros_like(c), torch.ones_like(c)
    rows = [one, zero, zero, zero, c, s, zero, -s, c]
    return torch.stack(rows, -1).reshape(-1, 3, 3)
