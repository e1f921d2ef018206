"""Optimisations applied to a model after it is loaded; the model itself is written plainly.

`compile_for_training` compiles what repeats. `prepare` readies a model for inference: weights in
the device's best precision once, and on CPUs the parts of `fast_transformer` in place of the plain
ones, which stay the twins that the tests hold them to. Nothing here needs a compiler.
"""

from __future__ import annotations

import gc
import operator
import time
from collections.abc import Callable
from functools import lru_cache

import cv2
import torch

from . import fast_training
from .cameras import Views
from .fast_convolution import ActivatedConvolution, FusedConvolution
from .fast_cuda import prepare_for_cuda
from .fast_head import (
    FeatureRows,
    InferencePlaneSweep,
    InferencePointerHead,
    InferenceRefinement,
    Rows,
)
from .fast_kernels import Kernels, kernels
from .fast_memory import keep_freed_memory
from .fast_mirror import mirrored_state
from .fast_narrow import NarrowLinear, narrow_is_faster
from .fast_native import put_kernels
from .fast_pages import InferenceFeatureNet, InferenceOwnDistance
from .fast_transformer import InferenceBlock, InferenceTransformer, PackedLinear
from .frame_model import Cameras, FrameModel, Pages
from .layers import Convolution, Convolution3d, Linear
from .matching import agreement, sample
from .transformer import Block

CPU = torch.device("cpu")


def compile_for_training(model: FrameModel) -> None:
    """Choose the precision that is fastest here, and compile the parts whose shapes repeat (the
    memory counts make a handful of graphs)."""
    device = next(model.parameters()).device
    model.products = best_precision(device)
    for block in model.transformer.blocks:
        block.project = torch.compile(block.project, dynamic=True)
        block.finish = torch.compile(block.finish, dynamic=True)
    torch._dynamo.config.recompile_limit = 32
    if device.type == "cpu" and kernels(torch.float32) is not None:
        read, compare = fast_training.sample, fast_training.evidence
    else:
        read, fused = sample, torch.compile(agreement, dynamic=True)

        def compare(features, grid, inside):
            return fused(sample(features, grid), inside)

    model.pointer_head.sample = read
    for module in (model.sweep, *model.pointer_head.refinements):
        module.evidence = compare


@lru_cache
def best_precision(device: torch.device) -> torch.dtype:
    """bf16, except on a CPU that multiplies float32 faster (without AVX-512 bf16 or AMX it turns
    every number into float32 first): measured, in a few milliseconds, once."""
    if device.type != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    fastest = {}
    for precision in (torch.bfloat16, torch.float32):
        a, b = (torch.ones(256, 256, dtype=precision) for _ in range(2))
        fastest[precision] = min(_seconds(lambda a=a, b=b: a @ b) for _ in range(9))
    return min(fastest, key=fastest.__getitem__)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def prepare(
    model: FrameModel,
    device: torch.device,
    precision: torch.dtype | None = None,
    native: bool = True,
) -> FrameModel:
    """Ready a loaded model for inference on `device`; `precision` None takes the best, which on
    CPUs may be 8 bits for the transformer's products (`fast_narrow`). On CPUs, `native` has what
    lies between the matrix products compiled where there is a C compiler."""
    narrow = precision is None
    model = model.eval().requires_grad_(False).to(device)
    precision = precision or best_precision(device)
    for module in model.modules():
        if isinstance(module, Linear | Convolution | Convolution3d):
            module.to(precision)
    model.transformer.time.float()
    model.__class__ = InferenceModel
    model.precision = precision
    if device.type == "cpu":
        _prepare_for_cpu(model, native, narrow)
    if device.type == "cuda":
        prepare_for_cuda(model.transformer, precision)
    return model


def _prepare_for_cpu(model: InferenceModel, native: bool, narrow: bool) -> None:
    keep_freed_memory()
    gc.collect()
    gc.freeze()  # else Python looks through all of torch once in a while: a frame of 100 ms
    cv2.setNumThreads(torch.get_num_threads())  # else OpenCV takes the display's core too
    model.transformer.__class__ = InferenceTransformer
    model.transformer.remembered, model.transformer.blocks_modulated = {}, {}
    model.sweep.__class__ = InferencePlaneSweep
    model.pointer_head.__class__ = InferencePointerHead
    model.sweep.rows = model.pointer_head.rows = FeatureRows()
    model.pointer_head.colour_rows = Rows()
    for refinement in model.pointer_head.refinements:
        refinement.__class__ = InferenceRefinement
    for block in model.transformer.blocks:
        assert isinstance(block, Block), block
        block.__class__ = InferenceBlock
    model.features.__class__ = InferenceFeatureNet
    model.own_distance.__class__ = InferenceOwnDistance
    for convolution in _activated(model):
        convolution.__class__ = ActivatedConvolution
    if torch.backends.mkldnn.is_available():
        _use_onednn(model)
    compiled = kernels(model.precision) if native else None
    if compiled is None:
        return
    put_kernels(model, compiled)
    model.kernels = compiled
    if narrow and narrow_is_faster(compiled):
        for linear in filter(NarrowLinear.fits, _products(model)):
            linear.__class__ = NarrowLinear
            linear.use(compiled)


def _products(model: InferenceModel) -> list[Linear]:
    """The products that nearly all of the transformer's time is spent on."""
    blocks = model.transformer.blocks
    return [linear for block in blocks for linear in (block.qkv, block.out, block.up, block.down)]


def _activated(model: InferenceModel) -> list[ActivatedConvolution]:
    """The convolutions that are followed by GELU."""
    head = model.pointer_head
    refining = [part for one in head.refinements for part in (one.first, one.second)]
    net, own = model.features, model.own_distance
    encoding = [net.first, net.second, net.third, net.wide1, net.wide2, net.wide3]
    encoding += [own.first, own.second, own.third]
    return [*encoding, *refining, head.score1, head.score2, model.sweep.across1]


def _use_onednn(model: InferenceModel) -> None:
    """Give oneDNN the weights in its own layout, and in bf16 GELU too."""
    fast_bf16 = model.precision == best_precision(CPU) == torch.bfloat16
    if fast_bf16 or model.precision == torch.float32:
        for linear in _products(model):
            linear.__class__ = PackedLinear
            linear.pack(model.config.tokens)
    if fast_bf16:
        for convolution in _activated(model):
            convolution.__class__ = FusedConvolution


class InferenceModel(FrameModel):
    """A prepared model: its precision is chosen once, not read from the weights."""

    precision: torch.dtype
    kernels: Kernels | None = None
    _started: tuple[tuple, torch.Tensor | None] = (None, None, None), None

    def starting_state(self, pages: Pages, views: Views, cameras: Cameras) -> torch.Tensor:
        """As the plain one, remembered: later steps start from the same place."""
        known, state = self._started
        if not all(map(operator.is_, known, (pages, views, cameras))):
            state = self._starting_state(pages, views, cameras)
            self._started = (pages, views, cameras), state
        return state

    def _starting_state(self, pages: Pages, views: Views, cameras: Cameras) -> torch.Tensor:
        width = self.config.width // 4
        if self.kernels is None or len(pages.images) > 1 or width % 16:
            return super().starting_state(pages, views, cameras)
        return mirrored_state(self.kernels, pages, views, cameras, self.config.height // 4, width)

    @property
    def dtype(self) -> torch.dtype:
        return self.precision
