"""Convolutions that are followed by GELU, and the ways to do both at once on CPUs."""

from __future__ import annotations

import torch

from .fast_kernels import Kernels
from .layers import Convolution, gelu


class ActivatedConvolution(Convolution):
    """`Convolution` that can apply GELU to its result, and add to it."""

    def activated(self, x: torch.Tensor) -> torch.Tensor:
        return gelu(self(x))

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        return self.activated(x).add_(x)


class FusedConvolution(ActivatedConvolution):
    """GELU as part of oneDNN's convolution; worth it in bf16."""

    def activated(self, x: torch.Tensor) -> torch.Tensor:
        channels_last = torch.channels_last
        return torch.ops.mkldnn._convolution_pointwise(
            x.to(memory_format=channels_last), self.weight.to(memory_format=channels_last),
            self.bias, self.padding, self.stride, (1, 1), 1, "gelu", [], "tanh",
        )  # fmt: skip


class NativeConvolution(ActivatedConvolution):
    """GELU in float: oneDNN's takes three times as long."""

    kernels: Kernels

    def activated(self, x: torch.Tensor) -> torch.Tensor:
        return self._finished(x, None)

    def residual(self, x: torch.Tensor) -> torch.Tensor:
        return self._finished(x, x)

    def _finished(self, x: torch.Tensor, added: torch.Tensor | None) -> torch.Tensor:
        result = self(x)
        dense = [None if one is None else one.permute(0, 2, 3, 1) for one in (added, result)]
        self.kernels("gelu", result.numel(), *dense)
        return result
