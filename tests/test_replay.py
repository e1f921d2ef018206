"""A walk is journalled, and replays to the same pixels."""

import dataclasses
import sqlite3

import numpy as np
import pytest
import torch

from rtfm_app import messages as m
from rtfm_app.cli import run
from rtfm_app.config import GenerationSettings
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.link import PoseStamp
from rtfm_app.memory import journal
from rtfm_app.memory.world_file import StoredFrame, WorldFile
from rtfm_app.replay import read_journal, replay
from rtfm_app.world_session import WorldSession

FOV = np.radians(60)
SMALL = GenerationSettings(height=144, key_steps=1, novelty_threshold=0.15)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    torch.use_deterministic_algorithms(False)


def make_world(path):
    start = pose_from_yaw_pitch((0, 1.6, 0), 0, 0)
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(40, 220, (9, 16, 3)), np.ones((32, 32, 1))).astype(np.uint8)
    with WorldFile.create(path, name="w", start_pose=start, fov_y_radians=FOV) as world:
        world.add_frame(StoredFrame("seed", start, FOV, picture))
    return path


def model_opener(*, deterministic=True):
    """Engines that share one loaded model."""
    first = []

    def open_engine(world):
        if not first:
            first.append(FrameEngine.open(world, deterministic=deterministic))
            return first[0]
        return FrameEngine(world, first[0].model, first[0].weights_path, first[0].device)

    return open_engine


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A world in which somebody has walked twice: looked around, changed settings, forgotten a
    frame; between the visits, a frame came from elsewhere."""
    path = make_world(tmp_path_factory.mktemp("replay") / "w.rtfm")
    torch.set_num_threads(1)
    opener = model_opener(deterministic=False)  # as the window opens it

    def visit(yaws, *, forget=None):
        session = WorldSession(opener(WorldFile.open(path)), path)
        session.handle(m.ChangeSettings(SMALL))
        for number, yaw in enumerate(yaws):
            pose = pose_from_yaw_pitch((0, 1.6, -0.1 * number), yaw, 0.0)
            session.draw(PoseStamp(pose, np.array([0.0, 0.0, -1.0])))
        session.draw(PoseStamp(pose, np.array([0.0, 0.0, -1.0])))
        session.handle(m.ChangeSettings(dataclasses.replace(SMALL, noise_seed=5)))
        if forget:
            session.handle(m.ChangeFrame(forget, "delete"))
            session.draw(PoseStamp(pose, np.zeros(3)))
        session.close(None)

    visit((0.0, 0.6, 1.2))
    with WorldFile.open(path) as world:
        pose = pose_from_yaw_pitch((1, 1.6, 0), 3.0, 0)
        grey = np.full((144, 256, 3), 90, np.uint8)
        outsider = world.add_frame(StoredFrame("generated", pose, FOV, grey))
    visit((1.2, 2.4), forget=2)
    return path, outsider


def played(path, opener, **options):
    images = []
    report = replay(
        path, opener, on_frame=lambda drawn: images.append(drawn.frame.image), **options
    )
    return report, images


def test_two_replays_give_the_same_bits_and_those_that_were_committed(walked):
    path, outsider = walked
    before = path.read_bytes()
    opener = model_opener()
    report, images = played(path, opener)
    again, images_again = played(path, opener)
    assert report.steps == 8 and len(report.committed) >= 3
    assert report.identical == len(report.committed) == report.made
    assert outsider not in report.committed
    assert report.sha256 == again.sha256
    assert all(np.array_equal(a, b) for a, b in zip(images, images_again, strict=True))
    assert not report.remarks
    assert path.read_bytes() == before, "the world is only read"


def test_what_was_painted_is_there_again_at_its_time(tmp_path):
    """A stroke over what was just imagined, more walking, the stroke taken back."""
    path = make_world(tmp_path / "painted.rtfm")
    opener = model_opener()
    session = WorldSession(opener(WorldFile.open(path)), path)
    session.handle(m.ChangeSettings(SMALL))
    drawn = []

    def walk(yaw):
        pose = pose_from_yaw_pitch((0, 1.6, -0.1), yaw, 0.0)
        drawn.append(session.draw(PoseStamp(pose, np.zeros(3))))

    walk(0.0)
    walk(0.8)
    mark = np.zeros((*drawn[-1].image.shape[:2], 4), np.uint8)
    mark[40:110, 60:200] = (0, 255, 0, 255)
    edits = session.engine.paint(drawn[-1], mark)
    assert edits
    walk(0.8)
    walk(1.6)
    session.engine.undo_paint()
    walk(0.8)
    session.close(None)
    before, painted, after = (drawn[i].image.astype(int) for i in (1, 2, 4))
    assert np.abs(painted - before).mean() > 3 and np.abs(painted - after).mean() > 3
    report, images = played(path, opener)
    for frame, image in zip(drawn, images, strict=True):
        assert np.array_equal(frame.image, image)
    assert report.identical == len(report.committed) > 0 and not report.remarks


def test_a_part_of_the_walk_can_be_replayed_alone(walked):
    path, _ = walked
    opener = model_opener()
    _, whole = played(path, opener)
    _, head = played(path, opener, last=2)
    assert len(head) == 2 and np.array_equal(head[1], whole[1])
    report, tail = played(path, opener, first=5)
    assert len(tail) == 4 and report.identical == len(report.committed)


def test_other_settings_are_noticed(walked, tmp_path):
    """The comparison can fail: what is committed with other settings is not identical."""
    path, _ = walked
    copy = tmp_path / "other.rtfm"
    with WorldFile.open(path, read_only=True) as world:
        world.fork(copy)
    with sqlite3.connect(copy) as connection:
        connection.execute(
            "UPDATE journal SET payload = replace(payload, '\"noise_temperature\":1.0', "
            "'\"noise_temperature\":0.5')"
        )
    report, _ = played(copy, model_opener(), last=3)
    assert report.committed and report.identical == 0


def test_the_command_reports_and_writes_pictures(walked, tmp_path, capsys):
    path, _ = walked
    out = tmp_path / "frames"
    assert run(["replay", str(path), "--deterministic", "--to", "2", "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["000001.png", "000002.png"]
    said = capsys.readouterr().out
    assert "2 steps drawn" in said and "identical, bit for bit" in said
    film = tmp_path / "walk.mp4"
    assert run(["replay", str(path), "--to", "2", "--out", str(film)]) == 0
    assert film.stat().st_size > 500


def test_an_empty_journal_and_missing_steps_are_explained(walked, tmp_path, capsys):
    empty = make_world(tmp_path / "empty.rtfm")
    assert run(["replay", str(empty)]) == 2
    assert "journal is empty; walk in it first" in capsys.readouterr().err
    assert run(["replay", str(walked[0]), "--from", "900"]) == 2
    assert "8 steps, none from 900" in capsys.readouterr().err
    assert run(["replay", str(walked[0]), "--from", "3", "--to", "2"]) == 2


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("step", {"camera_to_world": [[1, 0]], "velocity": [0, 0, 0]}),
        ("step", {}),
        ("commit", {"ids": "all"}),
        ("paint", {"ids": []}),
        ("frame", {"id": 1, "action": "paint it black"}),
        ("open", {"threads": 10**9}),
    ],
)
def test_a_damaged_journal_is_refused_in_words(tmp_path, kind, payload):
    path = make_world(tmp_path / "bad.rtfm")
    with WorldFile.open(path) as world:
        world.journal(kind, payload)
        with pytest.raises(ValueError, match="damaged"):
            read_journal(world)


def test_standing_still_adds_no_poses_to_the_journal(walked, capsys):
    with WorldFile.open(walked[0], read_only=True) as world:
        kinds = [entry.kind for entry in world.journal_entries()]
        assert world.journal_length() == (len(kinds), 8)
    assert kinds.count("step") == 6 and kinds.count("again") == 2
    assert run(["info", str(walked[0]), "--json", "-"]) == 0
    assert '"journal_steps": 8' in capsys.readouterr().out


@pytest.fixture
def short_journals(monkeypatch):
    """A limit of 400 rows."""
    thin = journal.thin
    monkeypatch.setattr(journal, "thin", lambda connection: thin(connection, 400))


def test_a_journal_past_its_limit_loses_its_oldest_steps_only(tmp_path, short_journals):
    path = make_world(tmp_path / "long.rtfm")
    pose = {"camera_to_world": np.eye(4)[:3].tolist(), "velocity": [0.0, 0.0, 0.0]}
    with WorldFile.open(path) as world:
        world.journal("open", {"settings": {"height": 144}})
        for _ in range(300):
            world.journal("step", pose)
        world.journal("settings", {"height": 216})
        for _ in range(300):
            world.journal("again", {})
        removed = world.thin_journal()
        assert removed == 602 - 301, "three quarters and the settings stay"
        entries = list(world.journal_entries())
        assert entries[0].kind == "settings" and entries[0].payload == {"height": 216}
        with pytest.raises(ValueError, match="empty"):
            read_journal(world)  # nothing but repetitions of a step that is gone
        assert world.thin_journal() == 0
        world.journal("step", pose)
        opening, *steps = read_journal(world)
        assert opening.payload["settings"] == {"height": 216} and len(steps) == 1


def test_thinning_begins_where_a_session_began(tmp_path, short_journals):
    path = make_world(tmp_path / "sessions.rtfm")
    with WorldFile.open(path) as world:
        for number in range(600):
            world.journal("open" if number == 350 else "step", {"n": number})
        world.thin_journal()
        kept = list(world.journal_entries())
    assert kept[0].kind == "open" and len(kept) == 250
