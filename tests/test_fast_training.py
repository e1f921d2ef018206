"""Kernels with a backward pass agree with their plain twins, gradients too."""

import pytest
import torch

from rtfm_app.model import fast_training, matching
from rtfm_app.model.fast_kernels import kernels
from rtfm_app.model.layers import Convolution3d
from rtfm_app.training.losses import _plane_loss


@pytest.fixture
def compiled():
    if kernels(torch.float32) is None:
        pytest.fail("this test needs a C compiler: sudo apt install gcc libc6-dev")


@pytest.fixture(params=[1, 2, 3, 5])
def seen(request):
    """Features, where they are read (partly outside) and what is inside."""
    generator = torch.Generator().manual_seed(request.param)
    features = torch.randn(2, request.param, 16, 9, 16, generator=generator)
    grid = 3 * torch.rand(2, request.param, 6, 40, 2, generator=generator) - 1.5
    inside = (grid.abs().amax(-1) < 1).float()
    assert 0 < inside.mean() < 1
    return features, grid, inside


def with_gradient(read, features, *others):
    """All that `read` gives, and the gradient of a random weighting of it."""
    features = features.clone().requires_grad_()
    results = read(features, *others)
    results = results if isinstance(results, tuple) else (results,)
    generator = torch.Generator().manual_seed(9)
    total = sum((x * torch.randn(x.shape, generator=generator)).sum() for x in results)
    total.backward()
    return [*(x.detach() for x in results), features.grad]


@pytest.mark.usefixtures("compiled")
def test_evidence_and_its_gradient_agree(seen, monkeypatch):
    wanted = with_gradient(matching.evidence, *seen)
    monkeypatch.setattr(matching, "evidence", None)  # the twin must not stand in
    assert wanted[-1].abs().sum() > 0
    for a, b in zip(wanted, with_gradient(fast_training.evidence, *seen), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("compiled")
def test_reading_and_its_gradient_agree(seen, monkeypatch):
    wanted = with_gradient(matching.sample, *seen[:2])
    monkeypatch.setattr(matching, "sample", None)
    for a, b in zip(wanted, with_gradient(fast_training.sample, *seen[:2]), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_grid_that_learns_takes_the_plain_way(seen):
    features, grid, _ = seen
    grid.requires_grad_()
    fast_training.sample(features, grid).sum().backward()
    assert grid.grad.abs().sum() > 0


def test_channels_last_convolution_is_the_same_convolution():
    torch.manual_seed(0)
    layer, x = Convolution3d(4, 6), torch.randn(2, 4, 5, 6, 7)
    plain = torch.nn.functional.conv3d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), plain, rtol=1e-4, atol=1e-5)


def test_plane_loss_is_the_cross_entropy_of_each_cells_distances():
    torch.manual_seed(0)
    logits = torch.randn(1, 5, 2, 3)
    u, taught = torch.rand(1, 1, 8, 12), (torch.rand(1, 1, 8, 12) < 0.7).float()
    shares = logits.log_softmax(1)
    lost = 0.0
    for row, column in taught[0, 0].nonzero().tolist():
        place = float(u[0, 0, row, column]) * 4
        low = int(place)
        cell = shares[0, :, row // 4, column // 4]
        lost -= float((1 - place + low) * cell[low] + (place - low) * cell[low + 1])
    torch.testing.assert_close(
        float(_plane_loss(logits, u, taught)), lost / float(taught.sum()), rtol=1e-4, atol=1e-5
    )
