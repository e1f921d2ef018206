"""The classes of `fast_transformer` and `fast_head` with everything between their matrix products
done by compiled kernels. Whatever the kernels do not cover takes the way of those classes, which
are the twins of the parity tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional as F

from .cameras import EpipolarLines, rho_of
from .fast_convolution import ActivatedConvolution, NativeConvolution
from .fast_head import (
    FeatureRows,
    InferencePlaneSweep,
    InferencePointerHead,
    InferenceRefinement,
    lines_of,
)
from .fast_kernels import MOST_FRAMES, Kernels
from .fast_narrow import NarrowLinear
from .fast_transformer import InferenceTransformer, activated
from .frame_model import FrameModel
from .layers import Convolution3d, Linear
from .pointer import BORDER_RAMP, EDGE_RAMP, GIVEN_FIRST
from .settling import CANDIDATES, candidates, imagined_less


class NativeTransformer(InferenceTransformer):
    kernels: Kernels

    @cached_property
    def scales(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Of the queries, divided by sqrt(D / H), and of the keys of every block."""
        width = self.config.dim // self.config.heads
        return [(block.q_scale * width**-0.5, block.k_scale) for block in self.blocks]

    def memory_pass(self, x, modulation, dtype) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        if len(x) > 1:
            return super().memory_pass(x, modulation, dtype)
        passing = _Passing(self, x[0], modulation)
        pages = []
        for index in range(len(self.blocks)):
            q, kv = passing.project(index, 1)
            pages.append(kv[None])
            if len(pages) < len(self.blocks):
                passing.finish(index, q, kv)
        return tuple(pages), passing.x[None]

    def denoise_pass(self, x, modulation, pages, prope, dtype):
        if len(x) > 1:
            return super().denoise_pass(x, modulation, pages, prope, dtype)
        passing = _Passing(self, x[0], modulation)
        transforms = None if prope is None else prope[0].contiguous()
        for index in range(len(self.blocks)):
            page = None if pages is None else pages[index][0].contiguous()
            frames = 0 if page is None else len(page)
            q, kv = passing.project(index, frames + 1)
            if page is not None:
                heads, tokens, width = q.shape
                self.kernels("remember", frames, heads, tokens, width, page, transforms, kv)
            passing.finish(index, q, kv)
        return passing.x[None]


class _Passing:
    """One target's tokens (T, D) on their way through the blocks."""

    def __init__(self, transformer: NativeTransformer, x: torch.Tensor, modulation: torch.Tensor):
        self.blocks, self.kernels = transformer.blocks, transformer.kernels
        self.angles = transformer.cos, transformer.sin
        self.x, self.m = x.clone(), transformer._modulations(modulation)
        self.heads, self.scales = transformer.config.heads, transformer.scales
        self.y = torch.empty(x.shape, dtype=self.kernels.precision)
        self._norm(None, None, self.m[0, 1], self.m[0, 0])

    def _norm(self, change, gain, scale, shift) -> None:
        """Add a change to the tokens and make `y` of them, the next product's input."""
        y = None if scale is None else self.y
        self.kernels("residual_norm", *self.x.shape, self.x, change, gain, scale, shift, y)

    def project(self, index: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries (H, T, d); keys and values (2, H, frames * T, d), the target's own in front."""
        block, (tokens, dim) = self.blocks[index], self.x.shape
        width = dim // self.heads
        qkv = block.qkv(self.y)
        q = qkv.new_empty(self.heads, tokens, width)
        kv = qkv.new_empty(2, self.heads, frames * tokens, width)
        scales = self.scales[index]
        self.kernels(
            "split_heads", tokens, self.heads, width, qkv, *scales, *self.angles, q, kv[0], kv[1],
            frames * tokens,
        )  # fmt: skip
        return q, kv

    def finish(self, index: int, q: torch.Tensor, kv: torch.Tensor) -> None:
        """Attention over the keys and values, then the MLP."""
        block, m, (tokens, dim) = self.blocks[index], self.m, self.x.shape
        scores = torch.bmm(q, kv[0].transpose(1, 2))
        sums = torch.empty(self.heads, tokens)
        self.kernels("exp_rows", self.heads * tokens, scores.shape[2], scores, sums)
        attended = torch.bmm(scores, kv[1])
        joined = self.y
        width = dim // self.heads
        self.kernels("join_heads", tokens, self.heads, width, attended, sums, *self.angles, joined)
        self._norm(block.out(joined), m[index, 2], m[index, 4], m[index, 3])
        change = block.down(self._hidden(block.up))
        last = index + 1 == len(self.blocks)
        scale, shift = (None, None) if last else (m[index + 1, 1], m[index + 1, 0])
        self._norm(change, m[index, 5], scale, shift)

    def _hidden(self, up: Linear) -> torch.Tensor:
        if isinstance(up, NarrowLinear):
            return up.activated(self.y)
        if self.kernels.precision == torch.bfloat16:
            return activated(up, self.y)
        hidden = up(self.y)
        self.kernels("gelu", hidden.numel(), None, hidden)
        return hidden


@dataclass(frozen=True)
class SplitRows:
    """Features (M, h, w, 16) of the memory frames and their own distances (M, h, w, 4), of which
    the last two numbers are nothing, so that each is read by itself."""

    features: torch.Tensor
    own: torch.Tensor

    def memory(self, lines: EpipolarLines) -> tuple:
        """The kernels' first arguments: these frames, seen by the rays of one target."""
        origin, step = lines.origin[0].contiguous(), lines.step[0].contiguous()
        count, height, width, _ = self.features.shape
        return count, origin.shape[2], height, width, origin, step, self.features, self.own


class NativeRows(FeatureRows):
    """Remembers what the kernels read, too."""

    _known: torch.Tensor | None = None
    _split_parts: tuple[SplitRows, SplitRows]

    def split(self, features: torch.Tensor) -> tuple[SplitRows, SplitRows]:
        """Coarse and fine features (1, M, 34, h, w)."""
        if self._known is not features:
            rows = features[0].float().permute(0, 2, 3, 1)
            own = F.pad(rows[..., 16:18], (0, 2))
            parts = rows[..., :16].contiguous(), rows[..., 18:].contiguous()
            self._known, self._split_parts = features, tuple(SplitRows(p, own) for p in parts)
        return self._split_parts


def _fits(features: torch.Tensor, columns: int) -> bool:
    """Whether the kernels can take features (1, M, C, h, w), seen by rays in so many columns."""
    return features.shape[1] <= MOST_FRAMES and features.shape[2] == 34 and columns % 16 == 0


class NativePlaneSweep(InferencePlaneSweep):
    kernels: Kernels
    rows: NativeRows

    def _sweep(self, features: torch.Tensor, lines: EpipolarLines, dtype: torch.dtype):
        (rows, columns), planes = self.grid_shape, self.planes
        rays = rows * columns
        if not _fits(features, columns) or self.last.in_channels != 16:
            return super()._sweep(features, lines, dtype)
        volume = torch.empty(1, planes, rows, columns, 16, dtype=dtype)
        mean, seen = torch.empty(planes, rays, 16), torch.empty(planes, rays)
        coarse, _ = self.rows.split(features)
        rho = rho_of(self.candidates)
        filters = self._filters()
        self.kernels("sweep", *coarse.memory(lines), planes, rho, filters.first, volume, mean, seen)
        logits = self._outputs(volume, filters)
        cues = torch.empty(self.outputs, rays)
        self.kernels("sweep_cues", planes, rays, logits, mean, seen, cues)
        return logits, cues.view(1, -1, rows, columns)

    def _outputs(self, volume: torch.Tensor, filters: _Filters) -> torch.Tensor:
        """`_regularised` of a volume (1, D, rows, columns, 16) that has passed the first filter."""
        _, planes, rows, columns, _ = volume.shape
        change = None
        if volume.dtype == torch.float32:
            for one in filters.middle:
                filtered = torch.empty_like(volume)
                self.kernels("filter_volume", planes, rows, columns, volume, *one, filtered)
                volume = filtered
        else:
            change = self._filtered(self.second, volume)
            self.kernels("add_rectified", volume.numel(), change, volume)
            change = self._filtered(self.third, volume)
        logits = torch.empty(1, planes, rows, columns)
        both = torch.empty(1, rows, columns, 2 * planes, dtype=volume.dtype)
        self.kernels(
            "volume_outputs", planes, rows * columns, volume, change, *filters.last, logits, both
        )
        correction = self.across2(self.across1.activated(both.permute(0, 3, 1, 2)))
        return logits.add_(correction)

    def _filtered(self, convolution: Convolution3d, volume: torch.Tensor) -> torch.Tensor:
        """Volumes in rows (1, D, rows, columns, 16)."""
        filtered = convolution(volume.permute(0, 4, 1, 2, 3))
        return filtered.permute(0, 2, 3, 4, 1).contiguous()

    def _filters(self) -> _Filters:
        if self._known_filters is None:
            self._known_filters = _Filters.of(self)
        return self._known_filters

    _known_filters: _Filters | None = None


@dataclass(frozen=True)
class _Filters:
    """A sweep's filters as the kernels read them, float32: of single places at first (14, 16), the
    bias last; of neighbours (27 * 16, 16) and bias (16); of single places at last (2, 16) and bias
    (2)."""

    first: torch.Tensor
    middle: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    last: tuple[torch.Tensor, torch.Tensor]

    @classmethod
    def of(cls, sweep: InferencePlaneSweep) -> _Filters:
        def rows(convolution: Convolution3d) -> torch.Tensor:
            weight = convolution.weight.float().permute(2, 3, 4, 1, 0)
            return weight.reshape(-1, weight.shape[-1]).contiguous()

        first, last = sweep.first, sweep.last
        return cls(
            torch.cat([rows(first), first.bias.float()[None]]),
            tuple((rows(one), one.bias.float()) for one in (sweep.second, sweep.third)),
            (rows(last).t().contiguous(), last.bias.float()),
        )


class NativeRefinement(InferenceRefinement):
    kernels: Kernels

    def evidence(self, u, context, hidden, features, lines: EpipolarLines, dtype):
        if not isinstance(features, SplitRows):
            return super().evidence(u, context, hidden, features, lines, dtype)
        _, _, height, width = u.shape
        rho = rho_of((u.flatten() + self.offsets[0]).clamp_(0, 1))
        context, hidden = (_last(one) for one in (context, hidden))
        sizes = context.shape[1], hidden.shape[1]
        x = torch.empty(len(context), 9 * len(rho) + 17 + sum(sizes), dtype=dtype)
        self.kernels(
            "refine_inputs", *features.memory(lines), len(rho), rho, sizes[0], context,
            u.contiguous(), sizes[1], hidden, x,
        )  # fmt: skip
        return _maps(x, height, width)


def _last(maps: torch.Tensor) -> torch.Tensor:
    """Maps (1, C, h, w) as rows (h * w, C)."""
    return maps[0].permute(1, 2, 0).flatten(0, 1).contiguous()


def _maps(x: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Rows (M * h * w, C) as maps (M, C, h, w) in channels-last memory."""
    return x.view(-1, height, width, x.shape[-1]).permute(0, 3, 1, 2)


class NativePointerHead(InferencePointerHead):
    kernels: Kernels

    rows: NativeRows

    def _expected(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _, planes, rows, columns = logits.shape
        if columns % 16:
            return super()._expected(logits)
        u, certain = torch.empty(2, 1, 1, rows, columns).unbind(0)
        self.kernels("expect", planes, rows * columns, logits.contiguous(), u, certain)
        return u, certain

    def _upsampled(self, u: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
        _, outputs, height, width = out.shape
        rows = out.permute(0, 2, 3, 1).contiguous()
        fine = torch.empty(1, 1, 2 * height, 2 * width)
        self.kernels("upsample", height, width, u.contiguous(), outputs, 1, rows, fine)
        return fine

    def _own_coordinate(self, features: torch.Tensor, given, lines):
        if not _fits(features, self.config.width // 4):
            return super()._own_coordinate(features, given, lines)
        met = torch.empty(lines.origin.shape[3])
        fine = self.rows.split(features)[1]
        self.kernels(
            "meet", *fine.memory(lines), CANDIDATES, rho_of(candidates()), imagined_less(given)[0],
            met,
        )  # fmt: skip
        return met

    def _fine_rows(self, features: torch.Tensor):
        """In two parts where the kernels can read them."""
        if _fits(features, self.config.width // 4):
            return self.rows.split(features)[1]
        return super()._fine_rows(features)

    def _score_rows(self, u, hidden, features, colours: np.ndarray, given, views, dtype):
        if not isinstance(features, SplitRows):
            return super()._score_rows(u, hidden, features, colours, given, views, dtype)
        height, width = u.shape[2:]
        lines = lines_of(views, height, width)
        count, rays = views.count, height * width
        near = torch.log1p(4 * views.memory_from_target[0, :, :3, 3].norm(dim=-1))
        closeness = torch.stack([near, views.memory_from_target[0, :, 2, 2]], -1)
        x = torch.empty(count * rays, 38, dtype=dtype)
        border, shown = torch.empty(1, count, height, width), torch.empty(1, count, height, width)
        self.kernels(
            "score_inputs", *features.memory(lines), rho_of(u).contiguous(), height, width,
            torch.from_numpy(colours), _last(self.hint(hidden)), closeness, BORDER_RAMP, EDGE_RAMP,
            x, border, shown,
        )  # fmt: skip
        x = self.score2.residual(self.score1.activated(_maps(x, height, width)))
        scores = self.score3(x).permute(0, 2, 3, 1).contiguous()
        bias = (GIVEN_FIRST * given[0] - 4.0 * near).float()
        logits, gate = torch.empty_like(border), torch.empty(1, 1, height, width)
        self.kernels("score_finish", count, rays, scores, border, bias, logits, gate)
        return logits, shown, gate


TWINS = {
    InferenceTransformer: NativeTransformer,
    InferencePlaneSweep: NativePlaneSweep,
    InferenceRefinement: NativeRefinement,
    InferencePointerHead: NativePointerHead,
    ActivatedConvolution: NativeConvolution,
}


def put_kernels(model: FrameModel, kernels: Kernels) -> None:
    """Have the parts of a model that is prepared for CPUs use the kernels."""
    for module in model.modules():
        native = TWINS.get(type(module))
        if native is not None:
            module.__class__ = native
            module.kernels = kernels
    model.sweep.rows = model.pointer_head.rows = NativeRows()
