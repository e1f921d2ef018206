"""What `fast.prepare` puts in the plain model's place, held to the plain model."""

import copy
import os
import platform
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from rtfm_app.config import ModelConfig
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.model.cameras import epipolar_lines, relative_views
from rtfm_app.model.fast import best_precision, prepare
from rtfm_app.model.fast_head import lines_of
from rtfm_app.model.fast_kernels import SOURCES, WITHOUT, kernels
from rtfm_app.model.fast_memory import keep_freed_memory
from rtfm_app.model.fast_narrow import NarrowLinear, narrow_is_faster, narrowed
from rtfm_app.model.fast_transformer import activated
from rtfm_app.model.frame_model import FrameModel, Pages
from rtfm_app.training.data import cameras_of

TINY = ModelConfig("tiny", dim=64, depth=3, heads=2, planes=8, refine_channels=16)
TAN = 0.6
CPU = torch.device("cpu")


class PlainModel(FrameModel):
    """The plain model in float32, so that the twins differ by rounding only."""

    dtype = torch.float32


@pytest.fixture(scope="module")
def plain():
    torch.manual_seed(0)
    model = PlainModel(TINY).eval().requires_grad_(False)
    for parameter in model.parameters():
        # Zero-initialised outputs would hide a wrong transform.
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module", params=["torch", "kernels", "AVX2", "SSE41"])
def fast(plain, request):
    """As prepared without a C compiler, with one, and with one for older processors."""
    native = request.param != "torch"
    if native and shutil.which("cc") is None:
        pytest.fail("this test needs a C compiler: sudo apt install gcc libc6-dev")
    with pytest.MonkeyPatch.context() as patch:
        if request.param in WITHOUT:
            patch.setenv("ONEDNN_MAX_CPU_ISA", request.param)
        kernels.cache_clear()
        assert not native or kernels(torch.float32) is not None
        prepared = prepare(copy.deepcopy(plain), CPU, torch.float32, native)
    kernels.cache_clear()
    return prepared


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names instructions of x86")
def test_kernels_spare_the_instructions_that_onednn_spares(fresh_kernels, monkeypatch):
    log = fresh_kernels / "calls"
    put_compiler(fresh_kernels, f'echo "$@" >> {log}; [ "$1" = --version ]')
    for most, spared in (("AVX2", True), ("AVX512_CORE_BF16", False)):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most)
        kernels.cache_clear()
        log.write_text("", encoding="utf-8")
        assert kernels(torch.float32) is None
        assert ("-mno-avx512f" in log.read_text(encoding="utf-8")) is spared


@pytest.fixture
def fresh_kernels(tmp_path, monkeypatch):
    """Nothing is compiled or remembered yet; only what a test puts there is on the PATH."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    kernels.cache_clear()
    yield tmp_path
    kernels.cache_clear()


def passes(model, x, flow_time: float, pages=None, dtype=torch.float32):
    """KV pages of the memory pass and tokens of the denoise pass, in the model's precision."""
    transformer, count = model.transformer, len(x)
    classes = torch.zeros(count, dtype=torch.long)
    modulation = transformer.modulation(torch.full((count,), flow_time), classes)
    kv, _ = transformer.memory_pass(x, modulation, dtype)
    prope = None
    if pages is not None:
        generator = torch.Generator().manual_seed(2)
        prope = torch.eye(4) + 0.1 * torch.randn(count, 3, 4, 4, generator=generator)
    return kv, transformer.denoise_pass(x, modulation, pages, prope, dtype)


@pytest.mark.parametrize("count", [1, 2])
def test_transformers_agree(plain, fast, count):
    x = torch.randn(count, 144, 64)
    kv, alone = passes(plain, x, 0.3)
    quick_kv, quick_alone = passes(fast, x, 0.3)
    for a, b in zip(kv, quick_kv, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert torch.allclose(alone, quick_alone, atol=1e-4)
    pages = tuple(layer[:, None].repeat(1, 3, 1, 1, 1, 1) for layer in kv)
    wanted, found = passes(plain, x, 0.3, pages)[1], passes(fast, x, 0.3, pages)[1]
    assert not torch.allclose(wanted, alone, atol=1e-2)
    assert torch.allclose(wanted, found, atol=1e-4)


def test_sizes_that_vectors_do_not_divide():
    torch.manual_seed(6)
    model = PlainModel(replace(TINY, dim=48, depth=2)).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    x = torch.randn(1, 144, 48)
    kv, _ = passes(model, x, 0.3)
    pages = tuple(layer[:, None].repeat(1, 3, 1, 1, 1, 1) for layer in kv)
    wanted = passes(model, x, 0.3, pages)[1]
    exact = prepare(copy.deepcopy(model), CPU, torch.float32)
    assert torch.allclose(wanted, passes(exact, x, 0.3, pages)[1], atol=1e-4)
    best = prepare(copy.deepcopy(model), CPU)
    pages = tuple(layer.to(best.precision) for layer in pages)
    found = passes(best, x, 0.3, pages, best.precision)[1]
    assert (wanted - found).norm() < 0.03 * wanted.norm()


def test_remembered_flow_times_are_not_mixed_up(plain, fast):
    x = torch.randn(1, 144, 64)
    for flow_time in (0.0, 0.5, 0.0):
        assert torch.allclose(
            passes(plain, x, flow_time)[1], passes(fast, x, flow_time)[1], atol=1e-4
        )


def remembered(model, count: int):
    """Pages and views of one target and `count` memory frames of smooth pictures."""
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(count, 3, 9, 16, generator=generator) * 2 - 1
    images = torch.nn.functional.interpolate(images, size=(144, 256), mode="bicubic")
    valid = torch.ones_like(images[:, :1])
    valid[0, :, :, 200:] = 0
    yaw = (0.1, -0.2, 0.9)
    poses = np.stack(
        [pose_from_yaw_pitch((0.3 * i, 1.6, 0.4 * i), yaw[i], 0.05) for i in range(count)]
    )
    cameras = cameras_of(poses, np.full(count, TAN))
    kv, features = model.encode(images, valid, cameras)
    pages = Pages(
        tuple(layer[None] for layer in kv), features[None], images[None], valid[None],
        cameras.up[None], given=torch.tensor([[1.0, 0.0, 1.0][:count]]),
    )  # fmt: skip
    target = pose_from_yaw_pitch((0.1, 1.6, -0.2), 0.05, 0.0)[None]
    views = relative_views(target, np.array([TAN]), poses[None], np.full((1, count), TAN))
    return pages, views, cameras_of(target, np.array([TAN]))


def test_pages_agree(plain, fast):
    """Also of a batch of frames, and where parts of them must not be read."""
    images = torch.rand(2, 3, 144, 256, generator=torch.Generator().manual_seed(4)) * 2 - 1
    valid = torch.ones(2, 1, 144, 256)
    valid[1, :, :, 100:] = 0
    cameras = cameras_of(np.stack([np.eye(4)] * 2), np.full(2, TAN))
    wanted, found = plain.encode(images, valid, cameras), fast.encode(images, valid, cameras)
    for a, b in zip(wanted[0], found[0], strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert wanted[1].std() > 0.1
    assert torch.allclose(wanted[1], found[1], atol=1e-3)


def test_lines_agree(plain):
    _, views, _ = remembered(plain, 3)
    wanted, found = epipolar_lines(views, 36, 64), lines_of(views, 36, 64)
    torch.testing.assert_close(found.origin, wanted.origin)
    torch.testing.assert_close(found.step, wanted.step)


@pytest.mark.parametrize("count", [1, 3])
def test_pointers_agree(plain, fast, count):
    pages, views, cameras = remembered(plain, count)
    state = torch.randn(1, 3, 36, 64, generator=torch.Generator().manual_seed(0))
    wanted = plain.denoise(state, torch.zeros(1), cameras, pages, views)
    found = fast.denoise(state, torch.zeros(1), cameras, pages, views)
    assert (wanted.state - found.state).abs().max() < 0.005
    for name in ("logits", "sweep_logits", "u_coarse", "u", "view_logits", "gate_logit"):
        a, b = getattr(wanted.pointer, name), getattr(found.pointer, name)
        assert a.shape == b.shape, name
        # OpenCV reads between 1/32 of a pixel; scores follow from what is read.
        apart = (a - b).abs()
        if name.endswith(("w_logits", "e_logit")):
            # A cell at a page's very border may lie inside of it for one and outside for the other.
            assert (apart > 0.03).float().mean() < 0.001
        else:
            assert apart.max() < 0.01
    torch.testing.assert_close(wanted.pointer.inside, found.pointer.inside, atol=0.05, rtol=0)


def test_a_sweep_is_reused_only_for_the_same_memory_from_the_same_place(plain, fast):
    pages, views, cameras = remembered(plain, 3)
    state, start = torch.randn(1, 3, 36, 64), torch.zeros(1)
    turned = replace(views, memory_from_target=views.memory_from_target.roll(1, 1))
    logits = []
    for seen_from in (views, views, turned, views):
        wanted = plain.denoise(state, start, cameras, pages, seen_from).pointer.sweep_logits
        found = fast.denoise(state, start, cameras, pages, seen_from).pointer.sweep_logits
        assert torch.allclose(wanted, found, atol=1e-3)
        logits.append(found)
    assert logits[0] is not logits[3] and (logits[1] - logits[2]).abs().max() > 0.01
    other = replace(pages, features=pages.features.flip(3))
    wanted = plain.denoise(state, start, cameras, other, views)
    found = fast.denoise(state, start, cameras, other, views)
    assert torch.allclose(wanted.pointer.sweep_logits, found.pointer.sweep_logits, atol=1e-3)


def test_prepared_weights_multiply_as_the_plain_ones_do(plain):
    prepared = prepare(copy.deepcopy(plain), CPU)
    linear, reference = prepared.transformer.blocks[1].up, plain.transformer.blocks[1].up
    x = torch.randn(144, 64).to(best_precision(CPU))
    wanted = reference(x.float())
    assert torch.allclose(linear(x).float(), wanted, atol=0.05)
    wanted = torch.nn.functional.gelu(wanted, approximate="tanh")
    assert torch.allclose(activated(linear, x).float(), wanted, atol=0.05)


def nearly_all_agree(found, wanted, rounding: float) -> bool:
    """A half may be rounded either way: that moves a few results by a step."""
    near = torch.isclose(found, wanted, atol=1e-5, rtol=rounding).float().mean()
    return near > 0.9 and (found - wanted).norm() < 0.005 * wanted.norm()


@pytest.mark.parametrize("most_instructions", ["", "AVX2"])
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_products_of_whole_numbers_agree(plain, monkeypatch, precision, most_instructions):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most_instructions)
    kernels.cache_clear()
    compiled = kernels(precision)
    kernels.cache_clear()
    most = compiled.number("most_weight")
    assert most or platform.machine() != "x86_64"
    x = (torch.randn(1, 77, 64) * torch.rand(77, 1)).to(precision)
    x[0, 5] = 0
    x[0, 6] *= 1000
    block = copy.deepcopy(plain.transformer.blocks[1])
    for linear in (block.qkv, block.out, block.up) if most else ():
        wanted, exact = narrowed(linear, x[0].float(), most), linear(x.float())
        linear.__class__ = NarrowLinear
        linear.use(compiled)
        found = linear(x).float()
        rounding = 2e-6 if precision == torch.float32 else 2**-8
        assert nearly_all_agree(found[0], wanted, rounding)
        assert 0 < (found - exact).norm() < 0.02 * exact.norm()
        activated = torch.nn.functional.gelu(wanted, approximate="tanh")
        found = linear.activated(x).float()[0]
        assert nearly_all_agree(found, activated, rounding)


def test_only_the_best_precision_rounds_to_whole_numbers(plain):
    compiled = kernels(best_precision(CPU))
    best = prepare(copy.deepcopy(plain), CPU)
    rounds = isinstance(best.transformer.blocks[0].up, NarrowLinear)
    assert rounds is narrow_is_faster(compiled)
    exact = prepare(copy.deepcopy(plain), CPU, best_precision(CPU))
    assert not isinstance(exact.transformer.blocks[0].up, NarrowLinear)
    x = torch.randn(2, 144, 64)
    for count in (1, 2):
        wanted = passes(plain, x[:count], 0.3)[1]
        found = passes(best, x[:count], 0.3, dtype=best.precision)[1]
        assert (wanted - found).norm() < 0.02 * wanted.norm()


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float32])
def test_gelu_agrees_however_large_its_input_is(precision):
    x = torch.cat([torch.linspace(-12, 12, 1008), torch.tensor([-1e6, -300.0, 300.0, 1e6] * 4)])
    x, added = x.to(precision), torch.ones(1024, dtype=precision)
    wanted = torch.nn.functional.gelu(x.float(), approximate="tanh")
    for addition, expected in ((None, wanted), (added, wanted + 1)):
        found = x.clone()
        kernels(precision)("gelu", len(found), addition, found)
        rounding = 1e-5 if precision == torch.float32 else 2**-8
        torch.testing.assert_close(found.float(), expected, atol=1e-5, rtol=rounding)


def test_freed_memory_may_be_kept_more_than_once():
    assert keep_freed_memory() == keep_freed_memory()
    assert torch.ones(1 << 20).sum() == 1 << 20


def put_compiler(folder, script: str) -> None:
    (folder / "bin").mkdir(exist_ok=True)
    compiler = folder / "bin" / "cc"
    compiler.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    compiler.chmod(0o755)


@pytest.mark.skipif(platform.system() != "Linux", reason="puts a script in the compiler's place")
def test_without_a_working_compiler_the_plain_way_is_taken(fresh_kernels, plain, caplog):
    assert kernels(torch.float32) is None
    assert not caplog.records
    kernels.cache_clear()
    put_compiler(fresh_kernels, "exit 1")
    assert kernels(torch.float32) is None
    assert "no compiled kernels" in caplog.text
    x = torch.randn(1, 144, 64)
    slow = prepare(copy.deepcopy(plain), CPU, torch.float32)
    assert torch.allclose(passes(plain, x, 0.3)[1], passes(slow, x, 0.3)[1], atol=1e-4)


def test_compiled_kernels_are_kept(fresh_kernels):
    real = shutil.which("cc", path=os.defpath)
    log = fresh_kernels / "calls"
    put_compiler(fresh_kernels, f'PATH={os.defpath}; echo "$@" >> {log}; exec {real} "$@"')
    for _ in range(2):
        assert kernels(torch.float32) is not None
        kernels.cache_clear()
    compiled = [call for call in log.read_text().splitlines() if str(SOURCES[0]) in call]
    assert len(compiled) == 1


def test_kernels_in_bf16_agree_with_torch_in_bf16(plain):
    assert kernels(torch.bfloat16) is not None
    ways = [prepare(copy.deepcopy(plain), CPU, torch.bfloat16, native) for native in (False, True)]
    pages, views, cameras = remembered(plain, 3)
    pages = replace(pages, kv=tuple(layer.bfloat16() for layer in pages.kv))
    state = torch.randn(1, 3, 36, 64, generator=torch.Generator().manual_seed(5))
    slow, quick = (way.denoise(state, torch.zeros(1), cameras, pages, views) for way in ways)
    wanted = plain.denoise(state, torch.zeros(1), cameras, remembered(plain, 3)[0], views)
    for read in (lambda p: p.state, lambda p: p.pointer.sweep_logits, lambda p: p.pointer.logits):
        rounding = (read(slow) - read(wanted)).abs().mean()
        assert rounding > 0
        assert (read(quick) - read(wanted)).abs().mean() < 1.2 * rounding
