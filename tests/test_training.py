"""Training: what is taught is true, and a run resumes to the step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rtfm_app.config import PRESETS, ModelConfig
from rtfm_app.geometry import invert_pose, pixel_rays, pose_from_yaw_pitch
from rtfm_app.model.cameras import u_of
from rtfm_app.training.clips import Clip, load_clip, save_clip, split_of
from rtfm_app.training.data import ClipPool, Shape, make_batch
from rtfm_app.training.losses import own_loss, truth_of
from rtfm_app.training.step import clean_state
from rtfm_app.training.train import TrainConfig, Trainer

TINY = ModelConfig("tiny", dim=64, depth=1, heads=2, planes=8, refine_channels=16)
FOV = 1.0
WALL = 4.0

PLANES = 48


def wall_clip(seed: int, frames: int = 6) -> Clip:
    """Frames of a textured wall at z = -4, seen by a camera that strafes and turns."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.5, 4.0, (3, 2))
    rays = pixel_rays(144, 256, FOV)
    poses, images, depths = [], [], []
    for index in range(frames):
        pose = pose_from_yaw_pitch((0.4 * index, 1.6, -0.1 * index), 0.06 * index, 0.0)
        world = rays @ pose[:3, :3].T
        reach = (-WALL - pose[2, 3]) / world[..., 2]
        point = pose[:3, 3] + world * reach[..., None]
        shade = np.sin(point[..., None, :2] * waves).prod(-1)
        images.append(((shade + 1) * 127).astype(np.uint8))
        depths.append(1 / reach[::2, ::2])
        poses.append(pose)
    return Clip(
        np.stack(images), np.stack(depths).astype(np.float16), np.stack(poses), FOV, "wall", seed
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(3):
        save_clip(wall_clip(seed), folder)
    return folder


def test_seeds_are_split_once_and_for_all(clips, tmp_path):
    assert [split_of(s) for s in (7, 8, 9, 10, 18, 29)] == [
        "train", "validation", "test", "train", "validation", "test",
    ]  # fmt: skip
    path = save_clip(wall_clip(19), tmp_path)
    assert path.parent.name == "test"
    loaded = load_clip(path)
    assert np.array_equal(loaded.images, wall_clip(19).images)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=path.name):
        load_clip(path)


def test_covered_is_what_a_memory_frame_really_shows(clips):
    pool = ClipPool(clips, "train")
    batch = make_batch(pool, Shape(2, 2, 2), np.random.default_rng(0), augment=False)
    truth = truth_of(batch)
    assert batch.memory_count == 2 and truth.visible.shape == (4, 2, 72, 128)
    # Nothing stands in front of the wall, so visible means inside the memory frame's picture.
    rays = pixel_rays(72, 128, FOV)
    relative = batch.views.memory_from_target[0, 0].double().numpy()
    relative[:3, 3] *= 4.0
    point = (rays / (batch.rho[0, 0].numpy()[..., None] / 4.0)) @ relative[:3, :3].T
    point = point + relative[:3, 3]
    tan = np.tan(FOV / 2)
    ndc = point[..., :2] / -point[..., 2:] / (tan * 16 / 9, tan)
    inside = (np.abs(ndc) < 0.98).all(-1)
    assert (truth.visible[0, 0].numpy()[inside] > 0).mean() > 0.98
    outside = (np.abs(ndc) > 1.02).any(-1)
    assert not truth.visible[0, 0].numpy()[outside].any()


def test_augmentation_keeps_poses_and_pictures_together(clips):
    """Mirrored, rescaled scenes must still re-project: the truth's coverage tells."""
    pool = ClipPool(clips, "train")
    for seed in range(6):
        batch = make_batch(pool, Shape(1, 2, 2), np.random.default_rng(seed), augment=True)
        views = batch.views.memory_from_target.double()
        assert torch.allclose(
            views[..., :3, :3] @ views[..., :3, :3].transpose(-1, -2),
            torch.eye(3, dtype=torch.float64).expand(2, 2, 3, 3), atol=1e-5,
        )  # fmt: skip
        assert torch.linalg.det(views[..., :3, :3]).min() > 0.99
        assert truth_of(batch).covered.mean() > 0.3


def test_the_flow_state_is_the_low_pass_of_the_picture():
    picture = torch.rand(2, 3, 144, 256)
    assert torch.allclose(clean_state(picture)[0, 1, 3, 5], picture[0, 1, 12:16, 20:24].mean())


def make_trainer(clips, out, monkeypatch, **options):
    monkeypatch.setitem(PRESETS, "tiny", TINY)
    torch.set_num_threads(1)
    return Trainer(TrainConfig(clips, out, preset="tiny", targets=2, warmup_steps=2, **options))


def test_a_memory_frame_as_a_target_is_seen_by_itself_where_it_is(clips):
    batch = make_batch(ClipPool(clips, "train"), Shape(2, 2, 3), np.random.default_rng(1), False)
    facing = batch.of_memory()
    assert torch.equal(facing.targets, batch.memory) and facing.views.count == 3
    truth = truth_of(facing)
    for target in range(6):
        itself = target % 3
        apart = facing.views.memory_from_target[target, itself] - torch.eye(4)
        assert apart.abs().max() < 1e-5
        inner = truth.visible[target, itself, 2:-2, 2:-2]
        assert inner.all()
        others = truth.visible[target].float().mean((1, 2))
        assert others.min() > 0.2, "the wall is seen from everywhere"


def test_triangulation_is_learned_and_drawn_from(clips, tmp_path, monkeypatch):
    only = {"matching": 0.0, "own_distance": 0.0, "own_frames": 0.0}
    pool = ClipPool(clips, "train")
    learning = make_trainer(clips, tmp_path / "a", monkeypatch, triangulation=1.0, **only)
    assert learning.train_step(pool)["coordinate"] > 0
    monkeypatch.setattr("rtfm_app.training.train.draw_shape", lambda *_: Shape(1, 2, 3))
    drawn = []
    for share in (0.0, 1.0):
        out = tmp_path / str(share)
        options = only | {"triangulation": 0.0, "triangulated": share}
        drawn.append(make_trainer(clips, out, monkeypatch, **options).train_step(pool))
    assert drawn[0]["own"] == drawn[1]["own"], "frames are still taught their own guess"
    assert drawn[0]["planes"] != drawn[1]["planes"]
    assert drawn[0]["flops"] < drawn[1]["flops"]
    monkeypatch.setitem(globals(), "TINY", replace(TINY, pointer=False))
    without = make_trainer(clips, tmp_path / "b", monkeypatch, triangulated=1.0)
    assert "planes" not in without.train_step(pool), "nothing finds distances without a pointer"


def test_a_resumed_run_is_the_same_run(clips, tmp_path, monkeypatch):
    pool = ClipPool(clips, "train")
    whole = make_trainer(clips, tmp_path / "whole", monkeypatch)
    for _ in range(4):
        whole.train_step(pool)
    first = make_trainer(clips, tmp_path / "parts", monkeypatch)
    for _ in range(2):
        first.train_step(pool)
    first.save()
    second = make_trainer(clips, tmp_path / "parts", monkeypatch)
    assert second.step == 2
    for _ in range(2):
        second.train_step(pool)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    for name, value in whole.ema.items():
        assert torch.equal(value, second.ema[name]), name


def test_training_learns_to_read_a_wall(clips, tmp_path, monkeypatch):
    pool = ClipPool(clips, "train")
    trainer = make_trainer(clips, tmp_path / "learn", monkeypatch)
    history = [trainer.train_step(pool) for _ in range(16)]
    planes = [h["planes"] for h in history if "planes" in h]
    assert np.mean(planes[-3:]) < 0.85 * np.mean(planes[:3])


def test_short_clips_give_fewer_memory_frames_and_an_empty_folder_says_so(clips, tmp_path):
    pool = ClipPool(clips, "train")
    batch = make_batch(pool, Shape(1, 2, 6), np.random.default_rng(0))
    assert batch.memory_count == 4
    with pytest.raises(ValueError, match="no clip"):
        make_batch(ClipPool(tmp_path, "train"), Shape(1, 2, 1), np.random.default_rng(0))


def test_poses_of_a_clip_are_rigid():
    clip = wall_clip(1)
    product = invert_pose(clip.camera_to_world) @ clip.camera_to_world
    assert np.allclose(product, np.eye(4))


def test_own_distance_is_better_unsure_than_wrong():
    rho = torch.full((1, 1, 8, 8), 0.5)
    right = torch.cat([u_of(rho)[..., ::2, ::2], torch.full((1, 1, 4, 4), -4.0)], 1)
    wrong = right.clone()
    wrong[:, 0, :, :2] += 0.3
    unsure = wrong.clone()
    unsure[:, 1, :, :2] = -1.0
    unknown = torch.where(torch.arange(8) < 4, torch.nan, rho)
    assert own_loss(right, rho) < own_loss(unsure, rho) < own_loss(wrong, rho)
    assert float(own_loss(wrong, unknown)) == pytest.approx(float(own_loss(right, unknown)))


def test_a_painted_scene_teaches_no_distance_of_a_single_picture(tmp_path):
    save_clip(replace(wall_clip(0), family="pano_box"), tmp_path)
    rng = np.random.default_rng(0)
    painted = make_batch(ClipPool(tmp_path, "train"), Shape(1, 2, 1), rng)
    assert painted.painted.all() and painted.told(painted.rho).isnan().all()
    assert painted.rho.isfinite().all()  # parallax is taught all the same
    told = replace(painted, painted=torch.tensor([False]))
    assert torch.equal(told.told(told.rho), told.rho)
