"""What lies around a single photograph."""

import math

import numpy as np
import pytest
from PIL import Image

from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch
from rtfm_app.imports.joining import Photograph, directions, joined
from rtfm_app.imports.panorama import sample_panorama
from rtfm_app.imports.pictures import world_from_image
from rtfm_app.imports.references import references
from rtfm_app.imports.surroundings import best_fit, laid_around, with_surroundings


def photograph_of(name: str, yaw_degrees: float) -> Photograph:
    with Image.open(next(p for p in references() if p.stem == name)) as picture:
        panorama = np.asarray(picture.convert("RGB"))
    pose = pose_from_yaw_pitch((0, 0, 0), math.radians(yaw_degrees), 0.0)
    return Photograph(sample_panorama(panorama, pose, 144, 256), math.radians(60))


def test_a_photograph_taken_in_a_reference_finds_its_place_again():
    photograph = photograph_of("noon_grass", 90.0)
    choices = [p for p in references() if p.stem in ("noon_grass", "kloppenheim_05", "vestibule")]
    fit = best_fit(photograph, choices)
    assert fit.reference.stem == "noon_grass"
    assert (fit.flipped, fit.tilt) == (False, 0.0)
    assert abs((fit.yaw + 90 + 180) % 360 - 180) < 3
    assert np.allclose(fit.gain, 1, atol=0.1)
    # Beyond the border the real surroundings come out.
    whole = joined(photograph, laid_around(fit)).astype(float)
    around = laid_around(fit)
    azimuth, elevation = directions(whole.shape[1])
    beside = (np.abs(azimuth) > 70) & (np.abs(azimuth) < 120) & (np.abs(elevation) < 20)
    assert np.abs(whole - around)[beside].mean() < 6


def test_the_photograph_itself_stays_as_it_is():
    photograph = photograph_of("vestibule", 30.0)
    lebombo = [p for p in references() if p.stem == "lebombo"]
    whole = joined(photograph, laid_around(best_fit(photograph, lebombo)))
    azimuth, elevation = directions(whole.shape[1])
    own, shown = photograph.at(azimuth, elevation)
    assert 0.05 < shown.mean() < 0.3
    assert np.abs(whole.astype(float) - own)[shown].max() <= 0.5
    # Continuous where it ends: the step across its border is like those inside it.
    row = whole.shape[0] // 2
    steps = np.abs(np.diff(whole[row].astype(float), axis=0)).mean(-1)
    edge = np.flatnonzero(np.diff(shown[row].astype(int)))
    assert steps[edge].mean() < 3 * steps[shown[row, 1:]].mean() + 4


def test_a_world_of_one_photograph_is_seen_all_around(tmp_path):
    picture = photograph_of("rooitou_park", 0.0)
    Image.fromarray(picture.image).save(tmp_path / "a.png")
    source = with_surroundings(world_from_image(tmp_path / "a.png"), "noon_grass")
    frames = list(source.frames)
    assert source.count == len(frames)
    assert source.provenance["surroundings"] == "noon_grass"
    assert np.array_equal(frames[0].image, picture.image) and frames[0].valid is None
    rng = np.random.default_rng(0)
    rays = rng.normal(size=(500, 3))
    covered = np.zeros(len(rays), bool)
    for frame in frames:
        height, width = frame.image.shape[:2]
        local = rays @ frame.camera_to_world[:3, :3]
        tan_y = math.tan(frame.fov_y_radians / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            x = local[:, 0] / -local[:, 2] / (tan_y * 16 / 9)
            y = local[:, 1] / -local[:, 2] / tan_y
        inside = (local[:, 2] < 0) & (np.abs(x) < 1) & (np.abs(y) < 1)
        rows = ((1 - y[inside]) / 2 * height).astype(int)
        columns = ((x[inside] + 1) / 2 * width).astype(int)
        valid = np.ones((height, width), bool) if frame.valid is None else frame.valid
        covered[np.flatnonzero(inside)[valid[rows, columns]]] = True
    assert covered.mean() > 0.99
    # What the photograph shows is never taken from its surroundings.
    again = frames[1]
    rays = pixel_rays(*again.image.shape[:2], again.fov_y_radians) @ again.camera_to_world[:3, :3].T
    azimuth = np.degrees(np.arctan2(rays[..., 0], -rays[..., 2]))
    elevation = np.degrees(np.arcsin(rays[..., 1] / np.linalg.norm(rays, axis=-1)))
    _, shown = picture.at(azimuth, elevation)
    assert not (again.valid & shown).any()


def test_surroundings_can_be_refused_or_named(tmp_path):
    Image.fromarray(photograph_of("lebombo", 0.0).image).save(tmp_path / "a.png")
    source = world_from_image(tmp_path / "a.png")
    assert with_surroundings(source, "none") is source
    with pytest.raises(ValueError, match="no surroundings 'moon'; choose one of auto, none, adams"):
        with_surroundings(source, "moon")
