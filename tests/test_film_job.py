"""A film rendered in the worker beside the walk, and renaming the open world."""

import time
from pathlib import Path

import av
import pattern_engine
import pytest

from rtfm_app import messages as m
from rtfm_app.film_path import FilmKey
from rtfm_app.film_render import FilmSettings
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.link import PoseStamp
from rtfm_app.worker import WorkerHandle, WorkerOptions
from rtfm_app.world_session import WorldSession

KEYS = [
    FilmKey(pose_from_yaw_pitch((x, 1.6, 0.0), 0.3 * x, 0.0), thumbnail="x").to_json()
    for x in (0.0, 0.5, 1.0)
]
SETTINGS = FilmSettings(seconds=0.5, fps=10, height=144, shutter_degrees=180, samples=3)


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "w.rtfm"
    pattern_engine.make_world(path)
    session = WorldSession.open(path, pattern_engine.open_engine, {"delay_s": 0.0}, False)
    yield session
    session.close(None)


def test_the_film_is_drawn_one_model_frame_at_a_time(session, tmp_path):
    target = tmp_path / "film.mp4"
    began = session.handle(m.RenderFilm(target, KEYS, SETTINGS))
    assert isinstance(began[0], m.FilmProgress) and session.filming
    frames, events = 0, []
    while session.filming:
        events += session.work()
        frames += 1
    assert frames == 5 * 3 + 1
    assert isinstance(events[-1], m.Notice) and str(target) in events[-1].text
    with av.open(str(target)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 5


def test_a_film_given_up_leaves_nothing_and_bad_orders_are_refused(session, tmp_path):
    target = tmp_path / "film.mp4"
    session.handle(m.RenderFilm(target, KEYS, SETTINGS))
    for _ in range(8):
        session.work()
    session.handle(m.CancelFilm())
    assert not session.filming and session.work() == []
    for keys, to in ((KEYS[:1], target), (KEYS, tmp_path / "film.gif"), ([{}], target)):
        with pytest.raises(ValueError):
            session.handle(m.RenderFilm(to, keys, SETTINGS))
    assert not [p for p in tmp_path.iterdir() if "film" in p.name]


def test_trouble_while_writing_ends_the_film_not_the_walk(session, tmp_path, monkeypatch):
    session.handle(m.RenderFilm(tmp_path / "film.mp4", KEYS, SETTINGS))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtfm_app.film.FilmWriter.add", full)
    events = []
    while session.filming:
        events += session.work()
    assert "No space left" in events[-1].text and events[-1].level == "error"


def until(condition, seconds: float = 60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_walk_goes_on_meanwhile_and_the_open_world_can_be_renamed(tmp_path):
    path = tmp_path / "w.rtfm"
    pattern_engine.make_world(path)
    tests = (str(Path(__file__).parent),)
    worker = WorkerHandle(WorkerOptions("pattern_engine:open_engine", {"delay_s": 0.02}, tests))
    worker.start()
    events = []

    def seen(kind) -> list:
        events.extend(worker.events())
        return [e for e in events if isinstance(e, kind)]

    try:
        worker.send(m.OpenWorld(path))
        until(lambda: seen(m.WorldOpened))
        settings = FilmSettings(seconds=2.0, fps=20, height=144, shutter_degrees=180, samples=4)
        worker.send(m.RenderFilm(tmp_path / "film.mp4", KEYS, settings))
        until(lambda: seen(m.FilmProgress))
        for number in range(3):
            pose = pose_from_yaw_pitch((0.1 * number, 1.6, 0.0), 0.0, 0.0)
            worker.submit(PoseStamp(pose))

            def shows(x=pose[0, 3]):
                taken = worker.take()
                return taken is not None and taken.frame.camera_to_world[0, 3] == x

            until(shows)
        assert seen(m.FilmProgress)[-1].target is not None, "the film is still being drawn"
        worker.send(m.RenameWorld("meadow"))
        until(lambda: len(seen(m.WorldOpened)) == 2)
        assert seen(m.WorldOpened)[-1].name == "meadow"
        assert (tmp_path / "meadow.rtfm").exists() and not path.exists()
        assert not (tmp_path / "film.mp4").exists()
        worker.send(m.RenameWorld("a/b"))
        until(lambda: any("separators" in e.text for e in seen(m.Notice)))
    finally:
        worker.close()
