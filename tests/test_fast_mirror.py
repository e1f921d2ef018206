"""The mirrored reading that the flow state starts from, by kernels, held to the plain one."""

import shutil

import numpy as np
import pytest
import torch

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.model import frame_model
from rtfm_app.model.cameras import relative_views
from rtfm_app.model.fast import InferenceModel
from rtfm_app.model.fast_kernels import WITHOUT, kernels
from rtfm_app.model.fast_mirror import mirrored_state
from rtfm_app.model.frame_model import Pages
from rtfm_app.training.data import cameras_of


@pytest.fixture(params=["", "AVX2", "SSE41"])
def compiled(request, monkeypatch):
    """Kernels for this processor and for older ones."""
    if shutil.which("cc") is None:
        pytest.fail("this test needs a C compiler: sudo apt install gcc libc6-dev")
    assert not request.param or request.param in WITHOUT
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", request.param)
    kernels.cache_clear()
    found = kernels(torch.float32)
    kernels.cache_clear()
    return found


def scene(rng: np.random.Generator, yaw: float, pitch: float):
    """Pages of three smooth pictures, seen by a target that is turned away from the second."""
    poses = np.stack(
        [pose_from_yaw_pitch((i, 1.6, 0), i, rng.uniform(-0.5, 0.5)) for i in range(3)]
    )
    tan = rng.uniform(0.4, 0.7, 3)
    memory, target = cameras_of(poses, tan), pose_from_yaw_pitch((0, 1, 0), 1 + yaw, pitch)[None]
    coarse = torch.from_numpy(rng.uniform(-1, 1, (3, 3, 9, 16)).astype(np.float32))
    images = torch.nn.functional.interpolate(coarse, size=(144, 256), mode="bicubic")[None]
    pages = Pages(
        (), torch.zeros(1, 3, 1, 1, 1), images, torch.ones(1, 3, 1, 144, 256), memory.up[None],
        unmarked=images.flip(1), anchor=torch.tensor([1]),
    )  # fmt: skip
    views = relative_views(target, np.array([0.6]), poses[None], tan[None])
    return pages, views, cameras_of(target, np.array([0.6]))


@pytest.mark.parametrize("yaw", [0.0, 0.8, -2.0, 3.1])
def test_kernel_and_plain_reading_agree(compiled, yaw):
    """In front, aside, behind; down to the ground and up to the sky."""
    rng = np.random.default_rng(0)
    for pitch in np.linspace(-1.2, 1.2, 7):
        seen = scene(rng, yaw, pitch)
        wanted = frame_model._mirrored_state(*seen, 36, 64)
        assert wanted.std() > 0.05
        torch.testing.assert_close(
            mirrored_state(compiled, *seen, 36, 64), wanted, atol=1e-3, rtol=0
        )


def test_it_is_remembered_only_for_the_same_view(monkeypatch):
    rng = np.random.default_rng(1)
    model = InferenceModel.__new__(InferenceModel)
    torch.nn.Module.__init__(model)
    monkeypatch.setattr(InferenceModel, "_starting_state", lambda self, *seen: [*seen])
    first, second = scene(rng, 0.0, 0.0), scene(rng, 1.0, 0.0)
    states = [model.starting_state(*seen) for seen in (first, first, second, first)]
    assert states[0] is states[1] and states[2] == [*second] and states[3] == [*first]
    other = (first[0], second[1], first[2])
    assert model.starting_state(*other) == [*other]
