"""Layers that compute in their input's precision: bf16 with float32 masters while training, no cast
at all once the weights are stored in bf16."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Linear(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)


class Convolution(nn.Conv2d):
    """Convolution (default 3x3, same size) in channels-last memory, which is faster on CPUs."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__(inputs, outputs, kernel, stride=stride, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(memory_format=torch.channels_last)
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last)
        return F.conv2d(x, weight, self.bias.to(x.dtype), self.stride, self.padding)


class Convolution3d(nn.Conv3d):
    """Convolution over candidates, rows and columns (default 3x3x3, same size), channels last."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(memory_format=torch.channels_last_3d)
        weight = self.weight.to(x.dtype, memory_format=torch.channels_last_3d)
        return F.conv3d(x, weight, self.bias.to(x.dtype), self.stride, self.padding)


def gelu(x: torch.Tensor) -> torch.Tensor:
    return F.gelu(x, approximate="tanh")
