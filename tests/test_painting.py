"""Painting and footprints in an open session: beside the walk, kept, undone, still there later."""

import math
import sqlite3
import types
from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest
import torch
from test_edits import FOV, SIZE, around, make_world, stroke_at, trace

from rtfm_app import messages as m
from rtfm_app.config import GenerationSettings
from rtfm_app.edits import paint, paint_steps, undo_paint
from rtfm_app.engine import FrameEngine
from rtfm_app.footprints import (
    GATHERED,
    STRIDE_M,
    Trail,
    draw_prints,
    pose_behind,
    prints_from_json,
    unhidden,
)
from rtfm_app.frame import Frame
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.link import PoseStamp
from rtfm_app.marks import Sign, Stroke
from rtfm_app.memory.world_file import StoredFrame, WorldFile, verify_world
from rtfm_app.painting import Painting
from rtfm_app.world_session import WorldSession

RED = (220, 20, 20)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def open_session(path) -> WorldSession:
    return WorldSession.open(path, FrameEngine.open, {}, False)


def work_off(session) -> list:
    events = []
    while session.busy:
        events += session.work()
    return events


def seen(pose) -> Frame:
    small = np.zeros((36, 64), np.float32)
    return Frame(np.zeros((*SIZE, 3), np.uint8), pose, FOV, "inter", 0.0, small, small, small)


def walk(trail: Trail, metres: float, step: float = 0.1, start: float = 0.0) -> None:
    for number in range(round(metres / step) + 1):
        place = (0.0, 1.6, -start - number * step)
        trail.walked(seen(pose_from_yaw_pitch(place, 0.0, 0.0)), number * step)


def test_a_sign_is_painted_beside_the_walk_and_undone(tmp_path):
    make_world(tmp_path / "w.rtfm", seeds=(-20, 0, 20)).close()
    session = open_session(tmp_path / "w.rtfm")
    pose = around(4)
    frame = session.draw(PoseStamp(pose))
    session.handle(m.Paint(Sign((0.5, 0.5), 0.12, "Exit", RED), pose, frame.fov_y_radians))
    steps = 0
    while session.busy:
        events = session.work()
        steps += 1
    assert steps > 6, "in small parts"
    assert events == [m.Painted(3)] and session.wants_frame(PoseStamp(pose))
    painted = session.draw(PoseStamp(pose)).image
    assert np.abs(painted.astype(int) - frame.image)[140:148, 240:272].mean() > 40
    session.handle(m.UndoPaint())
    assert np.array_equal(session.draw(PoseStamp(pose)).image, frame.image)
    assert isinstance(session.handle(m.UndoPaint())[0], m.Notice)
    session.close(PoseStamp(pose))


def test_closing_in_the_middle_of_a_stroke_keeps_it(tmp_path):
    make_world(tmp_path / "w.rtfm", seeds=(-20, 0, 20)).close()
    session = open_session(tmp_path / "w.rtfm")
    frame = session.draw(PoseStamp(around(4)))
    mark = Stroke(((0.45, 0.5), (0.55, 0.5)), 0.04, RED)
    session.handle(m.Paint(mark, around(4), frame.fov_y_radians))
    session.work()
    session.close(None)
    assert not verify_world(tmp_path / "w.rtfm")
    with WorldFile.open(tmp_path / "w.rtfm") as world:
        assert world.stats()["edits"] == 3


def test_a_read_only_world_cannot_be_painted(tmp_path):
    make_world(tmp_path / "w.rtfm", seeds=(0,)).close()
    session = WorldSession.open(tmp_path / "w.rtfm", FrameEngine.open, {}, True)
    with pytest.raises(ValueError, match="read-only"):
        session.handle(m.UndoPaint())
    session.close(None)


def test_feet_tread_alternately_beside_the_way():
    trail = Trail()
    walk(trail, 7 * STRIDE_M + 0.05)
    assert len(trail.prints) == 7 and not trail.due(0.0)
    assert [p.left for p in trail.prints] == [True, False] * 3 + [True]
    grounds = np.array([p.ground for p in trail.prints])
    assert np.allclose(grounds[:, 1], 0.0) and np.allclose(np.diff(grounds[:, 2]), -STRIDE_M)
    assert (np.sign(grounds[:, 0]) == [-1, 1, -1, 1, -1, 1, -1]).all(), "left is at -x"


def test_prints_are_stamped_in_a_picture_that_looks_over_them():
    trail = Trail()
    walk(trail, 11.0)
    assert trail.due(0.0)
    prints, frame = trail.take()
    assert frame is not None and len(prints) >= GATHERED and not trail.prints
    mark = draw_prints(frame, prints)
    rows, columns = np.nonzero(mark[..., 3])
    assert rows.min() > SIZE[0] / 2, "on the ground"
    assert abs(columns.mean() - SIZE[1] / 2) < 25
    behind = draw_prints(seen(pose_behind(prints[-5:])), prints[-5:])
    assert (behind[..., 3] > 0).sum() > (mark[..., 3] > 0).sum() / 8


def test_a_jump_leaves_no_prints():
    trail = Trail()
    trail.walked(seen(pose_from_yaw_pitch((0, 1.6, 0), 0.0, 0.0)), 0.0)
    trail.walked(seen(pose_from_yaw_pitch((0, 1.6, -30), 0.0, 0.0)), 0.1)
    assert not trail.prints


def test_footprints_lie_on_the_ground_after_a_reload(tmp_path):
    """Walk forward over a known floor, come back to where it began, and look: dark prints on the
    way, and at most one new version of each stored frame."""
    path = tmp_path / "w.rtfm"
    start = pose_from_yaw_pitch((0.0, 1.6, 6.0), 0.0, -0.15)
    with WorldFile.create(path, name="w", start_pose=start, fov_y_radians=FOV) as world:
        for back in range(4):
            pose = pose_from_yaw_pitch((0.05 * back, 1.6, 6.0 - 1.5 * back), 0.0, -0.15)
            world.add_frame(StoredFrame("seed", pose, FOV, trace(pose, False)[0]))
    session = open_session(path)
    before = session.draw(PoseStamp(start)).image
    quick = GenerationSettings(novelty_threshold=1.0, look_ahead_s=0.0)
    session.handle(m.ChangeSettings(quick))
    session.handle(m.LeaveFootprints(True))
    for step in range(20):
        session.draw(PoseStamp(pose_from_yaw_pitch((0.0, 1.6, 6.0 - step * 0.3), 0.0, -0.15)))
    events = work_off(session)
    assert len(events) == 1 and events[0].frames >= 2
    session.handle(m.LeaveFootprints(False))
    session.close(None)
    with WorldFile.open(path) as world:
        assert world.stats()["edits"] <= 4
    session = open_session(path)
    assert session.painting.footprints is False
    after = session.draw(PoseStamp(start)).image
    darker = before.astype(int).mean(-1) - after.astype(int).mean(-1) > 15
    rows, columns = np.nonzero(darker)
    assert len(rows) > 25
    assert np.median(rows) > 150 and abs(np.median(columns) - 256) < 30
    session.close(None)


def test_a_long_walk_leaves_one_version_of_each_keyframe(tmp_path):
    """A thousand frames, 60 m to and fro over the same five metres; then a reload, and undo."""
    path = tmp_path / "w.rtfm"
    places = [(0.0, 1.6, 6.0), (0.4, 1.6, 4.5), (0.0, 1.6, 0.0), (-0.3, 1.6, 1.5)]
    poses = [pose_from_yaw_pitch(p, math.pi * (i > 1), -0.3) for i, p in enumerate(places)]
    with WorldFile.create(path, name="w", start_pose=poses[0], fov_y_radians=FOV) as world:
        for pose in poses:
            world.add_frame(StoredFrame("seed", pose, FOV, trace(pose, False)[0]))
        alone = world.stats()["bytes"]
        engine = engine_of(world)
        painting = Painting(engine, lambda: None)
        painting.handle(m.LeaveFootprints(True))
        made = cache(lambda place, back: seen_truly(on_the_way(place, back)))
        stamped = 0
        for number in range(1000):
            leg, along = divmod(number, 80)
            place = 80 - along if leg % 2 else along
            painting.drawn(made(place, leg % 2), walking=True)
            stamped += len(painting.finish())
        painting.close()
        assert stamped > 7
    assert verify_world(path) == []
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT id, kind, replaces, superseded_by FROM frames").fetchall()
    edits = [row for row in rows if row[1] == "edit"]
    originals = [row[2] for row in edits]
    assert len(rows) == 4 + len(edits), "nothing else is kept"
    assert len(set(originals)) == len(edits) >= 3 and set(originals) <= {1, 2, 3, 4}
    assert all(row[3] is None for row in edits)
    assert path.stat().st_size < 2.5 * alone + 100_000
    with WorldFile.open(path) as world:
        table = world.frame_table()
        assert sorted(table.ids) == sorted({1, 2, 3, 4} - {*originals} | {row[0] for row in edits})
        for edit, _, original, _ in edits:
            after, before = (world.read_frame(i).image.astype(int) for i in (edit, original))
            darker = (before - after).mean(-1) > 15
            assert darker[:130].sum() == 0 and darker.sum() > 50, "on the ground only"
        assert len(undo_paint(engine_of(world))) == len(edits)
        assert world.frame_table().ids.tolist() == [1, 2, 3, 4]


def test_what_is_imagined_later_shows_the_prints_that_were_left(tmp_path):
    """Also after a reload; no longer once they are taken back."""
    path = tmp_path / "w.rtfm"
    start = pose_from_yaw_pitch((0.0, 1.6, 6.0), 0.0, -0.3)
    back = pose_from_yaw_pitch((0.0, 1.6, 1.0), math.pi, -0.3)
    with WorldFile.create(path, name="w", start_pose=start, fov_y_radians=FOV) as world:
        world.add_frame(StoredFrame("seed", start, FOV, trace(start, False)[0]))
        painting = Painting(engine_of(world), lambda: None)
        painting.handle(m.LeaveFootprints(True))
        for place in range(85):
            painting.drawn(seen_truly(on_the_way(place, 0)), walking=True)
            painting.finish()
        painting.close()
    with WorldFile.open(path) as world:
        painting = Painting(engine_of(world), lambda: None)
        up = pose_from_yaw_pitch((0.0, 1.6, 1.0), math.pi, 0.6)
        made = [
            world.add_frame(StoredFrame("generated", pose, FOV, trace(pose, False)[0]))
            for pose in (back, up)
        ]
        painting.imagined(made)
        painting.finish()
        (edit,) = (
            i
            for i in world.frame_table().ids.tolist()
            if world.origins().get(i, (0,))[0] == made[0]
        )
        darker = trace(back, False)[0].astype(int) - world.read_frame(edit).image
        rows, columns = np.nonzero(darker.mean(-1) > 15)
        assert len(rows) > 50 and rows.min() > 130 and abs(columns.mean() - 256) < 30
        assert made[1] in world.frame_table().ids, "the sky stays as it was"
        painting.handle(m.UndoPaint())
        again = world.add_frame(StoredFrame("generated", back, FOV, trace(back, False)[0]))
        painting.imagined([again])
        painting.finish()
        assert again in world.frame_table().ids and world.get_state("footprint_trail") == []


def test_prints_are_hidden_by_what_stands_before_their_ground():
    trail = Trail()
    walk(trail, 8.0)
    prints = trail.prints
    pose = pose_from_yaw_pitch((0.0, 1.6, 2.0), 0.0, -0.2)
    ground = seen_truly(pose)
    wall = ground.inverse_depth.copy()
    wall[:, :32] = 2.0
    mark = draw_prints(ground, prints)
    seen_alpha = unhidden(ground, mark, prints)[..., 3]
    behind = unhidden(replace(ground, inverse_depth=wall), mark, prints)[..., 3]
    assert np.array_equal(seen_alpha, mark[..., 3]) and mark[:, :248, 3].any()
    assert not behind[:, :248].any()
    assert np.array_equal(behind[:, 264:], mark[:, 264:, 3])


def test_a_trail_that_makes_no_sense_is_no_trail():
    assert prints_from_json([[1, 2], None, ["a", 0, 0, 0, 0], [float("nan"), 0, 0, 0, 0]]) == []
    assert prints_from_json("no list") == prints_from_json(None) == []


def engine_of(world):
    """A cheap one that sees the truth."""
    return types.SimpleNamespace(
        world=world, refresh=lambda: None, step=lambda pose, **_: seen_truly(pose),
        undo_paint=lambda: undo_paint(engine_of(world)),
    )  # fmt: skip


def on_the_way(place: int, back: int) -> np.ndarray:
    return pose_from_yaw_pitch((0.0, 1.6, 5.5 - place * 0.06), math.pi * back, -0.3)


def seen_truly(pose) -> Frame:
    picture, distance = trace(pose, False)
    near = cv2.resize((1 / distance).astype(np.float32), (64, 36), interpolation=cv2.INTER_AREA)
    known = np.zeros((36, 64), np.uint8)
    return Frame(picture, pose, FOV, "inter", 0.0, known, near, np.ones((36, 64), np.float32))


def test_footprints_before_and_after_a_stroke_stay_one_version(tmp_path):
    """A sign between them stays; what is taken back last is what was left last."""
    make_world(tmp_path / "w.rtfm", seeds=(0,)).close()
    with WorldFile.open(tmp_path / "w.rtfm") as world:
        engine = engine_of(world)
        frame = seen_truly(pose_from_yaw_pitch((0.0, 1.6, -1.5), 0.0, -0.3))
        feet = [stroke_at(frame, np.array([x, 0.0, -4.5]), 6) for x in (-0.6, 0.0, 0.6)]
        for mark in feet[:2]:
            list(paint_steps(engine, frame, mark, footprints=True))
        trodden = world.frame_table().ids.tolist()
        (sign,) = paint(engine, frame, stroke_at(frame))
        list(paint_steps(engine, frame, feet[2], footprints=True))
        assert world.stats()["edits"] == 1 and world.origins().popitem()[1] == (1, "seed")
        undo_paint(engine)
        assert world.frame_table().ids.tolist() == [sign]
        undo_paint(engine)
        assert world.frame_table().ids.tolist() == trodden
        list(paint_steps(engine, frame, feet[2], footprints=True))
        undo_paint(engine)
        assert world.frame_table().ids.tolist() == [1] and not undo_paint(engine)
