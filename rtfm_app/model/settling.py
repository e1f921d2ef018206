"""Coordinates that the memory frames cannot agree on, as they are used outside of training.

Parallax tells distances; one picture, or several from one place (a panorama), has none. What the
network guesses there differs from cell to cell and from view to view, and bends straight things
into waves. What the pages themselves expect (`own_distance`) is one smooth surface for all views:
where there is no parallax a ray ends where it first meets that surface.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from ..geometry import PARALLAX_METRES
from .cameras import METRES_PER_UNIT, EpipolarLines, Views, epipolar_lines, rho_of
from .matching import sample
from .own_distance import STEP, expected_coordinate

if TYPE_CHECKING:
    from .pointer import Pointer

CANDIDATES = 32
APART_UNITS = PARALLAX_METRES / METRES_PER_UNIT
# Certainty from which a coordinate of several memory frames is used, and over which it comes to be
# used as it is.
CERTAIN_FROM, CERTAIN_RAMP = 0.2, 0.4
IMAGINED_WEIGHT = 0.05  # of what an imagined page expects, where a given one expects something
SMOOTHED = 5  # cells over which frames join to "several"


def settled(
    u: torch.Tensor, logits: torch.Tensor, own: torch.Tensor, given: torch.Tensor, views: Views
) -> torch.Tensor:
    """Replace coordinates without parallax, or with too little agreement, by `own_coordinate`.

    Args:
        u: (N, 1, h, w).  logits: (N, D, h / 2, w / 2) over the network's candidates.
        own: (N, M, 2, h, w) of `OwnDistance`.
        given: (N, M), 1 for whole pictures, 0 for keyframes that were partly imagined.
    """
    lines = epipolar_lines(views, *u.shape[2:])
    around = own_coordinate(own, lines, given).reshape(u.shape)
    return torch.lerp(around, u, trust(u, logits, given, views, lines))


def trust(u, logits, given, views: Views, lines: EpipolarLines) -> torch.Tensor:
    """How far coordinates are used as they are, (N, 1, h, w); arguments as of `settled`."""
    _, inside = lines.at(rho_of(u).flatten(2)[:, None])
    seen = inside[:, :, 0].float() * given[:, :, None]
    pairs = zip(camera_places(views), seen, strict=True)
    several = torch.stack([with_parallax(*pair) for pair in pairs]).reshape(u.shape)
    certain = F.interpolate(certainty(logits), scale_factor=2, mode="bilinear", align_corners=False)
    return ((certain - CERTAIN_FROM) / CERTAIN_RAMP).clamp(0, 1) * _box(several, SMOOTHED)


def certainty(logits: torch.Tensor) -> torch.Tensor:
    """Share of the heaviest window of nine candidates (N, 1, h, w) of logits (N, D, h, w)."""
    share = logits.softmax(1).flatten(2).transpose(1, 2)
    certain = F.avg_pool1d(share, 9, 1, 4).amax(2).mul(9).clamp(max=1)
    return certain.unflatten(1, logits.shape[2:])[:, None]


def camera_places(views: Views) -> torch.Tensor:
    """Where the memory cameras stand (N, M, 3), in the target's axes and units of 4 m."""
    rotation, moved = views.memory_from_target[..., :3, :3], views.memory_from_target[..., :3, 3:]
    return -(rotation.transpose(-1, -2) @ moved)[..., 0]


def with_parallax(places: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """1 where the frames that show a cell stand apart, else 0, (S,); places (M, 3), seen (M, S)."""
    count = seen.sum(0)
    share = seen / count.clamp(min=1e-3)
    mean = share.t() @ places
    spread = share.t() @ places.square().sum(1) - mean.square().sum(1)
    # The variance of two places is a quarter of their distance squared.
    return ((count > 1.5) & (spread > APART_UNITS**2 / 4)).float()


def candidates() -> torch.Tensor:
    """Coordinates (D,) that `meeting` compares, from infinity to near."""
    return torch.linspace(0, 1, CANDIDATES)


def own_coordinate(own: torch.Tensor, lines: EpipolarLines, given: torch.Tensor) -> torch.Tensor:
    """Where target rays meet what the pages expect: coordinate u (N, S).

    Args:
        own: (N, M, 2, h, w) of `OwnDistance`.  lines: of S target rays.
        given: (N, M) 1 for given pictures, 0 for what the model imagined.
    """
    rho = rho_of(candidates().to(own.device))[None, None, :, None]
    grid, inside = lines.at(rho)
    u, scale = sample(own, grid).unbind(2)
    weight = inside.float() / (scale.exp() + STEP) * imagined_less(given)[:, :, None, None]
    difference = expected_coordinate(lines, rho) - u
    return torch.stack([meeting(d, w) for d, w in zip(difference, weight, strict=True)])


def imagined_less(given: torch.Tensor) -> torch.Tensor:
    """Weights of the pages: 1 where `given` is 1, IMAGINED_WEIGHT where it is 0."""
    return IMAGINED_WEIGHT + (1 - IMAGINED_WEIGHT) * given


def meeting(difference: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Where rays first meet what the pages expect, coming from near.

    Args:
        difference: (M, D, S) of the coordinate at which a page would see each of `candidates`, less
            the one that it expects there: positive in front of its content.
        weight: (M, D, S), 0 where the page does not show the candidate.
    Returns:
        coordinate u (S,), 0 where a ray meets nothing.
    """
    total = weight.sum(0)
    off = (difference.clamp(-0.3, 0.3) * weight).sum(0) / total.clamp(min=1e-6)
    last = len(off) - 1
    index = torch.arange(last + 1, device=off.device)[:, None]
    behind = torch.where((off <= 0) & (total > 1e-5), index, -1).amax(0)
    low, high = (off.gather(0, (behind + step).clamp(0, last)[None])[0] for step in (0, 1))
    share = (low / (low - high).clamp(max=-1e-9)).clamp(0, 1)
    return torch.where(behind < 0, 0.0, ((behind + share) / last).clamp(max=1))


def with_even_borders(pointer: Pointer) -> Pointer:
    """The pointer, with pages weighing at the border of what is remembered what they weigh inside.

    Beyond it no page counts, and which of them would is arbitrary. Enlarged to the picture's size
    the weights would pass over to that page before the gate is closed: a thin line in its colours.
    """
    gate, logits = pointer.gate, pointer.view_logits
    around = F.avg_pool2d(gate, 3, 1, 1)
    inside = F.avg_pool2d(logits * gate, 3, 1, 1) / around.clamp(min=1e-6)
    inside = torch.where(around > 1e-3, inside, logits)
    return replace(pointer, view_logits=torch.lerp(inside, logits, gate))


def _box(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over size x size cells; borders are repeated."""
    pad = size // 2
    return F.avg_pool2d(F.pad(x, (pad, pad, pad, pad), mode="replicate"), size, 1)
