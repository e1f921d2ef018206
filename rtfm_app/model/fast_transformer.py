"""`Transformer` for one target at a time on CPUs: the same sums with a third of the passes.

Weights are laid out once for oneDNN, GELU is part of the product before it, AdaLN is part of the
layer norm (with a single target its scale is a vector), attention is two batched products around a
softmax (SDPA takes twice as long for these shapes), and nothing is copied to be concatenated.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .layers import Linear, gelu
from .transformer import Block, Transformer, head_matrices

RMS_EPSILON = torch.finfo(torch.float32).eps
REMEMBERED_TIMES = 32


class PackedLinear(Linear):
    """`Linear` whose weights oneDNN has already brought into its own layout."""

    def pack(self, rows: int) -> None:
        """For inputs of about `rows` rows."""
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, rows)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


def activated(linear: Linear, x: torch.Tensor) -> torch.Tensor:
    """GELU of a product, in one pass where that is faster."""
    if isinstance(linear, PackedLinear) and linear.weight.dtype == torch.bfloat16:
        packed, bias = linear.packed, linear.bias
        return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "gelu", [], "tanh")
    return gelu(linear(x))


class InferenceBlock(Block):
    """`Block` for one target; x is (T, D) float32, `m` its six modulation vectors (6, D), the
    gains among them with one added."""

    def project_one(self, x, m, cos, sin, dtype) -> torch.Tensor:
        """Queries (already divided by sqrt(D / H)), keys and values, (3, H, T, D / H)."""
        t, d = x.shape
        width = d // self.heads
        y = F.layer_norm(x, (d,), m[1], m[0])
        qkv = self.qkv(y.to(dtype)).float().view(t, 3, self.heads, width)
        qk = qkv[:, :2]
        norm = torch.linalg.vecdot(qk, qk).div_(width).add_(RMS_EPSILON).rsqrt_()
        scales = torch.stack([self.q_scale * width**-0.5, self.k_scale])[:, None].float()
        qk.mul_(norm[..., None]).mul_(scales)
        _rotate(qkv[..., width // 2 :], cos[:, None, None], sin[:, None, None])
        return qkv.permute(1, 2, 0, 3).to(dtype, memory_format=torch.contiguous_format)

    def finish_one(self, x, attended, m, cos, sin) -> torch.Tensor:
        """x after the attention's result (H, T, D / H) and the MLP."""
        t, d = x.shape
        dtype = attended.dtype
        o = x.new_empty(t, self.heads, d // self.heads).copy_(attended.transpose(0, 1))
        _rotate(o[..., o.shape[-1] // 2 :], cos[:, None], -sin[:, None])
        x = torch.addcmul(x, m[2], self.out(o.view(t, d).to(dtype)).float())
        y = F.layer_norm(x, (d,), m[4], m[3]).to(dtype)
        return x.addcmul_(m[5], self.down(activated(self.up, y)).float())


class InferenceTransformer(Transformer):
    """`Transformer`, quick for a single target; several at once take the plain path."""

    def modulation(self, t: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """As the plain one, remembered: sampling meets the same few flow times again and again."""
        key = (*t.tolist(), *classes.tolist())
        if key not in self.remembered:
            if len(self.remembered) >= REMEMBERED_TIMES:
                self.remembered.clear()
            self.remembered[key] = super().modulation(t, classes)
        return self.remembered[key]

    def memory_pass(self, x, modulation, dtype) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        if len(x) > 1:
            return super().memory_pass(x, modulation, dtype)
        pages = []
        x = x[0]
        for block, m in zip(self.blocks, self._modulations(modulation), strict=True):
            q, k, v = block.project_one(x, m, self.cos, self.sin, dtype)
            pages.append(torch.stack([k, v])[None])
            if len(pages) < len(self.blocks):
                x = block.finish_one(x, _attend(q, k, v), m, self.cos, self.sin)
        return tuple(pages), x[None]

    def denoise_pass(self, x, modulation, pages, prope, dtype):
        if len(x) > 1:
            return super().denoise_pass(x, modulation, pages, prope, dtype)
        matrices = None
        if prope is not None:
            matrices = head_matrices(prope, self.config.dim // self.config.heads, dtype)
        x = x[0]
        for index, (block, m) in enumerate(
            zip(self.blocks, self._modulations(modulation), strict=True)
        ):
            q, k, v = block.project_one(x, m, self.cos, self.sin, dtype)
            if pages is not None:
                k, v = _with_memory(k, v, pages[index][0], matrices)
            x = block.finish_one(x, _attend(q, k, v), m, self.cos, self.sin)
        return x[None]

    def _modulations(self, modulation: torch.Tensor) -> torch.Tensor:
        """(depth, 6, D) for one target; see `InferenceBlock`. Remembered as `modulation` is."""
        known, m = self.blocks_modulated.get(id(modulation), (None, None))
        if known is not modulation:
            m = modulation + torch.stack([block.modulation for block in self.blocks])
            m[:, (1, 2, 4, 5)] += 1
            if len(self.blocks_modulated) >= REMEMBERED_TIMES:
                self.blocks_modulated.clear()
            self.blocks_modulated[id(modulation)] = modulation, m
        return m


def _with_memory(k, v, page, matrices):
    """Keys and values (H, T, d) of the target, behind them those of a page (M, 2, H, T, d)."""
    m, _, h, t, d = page.shape
    if matrices is not None:
        page = torch.bmm(page.reshape(m, 2 * h * t, d), matrices).view(page.shape)
    both = k.new_empty(2, h, m + 1, t, d)
    both[0, :, 0], both[1, :, 0] = k, v
    both[:, :, 1:] = page.permute(1, 2, 0, 3, 4)
    return both.view(2, h, (m + 1) * t, d).unbind(0)


def _attend(q, k, v) -> torch.Tensor:
    """Attention of (H, T, d) over (H, S, d); q is already scaled."""
    return torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """`transformer.rotate` on the last axis, in place."""
    a, b = x.chunk(2, -1)
    turned = (a * cos).sub_(b * sin)
    b.mul_(cos).add_(a * sin)
    a.copy_(turned)
