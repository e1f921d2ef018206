"""The device abstraction: plain twins everywhere, CUDA where there is one."""

import copy
import sys
import types

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rtfm_app.config import ModelConfig
from rtfm_app.device import (
    HostCopy,
    Recorded,
    SideStream,
    capture_cuda,
    capture_plainly,
    choose_device,
)
from rtfm_app.model.fast_cuda import flash_attention, prepare_for_cuda
from rtfm_app.model.transformer import Transformer

TINY = ModelConfig("tiny", dim=64, depth=2, heads=2, planes=8)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="abacus.*cpu"):
        choose_device("abacus")
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cuda", "mps", "cpu")


def check_recorded(capture, device):
    """Recorded work gives what the work gives, for changing shapes and changing contents."""
    calls = []

    def work(a, b):
        calls.append(a.shape)
        return a @ b + 1

    recorded = Recorded(work, capture, most=2)
    for size in (3, 5, 3, 7, 3):
        a, b = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
        for _ in range(2):
            assert torch.allclose(recorded(a, b), a @ b + 1, atol=1e-3)
        a.mul_(2)  # the same tensor with other contents must be copied again
        first = recorded(a, b)
        assert torch.allclose(first, a @ b + 1, atol=1e-3)
        recorded(a * 0, b)
        assert torch.allclose(first, a @ b + 1, atol=1e-3), "a result must stay as it was"
    return calls


def test_recorded_work_is_the_work():
    check_recorded(capture_plainly, CPU)


def passes(transformer, device, count):
    generator = torch.Generator().manual_seed(count)
    x = torch.randn(1, 144, 64, generator=generator).to(device)
    prope = torch.eye(4) + 0.1 * torch.randn(1, count, 4, 4, generator=generator)
    page = torch.randn(1, count, 2, 2, 144, 32, generator=generator).to(device)
    classes = torch.zeros(1, dtype=torch.long, device=device)
    with torch.no_grad():
        modulation = transformer.modulation(torch.zeros(1, device=device), classes)
        return transformer.denoise_pass(
            x, modulation, [page] * TINY.depth, prope.to(device), torch.float32
        )


def check_graphed(capture, device):
    torch.manual_seed(0)
    plain = Transformer(TINY).to(device)
    for parameter in plain.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    graphed = copy.deepcopy(plain)
    prepare_for_cuda(graphed, torch.float32, capture)
    for count in (1, 4, 1):
        wanted, found = passes(plain, device, count), passes(graphed, device, count)
        assert torch.allclose(wanted, found, atol=1e-3)


def test_replayed_denoise_passes_equal_plain_ones():
    check_graphed(capture_plainly, CPU)


def test_flash_attention_is_fed_in_its_own_layout(monkeypatch):
    """With a stand-in for the package that computes plainly in (B, T, H, D)."""
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    assert flash_attention() is None

    def flash_attn_func(q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2)

    package = types.SimpleNamespace(flash_attn_func=flash_attn_func)
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    q, k, v = torch.randn(1, 3, 5, 8), torch.randn(1, 3, 9, 8), torch.randn(1, 3, 9, 8)
    wanted = F.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(flash_attention()(q, k, v), wanted, atol=1e-6)


def check_copy_and_side_stream(device):
    side = SideStream(device)
    source = torch.arange(1 << 20, device=device)
    with side.work():
        doubled = source * 2
    side.join([doubled])
    copied = HostCopy(doubled)
    doubled.add_(1)  # on CUDA queued behind the copy; the copy must hold what was there before
    return copied.result()


def test_copies_and_side_work_without_cuda():
    side = SideStream(CPU)
    with side.work():
        doubled = torch.arange(8) * 2
    side.join([doubled])
    assert np.array_equal(HostCopy(doubled).result(), np.arange(8) * 2)


@pytest.mark.gpu
def test_cuda_graphs_equal_the_work():
    calls = check_recorded(capture_cuda, CUDA)
    assert len(calls) == 5 * 4, "three warm-up calls and one recording for each of five recordings"
    check_graphed(capture_cuda, CUDA)


@pytest.mark.gpu
def test_pinned_copies_and_side_work_on_cuda():
    assert np.array_equal(check_copy_and_side_stream(CUDA), np.arange(1 << 20) * 2)
