"""Given pictures measure each other's distances."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch
from rtfm_app.memory.world_file import StoredFrame, WorldFile
from rtfm_app.model.cameras import METRES_PER_UNIT, u_of
from rtfm_app.model.matching import own_of

FOV = 1.0
WALL = -2.6  # its z
STEP = 0.35


def papered() -> np.ndarray:
    """A wall's picture: blots of all sizes, 200 pixels a metre."""
    rng = np.random.default_rng(3)
    paper = np.zeros((1200, 2400, 3))
    for size in (8, 16, 40, 100):
        blots = rng.uniform(-1, 1, (1200 // size, 2400 // size, 3))
        paper += cv2.resize(blots, (2400, 1200), interpolation=cv2.INTER_CUBIC)
    return (127 + 50 * paper).clip(0, 255).astype(np.uint8)


def standing_at(x: float) -> np.ndarray:
    return pose_from_yaw_pitch((x, 1.6, 0), 0.1 * x, 0)


def photograph(paper: np.ndarray, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The wall from a pose, and the inverse depth (1 / metre) of every fourth pixel."""
    rays = pixel_rays(144, 256, FOV) @ pose[:3, :3].T
    reach = (WALL - pose[2, 3]) / rays[..., 2]
    point = pose[:3, 3] + rays * reach[..., None]
    x, y = (point[..., 0] + 6) * 200, (4.6 - point[..., 1]) * 200
    picture = cv2.remap(paper, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    return picture, (1 / reach)[2::4, 2::4]


@pytest.fixture(scope="module")
def album():
    torch.set_num_threads(1)
    paper = papered()
    poses = [standing_at(STEP * index) for index in range(4)]
    return [(pose, *photograph(paper, pose)) for pose in poses]


@pytest.fixture
def path(album, tmp_path):
    path = tmp_path / "wall.rtfm"
    with WorldFile.create(path, name="w", start_pose=album[0][0], fov_y_radians=FOV) as world:
        for pose, picture, _ in album:
            world.add_frame(StoredFrame("seed", pose, FOV, picture))
    return path


def off(page, inverse_depth: np.ndarray) -> float:
    """Mean error of a page's distances, in coordinates."""
    true = u_of(torch.from_numpy(inverse_depth * METRES_PER_UNIT))
    return float((own_of(page.features)[0] - true).abs().mean())


def test_pictures_from_several_places_know_their_distances_better(path, album):
    with FrameEngine.open(path) as engine:
        alone = [off(engine.pages.encoder.alone(i + 1), album[i][2]) for i in range(4)]
        together = [off(engine.pages.encoder.encode(i + 1), album[i][2]) for i in range(4)]
    assert max(together) < 0.03 < min(alone)


def test_distances_are_those_of_the_pictures_that_are_there(path):
    with FrameEngine.open(path) as engine:
        first = engine.pages.fetch((1,))[0].features
        assert torch.equal(engine.pages.fetch((1,))[0].features, first)
        engine.world.delete_frame(2)
        engine.forget(2)
        assert 1 not in engine.pages
        fewer = engine.pages.fetch((1,))[0].features
        assert not torch.equal(own_of(fewer), own_of(first))
    with FrameEngine.open(path) as again:
        again.pages.fetch((4, 3))
        assert torch.equal(again.pages.fetch((1,))[0].features, fewer)


def test_pictures_from_one_place_and_imagined_ones_measure_nothing(tmp_path, album):
    pose, picture, _ = album[0]
    turned = pose_from_yaw_pitch((0.04, 1.6, 0), 0.2, 0)
    path = tmp_path / "one.rtfm"
    with WorldFile.create(path, name="w", start_pose=pose, fov_y_radians=FOV) as world:
        world.add_frame(StoredFrame("seed", pose, FOV, picture))
        world.add_frame(StoredFrame("seed", turned, FOV, picture))
        world.add_frame(StoredFrame("generated", standing_at(0.4), FOV, picture))
    with FrameEngine.open(path) as engine:
        assert engine.index.seeds_beside(1, 4) == engine.index.seeds_beside(3, 4) == ()
        for frame_id in (1, 2, 3):
            engine.pages.encoder.encode(frame_id)
        assert not engine.pages.encoder._measured


def test_what_measures_a_page_is_encoded_ahead_too_one_picture_at_a_time(path):
    with FrameEngine.open(path) as engine:
        pages, encoded = engine.pages, []
        original = pages.encoder._encoded
        pages.encoder._encoded = lambda i, stored: (encoded.append(i), original(i, stored))[1]
        while pages.warm((1,)):
            assert len(encoded) <= 1
            encoded.clear()
        assert 1 in pages
        ahead = pages.fetch((1,))[0].features
        assert pages.missed == 0
        pages.clear()
        assert torch.equal(pages.fetch((1,))[0].features, ahead) and pages.missed == 1


def test_a_model_without_pointer_takes_its_pages_as_they_are(path, monkeypatch):
    with FrameEngine.open(path) as engine:
        monkeypatch.setattr(engine.model, "config", replace(engine.model.config, pointer=False))
        assert engine.pages.encoder.encode(1).sources.beside == ()
