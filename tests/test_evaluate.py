"""Metrics, baselines and the evaluation set."""

import math

import numpy as np
import pytest

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.training.clips import split_of
from rtfm_app.training.eval_set import MASK_SEEN, Place, Target, load_places, save_place
from rtfm_app.training.evaluate import run_eval
from rtfm_app.training.evaluate_office import held_out_frames
from rtfm_app.training.evaluate_places import Scores
from rtfm_app.training.evaluate_worlds import Posed, best_homography
from rtfm_app.training.features import PictureFeatures, frechet_distance
from rtfm_app.training.metrics import (
    border_gradients,
    gradient_energy,
    homography_reading,
    psnr,
    reprojected,
    ssim,
)

FOV = math.radians(60)
RNG = np.random.default_rng(3)
NOISE = RNG.integers(0, 256, (72, 128, 3), dtype=np.uint8)


def smooth_picture() -> np.ndarray:
    y, x = np.mgrid[0:72, 0:128]
    planes = [127 + 100 * np.sin(x / a + y / b) for a, b in ((17, 9), (11, 23), (29, 13))]
    return np.stack(planes, -1).astype(np.uint8)


def test_psnr_of_a_known_error():
    picture = np.full((8, 16, 3), 100, np.uint8)
    assert psnr(picture + 10, picture) == pytest.approx(20 * math.log10(25.5))
    mask = np.zeros((8, 16), bool)
    mask[0] = True
    worse = picture.copy()
    worse[1:] += 50
    assert psnr(worse, picture, mask) == 99.0
    with pytest.raises(ValueError, match="empty"):
        psnr(picture, picture, mask & False)


def test_ssim_is_one_for_the_same_and_falls_with_blur():
    picture = smooth_picture()
    assert ssim(picture, picture) == pytest.approx(1.0)
    assert ssim(NOISE, picture) < 0.2


def test_blur_lowers_gradient_energy_and_a_grid_raises_the_border_step():
    picture = smooth_picture()
    blurred = ((picture[:, 1:].astype(int) + picture[:, :-1]) // 2).astype(np.uint8)
    assert gradient_energy(blurred) < gradient_energy(NOISE)
    on, off = border_gradients(picture)
    assert on / off == pytest.approx(1.0, abs=0.1)
    rows, columns = np.indices((72, 128))
    tiled = picture // 2 + (((rows // 16 + columns // 16) % 2) * 60)[..., None].astype(np.uint8)
    on, off = border_gradients(tiled)
    assert on / off > 3


def test_homography_of_the_same_camera_is_the_picture_and_of_a_turn_shifts_it():
    picture = smooth_picture()
    pose = pose_from_yaw_pitch((1.0, 2.0, 3.0), 0.4, 0.1)
    same, inside = homography_reading(picture, pose, FOV, pose, FOV, 72, 128)
    assert np.array_equal(same, picture) and inside.all()
    turned = pose_from_yaw_pitch((1.0, 2.0, 3.0), 0.4 + math.radians(20), 0.1)
    _, inside = homography_reading(picture, pose, FOV, turned, FOV, 72, 128)
    # Turned to the left: what is new appears on the left.
    assert not inside[:, 0].any() and inside[36, -1]


def test_reprojection_of_infinity_is_the_homography_and_of_a_near_point_moves():
    here = pose_from_yaw_pitch((0, 0, 0), 0, 0)
    aside = pose_from_yaw_pitch((0.5, 0, 0), 0, 0)
    far, _, _ = reprojected(np.zeros((72, 128)), here, FOV, aside, FOV)
    near, _, rho = reprojected(np.full((72, 128), 0.5), here, FOV, aside, FOV)
    assert np.allclose(far[0, :, 0], (np.arange(128) * 2 + 1) / 128 - 1)
    # A point 2 m away moves left by 0.5 / 2 / tan_x when the camera steps right by half a metre.
    tan_x = math.tan(FOV / 2) * 16 / 9
    assert np.allclose(near[..., 0] - far[..., 0], -0.25 / tan_x)
    assert np.allclose(rho, 0.5)


def test_the_best_memory_frame_is_the_one_that_looks_alike():
    pose = pose_from_yaw_pitch((0, 0, 0), 0, 0)
    truth = Posed(smooth_picture(), pose, FOV)
    noise = Posed(NOISE, pose, FOV)
    assert best_homography(truth, [noise, truth]).memory is truth


def test_families_have_equal_weight():
    scores = Scores()
    for value in (10.0, 10.0, 10.0):
        scores.add("m", "lake", value)
    scores.add("m", "forest", 30.0)
    assert scores.flat() == {"m": 20.0, "m/forest": 30.0, "m/lake": 10.0}


def test_frechet_distance_of_shifted_gaussians_is_the_squared_shift():
    samples = RNG.normal(size=(4000, 5))
    assert frechet_distance(samples, samples) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(samples, samples + 2.0) == pytest.approx(20.0, rel=1e-3)


def test_features_tell_noise_from_a_picture():
    features = PictureFeatures()
    mask = np.ones((72, 128), bool)
    a, b = features(smooth_picture(), mask), features(NOISE, mask)
    assert a.shape[1] == 64 and np.isfinite(a).all()
    assert np.linalg.norm(a.mean(0) - b.mean(0)) > 0.5


def test_a_place_survives_being_saved(tmp_path):
    posed = Posed(smooth_picture(), pose_from_yaw_pitch((1, 2, 3), 0.5, 0.2), FOV)
    mask = np.full((72, 128), MASK_SEEN, np.uint8)
    place = Place("lake", 9, (posed,), (Target(posed, "turn", 0, mask, 3.5),))
    save_place(place, tmp_path / "lake-0009")
    (again,) = load_places(tmp_path)
    assert again.family == "lake" and np.array_equal(again.targets[0].mask, mask)
    assert np.allclose(again.memory[0].camera_to_world, posed.camera_to_world)
    assert psnr(again.memory[0].image, posed.image) > 38


def test_the_shipped_set_is_of_test_seeds_with_every_role():
    for place in load_places(limit_per_family=1):
        assert split_of(place.seed) == "test"
        assert len(place.memory) == 16
        assert place.of_role("between") and place.of_role("novel")
        assert place.memory[0].image.shape == (288, 512, 3)


def test_a_missing_set_and_an_unknown_part_are_refused(tmp_path):
    with pytest.raises(ValueError, match="make_eval_set"):
        list(load_places(tmp_path))
    with pytest.raises(ValueError, match="speling"):
        run_eval(only="speling")


def test_the_held_out_office_is_the_last_part_of_the_walk():
    frames = held_out_frames()
    assert len(frames) == 187 - 130 and frames[0].image.shape == (288, 512, 3)
