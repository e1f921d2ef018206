"""The transformer's matrix products in whole numbers of 8 bits, for processors that multiply those
faster: AVX-512 VNNI twice as fast as bf16, AVX2 twice as fast as float32.

Each token's row and each output's weights are rounded to 8 bits (7 for weights on AVX2) with a
scale of their own, products are summed exactly in 32 bits (LLM.int8's vector-wise quantisation,
arXiv 2208.07339). Where AMX multiplies bf16 as fast, nothing is rounded.
"""

from __future__ import annotations

import torch

from .fast_kernels import Kernels, most_instructions
from .layers import Linear


def narrow_is_faster(kernels: Kernels) -> bool:
    """Whether the processor has such products, and bf16 is not as fast."""
    most = most_instructions()
    amx = torch.cpu._is_amx_tile_supported() and (not most or "AMX" in most)
    return kernels.number("most_weight") > 0 and not amx


class NarrowLinear(Linear):
    """`Linear` that rounds; its plain twin is `narrowed`."""

    kernels: Kernels

    @staticmethod
    def fits(linear: Linear) -> bool:
        """Whether the kernels can take its place."""
        return linear.out_features % 32 == 0 and linear.in_features % 16 == 0

    def use(self, kernels: Kernels) -> None:
        """Prepare for these kernels."""
        assert self.fits(self), self
        self.kernels = kernels
        self.rows = kernels.number("rows_at_once")
        lanes, most = kernels.number("lanes"), kernels.number("most_weight")
        rounded, scales = rounded_rows(self.weight.float(), most)
        panels = (rounded + most + 1).to(torch.uint8).view(-1, 2 * lanes, self.in_features // 4, 4)
        self.panels = panels.transpose(1, 2).contiguous()
        self.scales = scales[:, 0].contiguous()
        self.added = self.bias.float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._product(x, 0)

    def activated(self, x: torch.Tensor) -> torch.Tensor:
        """GELU of the product."""
        return self._product(x, 1)

    def _product(self, x: torch.Tensor, activated: int) -> torch.Tensor:
        assert x.dtype == self.kernels.precision, (x.dtype, self.kernels.precision)
        width, outputs = self.in_features, self.out_features
        x = x.contiguous()
        tokens = x.numel() // width
        whole = tokens % self.rows == 0
        packed = (torch.empty if whole else torch.zeros)(
            -(-tokens // self.rows) * self.rows * width, dtype=torch.int8
        )
        scales = torch.empty(tokens)
        sums = torch.empty(tokens, dtype=torch.int32)
        y = x.new_empty(*x.shape[:-1], outputs)
        self.kernels("narrow", tokens, width, x, packed, scales, sums)
        self.kernels(
            "narrow_product", tokens, width, outputs, packed, scales, sums, self.panels,
            self.scales, self.added, activated, y,
        )  # fmt: skip
        return y


def rounded_rows(x: torch.Tensor, most: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole numbers up to `most` for each row of x (R, C), float32, and their scales (R, 1)."""
    largest = x.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return (x * (most / largest)).round(), largest / most


def narrowed(linear: Linear, x: torch.Tensor, most: int) -> torch.Tensor:
    """What `NarrowLinear` makes of x (T, C) with weights of at most `most`, plainly."""
    (x, x_scales), (weight, scales) = rounded_rows(x, 127), rounded_rows(linear.weight, most)
    return (x.double() @ weight.double().t()).float() * x_scales * scales.t() + linear.bias
