"""`PlaneSweep` and `PointerHead` for one target at a time on CPUs.

Features and colours are read by OpenCV, which handles rows of 16 channels ten times faster than
`grid_sample` handles planes, and stay rows (channels last) until the convolutions take them.
Several targets at once take the plain path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from .cameras import EpipolarLines, Views, rho_of, u_of
from .matching import APART, GROUPS, PlaneSweep, own_of, pairs
from .own_distance import OWN_CHANNELS, STEP, fitting, gathered
from .pointer import (
    BORDER_RAMP,
    EDGE_RAMP,
    GIVEN_FIRST,
    OUTSIDE,
    Pointer,
    PointerHead,
    Refinement,
    _convex_upsample,
    cells,
    decided,
    local_expectation,
)
from .settling import (
    CERTAIN_FROM,
    CERTAIN_RAMP,
    SMOOTHED,
    camera_places,
    candidates,
    certainty,
    imagined_less,
    meeting,
    with_parallax,
)


def lines_of(views: Views, height: int, width: int) -> EpipolarLines:
    """`epipolar_lines` of one target: rows and columns of its rays are turned apart."""
    scale = torch.ones(views.count, 3, 1)
    scale[:, :2, 0] = views.tan_memory[0].reciprocal()
    rotation = views.memory_from_target[0, :, :3, :3] * scale
    tan_x, tan_y = views.tan_target[0].tolist()
    x = torch.arange(1 - width, width, 2) * (tan_x / width)
    y = torch.arange(height - 1, -height, -2) * (tan_y / height)
    across = rotation[..., :1] * x - rotation[..., 2:]
    down = rotation[..., 1:2] * y
    origin = (across[:, :, None] + down[..., None]).flatten(2)
    return EpipolarLines(origin[None], (views.memory_from_target[0, :, :3, 3:] * scale)[None])


@dataclass(frozen=True)
class Places:
    """Where D x S positions lie in M memory frames: NDC `x` right and `y` up (M, D, S) float32,
    `inside` 1 where a frame shows them, `u` the coordinate at which it would."""

    x: torch.Tensor
    y: torch.Tensor
    inside: torch.Tensor
    u: torch.Tensor


def places(lines: EpipolarLines, rho: torch.Tensor) -> Places:
    """`EpipolarLines.at` of one target; rho (D, S) or (D, 1)."""
    origin, step = lines.origin[0, :, :, None], lines.step[0, :, :, None]
    depth = (origin[:, 2] + rho * step[:, 2]).neg_()
    inverse = depth.clamp(min=0.02).reciprocal_()
    x = (origin[:, 0] + rho * step[:, 0]).mul_(inverse)
    y = (origin[:, 1] + rho * step[:, 1]).mul_(inverse)
    inside = (depth > 0.02) & (torch.maximum(x.abs(), y.abs()) < 1)
    return Places(x, y, inside.float(), u_of(rho * inverse).clamp_(max=1.5))


class Rows:
    """Maps (1, M, C, h, w) as rows (M, h, w, C) float32, what `read` takes; those of the last maps
    are remembered, since a walker's memory stays the same for many frames."""

    def __init__(self):
        self.maps: tuple[torch.Tensor, ...] = ()
        self.rows = np.empty(0, np.float32)

    def of(self, *maps: torch.Tensor) -> np.ndarray:
        """Of one or more maps, one behind the other in each row."""
        known = len(maps) == len(self.maps)
        if not (known and all(a is b for a, b in zip(maps, self.maps, strict=True))):
            joined = torch.cat([one[0].float() for one in maps], 1)
            self.maps, self.rows = maps, joined.permute(0, 2, 3, 1).contiguous().numpy()
        return self.rows


class FeatureRows(Rows):
    """Rows of the coarse and of the fine features (`FeatureNet`) of the memory frames; both end in
    the frames' own distance."""

    def of(self, features: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        joined = super().of(features)
        if self._split is not joined:
            self._split = joined
            half = joined.shape[3] // 2 + 1
            own, fine = joined[..., half - OWN_CHANNELS : half], joined[..., half:]
            self._parts = np.ascontiguousarray(joined[..., :half]), np.concatenate([fine, own], -1)
        return self._parts

    _split: np.ndarray | None = None
    _parts: tuple[np.ndarray, np.ndarray] | None = None


def read(rows: np.ndarray, where: Places) -> torch.Tensor:
    """Bilinear reading of rows (M, h, w, C): (M, D, S, C)."""
    count, height, width, channels = rows.shape
    x = ((where.x + 1) * (width / 2)).sub_(0.5).clamp_(-width, 2 * width).numpy()
    y = ((1 - where.y) * (height / 2)).sub_(0.5).clamp_(-height, 2 * height).numpy()
    result = np.empty((*x.shape, channels), np.float32)
    for one, at_x, at_y, out in zip(rows, x, y, result, strict=True):
        cv2.remap(one, at_x, at_y, cv2.INTER_LINEAR, dst=out, borderMode=cv2.BORDER_REPLICATE)
    return torch.from_numpy(result)


def agreement_of_rows(sampled: torch.Tensor, inside: torch.Tensor, dtype: torch.dtype):
    """`matching.agreement` of sampled (M, D, S, C + 2), which is overwritten, and inside (M, D, S);
    the last two channels, a frame's own distance, are left out. Squares are summed by groups in
    products of `dtype`: narrow ones are three times faster in bf16.

    Returns:
        mean (D, S, C), variance and distance of the best pair (GROUPS, D, S).
    """
    groups = group_means(sampled.shape[3] - OWN_CHANNELS, OWN_CHANNELS).to(dtype)
    total = inside.sum(0).clamp(min=1e-3).reciprocal_()[..., None]
    sampled.mul_(inside[..., None])
    best = torch.full((*inside.shape[1:], GROUPS), APART)
    for i, j in pairs(len(inside)):
        apart = ((sampled[i] - sampled[j]).square_().to(dtype) @ groups).float()
        both = (inside[i] * inside[j])[..., None]
        best = torch.minimum(best, apart.sub_(APART).mul_(both).add_(APART), out=best)
    mean = sampled.sum(0).mul_(total)
    # Of zeros and ones, so the weights need not be squared.
    squares = sampled.square_().sum(0).mul_(total).sub_(mean * mean).clamp_(min=0)
    variance = (squares.to(dtype) @ groups).float()
    mean = mean[..., :-OWN_CHANNELS]
    return mean, variance.permute(2, 0, 1), best.permute(2, 0, 1)


def group_means(channels: int, ignored: int = 0) -> torch.Tensor:
    """(C + ignored, GROUPS): a product with it takes the mean over each group of neighbouring
    channels, without the last `ignored`."""
    each = channels // GROUPS
    means = torch.eye(GROUPS).repeat_interleave(each, 0) / each
    return F.pad(means, (0, 0, 0, ignored))


def own_evidence(sampled: torch.Tensor, where: Places) -> tuple[torch.Tensor, torch.Tensor]:
    """`own_distance.fitting` of rows (M, D, S, C + 2): fit and side (M, D, S)."""
    own = sampled[..., -OWN_CHANNELS:].permute(0, 3, 1, 2)[None]
    fit, side = fitting(own, where.u[None])
    return fit[0], side[0]


def own_evidence_of_all(sampled: torch.Tensor, where: Places) -> torch.Tensor:
    """`own_distance.gathered` of `own_evidence`: (3, D, S)."""
    fit, side = own_evidence(sampled, where)
    return gathered(fit[None], side[None], where.inside[None])[0]


class InferencePlaneSweep(PlaneSweep):
    """Remembers its last result: the further steps of a keyframe see the same memory from the same
    place."""

    known: tuple[torch.Tensor, EpipolarLines, tuple[torch.Tensor, torch.Tensor]] | None = None

    def forward(self, features: torch.Tensor, lines: EpipolarLines, dtype: torch.dtype):
        if len(features) > 1:
            return super().forward(features, lines, dtype)
        if self.known is not None and self.known[0] is features and self._same(lines):
            return self.known[2]
        result = self._sweep(features, lines, dtype)
        self.known = features, lines, result
        return result

    def _same(self, lines: EpipolarLines) -> bool:
        known = self.known[1]
        return torch.equal(known.origin, lines.origin) and torch.equal(known.step, lines.step)

    def _sweep(self, features: torch.Tensor, lines: EpipolarLines, dtype: torch.dtype):
        rows, columns = self.grid_shape
        where = places(lines, rho_of(self.candidates)[:, None])
        coarse, _ = self.rows.of(features)
        sampled = read(coarse, where)
        expected = own_evidence_of_all(sampled, where)
        mean, variance, best = agreement_of_rows(sampled, where.inside, dtype)
        seen = where.inside.mean(0)
        comparable = (where.inside.sum(0) > 1.5).float()
        volume = torch.cat([variance, best, seen[None], comparable[None], expected])
        logits = self._regularised(volume.reshape(1, -1, len(seen), rows, columns).to(dtype))
        share = logits[0].flatten(1).softmax(0)
        expected = (mean * share[..., None]).sum(0)
        scaled = logits[0].flatten(1) / math.sqrt(len(share))
        cues = torch.cat([scaled, expected.t(), mean[0].t(), seen[:1]])
        return logits, cues.reshape(1, -1, rows, columns)

    def _regularised(self, volume: torch.Tensor) -> torch.Tensor:
        x = volume.to(memory_format=torch.channels_last_3d)
        x = F.relu_(self.first(x))
        x = F.relu_(self.second(x)).add_(x)
        x = self.last(F.relu_(self.third(x)).add_(x))
        correction = self.across2(self.across1.activated(x.flatten(1, 2)))
        return x[:, 0].float() + correction.float()


class InferenceRefinement(Refinement):
    def of_rows(self, u, context, hidden, features: np.ndarray, lines: EpipolarLines, dtype):
        """`forward` of one target; features and own distance in rows (M, h, w, C + 2). The last
        result is all that the convolutions said."""
        x = self.evidence(u, context, hidden, features, lines, dtype)
        x = self.second.residual(self.first.activated(x))
        out = self.last(x).float()
        moved = u + torch.tanh(out[:, :1]) * self.reach * self.step
        return moved.clamp(0, 1), x, out

    def evidence(self, u, context, hidden, features, lines, dtype) -> torch.Tensor:
        """What the convolutions see, (1, channels, h, w)."""
        height, width = u.shape[2:]
        where = places(lines, rho_of((u.flatten() + self.offsets[0]).clamp_(0, 1)))
        sampled = read(features, where)
        expected = own_evidence_of_all(sampled, where)
        mean, variance, best = agreement_of_rows(sampled, where.inside, dtype)
        middle = mean[len(mean) // 2].t()
        found = [variance.flatten(0, 1), best.mean(0), where.inside.mean(0), middle]
        found = torch.cat([*found, expected.flatten(0, 1)]).reshape(1, -1, height, width)
        return torch.cat([found.to(dtype), context, u.to(dtype), hidden], 1)


class InferencePointerHead(PointerHead):
    def forward(
        self, tokens, sweep_logits, features, images_half, valid_half, given, views: Views, dtype
    ):
        if len(tokens) > 1:
            return super().forward(
                tokens, sweep_logits, features, images_half, valid_half, given, views, dtype
            )
        config = self.config
        rows, columns = config.tokens_shape
        logits = sweep_logits + cells(self.coarse(tokens), rows, columns, 2).float()
        u, certain = map(_doubled, self._expected(logits))
        context = cells(self.context(tokens), rows, columns, 4).to(dtype)
        lines = lines_of(views, *u.shape[2:])
        feature_rows = self._fine_rows(features)
        hidden = context[:, :0]
        for refine in self.refinements:
            u, hidden, out = refine.of_rows(u, context, hidden, feature_rows, lines, dtype)
        around = self._own_coordinate(features, given, lines).reshape(u.shape)
        u_quarter = torch.lerp(around, u, _trust(u, certain, given, views, lines))
        u_half = self._upsampled(u_quarter, out)
        u_half = torch.from_numpy(cv2.medianBlur(u_half[0, 0].numpy(), 3))[None, None]
        colours = self.colour_rows.of(images_half, valid_half)
        view_logits, inside, gate = self._score_rows(
            u_half, hidden, feature_rows, colours, given, views, dtype
        )
        gate = decided(gate + _doubled(out[:, 37:]))
        return Pointer(logits, sweep_logits, u_quarter, u_half, view_logits, inside, gate)

    def _expected(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Expected candidate and certainty, (1, 1, h, w) each."""
        candidates = torch.linspace(0, 1, self.config.planes)
        return local_expectation(logits, candidates), certainty(logits)

    def _upsampled(self, u: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        """u (1, 1, 2 h, 2 w) by what a refinement said (1, 38, h, w)."""
        return _convex_upsample(u, out[:, 1:37])

    def _own_coordinate(self, features: torch.Tensor, given, lines: EpipolarLines):
        """`settling.own_coordinate` (S,)."""
        where = places(lines, rho_of(candidates())[:, None])
        own = own_of(features)[0].float().permute(0, 2, 3, 1).contiguous().numpy()
        expected, scale = read(own, where).unbind(3)
        weight = where.inside / (scale.exp_() + STEP) * imagined_less(given)[0, :, None, None]
        return meeting(where.u - expected, weight)

    def _fine_rows(self, features: torch.Tensor):
        """What the refinements and the scorer read."""
        return self.rows.of(features)[1]

    def _score_rows(self, u, hidden, features, colours: np.ndarray, given, views, dtype):
        """`_score` of features and of colours with validity, in rows (M, h, w, C)."""
        height, width = u.shape[2:]
        m = views.count
        where = places(lines_of(views, height, width), rho_of(u).reshape(1, -1))
        sampled = read(features, where)
        fits = torch.stack(own_evidence(sampled, where), -1)[:, 0]
        sampled = sampled[:, 0, :, :-OWN_CHANNELS]
        colour = read(colours, where)[:, 0]
        valid, colour = colour[..., 3], colour[..., :3]
        ok = where.inside[:, 0] * (valid > 0.5)
        total = ok.sum(0).clamp(min=1e-3).reciprocal_()
        weight = (ok * total)[..., None]
        apart = (sampled - (sampled * weight).sum(0)).square_().to(dtype)
        apart = apart @ group_means(sampled.shape[2]).to(dtype)
        off = (colour - (colour * weight).sum(0)).abs_()
        baseline = views.memory_from_target[0, :, :3, 3].norm(dim=-1)
        facing = views.memory_from_target[0, :, 2, 2]
        near = torch.log1p(4 * baseline)
        closeness = torch.stack([near, facing], -1)[:, None].expand(m, height * width, 2)
        hints = self.hint(hidden).repeat_interleave(2, 2).repeat_interleave(2, 3)
        hints = hints[0].flatten(1).t().expand(m, -1, -1)
        parts = (colour, sampled, apart, closeness, off, hints, fits)
        x = torch.cat([p.to(dtype) for p in parts], 2)
        x = self.score1.activated(x.view(m, height, width, -1).permute(0, 3, 1, 2))
        x = self.score2.residual(x)
        scores = self.score3(x).float()
        inside = ok.reshape(1, m, height, width)
        margin = 1 - torch.maximum(where.x.abs(), where.y.abs())
        border = (margin / BORDER_RAMP).clamp_(0.02, 1).log_().reshape(1, m, height, width)
        view_logits = (
            scores[None, :, 0] - 4.0 * near[:, None, None] + (inside - 1) * OUTSIDE + border
        )
        view_logits += GIVEN_FIRST * given[:, :, None, None]
        gate = (view_logits.softmax(1) * scores[None, :, 1]).sum(1, keepdim=True)
        edge = (margin[:, 0] / EDGE_RAMP).clamp_(0, 1).mul_((2 * valid - 1).clamp_(0, 1))
        return view_logits, edge.reshape(1, m, height, width), gate


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _trust(u, certain, given: torch.Tensor, views: Views, lines: EpipolarLines) -> torch.Tensor:
    """`settling.trust` of one target; u and `certain` (1, 1, h, w)."""
    inside = places(lines, rho_of(u).reshape(1, -1)).inside[:, 0]
    several = with_parallax(camera_places(views)[0], inside * given[0, :, None])
    certain = certain[0, 0].numpy()
    trust = np.clip((certain - CERTAIN_FROM) / CERTAIN_RAMP, 0, 1)
    trust *= _box(several.reshape(certain.shape).numpy(), SMOOTHED)
    return torch.from_numpy(trust)[None, None]


def _box(x: np.ndarray, size: int) -> np.ndarray:
    return cv2.blur(x, (size, size), borderType=cv2.BORDER_REPLICATE)
