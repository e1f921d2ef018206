"""World files under fire: killed writers, full disks, damaged and hostile files."""

import contextlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.memory import codec, schema
from rtfm_app.memory.world_file import (
    DamagedFrame,
    SaveError,
    StoredFrame,
    UnreadableWorld,
    WorldFile,
    WorldInUse,
    salvage_world,
    verify_world,
)

ROOT = Path(__file__).parent.parent

WRITER = """
import sys, time
import numpy as np
from rtfm_app.memory.world_file import StoredFrame, WorldFile
world = WorldFile.open(sys.argv[1])
rng = np.random.default_rng()
number = world.get_state("count") or 0
print("ready", flush=True)
while True:
    image = rng.integers(0, 256, (72, 128, 3), np.uint8)
    frame_id = world.add_frame(StoredFrame("generated", np.eye(4), 1.0, image))
    print("frame", frame_id, flush=True)
    for _ in range(20):
        number += 1
        world.journal("pose", {"n": number})
        world.set_state("count", number)
        print("noted", number, time.time(), flush=True)
        time.sleep(0.002)
"""


def noise(seed: int, rows: int = 36) -> np.ndarray:
    shape = (rows, rows * 16 // 9, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def add(world: WorldFile, seed: int, rows: int = 36, **changes) -> int:
    pose = pose_from_yaw_pitch([seed, 1.6, 0], 0.2 * seed, 0)
    return world.add_frame(
        StoredFrame(
            **{
                "kind": "seed",
                "camera_to_world": pose,
                "fov_y_radians": 1.0,
                "image": noise(seed, rows),
                **changes,
            }
        )
    )


@pytest.fixture
def sound(tmp_path) -> Path:
    """A closed world of four frames: one masked, one edited over."""
    path = tmp_path / "sound.rtfm"
    with WorldFile.create(path, name="sound", start_pose=np.eye(4), fov_y_radians=1.0) as world:
        add(world, 0)
        add(world, 1, valid=noise(9)[..., 0] > 128)
        add(world, 2)
        add(world, 3, kind="edit", replaces=3)
        world.set_state("camera", {"x": 1})
        world.journal("pose", {"x": 1})
    return path


# killed writers


@pytest.mark.parametrize(
    "kills", [3, pytest.param(50, marks=pytest.mark.slow)], ids=["few", "fifty"]
)
def test_killed_at_any_moment_loses_at_most_a_second(tmp_path, kills):
    path = tmp_path / "killed.rtfm"
    WorldFile.create(path, name="killed", start_pose=np.eye(4), fov_y_radians=1.0).close()
    saved_frames: list[int] = []
    delays = random.Random(kills)
    for _ in range(kills):
        frames, noted = _write_and_kill(path, delays.uniform(0, 0.8))
        saved_frames += frames
        with WorldFile.open(path) as world:
            assert set(saved_frames) <= set(world.frame_table().ids.tolist())
            journal = [entry.payload["n"] for entry in world.journal_entries("pose")]
            assert journal == list(range(1, len(journal) + 1))
            if noted:
                last_moment = noted[-1][1]
                old = [number for number, moment in noted if moment < last_moment - 1.0]
                assert len(journal) >= max(old, default=0)
                # a frame's transaction carries all that was noted before it
                assert (world.get_state("count") or 0) == len(journal)
        saved_frames = saved_frames[-200:]
    assert verify_world(path) == []


def _write_and_kill(path: Path, delay_s: float) -> tuple[list[int], list[tuple[int, float]]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    words = [line.split() for line in process.communicate()[0].splitlines()[:-1]]
    frames = [int(word[1]) for word in words if word[0] == "frame"]
    noted = [(int(word[1]), float(word[2])) for word in words if word[0] == "noted"]
    return frames, noted


def test_another_process_is_refused_and_then_let_in(tmp_path):
    path = tmp_path / "shared.rtfm"
    WorldFile.create(path, name="shared", start_pose=np.eye(4), fov_y_radians=1.0).close()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.readline() == "frame 1\n"
        with pytest.raises(WorldInUse, match="another window or process"):
            WorldFile.open(path)
        with WorldFile.open(path, read_only=True) as reader:
            assert reader.read_frame(1).image.shape == (72, 128, 3)
    finally:
        process.kill()
        process.communicate()
    with WorldFile.open(path) as world:
        assert world.frame_table().ids[0] == 1


# full disks


@contextlib.contextmanager
def small_disk(folder: Path):
    """Yield (folder, fill, free): a 3 MB file system where one may be mounted, else a limit on
    file sizes, which SQLite meets in the same place."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode == 0:
        ballast = folder / "ballast"
        try:
            yield folder, lambda: _fill(ballast), lambda: ballast.unlink()
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(soft: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, limits[1]))

    try:
        yield folder, lambda: limit(100_000), lambda: limit(limits[0])
    finally:
        limit(limits[0])


def _fill(ballast: Path) -> None:
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_full_disk_keeps_everything_and_saves_later(tmp_path):
    with small_disk(tmp_path / "small") as (folder, fill, free):
        path = folder / "full.rtfm"
        world = WorldFile.create(path, name="full", start_pose=np.eye(4), fov_y_radians=1.0)
        ids = [add(world, 0, rows=72)]
        fill()
        ids += [add(world, seed, rows=144) for seed in range(1, 6)]
        world.journal("pose", {"n": 1})
        world.set_state("camera", {"n": 1})
        assert isinstance(world.save_error, SaveError)
        with pytest.raises(SaveError, match="full.rtfm"):
            world.flush()
        with pytest.raises(SaveError):
            world.delete_frame(ids[0])
        with pytest.raises(SaveError):
            world.close()
        assert world.frame_table().ids.tolist() == ids == [1, 2, 3, 4, 5, 6]
        assert np.array_equal(world.read_frame(ids[3]).image, noise(3, 144))
        assert world.read_thumbnail(ids[3]).shape == (72, 128, 3)
        assert world.get_state("camera") == {"n": 1} and world.stats()["frames"] == 6
        free()
        deadline = time.monotonic() + 10
        while world.save_error is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert world.save_error is None, "saving resumes by itself when there is room"
        world.close()
        assert verify_world(path) == []
        with WorldFile.open(path) as again:
            assert again.frame_table().ids.tolist() == ids
            assert np.array_equal(again.read_frame(ids[5]).image, noise(5, 144))
            assert [entry.payload for entry in again.journal_entries()] == [{"n": 1}]


def test_full_disk_leaves_no_half_made_files(tmp_path):
    with small_disk(tmp_path / "small") as (folder, fill, free):
        source = WorldFile.create(
            tmp_path / "source.rtfm", name="source", start_pose=np.eye(4), fov_y_radians=1.0
        )
        with source:
            for seed in range(3):
                add(source, seed, rows=144)
            fill()
            with pytest.raises(SaveError):
                source.fork(folder / "copy.rtfm")
            free()
            assert not list(folder.glob("*copy*"))
            source.fork(folder / "copy.rtfm")
            assert verify_world(folder / "copy.rtfm") == []


# damaged files


def outcome(path: Path, original: dict[int, np.ndarray]) -> str:
    """How a damaged file behaves: "refused", "reported" or "harmless"; anything else fails."""
    before = path.read_bytes()
    try:
        problems = verify_world(path)
    except UnreadableWorld as error:
        assert str(path) in str(error) and "\n" not in str(error)
        problems = None
    wrong = False
    try:
        with WorldFile.open(path, read_only=True) as world:
            for frame_id in world.frame_table().ids.tolist():
                try:
                    image = world.read_frame(frame_id).image
                except (DamagedFrame, KeyError):
                    wrong = True
                    continue
                assert np.array_equal(image, original[frame_id]), "wrong pixels went unnoticed"
            wrong |= world.frame_table().ids.tolist() != sorted(original)
            world.stats()
            world.get_state("camera")
            list(world.journal_entries())
    except ValueError:
        wrong = True
    assert path.read_bytes() == before
    if problems is None:
        return "refused"
    assert problems or not wrong, "verify called a damaged file sound"
    return "reported" if problems else "harmless"


def originals(path: Path) -> dict[int, np.ndarray]:
    with WorldFile.open(path, read_only=True) as world:
        return {i: world.read_frame(i).image for i in world.frame_table().ids.tolist()}


@pytest.mark.parametrize("flips", [40, pytest.param(1500, marks=pytest.mark.slow)])
def test_flipped_bytes_are_noticed(sound, tmp_path, flips):
    expected = originals(sound)
    data = sound.read_bytes()
    dice = random.Random(flips)
    outcomes = []
    for _ in range(flips):
        place = dice.randrange(len(data))
        flipped = bytearray(data)
        flipped[place] ^= 1 << dice.randrange(8)
        victim = tmp_path / "flipped.rtfm"
        victim.write_bytes(flipped)
        outcomes.append(outcome(victim, expected))
    assert outcomes.count("reported") + outcomes.count("refused") > flips / 3


def test_cut_files_are_refused_and_salvaged(sound, tmp_path):
    expected = originals(sound)
    data = sound.read_bytes()
    for share in (0.0001, 0.003, 0.2, 0.5, 0.8, 0.99):
        victim = tmp_path / "cut.rtfm"
        victim.write_bytes(data[: int(len(data) * share)])
        assert outcome(victim, expected) == "refused"
    target = tmp_path / "saved.rtfm"
    victim.write_bytes(data[: int(len(data) * 0.8)])
    salvage = salvage_world(victim, target)
    assert verify_world(target) == [] and salvage.kept >= 1
    with WorldFile.open(target) as world:
        for frame_id in world.frame_table().ids.tolist():
            assert frame_id not in salvage.dropped
            if frame_id in expected:
                assert np.array_equal(world.read_frame(frame_id).image, expected[frame_id])


def test_salvage_drops_only_the_damaged(sound, tmp_path):
    before = sound.read_bytes()
    with craft(sound) as connection:
        connection.execute("UPDATE pictures SET image = zeroblob(3000) WHERE frame_id = 4")
    damaged = sound.read_bytes()
    assert damaged != before
    assert [problem.frame_id for problem in verify_world(sound)] == [4]
    salvage = salvage_world(sound, tmp_path / "saved.rtfm")
    assert (salvage.kept, salvage.dropped) == (3, (4,))
    assert sound.read_bytes() == damaged
    with WorldFile.open(tmp_path / "saved.rtfm") as world:
        assert world.frame_table().ids.tolist() == [1, 2, 3], "the lost edit's original is back"
        assert world.get_state("camera") == {"x": 1} and world.name == "sound"
    assert verify_world(tmp_path / "saved.rtfm") == []


# hostile files


@contextlib.contextmanager
def craft(path: Path):
    """A connection past every constraint: types and checks are taken out and put back."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        saved = connection.execute("SELECT name, sql FROM sqlite_schema").fetchall()
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ') STRICT', ')')")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        yield connection
        connection.execute("PRAGMA writable_schema = ON")
        connection.executemany("UPDATE sqlite_schema SET sql = ?2 WHERE name = ?1", saved)


def bomb(rows: int, columns: int) -> bytes:
    """A lossless WebP header that claims a huge picture."""
    bits = struct.pack("<I", (columns - 1) | (rows - 1) << 14)
    chunk = b"\x2f" + bits + bytes(64)
    body = b"WEBPVP8L" + struct.pack("<I", len(chunk)) + chunk
    body += b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def nan_pose() -> bytes:
    return np.full((4, 4), np.nan).tobytes()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM frames; END",
        "CREATE VIEW v AS SELECT * FROM frames",
        "CREATE TABLE extra (x)",
        "CREATE INDEX i ON frames (created)",
        "ALTER TABLE frames ADD COLUMN extra INTEGER",
        "DROP TABLE journal",
        "DELETE FROM meta WHERE key = 'start_pose'",
        "UPDATE meta SET value = '[[1,0],[0,1]]' WHERE key = 'start_pose'",
        "UPDATE meta SET value = 'NaN' WHERE key = 'fov_y_radians'",
        "UPDATE meta SET value = '1e999' WHERE key = 'created'",
        "UPDATE meta SET value = '5' WHERE key = 'provenance'",
        "UPDATE meta SET value = 'null' WHERE key = 'created'",
        "UPDATE meta SET value = x'80049503' WHERE key = 'provenance'",
        f"UPDATE meta SET value = '{'[' * 100000}' WHERE key = 'model'",
        "UPDATE meta SET value = CAST(zeroblob(8000000) AS TEXT) WHERE key = 'model'",
    ],
    ids=lambda statement: statement[:40],
)
def test_hostile_schema_or_meta_is_refused(sound, statement):
    with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as plain:
        plain.execute("PRAGMA ignore_check_constraints = ON")
        if "x'80" in statement:
            plain.close()
            with craft(sound) as connection:
                connection.execute(statement)
        else:
            plain.execute(statement)
    before = sound.read_bytes()
    for read_only in (True, False):
        with pytest.raises(UnreadableWorld) as caught:
            WorldFile.open(sound, read_only=read_only)
        assert str(sound) in str(caught.value) and len(str(caught.value)) < 500
    assert sound.read_bytes() == before
    assert verify_world(sound), "verify must report it too"


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("UPDATE frames SET pose = ? WHERE id = 1", (nan_pose(),)),
        ("UPDATE frames SET pose = ? WHERE id = 1", (np.diag([9.0, 1, 1, 1]).tobytes(),)),
        ("UPDATE frames SET pose = ? WHERE id = 1", (b"short",)),
        ("UPDATE frames SET pose = ? WHERE id = 1", ("text" * 32,)),
        ("UPDATE frames SET pose = ? WHERE id = 1", (3.5,)),
        ("UPDATE frames SET fov_y = ? WHERE id = 1", (1e300,)),
        ("UPDATE frames SET fov_y = ? WHERE id = 1", (b"blob",)),
        ("UPDATE frames SET kind = ? WHERE id = 1", ("trojan",)),
        ("UPDATE frames SET created = ? WHERE id = 1", ("now",)),
        ("UPDATE frames SET valid_cells = ? WHERE id = 1", (0.5,)),
    ],
)
def test_hostile_poses_are_refused(sound, statement, values):
    with craft(sound) as connection:
        connection.execute(statement, values)
    with WorldFile.open(sound, read_only=True) as world:
        with pytest.raises(UnreadableWorld, match="rtfm verify"):
            world.frame_table()
        with pytest.raises(DamagedFrame):
            world.read_frame(1)
    assert [problem.frame_id for problem in verify_world(sound) if problem.frame_id] == [1]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("image", bomb(16383, 16383)),
        ("image", bomb(36, 64)),
        ("image", b""),
        ("image", b"\x80\x04\x95pickle"),
        ("image", "text"),
        ("image", bytes(5_000_000)),
        ("image", bytes(8_000_000)),
        ("image", codec.encode_image(np.zeros((72, 128, 3), np.uint8))),
        ("mask", zlib.compress(bytes(100_000_000), 9)),
        ("mask", zlib.compress(bytes(10), 9)),
        ("mask", b"junk"),
        ("mask", 7),
        ("thumbnail", b"junk"),
        ("thumbnail", bytes(100_000)),
        ("digest", bytes(32)),
        ("digest", "text"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_hostile_pictures_are_refused_one_by_one(sound, column, value):
    with craft(sound) as connection:
        connection.execute(f"UPDATE pictures SET {column} = ? WHERE frame_id = 1", (value,))
    with WorldFile.open(sound, read_only=True) as world:
        started = time.process_time()
        with pytest.raises(DamagedFrame, match="frame 1"):
            world.read_frame(1)
        assert time.process_time() - started < 0.5
        if column == "thumbnail":
            with pytest.raises(DamagedFrame):
                world.read_thumbnail(1)
        assert np.array_equal(world.read_frame(4).image, noise(3))
    assert 1 in [problem.frame_id for problem in verify_world(sound)]


def test_a_consistent_but_huge_picture_is_never_decoded(sound):
    with craft(sound) as connection:
        connection.execute("UPDATE frames SET height = 9216, width = 16384 WHERE id = 1")
        connection.execute("UPDATE pictures SET image = ? WHERE frame_id = 1", (bomb(9216, 16384),))
    with (
        WorldFile.open(sound, read_only=True) as world,
        pytest.raises(DamagedFrame, match="impossible size"),
    ):
        world.read_frame(1)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM positions WHERE frame_id = 1",
        "UPDATE positions SET max_x = 50 WHERE frame_id = 1",
        "INSERT INTO positions VALUES (99, 0, 0, 0, 0, 0, 0)",
        "UPDATE frames SET superseded_by = 2 WHERE id = 1",
        "UPDATE frames SET valid_cells = 1 WHERE id = 2",
        "UPDATE frames SET bytes = 5 WHERE id = 1",
        "DELETE FROM pictures WHERE frame_id = 1",
        "INSERT INTO journal (time, kind, payload) VALUES (0, 'pose', '{')",
        "UPDATE state SET value = 'undefined'",
    ],
)
def test_verify_sees_what_does_not_agree(sound, statement):
    with contextlib.closing(sqlite3.connect(sound, isolation_level=None)) as connection:
        connection.execute(statement)
    assert verify_world(sound)


def test_foreign_newer_and_absurd_files_are_refused_untouched(tmp_path, sound):
    cases = {"empty.rtfm": b"", "text.rtfm": b"hello" * 100, "zeros.rtfm": bytes(8192)}
    newer = bytearray(sound.read_bytes())
    newer[60:64] = struct.pack(">I", schema.VERSION + 1)
    unversioned = bytearray(sound.read_bytes())
    unversioned[60:64] = bytes(4)
    cases |= {"newer.rtfm": bytes(newer), "unversioned.rtfm": bytes(unversioned)}
    with contextlib.closing(sqlite3.connect(tmp_path / "foreign.rtfm")) as foreign:
        foreign.execute("CREATE TABLE cookies (x)")
    cases["foreign.rtfm"] = (tmp_path / "foreign.rtfm").read_bytes()
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        for action in (WorldFile.open, verify_world):
            with pytest.raises(UnreadableWorld, match=name):
                action(path)
        assert path.read_bytes() == data
    assert len(list(tmp_path.iterdir())) == len(cases) + 1, "nothing was left beside them"
    for path in (tmp_path, tmp_path / "missing.rtfm"):
        with pytest.raises(UnreadableWorld):
            WorldFile.open(path)


def test_log_left_by_a_dead_world_is_not_taken_over(tmp_path, sound):
    shutil.copy(sound, tmp_path / "new.rtfm-wal")
    with pytest.raises(ValueError, match="new.rtfm-wal: exists already"):
        WorldFile.create(tmp_path / "new.rtfm", name="new", start_pose=np.eye(4), fov_y_radians=1.0)


def test_state_of_a_hostile_file_is_refused_as_it_is_read(sound):
    with craft(sound) as connection:
        for number, text in enumerate(["[" * 100000, "NaN", "1e999", '"\\ud800', 5]):
            connection.execute("INSERT INTO state VALUES (?, ?)", (f"k{number}", text))
    with WorldFile.open(sound, read_only=True) as world:
        for number in range(4):
            with pytest.raises(ValueError, match=f"state k{number}"):
                world.get_state(f"k{number}")
    assert len([p for p in verify_world(sound) if p.where == "state"]) >= 4
