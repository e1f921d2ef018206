"""New worlds in the window, keeping house on the start screen, and the film panel's work."""

import contextlib
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pattern_engine
import pytest
from PIL import Image

from rtfm_app import messages as m
from rtfm_app.app import run_app
from rtfm_app.cli import run
from rtfm_app.commands import play as commands
from rtfm_app.display import clipboard as clipboards
from rtfm_app.display import state as ui
from rtfm_app.display.catalogue import Card, Catalogue
from rtfm_app.display.clipboard import Clipboard, paths_in
from rtfm_app.display.memory_panel import level_pose
from rtfm_app.film import FilmWriter
from rtfm_app.film_path import FilmKey
from rtfm_app.film_plan import FilmPlan, plan_from_json, thumbnail_image, thumbnail_text
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.import_process import ImportDone, ImportFailed, ImportHandle
from rtfm_app.imports.recognise import recognise
from rtfm_app.imports.references import NONE
from rtfm_app.memory.world_file import WorldFile
from rtfm_app.preferences import load_preferences
from rtfm_app.worker import WorkerOptions
from rtfm_app.world_care import TRASH

TESTS = Path(__file__).parent
SIZE = (640, 360)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    monkeypatch.setenv("RTFM_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_VIDEOS_DIR", str(tmp_path / "videos"))
    worlds = tmp_path / "worlds"
    worlds.mkdir()
    monkeypatch.setenv("RTFM_WORLDS_DIR", str(worlds))
    return worlds


def photo(path: Path, size=(640, 360)) -> Path:
    rng = np.random.default_rng(2)
    small = Image.fromarray(rng.integers(0, 255, (9, 16, 3), np.uint8))
    small.resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def play(script, world=None, **options):
    """Run the program while `script(app)` (a generator) drives it, a step a display frame."""
    running = []
    deadline = time.monotonic() + 90

    def on_frame(app):
        app.window.touched_at = time.perf_counter()
        if not running:
            running.append(script(app))
        if time.monotonic() > deadline:
            shown = (app.state.toasts, app.state.progress, app.state.choice, app.state.failure)
            raise TimeoutError(f"the script does not come to its end: {shown}")
        if next(running[0], "end") == "end":
            app.window.request_close()

    worker = WorkerOptions("pattern_engine:open_engine", options, (str(TESTS),))
    return run_app(world, headless=True, worker_options=worker, size=SIZE, on_frame=on_frame)


def until(condition):
    while not condition():
        yield


# ---- making worlds beside the window ----


def finished(handle: ImportHandle) -> tuple[list, object]:
    events: list = []
    deadline = time.monotonic() + 60
    while handle.busy:
        events += handle.events()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return events[:-1], events[-1]


def test_a_panorama_becomes_a_world_with_progress(tmp_path, own_folders):
    handle = ImportHandle()
    order = recognise([photo(tmp_path / "round.jpg", (2048, 1024))])
    assert order.maybe_panorama
    handle.start(replace(order, kind="panorama"))
    progress, end = finished(handle)
    assert isinstance(end, ImportDone) and end.path == own_folders / "round.rtfm"
    shares = [p.fraction for p in progress if p.fraction is not None]
    assert shares and shares == sorted(shares) and shares[-1] <= 1
    with WorldFile.open(end.path, read_only=True) as world:
        assert len(world.frame_table()) == 26


def test_an_import_given_up_leaves_nothing(tmp_path, own_folders):
    handle = ImportHandle()
    handle.start(replace(recognise([photo(tmp_path / "a.png", (2048, 1024))]), kind="panorama"))
    while not any(p.fraction for p in handle.events() if isinstance(p, m.Progress)):
        assert handle.busy
        time.sleep(0.005)
    scratch = handle._scratch
    handle.cancel()
    assert not handle.busy and handle.events() == []
    assert list(own_folders.iterdir()) == [] and not scratch.exists()


def test_a_video_that_cannot_be_followed_offers_its_first_picture(tmp_path, own_folders):
    video = tmp_path / "still.mp4"
    writer = FilmWriter(video)
    picture = np.asarray(Image.open(photo(tmp_path / "x.png", (320, 180))))
    for number in range(6):
        writer.add(picture, number / 2)
    writer.close()
    handle = ImportHandle()
    handle.start(recognise([video]))
    _, end = finished(handle)
    assert isinstance(end, ImportFailed) and end.instead.kind == "video picture"
    handle.start(end.instead)
    _, end = finished(handle)
    with WorldFile.open(end.path, read_only=True) as world:
        assert world.provenance["sources"][0]["file"] == video.name
        assert world.provenance["surroundings"], "one picture is not left alone"


def test_the_surroundings_chosen_are_those_of_every_new_world(tmp_path, own_folders):
    pictures = [photo(tmp_path / f"{name}.png", (320, 180)) for name in ("dropped", "given")]

    def script(app):
        yield from until(lambda: app.state.worker_ready)
        preferences = replace(app.state.preferences, surroundings=NONE)
        app.desk.carry_out([ui.ChangePreferences(preferences)])
        app.window.on_drop([str(pictures[0])])
        yield from until(lambda: app.state.world is not None)
        app.controller.open_path(pictures[1])
        yield from until(lambda: app.state.world is not None)

    assert play(script) == 0
    for picture in pictures:
        with WorldFile.open(own_folders / f"{picture.stem}.rtfm", read_only=True) as world:
            assert len(world.frame_table()) == 1 and "surroundings" not in world.provenance
    assert load_preferences()[0].surroundings == NONE


def test_dropping_asks_what_a_wide_picture_is_and_opens_the_world(tmp_path, own_folders):
    wide = photo(tmp_path / "wide.png", (2048, 1024))

    def script(app):
        yield from until(lambda: app.state.worker_ready)
        app.window.on_drop([str(wide)])
        yield from until(lambda: app.state.choice is not None)
        app.desk.carry_out([ui.Choose(app.state.choice.answers[0][1])])
        assert app.state.importing is not None
        yield from until(lambda: app.state.taken is not None)
        assert app.state.world.name == "wide" and app.state.importing is None
        app.window.on_drop([str(tmp_path / "nothing.txt")])
        yield from until(lambda: any("nothing.txt" in t.text for t in app.state.toasts))
        assert app.state.world is not None, "a mistake must not close the world"

    assert play(script) == 0
    assert [p.name for p in own_folders.glob("*.rtfm")] == ["wide.rtfm"]


def test_the_command_takes_what_the_window_takes(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "visit"
    folder.mkdir()
    for number in range(2):
        photo(folder / f"{number}.png")
    asked = []
    monkeypatch.setattr(commands, "has_display", lambda: True)
    monkeypatch.setattr("rtfm_app.app.run_app", lambda target, **_: asked.append(target) or 0)
    video = tmp_path / "walk.MP4"
    video.touch()
    for path in (folder, video):
        assert run(["play", str(path)]) == 0
    assert asked == [folder, video]
    (tmp_path / "letter.txt").write_text("Dear")
    assert run(["play", str(tmp_path / "letter.txt")]) == 2
    assert "not a picture" in capsys.readouterr().err


# ---- clipboard ----


def test_paths_in_a_text(tmp_path):
    a, b = photo(tmp_path / "a b.png"), photo(tmp_path / "b.png")
    assert paths_in(f"{a}\n") == (a,) and paths_in(f'"{a}"') == (a,)
    assert paths_in(f"{a.as_uri()}\r\n{b.as_uri()}") == (a, b)
    for nothing in ("", "Dear diary", str(tmp_path / "c.png"), "x" * 30_000, "\0"):
        assert paths_in(nothing) == ()


def test_a_picture_in_the_clipboard_is_kept_until_the_end_and_absence_is_told(monkeypatch):
    state = ui.AppState(None, Catalogue(), None)
    clipboard = Clipboard()

    def pasted(result):
        monkeypatch.setattr(clipboards.ImageGrab, "grabclipboard", result)
        clipboard.paste("no path")
        deadline = time.monotonic() + 10
        while clipboard._found.empty():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return clipboard.requests(state)

    (request,) = pasted(lambda: Image.new("RGBA", (640, 360), "red"))
    assert Image.open(request.paths[0]).size == (640, 360)
    assert pasted(lambda: None) == [] and "no picture" in state.toasts[-1].text

    def refuse():
        raise NotImplementedError

    assert pasted(refuse) == [] and "wl-paste" in state.toasts[-1].text
    clipboard.close()
    assert not request.paths[0].exists()


# ---- keeping house ----


def test_worlds_are_renamed_noted_thrown_away_and_brought_back(own_folders):
    pattern_engine.make_world(own_folders / "place.rtfm")

    def titles(app):
        return [card.title for card in app.state.catalogue.worlds]

    def script(app):
        worlds = app.state.catalogue
        yield from until(lambda: titles(app) == ["pattern"])
        app.desk.carry_out([ui.RenameFile(worlds.worlds[0].path, "meadow")])
        yield from until(lambda: titles(app) == ["meadow"])
        app.desk.carry_out([ui.NoteFile(worlds.worlds[0].path, "warm")])
        yield from until(lambda: worlds.worlds[0].notes == "warm")
        app.desk.carry_out([ui.RenameFile(worlds.worlds[0].path, "a/b")])
        yield from until(lambda: any("separators" in t.text for t in app.state.toasts))
        app.desk.carry_out([ui.DeleteFile(worlds.worlds[0].path)])
        yield from until(lambda: titles(app) == [] and app.state.trashed is not None)
        assert list((own_folders / TRASH).glob("*.rtfm"))
        app.desk.carry_out([ui.BringBack()])
        yield from until(lambda: titles(app) == ["meadow"])
        assert app.state.trashed is None

    assert play(script) == 0
    assert [p.name for p in own_folders.glob("*.rtfm")] == ["meadow.rtfm"]


def test_a_damaged_world_is_saved_as_far_as_it_is_sound(own_folders):
    path = own_folders / "place.rtfm"
    pattern_engine.make_world(path, frames=5)
    with contextlib.closing(sqlite3.connect(path)) as damaged, damaged:
        damaged.execute("UPDATE pictures SET image = x'00' WHERE frame_id = 3")
    hopeless = own_folders / "zero.rtfm"
    hopeless.write_bytes(b"")

    def script(app):
        yield from until(lambda: len(app.state.catalogue.worlds) == 2)
        app.desk.carry_out([ui.SalvageFile(hopeless)])
        yield from until(lambda: any(t.level == "error" for t in app.state.toasts))
        app.desk.carry_out([ui.SalvageFile(path)])
        yield from until(
            lambda: any("frames are in place saved" in t.text for t in app.state.toasts)
        )
        assert app.state.progress is None or not app.state.worker_ready

    assert play(script) == 0
    with WorldFile.open(own_folders / "place saved.rtfm", read_only=True) as saved:
        assert len(saved.frame_table()) == 4


def test_starters_and_own_worlds_are_shown_together():
    """Own worlds that come later would move the starter that is about to be clicked."""
    go_on = threading.Event()

    def read_worlds():
        go_on.wait(10)
        return [Card("world/w", "w")]

    catalogue = Catalogue(lambda: [Card("starter/s", "s")], read_worlds)
    catalogue.refresh()
    time.sleep(0.1)
    assert catalogue.loading and catalogue.starters == catalogue.worlds == []
    go_on.set()
    catalogue.wait()
    assert len(catalogue.starters) == len(catalogue.worlds) == 1


def test_starters_are_shown_when_own_worlds_cannot_be_listed():
    def refuse():
        raise OSError("the folder cannot be read")

    catalogue = Catalogue(lambda: [Card("starter/s", "s")], refuse)
    catalogue.refresh()
    catalogue.wait()
    assert len(catalogue.starters) == 1 and "cannot be read" in catalogue.problem


def test_the_catalogue_reads_again_however_often_it_is_asked():
    numbers = iter(range(100))
    catalogue = Catalogue(list, lambda: [Card("world/x", str(next(numbers)))])
    for _ in range(5):
        catalogue.refresh()
    catalogue.wait()
    assert catalogue.worlds[0].title == "4" and not catalogue.loading


# ---- film ----


def test_a_film_is_planned_previewed_kept_and_rendered(tmp_path, own_folders):
    world = own_folders / "place.rtfm"
    pattern_engine.make_world(world)

    def plan_keys(app):
        for x, yaw in ((0.0, 0.0), (0.6, 0.4), (1.2, 0.0)):
            app.state.camera = replace(app.state.camera, position=np.array([x, 1.6, 0.0]), yaw=yaw)
            yield
            app.desk.carry_out([ui.AddFilmKey()])
        app.desk.carry_out([ui.FocusHere()])
        changed = app.state.film.with_settings(
            seconds=0.5, fps=10, height=144, shutter_degrees=180.0, samples=2
        )
        app.desk.carry_out([ui.ChangeFilm(changed)])

    def script(app):
        yield from until(lambda: app.state.taken is not None)
        yield from plan_keys(app)
        app.desk.carry_out([ui.PreviewFilm()])
        yield from until(lambda: app.state.previewing)
        yield from until(lambda: not app.state.previewing)
        assert app.state.film_share == 1.0
        assert app.state.camera.position[0] == pytest.approx(1.2)
        app.desk.carry_out([ui.ScrubFilm(0.0)])
        assert app.state.camera.position[0] == pytest.approx(0.0)
        app.desk.carry_out([ui.StartFilm()])
        yield from until(lambda: any("Film saved" in t.text for t in app.state.toasts))
        assert app.state.film_progress.target is None

    assert play(script, world) == 0
    (film,) = (tmp_path / "videos" / "RTFM").iterdir()
    with av.open(str(film)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    with WorldFile.open(world, read_only=True) as stored:
        plan = plan_from_json(stored.get_state("film"))
        assert len(stored.frame_table()) == 4, "a film commits nothing unless asked"
    assert len(plan.keys) == 3 and plan.settings.samples == 2
    assert thumbnail_image(plan.keys[0].thumbnail).shape == (72, 128, 3)


def test_a_damaged_plan_keeps_what_can_be_used():
    key = FilmKey(pose_from_yaw_pitch((0, 1.6, 0), 0.1, 0.0)).to_json()
    plan = plan_from_json({"keys": [key, {}, "x", key], "settings": {"fps": 30, "samples": "?"}})
    assert len(plan.keys) == 2 and plan.settings.fps == 30 and plan.path is None
    assert plan_from_json(None) == FilmPlan() == plan_from_json({"keys": 3})
    assert thumbnail_image("no base64!") is None and thumbnail_image(None) is None
    picture = np.full((144, 256, 3), 99, np.uint8)
    assert np.abs(thumbnail_image(thumbnail_text(picture)).astype(int) - 99).max() < 4


def test_keys_are_moved_replaced_and_taken_out():
    keys = [FilmKey(pose_from_yaw_pitch((x, 0, 0), 0.0, 0.0), name=str(x)) for x in range(3)]
    plan = FilmPlan(tuple(keys))

    def names(changed):
        return [key.name for key in changed.keys]

    assert names(plan.moved_key(0, 1)) == ["1", "0", "2"]
    assert names(plan.moved_key(0, -1)) == names(plan) == ["0", "1", "2"]
    assert names(plan.without_key(1)) == ["0", "2"]
    assert names(plan.with_key(2, keys[0])) == ["0", "1", "0"]


# ---- memory ----


@pytest.mark.parametrize("forward", [(0, 0, -1), (1, 0.4, 2), (0, -1, 0), (1e-9, 1, 0)])
def test_going_to_a_remembered_frame_keeps_the_horizon_level(forward):
    pose = level_pose(np.array([1.0, 2.0, 3.0]), np.array(forward, float))
    assert abs(pose[1, 0]) < 1e-12 and pose[1, 1] > 0
    if abs(forward[1]) < 0.9:
        expected = np.array(forward) / np.linalg.norm(forward)
        assert -pose[:3, 2] == pytest.approx(expected)
