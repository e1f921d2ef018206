"""What pages weigh, by kernels, held to the plain functions."""

import shutil
from dataclasses import replace

import pytest
import torch
from test_stretching import before_a_wall
from torch.nn import functional as F

from rtfm_app.model import fast_weights, settling, stretching
from rtfm_app.model.fast_kernels import kernels


@pytest.fixture(params=["", "AVX2", "SSE41"])
def compiled(request, monkeypatch):
    """Kernels for this processor and for older ones."""
    if shutil.which("cc") is None:
        pytest.fail("this test needs a C compiler: sudo apt install gcc libc6-dev")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", request.param)
    kernels.cache_clear()
    found = kernels(torch.float32)
    kernels.cache_clear()
    return found


def uneven():
    """Three pages before a wall that is not even, half of which is remembered."""
    torch.manual_seed(0)
    pointer, views = before_a_wall(8, (0.0, 7.0, 3.0))
    coarse = pointer.u_coarse[..., :9, :16] + 0.01 * torch.randn(1, 1, 9, 16)
    smooth = F.interpolate(coarse, size=(36, 64), mode="bicubic").contiguous()
    gate = F.interpolate(8 * torch.randn(1, 1, 9, 16), size=(72, 128), mode="nearest")
    logits = 4 * torch.randn(1, 3, 72, 128)
    return replace(pointer, u_coarse=smooth, view_logits=logits, gate_logit=gate), views


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_stretched_pages_give_way_as_plainly(compiled, scale):
    pointer, views = uneven()
    arguments = pointer, views, [False, True, False], [scale] * 3
    wanted = stretching.without_stretched(*arguments)
    found = fast_weights._without_stretched(compiled, *arguments)
    assert (wanted.gate_logit - pointer.gate_logit).abs().max() > 0.5
    torch.testing.assert_close(found.view_logits, wanted.view_logits, atol=1e-3, rtol=0)
    torch.testing.assert_close(found.gate_logit, wanted.gate_logit, atol=2e-3, rtol=0)


def test_where_nothing_is_stretched_nothing_changes():
    pointer, views = before_a_wall(2)
    found = fast_weights.without_stretched(pointer, views, [True], [1.0])
    wanted = stretching.without_stretched(pointer, views, [True], [1.0])
    assert torch.equal(wanted.view_logits, found.view_logits)
    assert torch.equal(wanted.gate_logit, found.gate_logit)


def test_borders_are_evened_as_plainly(compiled):
    pointer, _ = uneven()
    wanted = settling.with_even_borders(pointer).view_logits
    found = fast_weights._with_even_borders(compiled, pointer).view_logits
    assert (wanted - pointer.view_logits).abs().max() > 1
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)
