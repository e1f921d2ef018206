"""The frame model's invariants: what must hold for any weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rtfm_app.config import PRESETS, ModelConfig
from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch
from rtfm_app.model.cameras import METRES_PER_UNIT, epipolar_lines, relative_views, rho_of, u_of
from rtfm_app.model.checkpoint import load_model, save_weights
from rtfm_app.model.fast import prepare
from rtfm_app.model.frame_model import Cameras, FrameModel, Pages, compose, mirrored
from rtfm_app.model.pointer import full_grid, local_expectation
from rtfm_app.model.sampler import NoiseField, generate
from rtfm_app.model.transformer import ExplicitBackwardAttention, head_matrices
from rtfm_app.training.data import cameras_of

TINY = ModelConfig("tiny", dim=64, depth=2, heads=2, planes=8, refine_channels=16)
TAN = 0.6


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = FrameModel(TINY).eval()
    for parameter in model.parameters():
        # Zero-initialised outputs would hide a wrong transform.
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


def poses(offset=(0.0, 0.0, 0.0)):
    places = [(0.0, 1.6, 0.0, 0.0), (0.5, 1.6, -0.4, 0.2), (-0.3, 1.5, 0.6, -0.3)]
    return np.stack([pose_from_yaw_pitch(np.add(p[:3], offset), p[3], 0.05) for p in places])


def memory_of(model, memory_poses):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(len(memory_poses), 3, 144, 256, generator=generator) * 2 - 1
    cameras = cameras_of(memory_poses, np.full(len(memory_poses), TAN))
    kv, features = model.encode(images, torch.ones_like(images[:, :1]), cameras)
    return Pages(
        tuple(layer[None] for layer in kv), features[None], images[None],
        torch.ones_like(images[:, :1])[None], cameras.up[None],
    )  # fmt: skip


def draw(model, target, memory_poses, order=None):
    pages = memory_of(model, memory_poses)
    order = list(range(len(memory_poses))) if order is None else order
    pages = Pages(
        tuple(layer[:, order] for layer in pages.kv), pages.features[:, order],
        pages.images[:, order], pages.valid[:, order], pages.up[:, order],
    )  # fmt: skip
    views = relative_views(
        target[None], np.array([TAN]), memory_poses[order][None], np.full((1, len(order)), TAN)
    )
    cameras = cameras_of(target[None], np.array([TAN]))
    noise = torch.randn(1, 3, 36, 64, generator=torch.Generator().manual_seed(5))
    prediction = generate(model, noise, cameras, pages, views)
    picture, gate, _ = compose(
        prediction, pages, views, cameras, pages.images.unbind(1), 72, 128, 0.5
    )
    return picture, gate


@torch.no_grad()
def test_memory_frames_may_come_in_any_order(model):
    memory = poses()
    target = pose_from_yaw_pitch((0.2, 1.6, -0.2), 0.1, 0.0)
    picture, gate = draw(model, target, memory)
    shuffled, shuffled_gate = draw(model, target, memory, [2, 0, 1])
    assert (picture - shuffled).abs().mean() < 0.01
    assert (gate - shuffled_gate).abs().mean() < 0.01


@torch.no_grad()
def test_ten_kilometres_from_home_nothing_changes(model):
    target = pose_from_yaw_pitch((0.2, 1.6, -0.2), 0.1, 0.0)
    near, _ = draw(model, target, poses())
    far_target = target.copy()
    far_target[:3, 3] += (10_000.0, 0.0, -7_000.0)
    far, _ = draw(model, far_target, poses((10_000.0, 0.0, -7_000.0)))
    assert (near - far).abs().max() < 0.05


def test_prope_matrices_give_the_relative_score():
    """q . (P_t P_m^-1 k) on the moved half and the plain product on the other."""
    prope = torch.randn(1, 1, 4, 4)
    q, k = torch.randn(16), torch.randn(16)
    matrix = head_matrices(prope, 16, torch.float32)[0]
    moved = (prope[0, 0] @ k[:8].reshape(4, 2)).reshape(8)
    expected = q[:8] @ moved + q[8:] @ k[8:]
    assert torch.allclose(q @ (k @ matrix), expected, atol=1e-5)


def test_explicit_attention_backward_equals_autograd():
    q, k, v = (torch.randn(2, 3, 8, 16, dtype=torch.float64, requires_grad=True) for _ in range(3))
    expected = F.scaled_dot_product_attention(q, k, v)
    weight = torch.randn_like(expected)
    wanted = torch.autograd.grad((expected * weight).sum(), (q, k, v))
    found = ExplicitBackwardAttention.apply(q, k, v)
    got = torch.autograd.grad((found * weight).sum(), (q, k, v))
    assert torch.allclose(found, expected)
    for a, b in zip(wanted, got, strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_epipolar_coordinate_and_inverse_depth_are_inverse():
    u = torch.linspace(0, 1, 50)
    assert torch.allclose(u_of(rho_of(u)), u, atol=1e-5)
    assert rho_of(torch.zeros(1)) == 0


def test_a_point_of_known_distance_is_found_where_it_projects():
    target = pose_from_yaw_pitch((0, 0, 0), 0, 0)
    memory = pose_from_yaw_pitch((1, 0.2, 0.5), 0.1, -0.05)
    views = relative_views(target[None], np.array([TAN]), memory[None, None], np.full((1, 1), 0.5))
    distance = 5.0
    rho = torch.full((1, 9, 16), METRES_PER_UNIT / distance)
    row, column = 3, 12
    ndc = np.array([(2 * column + 1) / 16 - 1, 1 - (2 * row + 1) / 9])
    point = np.array([ndc[0] * TAN * 16 / 9, ndc[1] * TAN, -1]) * distance
    seen = np.linalg.inv(memory) @ np.append(point, 1)
    expected = [seen[0] / -seen[2] / (0.5 * 16 / 9), -seen[1] / -seen[2] / 0.5]
    assert np.allclose(full_grid(views, 0, rho)[0, row, column], expected, atol=1e-4)
    lines = epipolar_lines(views, 9, 16)
    grid, _ = lines.at(rho.reshape(1, 1, 1, -1))
    assert np.allclose(grid[0, 0, 0, row * 16 + column], expected, atol=1e-4)


def test_local_expectation_takes_a_surface_and_not_the_gap_between_two():
    logits = torch.full((1, 24, 1, 1), -10.0)
    logits[:, 4:7] = 2.0
    logits[:, 18:20] = 1.8
    candidates = torch.linspace(0, 1, 24)
    assert abs(float(local_expectation(logits, candidates)) - 5 / 23) < 0.03


@torch.no_grad()
def test_mirrored_reading_is_the_picture_itself_at_the_same_pose():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 72), torch.linspace(-1, 1, 128), indexing="ij")
    image = torch.stack([x, y, x * y])[None]
    pose = pose_from_yaw_pitch((0, 1.6, 0), 0.4, 0.2)[None]
    views = relative_views(pose, np.array([TAN]), pose[None], np.full((1, 1), TAN))
    cameras = cameras_of(pose, np.array([TAN]))
    pages = Pages((), torch.zeros(0), torch.zeros(0), torch.zeros(0), cameras.up[None])
    read = mirrored(pages, views, cameras, [image], 72, 128)
    inner = (slice(None), slice(None), slice(8, 64), slice(8, 120))
    assert (read - image)[inner].abs().max() < 0.05


@torch.no_grad()
def test_mirrored_reading_keeps_the_horizon_all_round():
    """Sky above, ground below, whichever way the walker turns and the picture was tilted."""
    image = torch.ones(1, 1, 180, 320).expand(1, 3, -1, -1).clone()
    memory = pose_from_yaw_pitch((0, 1.6, 0), 0.0, 0.15)
    horizon = int((np.tan(0.15) / TAN + 1) / 2 * 180)
    image[:, :, horizon:] = -1
    up = cameras_of(memory[None], np.array([TAN])).up[None]
    pages = Pages((), torch.zeros(0), torch.zeros(0), torch.zeros(0), up)
    for yaw in (0.5, 1.5, 3.1, -2.0):
        target = pose_from_yaw_pitch((0, 1.6, 0), yaw, 0.0)[None]
        views = relative_views(target, np.array([TAN]), memory[None, None], np.full((1, 1), TAN))
        cameras = cameras_of(target, np.array([TAN]))
        read = mirrored(pages, views, cameras, [image], 72, 128)
        assert read[:, :, :24].mean() > 0.9
        assert read[:, :, -24:].mean() < -0.9


@torch.no_grad()
def test_mirrored_ground_is_ground_and_keeps_its_size():
    """Straight paving leads on under one's feet: no wall stands on its head there."""
    height, width, metres = 720, 1280, 1.6
    y, x = torch.meshgrid(
        torch.linspace(TAN, -TAN, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    away = metres / -y.clamp(max=-1e-3)
    aside = x * TAN * 16 / 9 * away
    image = torch.stack([torch.sin(3 * aside), torch.sign(y), torch.zeros_like(y)])[None]
    memory = pose_from_yaw_pitch((0, 1.6, 0), 0.0, 0.0)
    up = cameras_of(memory[None], np.array([TAN])).up[None]
    pages = Pages((), torch.zeros(0), torch.zeros(0), torch.zeros(0), up)
    for yaw, pitch in ((0.0, -0.6), (0.3, -0.9), (-0.2, -1.2)):
        target = pose_from_yaw_pitch((0, 1.6, 0), yaw, pitch)[None]
        views = relative_views(target, np.array([TAN]), memory[None, None], np.full((1, 1), TAN))
        cameras = cameras_of(target, np.array([TAN]))
        read = mirrored(pages, views, cameras, [image], 72, 128)[0]
        rays = pixel_rays(72, 128, 2 * np.arctan(TAN)) @ target[0, :3, :3].T
        below = torch.from_numpy((rays[..., 1] < -0.2) & (rays[..., 2] < -0.2))
        assert (read[1][below] < -0.9).all()
        aside = torch.from_numpy(rays[..., 0] / -rays[..., 1] * metres)
        assert (read[0] - torch.sin(3 * aside))[below].abs().median() < 0.05


@torch.no_grad()
def test_a_world_can_be_dreamt_without_memory(model):
    cameras = Cameras(torch.tensor([[TAN * 16 / 9, TAN]]), torch.tensor([[0.0, 1.0, 0.0]]))
    noise = torch.randn(1, 3, 36, 64)
    prediction = generate(model, noise, cameras, None, None, steps=3)
    picture, gate, share = compose(prediction, None, None, cameras, [], 72, 128, 1.0)
    assert picture.shape == (1, 3, 72, 128)
    assert picture.isfinite().all()
    assert float(gate.max()) == 0 and share is None


@torch.no_grad()
def test_bf16_weights_draw_what_float32_weights_draw(model):
    target = pose_from_yaw_pitch((0.2, 1.6, -0.2), 0.1, 0.0)
    plain, _ = draw(model, target, poses())
    fast = FrameModel(TINY)
    fast.load_state_dict(model.state_dict())
    quick, _ = draw(prepare(fast, torch.device("cpu")), target, poses())
    assert (plain - quick).abs().mean() < 0.02


def test_noise_belongs_to_directions():
    field = NoiseField(7)
    rays = np.random.default_rng(0).standard_normal((200, 3))
    assert np.array_equal(field.sample(rays), NoiseField(7).sample(rays * 3.0))
    assert not np.array_equal(field.sample(rays), NoiseField(8).sample(rays))
    many = field.sample(np.random.default_rng(1).standard_normal((40_000, 3)))
    assert abs(many.std() - 1) < 0.05


def test_weights_survive_the_file_and_strangers_are_refused(model, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(model.state_dict(), TINY, path, step=3)
    loaded = load_model(path)
    assert loaded.config == TINY
    for name, value in model.state_dict().items():
        assert torch.allclose(loaded.state_dict()[name], value, atol=2e-3), name
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ValueError, match="weights"):
        load_model(path)
    with pytest.raises(ValueError, match="missing.safetensors"):
        load_model(tmp_path / "missing.safetensors")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_build_on_the_meta_device(name):
    with torch.device("meta"):
        model = FrameModel(PRESETS[name])
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    low, high = {
        "embedded": (8, 16),
        "small": (90, 170),
        "base": (900, 1100),
        "large": (4000, 6000),
    }[name]
    assert low <= millions <= high, millions


def test_impossible_shapes_are_refused():
    with pytest.raises(ValueError, match="heads"):
        replace(TINY, heads=3)
    with pytest.raises(ValueError, match="16:9"):
        replace(TINY, width=320)
