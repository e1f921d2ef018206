"""The worker process and the shared memory between it and the display."""

import multiprocessing
import os
import threading
import time
from pathlib import Path

import numpy as np
import pattern_engine
import pytest

from rtfm_app import messages as m
from rtfm_app.card import pictures_for_card
from rtfm_app.config import OVERSCAN, GenerationSettings
from rtfm_app.frame import Attended, Frame
from rtfm_app.geometry import pose_from_yaw_pitch, scaled_fov
from rtfm_app.link import FrameBoard, PoseBoard, PoseStamp
from rtfm_app.memory.world_file import WorldFile
from rtfm_app.saved_state import settings_from_json
from rtfm_app.worker import WorkerHandle, WorkerOptions

TESTS = str(Path(__file__).parent)
CONTEXT = multiprocessing.get_context("spawn")


def options(**engine_options) -> WorkerOptions:
    return WorkerOptions("pattern_engine:open_engine", engine_options, (TESTS,))


def frame_of(number: int, height: int = 90) -> Frame:
    """A frame whose every value is its number."""
    plane = np.full((9, 16), number % 251, np.uint8)
    pose = np.eye(4)
    pose[:3, 3] = number
    return Frame(
        image=np.full((height, height * 16 // 9, 3), number % 251, np.uint8),
        camera_to_world=pose,
        fov_y_radians=1.0,
        kind="key",
        novelty=0.5,
        unseen=plane,
        inverse_depth=plane.astype(np.float32),
        confidence=plane.astype(np.float32) / 251,
        attended=(Attended(7, 0.75),),
        timings_ms={"total": 1.5},
    )


def until(condition, timeout_s: float = 20.0):
    """Wait for `condition()` to be true and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("timed out")


class Collector:
    """All events of a handle, in order."""

    def __init__(self, handle):
        self.handle, self.seen = handle, []

    def wait(self, kind):
        def look():
            self.seen += self.handle.events()
            return next((e for e in self.seen if isinstance(e, kind)), None)

        event = until(look)
        self.seen.remove(event)
        return event


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "place.rtfm"
    pattern_engine.make_world(path)
    return path


@pytest.fixture
def worker():
    handles = []

    def start(**engine_options):
        handle = WorkerHandle(options(**engine_options))
        handle.start()
        handles.append(handle)
        return handle, Collector(handle)

    yield start
    for handle in handles:
        handle.close(timeout_s=5)


def pose_at(x=0.0, yaw=0.0, **fields) -> PoseStamp:
    return PoseStamp(pose_from_yaw_pitch((x, 1.6, 0.0), yaw, 0.0), **fields)


# ---- shared memory ----


def test_frames_arrive_whole_each_once_and_the_newest_wins():
    board = FrameBoard(CONTEXT)
    assert board.take() is None
    for number in range(1, 6):
        board.write(frame_of(number), input_time=number, started=0.0)
    taken = board.take()
    sent = frame_of(5)
    assert taken.number == 5 and taken.input_time == 5.0
    for name in ("image", "camera_to_world", "unseen", "inverse_depth", "confidence"):
        assert np.array_equal(getattr(taken.frame, name), getattr(sent, name)), name
    made_here = pictures_for_card(sent, software=False)
    for name in ("picture", "soft", "planes"):
        assert np.array_equal(getattr(taken.card, name), getattr(made_here, name)), name
    assert taken.frame.attended == sent.attended and taken.frame.kind == "key"
    assert board.take() is None
    for number in (6, 7):
        board.write(frame_of(number), input_time=number, started=0.0)
    assert board.holds(taken) and np.array_equal(taken.card.picture, made_here.picture)
    board.write(frame_of(8), input_time=8, started=0.0)
    assert not board.holds(taken)


def test_the_worker_enlarges_only_small_frames_and_only_for_a_software_renderer():
    board = FrameBoard(CONTEXT)
    for software, height, expected in ((False, 288, 288), (True, 288, 576), (True, 576, 576)):
        board.for_software = software
        board.write(frame_of(3, height), input_time=0, started=0)
        assert board.take().card.picture.shape == (expected, expected * 16 // 9, 4)


def test_frame_sizes_may_change_and_large_planes_are_thinned():
    board = FrameBoard(CONTEXT)
    for height in (576, 72):
        large = frame_of(3, height)
        plane = np.ones((height, height * 16 // 9), np.uint8)
        floats = plane.astype(np.float32)
        board.write(
            Frame(
                **{
                    **vars(large),
                    "unseen": plane,
                    "inverse_depth": floats,
                    "confidence": floats,
                }
            ),
            input_time=0,
            started=0,
        )
        taken = board.take().frame
        assert taken.image.shape == (height, height * 16 // 9, 3)
        assert taken.unseen.shape[0] <= 144 and taken.unseen.all()


def test_a_frame_is_never_torn():
    board = FrameBoard(CONTEXT)
    done = threading.Event()

    def write():
        number = 0
        while not done.is_set():
            number += 1
            board.write(frame_of(number, 288), input_time=number, started=0.0)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        last = held = 0
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline:
            taken = board.take()
            if taken is None:
                continue
            picture = taken.card.picture.copy()
            held += board.holds(taken)
            assert (picture[..., :3] == picture[0, 0, 0]).all() or not board.holds(taken)
            assert taken.number > last
            last = taken.number
            value = int(taken.frame.camera_to_world[0, 3]) % 251
            assert (taken.frame.image == value).all()
            assert (taken.frame.inverse_depth == value).all()
        assert last > 20 and held > 10
    finally:
        done.set()
        thread.join()


def test_poses_are_read_whole_and_newest():
    board = PoseBoard(CONTEXT)
    assert board.read() is None
    board.write(pose_at(1.0))
    board.write(pose_at(2.0, velocity=np.array([1.0, 2.0, 3.0]), flying=True, input_time=9.5))
    read = board.read()
    assert read.camera_to_world[0, 3] == 2.0 and read.flying and read.input_time == 9.5
    assert read.velocity.tolist() == [1.0, 2.0, 3.0]
    board.clear()
    assert board.read() is None


# ---- the process ----


def test_opens_draws_saves_the_camera_and_comes_back_to_it(world, worker):
    handle, events = worker()
    handle.send(m.OpenWorld(world))
    opened = events.wait(m.WorldOpened)
    assert opened.name == "pattern" and opened.camera is None and opened.stats["frames"] == 4
    assert handle.take() is None
    target = pose_at(0.5, yaw=0.7, input_time=123.0, flying=True)
    handle.submit(target)
    taken = until(handle.take)
    fov = scaled_fov(opened.fov_y_radians, OVERSCAN)
    expected = pattern_engine.pattern(target.camera_to_world, fov, 288, 512)
    assert np.array_equal(taken.frame.image, expected)
    assert taken.input_time == 123.0 and len(taken.frame.attended) == 4
    handle.close()
    handle.start()
    handle.send(m.OpenWorld(world))
    camera = Collector(handle).wait(m.WorldOpened).camera
    assert np.allclose(camera["camera_to_world"], target.camera_to_world)
    assert camera["mode"] == "fly"


def test_camera_is_saved_within_seconds_so_that_a_kill_loses_little(world, worker):
    handle, events = worker()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    handle.submit(pose_at(3.0))
    events.wait(m.WorldStats)
    events.wait(m.WorldStats)
    handle._process.kill()
    until(lambda: not handle.alive)
    with WorldFile.open(world) as reopened:
        assert reopened.get_state("camera")["camera_to_world"][0][3] == 3.0


def test_the_worker_never_takes_the_core_from_the_display(worker):
    handle, events = worker()
    events.wait(m.WorkerReady)
    assert os.getpriority(os.PRIO_PROCESS, handle.pid) > os.getpriority(os.PRIO_PROCESS, 0)
    if hasattr(os, "SCHED_BATCH"):  # Linux
        assert os.sched_getscheduler(handle.pid) == os.SCHED_BATCH


def test_settings_act_from_the_next_frame_and_stay_in_the_world(world, worker):
    handle, events = worker()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    handle.submit(pose_at())
    until(handle.take)
    settings = GenerationSettings(height=144, memory_frames=2)
    handle.send(m.ChangeSettings(settings))

    def small():
        taken = handle.take()
        return taken if taken and taken.frame.image.shape[0] == 144 else None

    assert len(until(small).frame.attended) == 2
    handle.send(m.OpenWorld(world))
    assert events.wait(m.WorldOpened).settings == settings


def test_a_resting_view_is_not_drawn_forever(world, worker):
    handle, events = worker()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    handle.submit(pose_at())
    until(handle.take)
    time.sleep(0.5)
    handle.take()
    time.sleep(0.3)
    assert handle.take() is None
    handle.submit(pose_at(0.1))
    until(handle.take)


def test_thumbnails_map_delete_and_restore(world, worker):
    handle, events = worker()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    handle.send(m.RequestMap())
    ids = events.wait(m.FrameMap).ids.tolist()
    handle.send(m.RequestThumbnails((*ids, 999)))
    pictures = events.wait(m.Thumbnails).pictures
    assert set(pictures) == set(ids) and pictures[ids[0]].shape == (72, 128, 3)
    handle.send(m.ChangeFrame(ids[0], "delete"))
    assert events.wait(m.FrameMap).ids.tolist() == ids[1:]
    handle.send(m.ChangeFrame(ids[0], "restore"))
    assert sorted(events.wait(m.FrameMap).ids.tolist()) == ids


def test_fork_while_open_and_refusal_to_overwrite(world, worker, tmp_path):
    handle, events = worker()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    copy = tmp_path / "copy.rtfm"
    handle.send(m.CopyWorld(copy))
    assert str(copy) in events.wait(m.Notice).text
    handle.send(m.CopyWorld(copy))
    refusal = events.wait(m.Notice)
    assert refusal.level == "error" and "exists" in refusal.text
    handle.send(m.CopyWorld(tmp_path / "next.rtfm", switch=True))
    assert events.wait(m.WorldOpened).path == tmp_path / "next.rtfm"


def test_a_film_of_the_walk_can_be_played(world, worker, tmp_path):
    import av

    handle, events = worker()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    film = tmp_path / "walk.mp4"
    handle.send(m.StartRecording(film))
    for number in range(5):
        handle.submit(pose_at(0.1 * number))
        until(handle.take)
    handle.send(m.StopRecording())
    assert str(film) in events.wait(m.Notice).text
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 5


@pytest.mark.parametrize("content", [None, b"", b"not a database at all" * 100])
def test_bad_world_files_are_refused_in_words_and_the_worker_lives_on(
    content, world, worker, tmp_path
):
    bad = tmp_path / "bad.rtfm"
    if content is not None:
        bad.write_bytes(content)
    handle, events = worker()
    handle.send(m.OpenWorld(bad))
    failed = events.wait(m.OpenFailed)
    assert "bad.rtfm" in failed.message and "\n" not in failed.message
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)


def test_a_crash_is_noticed_and_the_world_opens_again(world, worker):
    handle, events = worker(crash_beyond_x=5.0)
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)
    handle.submit(pose_at(6.0))
    until(lambda: not handle.alive)
    assert handle.exit_code == 9
    handle.start()
    handle.send(m.OpenWorld(world))
    events.wait(m.WorldOpened)


def test_an_engine_that_refuses_is_reported_in_its_own_words(world):
    handle = WorkerHandle(WorkerOptions("pattern_engine:refuse", paths=(TESTS,)))
    handle.start()
    try:
        handle.send(m.OpenWorld(world))
        failed = Collector(handle).wait(m.OpenFailed)
        assert "come back tomorrow" in failed.message
        with WorldFile.open(world):
            pass
    finally:
        handle.close()


def test_an_engine_that_does_not_exist_ends_the_worker_with_its_reason():
    handle = WorkerHandle(WorkerOptions("no_such_module:engine"))
    handle.start()
    try:
        failure = Collector(handle).wait(m.WorkerFailed)
        assert "no_such_module" in failure.message
        until(lambda: not handle.alive)
    finally:
        handle.close()


def test_settings_from_a_world_keep_what_is_good():
    good = settings_from_json({"memory_frames": 6, "height": "tall", "imagination": 7, "x": 1})
    assert good == GenerationSettings(memory_frames=6)
    assert settings_from_json(None) == settings_from_json([1]) == GenerationSettings()
