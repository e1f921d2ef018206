"""Painting in worlds whose truth is known: a textured floor and wall, drawn with numpy."""

import math

import cv2
import numpy as np
import pytest
import torch

from rtfm_app.agreement import agreed_depth
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import (
    invert_pose,
    look_at,
    pixel_rays,
    pose_from_yaw_pitch,
    tangents,
    yaw_pitch_of,
)
from rtfm_app.marks import round_stroke, sign
from rtfm_app.memory.world_file import StoredFrame, WorldFile, verify_world

FOV = math.radians(60)
SIZE = (288, 512)
WALL_Z = -6.0
PLACE = np.array([0.0, 1.3, WALL_Z])


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def texture(seed: int) -> np.ndarray:
    """Patches with clear borders, slightly grained, (512, 512, 3) in 0..255, periodic."""
    random = np.random.default_rng(seed)
    noise = np.tile(random.uniform(-1, 1, (10, 10)), (3, 3))
    smooth = cv2.resize(noise, (1536, 1536), interpolation=cv2.INTER_CUBIC)[512:1024, 512:1024]
    colours = random.uniform(40, 215, (5, 3))
    patches = colours[np.digitize(smooth, (-0.4, -0.12, 0.12, 0.4))]
    grain = cv2.resize(random.normal(0, 9, (128, 128, 1)), (512, 512))[..., None]
    return (patches + grain).clip(0, 255).astype(np.float32)


FLOOR, WALL, POST = texture(1), texture(2) * [0.9, 0.8, 0.6], texture(3) * [0.4, 0.9, 0.5]


def look_up(picture, u, v):
    x = np.mod(u * 128, 512).astype(np.float32)
    y = np.mod(v * 128, 512).astype(np.float32)
    return cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def trace(pose, post: bool):
    """True picture and distance of every pixel: a floor, a wall, and a post before the wall."""
    rays = pixel_rays(*SIZE, FOV) @ pose[:3, :3].T
    origin = pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(rays[..., 1] < 0, -origin[1] / rays[..., 1], np.inf)
        wall = np.where(rays[..., 2] < 0, (WALL_Z - origin[2]) / rays[..., 2], np.inf)
        board = (-3.5 - origin[2]) / rays[..., 2]
    x = origin[0] + rays[..., 0] * board
    board = np.where((board > 0) & (np.abs(x + 1.0) < 0.35) & post, board, np.inf)
    distance = np.minimum(np.minimum(floor, wall), board)
    point = origin + rays * np.minimum(distance, 1e4)[..., None]
    picture = look_up(FLOOR, point[..., 0], point[..., 2])
    on_wall = (wall < floor)[..., None]
    picture = np.where(on_wall, look_up(WALL, point[..., 0], point[..., 1]), picture)
    on_board = (board <= distance)[..., None] & np.isfinite(board)[..., None]
    picture = np.where(on_board, look_up(POST, point[..., 0], point[..., 1]), picture)
    picture[~np.isfinite(distance)] = (150, 180, 220)
    return picture.round().clip(0, 255).astype(np.uint8), distance


def around(degrees: float, distance: float = 4.5) -> np.ndarray:
    angle = math.radians(degrees)
    position = PLACE + distance * np.array([math.sin(angle), 0, math.cos(angle)])
    position[1] = 1.6
    return look_at(position, PLACE)


def make_world(path, post=False, seeds=(-40, -30, -20, -10, 0, 10, 20, 30, 40)) -> WorldFile:
    world = WorldFile.create(path, name=path.stem, start_pose=around(0), fov_y_radians=FOV)
    for degrees in seeds:
        pose = around(degrees)
        world.add_frame(StoredFrame("seed", pose, FOV, trace(pose, post)[0]))
    return world


def pixel_of(point, pose) -> np.ndarray:
    local = invert_pose(pose)[:3, :3] @ (point - pose[:3, 3])
    tan_x, tan_y = tangents(FOV)
    x = (local[0] / -local[2] / tan_x + 1) * SIZE[1] / 2
    return np.array([x, (1 - local[1] / -local[2] / tan_y) * SIZE[0] / 2])


PINK = (240, 20, 220)


def found_mark(before, after):
    """Centroid (x, y) of the largest patch that turned pink, and how much of the way it went."""
    way = np.array(PINK, float) - before
    share = ((after.astype(float) - before) * way).sum(-1) / np.maximum((way**2).sum(-1), 1)
    share = np.where(share > 0.3, share, 0)
    count, labels = cv2.connectedComponents((share > 0).astype(np.uint8))
    if count < 2:
        return np.full(2, np.inf), 0.0
    sums = np.bincount(labels.ravel(), share.ravel(), count)
    share = share * (labels == sums[1:].argmax() + 1)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    centroid = np.array([(x * share).sum(), (y * share).sum()]) / share.sum()
    return centroid, float(np.percentile(share[share > 0], 60))


def stroke_at(frame, point=PLACE, radius=15.0) -> np.ndarray:
    return round_stroke(SIZE, [pixel_of(point, frame.camera_to_world)], radius, PINK, 0.0)


def test_a_mark_is_where_it_belongs_from_other_sides_after_a_reload(tmp_path):
    path = tmp_path / "w.rtfm"
    views = [around(degrees) for degrees in (-36, -22, 4, 15, 36)]
    with FrameEngine.open(make_world(path)) as engine:
        before = [engine.step(pose, follow=False).image for pose in views]
        frame = engine.step(around(-5), follow=False)
        assert len(engine.paint(frame, stroke_at(frame))) >= 4
    with FrameEngine.open(path) as engine:
        for pose, old in zip(views, before, strict=True):
            new = engine.step(pose, follow=False).image
            centroid, contrast = found_mark(old, new)
            assert np.linalg.norm(centroid - pixel_of(PLACE, pose)) < 8
            assert contrast > 0.7
    assert not verify_world(path)


def test_what_stands_before_the_place_is_not_painted(tmp_path):
    """Seen from 22 degrees left, the post covers the place."""
    hiding = around(-22)
    world = make_world(tmp_path / "w.rtfm", post=True, seeds=(-40, -22, 0, 20, 40))
    with FrameEngine.open(world) as engine:
        x, y = pixel_of(PLACE, hiding).astype(int)
        near = np.s_[y - 5 : y + 5, x - 5 : x + 5]
        assert trace(hiding, True)[1][near].max() < 3.0, "the test's own geometry"
        frame = engine.step(around(8), follow=False)
        versions = engine.paint(frame, stroke_at(frame))
        assert versions
        for frame_id in engine.world.frame_table().ids.tolist():
            stored = engine.world.read_frame(frame_id)
            if np.allclose(stored.camera_to_world, hiding):
                changed = np.abs(stored.image.astype(int) - trace(hiding, True)[0]).max(-1) > 30
                assert changed[near].mean() < 0.2


def test_undo_brings_back_every_bit(tmp_path):
    with FrameEngine.open(make_world(tmp_path / "w.rtfm")) as engine:
        before = engine.step(around(6), follow=False).image
        ids = engine.world.frame_table().ids.tolist()
        frame = engine.step(around(-5), follow=False)
        first = engine.paint(frame, stroke_at(frame))
        once = engine.step(around(6), follow=False).image
        frame = engine.step(around(5), follow=False)
        engine.paint(frame, stroke_at(frame, PLACE + (0.8, 0.1, 0)))
        assert not np.array_equal(engine.step(around(6), follow=False).image, once)
        engine.undo_paint()
        assert np.array_equal(engine.step(around(6), follow=False).image, once)
        assert sorted(engine.undo_paint()) == sorted(first)
        assert np.array_equal(engine.step(around(6), follow=False).image, before)
        assert engine.world.frame_table().ids.tolist() == ids
        assert engine.undo_paint() == []


def test_a_mark_on_what_was_only_imagined_stays(tmp_path):
    """Beside the only picture everything is imagined; painting there keeps what is seen."""
    path = tmp_path / "w.rtfm"
    with FrameEngine.open(make_world(path, seeds=(0,))) as engine:
        aside = around(0)
        turn = math.radians(70)
        aside[:3, :3] = aside[:3, :3] @ look_at((0, 0, 0), (-math.sin(turn), 0, -1e-9))[:3, :3]
        frame = engine.step(aside, follow=False)
        assert frame.novelty > 0.5
        mark = round_stroke(SIZE, [(200, 150), (300, 150)], 18, PINK, 0.0)
        engine.paint(frame, mark)
        assert engine.world.stats()["edits"] >= 1
    with FrameEngine.open(path) as engine:
        again = engine.step(aside, follow=False).image
    reddened = again[mark[..., 3] > 0].astype(int)
    assert (reddened[:, 0] - reddened[:, 1]).mean() > 120


def test_a_mark_is_not_mirrored_in_what_nobody_has_seen(tmp_path):
    """What lies beside a picture is its mirror image, but of how it was before the stroke."""
    with make_world(tmp_path / "w.rtfm", seeds=(0,)):
        pass
    with FrameEngine.open(tmp_path / "w.rtfm") as engine:
        yaw, _ = yaw_pitch_of(around(0))
        turned = pose_from_yaw_pitch(around(0)[:3, 3], yaw - math.radians(55), 0.0)
        before = engine.step(turned, follow=False).image
        frame = engine.step(around(0), follow=False)
        mark = round_stroke(SIZE, [np.array([400.0, 150.0])], 60.0, PINK, 0.0)
        assert len(engine.paint(frame, mark)) == 1
        painted = engine.step(around(0), follow=False).image
        assert np.abs(painted.astype(int) - frame.image)[130:170, 380:420].mean() > 40
        # 55 degrees aside the picture's own right border is at a third of the width
        after = engine.step(turned, follow=False).image
        change = np.abs(after.astype(int) - before).mean(-1)
        assert change[:, :120].max() > 60, "the mark itself is in sight at the left"
        assert change[:, 260:].max() < 20


def test_the_stored_pictures_correct_a_wrong_distance():
    """A guess 15 percent off becomes the distance at which the pictures agree."""
    views = [StoredFrame("seed", around(d), FOV, trace(around(d), False)[0]) for d in (-30, 20, 40)]
    pose = around(-5)
    picture, distance = trace(pose, False)
    box = (slice(130, 160), slice(240, 275))
    agreed = agreed_depth(picture, 1 / distance * 0.85, pose, FOV, box, views)
    assert np.abs(agreed[box] * distance[box] - 1).max() < 0.04


@pytest.mark.parametrize("shape", [(10, 10, 4), (288, 512, 3)])
def test_a_mark_that_does_not_fit_is_refused(tmp_path, shape):
    with FrameEngine.open(make_world(tmp_path / "w.rtfm", seeds=(0,))) as engine:
        frame = engine.step(around(0), follow=False)
        with pytest.raises(ValueError, match="512x288"):
            engine.paint(frame, np.zeros(shape, np.uint8))
        assert engine.paint(frame, np.zeros((*SIZE, 4), np.uint8)) == []
        assert engine.world.stats()["edits"] == 0


def test_marks_are_drawn_where_they_are_put():
    stroke = round_stroke(SIZE, [(100, 50), (140, 50)], 6, PINK, 0.5)
    rows, columns = np.nonzero(stroke[..., 3])
    assert 92 <= columns.min() <= 95 and 144 <= columns.max() <= 147
    assert stroke[50, 120, 3] == 255 and 0 < stroke[55, 120, 3] < 255
    board = sign(SIZE, (256, 144), 30, "Exit")
    assert board[144, 256 - 18, 3] == 255 and board[100, 256, 3] == 0
