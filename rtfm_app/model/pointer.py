"""Pointer head: a pointer-generator network for pixels.

The transformer's tokens and the plane sweep's evidence give, for every cell of the picture, an
epipolar coordinate: how far along the epipolar line the same content lies in the memory frames. The
memory pictures are sampled there at full resolution, a small convolutional scorer weighs the K
candidates, and a gate says whether any of them shows the content at all. It is attention over
pixels, learned, made anew for every view and never stored.

Levels: 1/8 (choice among the candidates), 1/4 (refinement), 1/2 (scorer, learned upsampling).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ..config import ModelConfig
from .cameras import Views, epipolar_lines, rho_of
from .layers import Convolution, Linear, gelu
from .matching import GROUPS, evidence, own_of, sample
from .own_distance import OWN_CHANNELS, expected_coordinate, fitting, gathered
from .settling import settled

BORDER_RAMP = 0.12  # share of a memory picture's half width over which it fades to the next one
EDGE_RAMP = 0.03  # the same, over which it fades to what is imagined
# The gate decides (factor and shift of its logit) instead of mixing: half of what is remembered and
# half of what is imagined look like a ghost.
DECIDED = (3.0, 0.5)
OUTSIDE = 40.0  # log-odds against a frame that does not show the place; no score outweighs it
GIVEN_FIRST = 2.0  # a given picture outweighs an imagined one that shows the same by this log-odds
# Offsets of the two refinements, in steps between candidates.
LOCAL_OFFSETS = ((-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5), (-0.5, -0.25, 0.0, 0.25, 0.5))


@dataclass(frozen=True)
class Pointer:
    """Where a target reads its memory.

    Attributes:
        logits: (N, D, H / 8, W / 8) over the candidates; sweep_logits: the plane sweep's part.
        u_coarse: (N, 1, H / 4, W / 4), u: (N, 1, H / 2, W / 2) epipolar coordinates.
        view_logits: (N, M, H / 2, W / 2) of the scorer; inside (same shape): 0 outside of what the
            frame shows, 1 inside; when not training, with a ramp along the border between.
        gate_logit: (N, 1, H / 2, W / 2), positive where memory shows the content.
    """

    logits: torch.Tensor
    sweep_logits: torch.Tensor
    u_coarse: torch.Tensor
    u: torch.Tensor
    view_logits: torch.Tensor
    inside: torch.Tensor
    gate_logit: torch.Tensor

    @property
    def gate(self) -> torch.Tensor:
        """Share of each cell that is remembered, (N, 1, H / 2, W / 2)."""
        seen = self.inside.amax(1, keepdim=True).to(self.gate_logit.dtype)
        return torch.sigmoid(self.gate_logit) * seen


def local_expectation(logits: torch.Tensor, candidates: torch.Tensor, radius: int = 4):
    """Expected candidate within the heaviest window of candidates, (N, 1, h, w). A mean over all of
    them would fall between two surfaces; the heaviest single one is nearly always "infinitely far",
    the only distance that many places share exactly."""
    share = logits.softmax(1)
    window = F.avg_pool1d(
        share.flatten(2).transpose(1, 2), 2 * radius + 1, 1, radius, count_include_pad=True
    )
    best = window.argmax(2).unflatten(1, share.shape[2:])[:, None]
    index = torch.arange(logits.shape[1], device=logits.device)[None, :, None, None]
    share = share.masked_fill((index - best).abs() > radius, 0.0)
    share = share / share.sum(1, keepdim=True).clamp(min=1e-6)
    return (share * candidates[None, :, None, None]).sum(1, keepdim=True)


def cells(x: torch.Tensor, rows: int, columns: int, sub: int) -> torch.Tensor:
    """Token outputs (N, T, C * sub^2) -> maps (N, C, rows * sub, columns * sub)."""
    n = x.shape[0]
    x = x.reshape(n, rows, columns, -1, sub, sub).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(n, -1, rows * sub, columns * sub)


class Refinement(nn.Module):
    """One step of local search on the 1/4 grid: agreement at a few offsets around the coordinate
    says where to move it."""

    evidence = staticmethod(evidence)

    def __init__(self, offsets: tuple[float, ...], step: float, given: int, width: int, out: int):
        super().__init__()
        self.step, self.reach = step, max(offsets)
        self.register_buffer("offsets", torch.tensor(offsets)[None, :, None] * step, False)
        self.first = Convolution(len(offsets) * (GROUPS + 2 + 3) + given, width)
        self.second = Convolution(width, width)
        self.last = Convolution(width, out)
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    def forward(self, u, context, hidden, features, views: Views, dtype):
        """u (N, 1, h, w), context (N, C, h, w), hidden of the last step, features (N, M, 2 + C, h,
        w): own distance and fine features of the pages.

        Returns:
            the moved u, the hidden features (N, width, h, w) and further outputs.
        """
        n, _, height, width = u.shape
        lines = epipolar_lines(views, height, width)
        # Where to look is not learned from what is found there: only from losses on u itself.
        around = (u.detach().flatten(2) + self.offsets).clamp(0, 1)
        rho = rho_of(around)[:, None]
        grid, inside = lines.at(rho)
        seen_by = inside.to(features.dtype)
        own = sample(features[:, :, :OWN_CHANNELS], grid)
        mean, variance, best = self.evidence(features[:, :, OWN_CHANNELS:], grid, seen_by)
        middle = mean[:, :, self.offsets.shape[1] // 2]
        expected = gathered(*fitting(own, expected_coordinate(lines, rho)), seen_by)
        found = [variance.flatten(1, 2), best.mean(1), seen_by.mean(1), middle]
        found = torch.cat([*found, expected.flatten(1, 2)], 1).reshape(n, -1, height, width)
        x = torch.cat([found.to(dtype), context.to(dtype), u.to(dtype), hidden], 1)
        x = gelu(self.first(x))
        x = x + gelu(self.second(x))
        out = self.last(x).float()
        moved = u + torch.tanh(out[:, :1]) * self.reach * self.step
        return moved.clamp(0, 1), x, out[:, 1:]


class PointerHead(nn.Module):
    """Tokens and evidence to a `Pointer`."""

    sample = staticmethod(sample)

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        planes, features, width = config.planes, config.match_channels, config.refine_channels
        self.step = 1.0 / (planes - 1)
        self.coarse = Linear(config.dim, 4 * planes)
        self.context = Linear(config.dim, 16 * config.cell_channels)
        given = features + config.cell_channels + 1
        self.refinements = nn.ModuleList(
            [
                Refinement(LOCAL_OFFSETS[0], self.step, given, width, 1),
                Refinement(LOCAL_OFFSETS[1], self.step, given + width, width, 1 + 36 + 1),
            ]
        )
        self.score1 = Convolution(3 + features + GROUPS + 2 + 3 + 8 + 2, 16)
        self.score2 = Convolution(16, 16)
        self.score3 = Convolution(16, 2)
        self.hint = Convolution(width, 8, 1)
        for last in (self.coarse, self.score3):
            nn.init.normal_(last.weight, std=0.01)
            nn.init.zeros_(last.bias)

    def forward(
        self, tokens, sweep_logits, features, images_half, valid_half, given, views: Views, dtype
    ):
        """tokens (N, T, D), None to judge by the memory's agreement alone; sweep_logits
        (N, D, H / 8, W / 8); features (N, M, 2 C + 2, H / 4, W / 4) of `with_own`; images_half
        (N, M, 3, H / 2, W / 2) memory pictures; valid_half (N, M, 1, H / 2, W / 2); given (N, M),
        1 for pictures from outside."""
        config = self.config
        rows, columns = config.tokens_shape
        logits, context = sweep_logits, self._silence(sweep_logits)
        if tokens is not None:
            logits = logits + cells(self.coarse(tokens), rows, columns, 2).float()
            context = cells(self.context(tokens), rows, columns, 4).float()
        candidates = torch.linspace(0, 1, config.planes, device=logits.device)
        u = local_expectation(logits, candidates)
        u = F.interpolate(u, scale_factor=2, mode="bilinear", align_corners=False)
        fine = features[:, :, config.match_channels :]  # behind the frames' own distance
        hidden = context.to(dtype)[:, :0]
        for refine in self.refinements:
            u, hidden, extra = refine(u, context, hidden, fine, views, dtype)
        u_quarter = u
        if not self.training:
            u_quarter = settled(u_quarter, logits, own_of(features), given, views)
        u_half = _convex_upsample(u_quarter, extra[:, :36])
        if not self.training:
            u_half = _median(u_half)
        view_logits, inside, gate = self._score(
            u_half, hidden, fine, images_half, valid_half, given, views, dtype
        )
        gate = gate + F.interpolate(
            extra[:, 36:], scale_factor=2, mode="bilinear", align_corners=False
        )
        if not self.training:
            gate = decided(gate)
        return Pointer(logits, sweep_logits, u_quarter, u_half, view_logits, inside, gate)

    def _silence(self, logits: torch.Tensor) -> torch.Tensor:
        n, _, h, w = logits.shape
        return logits.new_zeros(n, self.config.cell_channels, 2 * h, 2 * w)

    def _score(self, u, hidden, features, images_half, valid_half, given, views, dtype):
        """Weigh the memory frames on the 1/2 grid."""
        n, _, height, width = u.shape
        m = views.count
        lines = epipolar_lines(views, height, width)
        rho = rho_of(u.detach()).flatten(2)[:, None]
        grid, inside = lines.at(rho)
        own = sample(features[:, :, :OWN_CHANNELS], grid)
        fits = torch.stack(fitting(own, expected_coordinate(lines, rho)), 2)[:, :, :, 0]
        sampled = self.sample(features[:, :, OWN_CHANNELS:], grid)[:, :, :, 0]
        colour = sample(images_half, grid)[:, :, :, 0]
        valid = sample(valid_half, grid)[:, :, 0, 0]
        ok = inside[:, :, 0].float() * (valid > 0.5)
        weight = ok[:, :, None]
        mean = (weight * sampled).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-3)
        mean_colour = (weight * colour).sum(1, keepdim=True)
        mean_colour = mean_colour / weight.sum(1, keepdim=True).clamp(min=1e-3)
        apart = (sampled - mean).square()
        apart = apart.reshape(n, m, GROUPS, -1, height * width).mean(3)
        baseline = views.memory_from_target[..., :3, 3].norm(dim=-1)
        facing = views.memory_from_target[..., 2, 2]
        closeness = torch.stack([torch.log1p(4 * baseline), facing], -1)[..., None]
        closeness = closeness.expand(n, m, 2, height * width)
        hints = F.interpolate(self.hint(hidden), scale_factor=2, mode="nearest").float()
        hints = hints.flatten(2)[:, None].expand(n, m, 8, height * width)
        x = torch.cat(
            [colour, sampled, apart, closeness, (colour - mean_colour).abs(), hints, fits], 2
        ).reshape(n * m, -1, height, width)
        x = gelu(self.score1(x.to(dtype)))
        x = gelu(self.score2(x)) + x
        scores = self.score3(x).float().reshape(n, m, 2, height, width)
        inside_map = ok.reshape(n, m, height, width)
        margin = 1 - grid[:, :, 0].abs().amax(-1)
        border = (margin / BORDER_RAMP).clamp(0.02, 1).log()
        view_logits = scores[:, :, 0] - 4.0 * closeness[:, :, :1, :1] + (inside_map - 1) * OUTSIDE
        view_logits = view_logits + border.reshape(n, m, height, width)
        if not self.training:
            view_logits = view_logits + GIVEN_FIRST * given[:, :, None, None]
        share = view_logits.softmax(1)
        gate = (share * scores[:, :, 1]).sum(1, keepdim=True)
        if not self.training:
            edge = (margin / EDGE_RAMP).clamp(0, 1) * (2 * valid - 1).clamp(0, 1)
            inside_map = edge.reshape(n, m, height, width)
        return view_logits, inside_map, gate


def decided(gate: torch.Tensor) -> torch.Tensor:
    """Gate logits, sharpened."""
    factor, shift = DECIDED
    return gate * factor + shift


def _median(u: torch.Tensor) -> torch.Tensor:
    """Median of the 3x3 cells around each: single cells that jumped to another surface show as
    dots along edges, surfaces and edges themselves stay."""
    n, _, h, w = u.shape
    near = F.unfold(F.pad(u, (1, 1, 1, 1), mode="replicate"), 3)
    return near.median(1, keepdim=True).values.reshape(n, 1, h, w)


def _convex_upsample(u: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Upsample (N, 1, h, w) twofold; every fine cell is a convex combination of the 3x3 coarse
    cells around it (RAFT, 2003.12039), so that edges stay sharp. mask: (N, 36, h, w)."""
    n, _, h, w = u.shape
    share = mask.reshape(n, 9, 4, h, w).softmax(1)
    near = F.unfold(F.pad(u, (1, 1, 1, 1), mode="replicate"), 3).reshape(n, 9, 1, h, w)
    fine = (share * near).sum(1)
    return F.pixel_shuffle(fine, 2)


def read_memory(
    pointer: Pointer,
    images: Sequence[torch.Tensor],
    views: Views,
    height: int,
    width: int,
    mode: str = "bilinear",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the memory pictures where the pointer says.

    Args:
        images: M pictures (N, 3, H', W'), each at its own stored resolution.
        mode: of grid_sample; "bicubic" keeps detail through repeated readings, "bilinear" has
            gradients that training can use.
    Returns:
        picture (N, 3, height, width) and the share of each frame (N, M, height, width).
    """
    u, weights = pointer.u, pointer.view_logits
    if (height, width) != tuple(u.shape[-2:]):
        size = {"size": (height, width), "mode": "bilinear", "align_corners": False}
        u, weights = F.interpolate(u, **size), F.interpolate(weights, **size)
    rho = rho_of(u)[:, 0]
    share = weights.softmax(1)
    picture = 0
    for m, image in enumerate(images):
        where = full_grid(views, m, rho)
        colour = F.grid_sample(image, where, mode=mode, align_corners=False, padding_mode="border")
        picture = picture + colour * share[:, m : m + 1]
    return picture, share


def full_grid(views: Views, m: int, rho: torch.Tensor) -> torch.Tensor:
    """Where memory frame `m` is read for inverse depths `rho` (N, H, W): a grid (N, H, W, 2). The
    same as `EpipolarLines.at` in a few passes over the picture, by separating rows and columns."""
    n, height, width = rho.shape
    scale = torch.cat([1 / views.tan_memory[:, m], views.tan_memory.new_ones(n, 1)], -1)
    rotation = views.memory_from_target[:, m, :3, :3] * scale[..., None]
    step = views.memory_from_target[:, m, :3, 3] * scale
    x = ((torch.arange(width, device=rho.device) * 2 + 1) / width - 1) * views.tan_target[:, :1]
    y = (1 - (torch.arange(height, device=rho.device) * 2 + 1) / height) * views.tan_target[:, 1:]

    def coordinate(row: int) -> torch.Tensor:
        across = rotation[:, row, :1] * x - rotation[:, row, 2:]
        down = rotation[:, row, 1:2] * y
        plane = across[:, None, :] + down[:, :, None]
        return torch.addcmul(plane, rho, step[:, row, None, None])

    depth = coordinate(2).neg().clamp(min=0.02).reciprocal()
    return torch.stack([coordinate(0) * depth, coordinate(1) * -depth], -1).clamp(-3, 3)
