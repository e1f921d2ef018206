"""Photographs with hand-drawn layouts: distances agree with what is drawn and between views."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch
from rtfm_app.resources import asset
from rtfm_app.training.clips import split_of
from rtfm_app.worlds import panorama_places
from rtfm_app.worlds.panorama_places import (
    EYE_HEIGHT,
    HEIGHT,
    WIDTH,
    Layout,
    Place,
    layouts,
    place_clip,
)
from rtfm_app.worlds.panorama_things import Sun, random_sun, random_things
from rtfm_app.worlds.panoramas import make_clip, photographs
from rtfm_app.worlds.paper_room import ELBOW_ROOM, Solid
from rtfm_app.worlds.reprojection import psnr, reproject

WALL_AHEAD = {
    "ceiling": None,
    "surfaces": [
        [[-60, -20, 30], [0, -30, 40], [60, -20, 30]],
        [[100, -1, 5, 80], [120, -1, 5, 80]],
    ],
}


def test_wall_stands_where_its_foot_is_seen():
    layout = Layout.of(WALL_AHEAD)
    pose = pose_from_yaw_pitch((0.0, EYE_HEIGHT, 0.0), 0.0, 0.0)
    rays = pixel_rays(9, 3, math.radians(100)) @ pose[:3, :3].T
    seen = layout.cast(pose[:3, 3], rays)[:, 1]
    expected = EYE_HEIGHT / math.tan(math.radians(30))
    elevation = np.degrees(np.arctan(rays[:, 1, 1]))
    on_wall = (elevation > -30) & (elevation < 40)
    assert np.allclose(seen[on_wall], expected, rtol=1e-3)
    below = elevation < -30
    assert np.allclose(seen[below], -EYE_HEIGHT / rays[below, 1, 1], rtol=1e-3)
    assert np.isinf(seen[elevation > 40]).all()


def test_a_step_forward_brings_the_wall_nearer_and_hides_nothing_behind_it():
    layout = Layout.of(WALL_AHEAD)
    rays = pixel_rays(9, 3, math.radians(60))
    there = layout.cast(np.array([0.0, EYE_HEIGHT, 0.0]), rays)[4, 1]
    nearer = layout.cast(np.array([0.0, EYE_HEIGHT, -1.0]), rays)[4, 1]
    assert nearer == pytest.approx(there - 1, rel=1e-3)


def test_what_the_photograph_cannot_show_is_marked():
    entry = {"ceiling": None, "surfaces": [
        [[-10, -30, 30], [10, -30, 30]],  # a pillar ...
        [[-60, -10, 99], [0, -10, 99], [60, -10, 99]],  # ... before a wall
    ]}  # fmt: skip
    place = Place(np.full((64, 128, 3), 128, np.uint8), Layout.of(entry), False)
    fov = math.radians(60)
    _, here = place.draw(pose_from_yaw_pitch((0.0, EYE_HEIGHT, 0.0), 0.0, 0.0), fov)
    _, aside = place.draw(pose_from_yaw_pitch((1.5, EYE_HEIGHT, 0.0), 0.0, 0.0), fov)
    assert not np.isnan(here).any()
    assert 0.02 < np.isnan(aside).mean() < 0.4


@pytest.mark.parametrize("mirrored", [False, True])
def test_views_of_a_place_predict_each_other(mirrored):
    name = "leadenhall_market"
    panorama = np.asarray(Image.open(asset(f"panoramas/{name}.jpg")).convert("RGB"))
    place = Place(panorama, layouts()[name], mirrored)
    fov = math.radians(65)
    poses = [pose_from_yaw_pitch((x, 1.6, -x), 0.3, 0.05) for x in (-0.5, 0.8)]
    (one, far), (other, its) = (place.draw(pose, fov) for pose in poses)
    predicted, valid = reproject(one, far, its, *poses, fov)
    assert valid.mean() > 0.5
    assert psnr(predicted, other, valid) > psnr(one.astype(np.float32), other, valid) + 6


def test_every_layout_belongs_to_a_photograph_and_makes_a_clip_of_its_split():
    paths = [path.stem for path in photographs()]
    entries = json.loads(asset("panoramas/layouts.json").read_text(encoding="utf-8"))
    assert set(entries) <= set(paths) and len(entries) >= 15
    number = paths.index("vestibule")
    seed = 10 * number + number % 10
    clip = make_clip("pano_place", seed)
    assert clip.family == "pano_place" and split_of(seed) == split_of(number)
    assert np.nanmedian(clip.inverse_depth) > 0.05
    assert make_clip("pano_place", 10 * paths.index("thatch_chapel") + 1) is None


def test_a_clip_can_be_made_again():
    panorama = np.asarray(Image.open(asset("panoramas/lebombo.jpg")).convert("RGB"))
    one, other = (place_clip(panorama, "lebombo", 11) for _ in range(2))
    assert (one.images == other.images).all()


def test_a_thing_stands_before_the_photograph_with_its_own_distance_and_shadow():
    post = Solid("pillar", (0.0, -2.0), (0.1, 0.1), 1.0, 0.0, np.zeros((8, 8, 3), np.uint8), 100, 0)
    grey = np.full((64, 128, 3), 128, np.uint8)
    sun = Sun(np.array([1.0, 0.0]), 0.5)
    without = Place(grey, Layout.of(WALL_AHEAD), False)
    place = replace(without, things=(post,), sun=sun)
    pose, fov = pose_from_yaw_pitch((0.0, EYE_HEIGHT, 0.0), 0.0, -0.5), math.radians(60)
    (picture, near), (bare, far) = (p.draw(pose, fov) for p in (place, without))
    changed = near != far
    assert 0.002 < changed.mean() < 0.1
    depth = 1 / near[changed].astype(float)
    assert (depth > 1.6).all() and (depth < 2.6).all()
    column = WIDTH // 2
    assert picture[HEIGHT // 2, column].max() < 10  # the post is black ...
    assert picture[HEIGHT * 3 // 4, : column - 40].min() > 120  # ... its shadow falls to the right
    assert (picture[:, column + 10 :].min(2) < 80).any()
    mirrored, _ = replace(place, mirrored=True).draw(pose, fov)
    assert np.abs(mirrored[:, ::-1].astype(int) - picture).mean() < 1


def test_things_stand_on_ground_that_the_photograph_shows():
    place = Place(np.full((64, 128, 3), 128, np.uint8), Layout.of(WALL_AHEAD), False)
    wall = EYE_HEIGHT / math.tan(math.radians(30))
    shown = place.shows_ground(np.array([[0.0, -wall + 0.3], [0.0, -wall - 0.3], [0.0, 3.0]]))
    assert shown.tolist() == [True, False, True]
    crowded = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        texture = rng.integers(0, 256, (300, 600, 3), dtype=np.uint8)
        things = random_things(rng, texture, place.shows_ground, random_sun(rng))
        crowded += len(things) > 2
        feet = np.array([thing.centre for thing in things]).reshape(-1, 2)
        assert place.shows_ground(feet).all()
    assert crowded > 4


def test_nobody_stands_in_a_thing(monkeypatch):
    post = Solid("pillar", (0.0, 0.6), (0.2, 0.2), 3.0, 0.0, np.zeros((8, 8, 3), np.uint8), 100, 0)
    monkeypatch.setattr(panorama_places, "random_things", lambda *_: (post,))
    panorama = np.full((64, 128, 3), 128, np.uint8)
    for seed in range(6):
        places = place_clip(panorama, "lebombo", seed).camera_to_world[:, :3, 3]
        assert post.gap(places[:, 0], places[:, 2]).min() > 0.99 * ELBOW_ROOM
