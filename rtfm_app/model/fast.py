"""Optimisations applied to a model after it is loaded; the model itself is written plainly.

`compile_for_training` compiles what repeats. `prepare` readies a model for inference: weights in
bf16 once, and blocks whose elementwise work is done in place. The plain blocks are the twin that
the tests hold the fast ones to.
"""

from __future__ import annotations

import cv2
import torch
from torch.nn import functional as F

from .frame_model import FrameModel
from .layers import Convolution, Linear
from .transformer import Block

RMS_EPSILON = torch.finfo(torch.float32).eps


def compile_for_training(model: FrameModel) -> None:
    """Compile the parts whose shapes repeat; the memory counts make a handful of graphs."""
    for block in model.transformer.blocks:
        block.project = torch.compile(block.project, dynamic=True)
        block.finish = torch.compile(block.finish, dynamic=True)


def prepare(model: FrameModel, device: torch.device) -> FrameModel:
    """Ready a loaded model for inference on `device`."""
    cv2.setNumThreads(torch.get_num_threads())  # else OpenCV takes the display's core too
    model = model.eval().requires_grad_(False).to(device)
    for module in model.modules():
        if isinstance(module, Linear | Convolution):
            module.to(torch.bfloat16)
        if isinstance(module, Block):
            module.__class__ = InferenceBlock
    model.transformer.time.float()
    return model


class InferenceBlock(Block):
    """`Block` without autograd: a third of the passes over the activations."""

    def project(self, x, modulation, cos, sin, dtype):
        n, t, d = x.shape
        m = (modulation + self.modulation)[:, None]
        y = torch.addcmul(m[:, :, 0], F.layer_norm(x, (d,)), 1 + m[:, :, 1])
        qkv = self.qkv(y.to(dtype)).view(n, t, 3, self.heads, d // self.heads)
        qkv = qkv.permute(2, 0, 3, 1, 4).float().contiguous()
        scales = torch.stack([self.q_scale, self.k_scale])[:, None, None, None].float()
        qk = qkv[:2]
        norm = qk.square().mean(-1, keepdim=True).add_(RMS_EPSILON).rsqrt_()
        qk.mul_(norm).mul_(scales)
        _rotate_in_place(qkv[..., qkv.shape[-1] // 2 :], cos, sin)
        return qkv.to(dtype).unbind(0)

    def finish(self, x, attended, modulation, cos, sin):
        n, t, d = x.shape
        m = (modulation + self.modulation)[:, None]
        o = attended.to(torch.float32, copy=True)
        _rotate_in_place(o[..., o.shape[-1] // 2 :], cos, -sin)
        o = o.transpose(1, 2).to(attended.dtype).reshape(n, t, d)
        x = torch.addcmul(x, 1 + m[:, :, 2], self.out(o).float())
        y = torch.addcmul(m[:, :, 3], F.layer_norm(x, (d,)), 1 + m[:, :, 4])
        hidden = F.gelu(self.up(y.to(attended.dtype)), approximate="tanh")
        return x.addcmul_(1 + m[:, :, 5], self.down(hidden).float())


def _rotate_in_place(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """`transformer.rotate` on (…, T, C), in place."""
    a, b = x.chunk(2, -1)
    turned = torch.addcmul(a * cos, b, sin, value=-1)
    b.mul_(cos).addcmul_(a, sin)
    a.copy_(turned)
