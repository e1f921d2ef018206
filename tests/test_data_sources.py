"""Training sources: their frames, poses, fields of view and distances must tell one story."""

import json
import math
import struct
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rtfm_app.geometry import invert_pose, pixel_rays, pose_from_yaw_pitch
from rtfm_app.training.clips import Clip, load_clip, split_of
from rtfm_app.worlds import doom, doom_level, office, panoramas
from rtfm_app.worlds.paper_room import PaperRoom, Shell, Solid
from rtfm_app.worlds.reprojection import check_clip
from rtfm_app.worlds.stroll import stroll
from rtfm_app.worlds.tone import tinted

PHOTOGRAPHS = len(panoramas.photographs())
walk = cache(office.load_walk)


@cache
def box_clip(seed):
    return panoramas.make_clip("pano_box", seed)


# The check itself


def test_check_notices_wrong_poses_fields_of_view_and_distances():
    clip = box_clip(panoramas.clip_seed(7, PHOTOGRAPHS))
    pairs = [(0, 2), (4, 6), (9, 7), (12, 14)]

    def score(changed):
        return np.mean([check_clip(changed, *pair)["warped"] for pair in pairs])

    right = score(clip)
    flipped = clip.camera_to_world.copy()
    flipped[:, :3, 3] *= -1
    for wrong in (
        replace(clip, camera_to_world=flipped),
        replace(clip, camera_to_world=invert_pose(clip.camera_to_world)),
        replace(clip, fov_y_radians=clip.fov_y_radians * 1.15),
        replace(clip, inverse_depth=clip.inverse_depth * np.float16(1.6)),
    ):
        assert score(wrong) < right - 3


# The office walk


def test_office_distances_predict_the_next_frame_and_are_along_the_axis():
    scores = [check_clip(c, 0, 1) for c in office.training_clips(walk())[:16:3]]
    warped, infinite = (np.mean([s[name] for s in scores]) for name in ("warped", "infinite"))
    assert warped > 20 and warped > infinite + 5
    length = np.linalg.norm(pixel_rays(72, 128, walk().fov_y_radians), axis=-1)
    as_rays = replace(walk(), inverse_depth=(walk().inverse_depth * length).astype(np.float32))
    worse = [check_clip(c, 0, 1) for c in office.training_clips(as_rays)[:16:3]]
    assert np.mean([s["warped"] for s in worse]) < warped


def test_office_training_clips_leave_the_last_frames_for_evaluation():
    clips = office.training_clips(walk())
    last = math.floor(len(walk().images) * 0.7) - 1
    held_out = walk().camera_to_world[last + 1 :]
    assert len(clips) == 40 and {split_of(c.seed) for c in clips} == {"train"}
    assert len({c.seed for c in clips}) == len(clips)
    assert any((c.camera_to_world == walk().camera_to_world[last]).all((1, 2)).any() for c in clips)
    for clip in clips:
        assert not (clip.camera_to_world[:, None] == held_out).all((2, 3)).any()


def test_office_crop_is_symmetric_about_the_principal_point():
    crop = office.Crop.about(269.5, 169.2, 540, 360)
    assert (crop.left + crop.right) / 2 == pytest.approx(269.5)
    assert (crop.top + crop.bottom) / 2 == pytest.approx(169.2)
    assert (crop.right - crop.left) / (crop.bottom - crop.top) == pytest.approx(16 / 9)
    assert crop.left >= 0 and crop.top >= 0 and crop.right <= 540 and crop.bottom <= 360
    assert crop.left == pytest.approx(0)


def test_office_pinholes_close_inside_a_surface_but_not_across_an_edge():
    inverse = np.full((9, 9), 0.5, np.float32)
    inverse[:, 5:] = 2.0
    inverse[4, 2] = inverse[4, 5] = np.nan
    filled = office._without_pinholes(inverse)
    assert filled[4, 2] == pytest.approx(0.5)
    assert np.isnan(filled[4, 5])


def test_office_walk_without_its_files_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a posed walk"):
        office.load_walk(tmp_path)


def test_office_command_writes_readable_clips(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["office", "--out", str(tmp_path)])
    monkeypatch.setattr(office, "CLIPS_AT_STRIDE", {2: 3})
    office.main()
    paths = sorted(tmp_path.glob("train/*.clip.npz"))
    assert len(paths) == 3
    assert load_clip(paths[0]).family == "office"


# Photographs


@pytest.mark.parametrize("number", [0, 7])
def test_panorama_clips_predict_each_other(number):
    seed = panoramas.clip_seed(number, PHOTOGRAPHS)
    box = box_clip(seed)
    scores = [check_clip(box, frame, frame + 2) for frame in range(0, 14, 3)]
    scores = [s for s in scores if s["valid"] > 0.1]
    warped, infinite = (np.mean([s[name] for s in scores]) for name in ("warped", "infinite"))
    assert warped > 28 and warped > infinite + 4
    turn = check_clip(panoramas.make_clip("pano_turn", seed), 5, 6)
    assert turn["warped"] > 28 and turn["warped"] > turn["copied"] + 3


def test_a_photograph_is_seen_in_one_split_only():
    for number in range(3 * PHOTOGRAPHS):
        seed = panoramas.clip_seed(number, PHOTOGRAPHS)
        shown = panoramas.photograph_of(seed, PHOTOGRAPHS)
        expected = {8: "validation", 9: "test"}.get(shown % 10, "train")
        assert split_of(seed) == expected


def test_clips_are_pure_functions_of_their_seed():
    seed = panoramas.clip_seed(0, PHOTOGRAPHS)
    again = panoramas.make_clip("pano_box", seed)
    assert (box_clip(seed).images == again.images).all()
    assert (box_clip(seed).camera_to_world == again.camera_to_world).all()
    assert not (box_clip(panoramas.clip_seed(7, PHOTOGRAPHS)).images == again.images).all()


def test_panorama_centre_is_ahead_right_is_right_and_up_is_up():
    panorama = np.zeros((64, 128, 3), np.uint8)
    panorama[:, 60:68, 0] = 255
    panorama[:, 92:100, 1] = 255
    panorama[:8, :, 2] = 255
    ahead, right, up, left = panoramas.look_up(
        panorama, np.array([[(0, 0, -1), (1, 0, 0), (0, 1, 0), (-1, 0, 0)]], float)
    )[0]
    assert ahead[0] > 200 and right[1] > 200 and up[2] > 200 and left.max() == 0


def solid(kind):
    return Solid(kind, (0.7, -1.9), (0.4, 0.25), 0.8, 0.6, np.zeros((8, 8, 3), np.uint8), 100, 0)


def inside(solid, points):
    """Plain twin of `Solid.cast`: whether points lie within."""
    gap = solid.gap(points[..., 0], points[..., 2])
    if solid.kind == "ball":
        centre = (solid.centre[0], solid.half_sides[0], solid.centre[1])
        return np.linalg.norm(points - centre, axis=-1) < solid.half_sides[0]
    return (gap == 0) & (points[..., 1] > 0) & (points[..., 1] < solid.height)


@pytest.mark.parametrize("kind", ["box", "pillar", "ball"])
def test_rays_meet_solids_where_marching_does(kind):
    pose = pose_from_yaw_pitch((0.0, 1.5, 0.5), -0.25, -0.4)
    rays = pixel_rays(36, 64, 1.0) @ pose[:3, :3].T
    steps = np.arange(0.2, 6, 0.01)
    points = pose[:3, 3] + steps[:, None, None, None] * rays
    within = inside(solid(kind), points)
    marched = np.where(within.any(0), steps[within.argmax(0)], np.inf)
    exact = solid(kind).cast(pose[:3, 3], rays)
    both = np.isfinite(marched) & np.isfinite(exact)
    assert both.sum() > 50
    assert (np.isfinite(marched) != np.isfinite(exact)).mean() < 0.005
    assert np.abs(marched[both] - exact[both]).max() < 0.0101 + 1e-6


@pytest.mark.parametrize("kind", ["room", "dome", "courtyard"])
def test_every_ray_ends_on_the_shell(kind):
    shell = Shell(kind, (3.0, 4.0), 2.7, 6.0, 1.6)
    rays = np.random.default_rng(0).normal(size=(500, 3))
    eye = np.array([0.5, 1.5, -0.7])
    hit = PaperRoom(shell, ()).cast(eye, rays)
    x, y, z = (eye + hit.distance[:, None] * rays).T
    floor = np.abs(y) < 1e-6
    if kind == "room":
        on = floor | np.isclose(abs(x), 3) | np.isclose(abs(z), 4) | np.isclose(y, 2.7)
    elif kind == "dome":
        on = floor | np.isclose(np.sqrt(x**2 + (y - 1.6) ** 2 + z**2), 6)
    else:
        far = np.sqrt(x**2 + (y - 1.6) ** 2 + z**2)
        on = floor | np.isclose(np.hypot(x, z), 6) | np.isclose(far, 60)
    assert on.all() and (hit.distance > 0).all() and floor.any() and not floor.all()


# Walks and tones


def test_a_stroll_keeps_to_free_ground_in_steps_a_model_can_follow():
    def free_step(place, direction, metres):
        reached = (place[0] + direction[0] * metres, place[1] + direction[1] * metres)
        return reached if max(map(abs, reached)) < 1.5 else None

    for seed in range(20):
        stops = stroll(np.random.default_rng(seed), (0.0, 0.0), 1.0, free_step, 0.2, 16)
        assert len(stops) == 16
        places = np.array([stop.place for stop in stops])
        assert np.abs(places).max() < 1.5
        assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() <= 0.6 + 1e-9
        yaws = np.array([stop.yaw for stop in stops])
        assert np.abs(np.diff(yaws)).max() <= math.radians(15) + 1e-9
        assert max(abs(stop.pitch) for stop in stops) <= 0.2


def test_a_tone_is_one_curve_for_all_frames():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    pixels[3] = pixels[0]
    toned = tinted(pixels, np.random.default_rng(1), -0.4, 0.2, saturation=(0.4, 0.9))
    assert (toned[0] == toned[3]).all()
    assert toned.mean() > pixels.mean()


# Doom levels, without the engine


@pytest.fixture
def level():
    """A hall of 320 x 640 units, 128 high, with a block 64 square and 48 high in its middle."""
    hall = np.array([(0, 0), (0, 640), (320, 640), (320, 0)], np.float32)
    block = np.array([(128, 288), (192, 288), (192, 352), (128, 352)], np.float32)
    start = np.concatenate([hall, block])
    end = np.concatenate([np.roll(hall, -1, 0), np.roll(block, -1, 0)])
    return doom_level.Level(
        start=start,
        delta=end - start,
        right=np.zeros(8, int),
        left=np.array([-1] * 4 + [1] * 4),
        grating=np.zeros(8, bool),
        floor=np.array([0.0, 48.0], np.float32),
        ceiling=np.array([128.0, 128.0], np.float32),
        open_sky=np.zeros(2, bool),
    )


def test_casting_meets_walls_floor_ceiling_and_the_top_of_a_block(level):
    ahead = np.array([[0.0, 1.0]], np.float32)
    slopes = np.array([0.0, -0.25, 0.25, 0.06])
    seen = doom_level.cast(level, (160, 100), 41.0, ahead, slopes)[:, 0]
    # Level with the eye: the block's front; down: the floor; up: the ceiling; over it: the wall.
    assert seen == pytest.approx([188, 164, 348, 540])
    on_top = doom_level.cast(level, (160, 100), 80.0, ahead, np.array([-0.15]))[0, 0]
    assert on_top == pytest.approx((80 - 48) / 0.15)


def test_open_sky_is_infinitely_far(level):
    level.open_sky[:] = True
    ahead = np.array([[0.0, 1.0]], np.float32)
    seen = doom_level.cast(level, (160, 100), 41.0, ahead, np.array([0.3, 0.06]))[:, 0]
    assert np.isinf(seen[0]) and seen[1] == pytest.approx(540)


def test_what_hangs_in_an_opening_makes_distances_unsure(level):
    level.grating[4:] = True
    ahead = np.array([[0.0, 1.0]], np.float32)
    seen = doom_level.cast(level, (160, 100), 41.0, ahead, np.array([0.0, -0.25, 0.06]))[:, 0]
    assert seen[:2] == pytest.approx([188, 164]) and np.isnan(seen[2])


def test_standing_room(level):
    assert level.can_stand((100, 100))
    assert not level.can_stand((10, 100))  # too near a wall
    assert not level.can_stand((115, 320))  # against the block, too high to step on
    assert level.sector_at((160, 320)) == 1
    assert level.sector_at((-50, 100)) == doom_level.NO_SECTOR


def test_level_coordinates_agree_with_world_conventions():
    # Facing level east (+x, 0 degrees) is world +X, that is yaw -90 degrees.
    assert doom.engine_angle(-math.pi / 2) == pytest.approx(0)
    forward = -pose_from_yaw_pitch((0, 0, 0), -math.pi / 2, 0)[:3, 2]
    east = doom.position_metres(32, 0, 0) - doom.position_metres(0, 0, 0)
    assert forward == pytest.approx(east, abs=1e-12)
    north = doom.position_metres(0, 32, 0)
    assert -pose_from_yaw_pitch((0, 0, 0), 0, 0)[:3, 2] == pytest.approx(north, abs=1e-12)
    assert doom.position_metres(0, 0, 41)[1] == pytest.approx(1.5375)


def painted_clip(level, fov_y, stops):
    """Frames of a level whose colour is a function of the place alone, cut out like real ones."""
    images, depths, poses = [], [], []
    for x, y, yaw, pitch in stops:
        eye = np.array([x, y, 41.0])
        inverse = doom.level_view_inverse_depth(level, eye, yaw, 288, 512)
        pose = pose_from_yaw_pitch(doom.position_metres(*eye), yaw, pitch)
        level_pose = pose_from_yaw_pitch(pose[:3, 3], yaw, 0.0)
        rays = pixel_rays(288, 512, doom.ENGINE_FOV_Y) @ level_pose[:3, :3].T
        points = pose[:3, 3] + rays / inverse[..., None]
        colour = (127 + 100 * np.sin(points * (5, 7, 6))).astype(np.uint8)
        rotation = (invert_pose(level_pose) @ pose)[:3, :3]
        picture, depth = doom.cut_out(colour, inverse, rotation, fov_y)
        images.append(picture)
        depths.append(depth.astype(np.float16))
        poses.append(pose)
    return Clip(np.stack(images), np.stack(depths), np.stack(poses), fov_y, "doom", 0)


def test_tilted_cut_outs_of_a_painted_level_predict_each_other(level):
    stops = [(100, 60, 0.0, 0.1), (110, 76, -0.1, -0.1), (90, 90, 0.2, 0.0)]
    clip = painted_clip(level, math.radians(50), stops)
    for pair in ((0, 1), (1, 2), (2, 0)):
        score = check_clip(clip, *pair)
        assert score["warped"] > 26 and score["warped"] > score["infinite"] + 6
        assert score["valid"] > 0.4


@pytest.mark.parametrize("fov_degrees", [42, 55, 64])
def test_views_at_the_pitch_limit_lie_inside_the_engine_view(fov_degrees):
    fov_y = math.radians(fov_degrees)
    limit = doom.pitch_limit(fov_y)
    assert limit > 0
    for pitch in (-limit, limit):
        rotation = pose_from_yaw_pitch((0, 0, 0), 0.0, pitch)[:3, :3]
        x, y = doom._lookup(pixel_rays(144, 256, fov_y) @ rotation.T, 576, 1024)
        assert x.min() >= 0 and x.max() <= 1023 and y.min() >= 0 and y.max() <= 575


def test_distances_that_the_engine_contradicts_are_distrusted():
    metres = np.array([[3.0, 3.0, 30.0, 80.0]])
    units = metres * doom.UNITS_PER_METRE
    buffer = (units - doom.DEPTH_OFFSET_UNITS) / doom.DEPTH_UNITS_PER_LEVEL
    buffer = np.clip(buffer.round(), 0, 255).astype(np.uint8)
    assert not doom.distrusted(1 / metres, buffer).any()
    buffer[0, 1] += 20
    buffer[0, 2] = 255
    assert doom.distrusted(1 / metres, buffer).tolist() == [[False, True, True, False]]
    assert doom.distrusted(np.array([[np.nan]]), np.array([[9]], np.uint8)).all()


def test_walks_in_a_level_stay_where_a_player_can_stand(level):
    for seed in range(8):
        stops = doom.random_path(level, np.random.default_rng(seed), 0.1)
        assert stops is None or all(level.can_stand(stop.place) for stop in stops)


def wad_bytes(things, sectors):
    """A WAD of one level with the given THINGS and SECTORS."""
    names = ("THINGS", "LINEDEFS", "SIDEDEFS", "VERTEXES", "SEGS")
    names += ("SSECTORS", "NODES", "SECTORS", "REJECT", "BLOCKMAP")
    lumps = {name: b"" for name in ("MAP01", *names)}
    lumps["THINGS"], lumps["SECTORS"] = things.tobytes(), sectors.tobytes()
    body, directory = b"", b""
    for name, data in lumps.items():
        directory += struct.pack("<ii8s", 12 + len(body), len(data), name.encode())
        body += data
    return struct.pack("<4sii", b"IWAD", len(lumps), 12 + len(body)) + body + directory


def test_stilled_levels_keep_the_start_and_lose_things_and_flicker(tmp_path):
    things = np.zeros(3, doom_level.THING)
    things["type"], things["flags"] = (1, 3004, 2035), 7
    sectors = np.zeros(2, doom_level.SECTOR)
    sectors["special"], sectors["light"], sectors["floor"] = (3, 0), (0, 255), (-8, 24)
    path = tmp_path / "game.wad"
    path.write_bytes(wad_bytes(things, sectors))
    wad = doom_level.Wad(path)
    wad.make_still()
    path.write_bytes(wad.data)
    stilled = doom_level.Wad(path)
    assert stilled.levels == ["MAP01"]
    assert stilled.table("MAP01", "THINGS", doom_level.THING)["flags"].tolist() == [7, 0, 0]
    after = stilled.table("MAP01", "SECTORS", doom_level.SECTOR)
    assert after["special"].tolist() == [0, 0] and after["floor"].tolist() == [-8, 24]
    assert 150 < after["light"][0] < after["light"][1] <= 255


def test_a_file_that_is_no_wad_is_refused(tmp_path):
    path = tmp_path / "game.wad"
    path.write_text(json.dumps({"not": "a game, but long enough"}))
    with pytest.raises(ValueError, match="not a WAD"):
        doom_level.Wad(path)
