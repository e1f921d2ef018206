"""World files: what goes in comes out, in every state a world can be in."""

import contextlib
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.memory import codec, schema
from rtfm_app.memory.world_file import (
    SaveError,
    StoredFrame,
    UnreadableWorld,
    WorldFile,
    WorldInUse,
    verify_world,
)

STORED_VERSIONS = sorted((Path(__file__).parent / "files").glob("world_v*.rtfm"))


def picture(seed: int, rows: int = 36) -> np.ndarray:
    """Smooth colours with noise, (rows, rows * 16 / 9, 3) uint8."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0 : rows * 16 // 9]
    smooth = np.stack([x * 2, y * 4, x + y], axis=-1)
    return ((smooth + rng.integers(0, 20, smooth.shape)) % 256).astype(np.uint8)


def frame(seed: int = 0, **changes) -> StoredFrame:
    pose = pose_from_yaw_pitch([seed * 0.5, 1.6, -seed], 0.1 * seed, 0.02)
    values = {"kind": "generated", "camera_to_world": pose, "fov_y_radians": 1.0}
    return StoredFrame(**{**values, "image": picture(seed), **changes})


@pytest.fixture
def world(tmp_path):
    with new_world(tmp_path / "home.rtfm") as opened:
        yield opened


def new_world(path, **changes) -> WorldFile:
    values = {"name": "home", "start_pose": np.eye(4), "fov_y_radians": 1.0}
    return WorldFile.create(path, **{**values, **changes})


def assert_same(stored: StoredFrame, expected: StoredFrame) -> None:
    assert np.array_equal(stored.image, expected.image)
    assert np.array_equal(stored.camera_to_world, expected.camera_to_world)
    assert stored.fov_y_radians == expected.fov_y_radians
    valid = expected.valid
    if valid is None or valid.all():
        assert stored.valid is None
    else:
        assert np.array_equal(stored.valid, valid)
    assert (stored.kind, stored.pinned) == (expected.kind, expected.pinned)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.sampled_from([9, 36, 81]),
    seed=st.integers(0, 2**32 - 1),
    fov=st.floats(0.05, 3.0),
    position=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    yaw=st.floats(-10, 10),
    kind=st.sampled_from(["seed", "generated", "edit"]),
    valid_share=st.sampled_from([None, 0.0, 0.3, 1.0]),
    pinned=st.booleans(),
)
def test_frames_come_back_bit_for_bit(
    world, rows, seed, fov, position, yaw, kind, valid_share, pinned
):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (rows, rows * 16 // 9, 3), np.uint8)
    valid = None if valid_share is None else rng.random(image.shape[:2]) < valid_share
    pose = pose_from_yaw_pitch(position, yaw, 0.3)
    given_frame = StoredFrame(kind, pose, fov, image, valid, pinned)
    assert_same(world.read_frame(world.add_frame(given_frame)), given_frame)


def test_everything_survives_closing(tmp_path):
    similarity = np.diag([2.0, 2.0, 2.0, 1.0])
    start = pose_from_yaw_pitch([1, 2, 3], 0.5, 0)
    with new_world(
        tmp_path / "a b #1.rtfm",
        start_pose=start,
        source_to_world=similarity,
        provenance={"source": "x.jpg"},
        model={"name": "m"},
    ) as world:
        ids = [world.add_frame(frame(i, pinned=i == 1)) for i in range(3)]
        world.set_state("camera", {"mode": "fly", "speed": 1.25})
        world.journal("pose", {"n": 1})
        table = world.frame_table()
    with WorldFile.open(tmp_path / "a b #1.rtfm") as world:
        again = world.frame_table()
        for name in vars(table):
            assert np.array_equal(getattr(table, name), getattr(again, name)), name
        assert again.ids.tolist() == ids and again.pinned.tolist() == [False, True, False]
        for i, frame_id in enumerate(ids):
            assert_same(world.read_frame(frame_id), frame(i, pinned=i == 1))
        assert np.allclose(world.start_pose, start)
        assert np.array_equal(world.source_to_world, similarity)
        assert world.provenance == {"source": "x.jpg"} and world.model == {"name": "m"}
        assert world.get_state("camera") == {"mode": "fly", "speed": 1.25}
        assert world.get_state("never set") is None
        assert [entry.payload for entry in world.journal_entries("pose")] == [{"n": 1}]
    assert [item.name for item in tmp_path.iterdir()] == ["a b #1.rtfm"]
    assert verify_world(tmp_path / "a b #1.rtfm") == []


def test_thumbnail_resembles_the_picture(world):
    smooth = np.full((72, 128, 3), (200, 80, 20), np.uint8)
    thumbnail = world.read_thumbnail(world.add_frame(frame(0, image=smooth)))
    assert thumbnail.shape == (72, 128, 3)
    assert np.abs(thumbnail.astype(int) - (200, 80, 20)).max() < 6


def test_create_refuses_to_overwrite(world):
    world.close()
    before = world.path.read_bytes()
    with pytest.raises(ValueError, match="exists already"):
        new_world(world.path)
    assert world.path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "dream"},
        {"camera_to_world": np.full((4, 4), np.nan)},
        {"camera_to_world": np.diag([2.0, 1, 1, 1])},
        {"camera_to_world": np.eye(3)},
        {"fov_y_radians": 0.0},
        {"fov_y_radians": float("nan")},
        {"image": np.zeros((36, 63, 3), np.uint8)},
        {"image": np.zeros((36, 64, 3), np.float32)},
        {"image": np.zeros((585, 1040, 3), np.uint8)},
        {"valid": np.ones((9, 16), bool)},
        {"kind": "edit", "replaces": 77},
        {"replaces": 1},
    ],
)
def test_bad_frames_are_refused_and_leave_no_trace(world, change):
    world.add_frame(frame(0))
    with pytest.raises(ValueError):
        world.add_frame(frame(1, **change))
    assert world.frame_table().ids.tolist() == [1]


def test_edits_are_undone_and_redone(world):
    seed = world.add_frame(frame(0, kind="seed"))
    first = world.add_frame(frame(1, kind="edit", replaces=seed))
    second = world.add_frame(frame(2, kind="edit", replaces=first))
    assert world.frame_table().ids.tolist() == [second]
    with pytest.raises(ValueError, match="undo edit 3 first"):
        world.undo_edit(first)
    world.undo_edit(second)
    assert world.frame_table().ids.tolist() == [first]
    world.undo_edit(first)
    assert world.frame_table().ids.tolist() == [seed]
    world.restore_frame(first)
    assert world.frame_table().ids.tolist() == [first]
    assert world.read_frame(seed).kind == "seed"
    world.undo_edit(first)
    other = world.add_frame(frame(3, kind="edit", replaces=seed))
    with pytest.raises(ValueError, match="was replaced by"):
        world.restore_frame(first)
    assert world.frame_table().ids.tolist() == [other]
    world.close()
    assert verify_world(world.path) == []


def test_delete_restore_and_pin(world):
    ids = [world.add_frame(frame(i)) for i in range(3)]
    world.delete_frame(ids[1])
    assert world.frame_table().ids.tolist() == [ids[0], ids[2]]
    assert world.stats()["frames"] == 2
    world.restore_frame(ids[1])
    world.set_pinned(ids[1], True)
    assert world.frame_table().pinned.tolist() == [False, True, False]
    for action in (world.delete_frame, world.restore_frame, world.undo_edit):
        with pytest.raises(KeyError):
            action(99)


def test_ids_are_never_used_twice(world):
    ids = [world.add_frame(frame(i)) for i in range(3)]
    world.delete_frame(ids[-1])
    world.compact()
    world.close()
    with WorldFile.open(world.path) as again:
        assert again.add_frame(frame(4)) == ids[-1] + 1


def test_one_writer_many_readers(world):
    world.add_frame(frame(0))
    with pytest.raises(WorldInUse, match="read-only"):
        WorldFile.open(world.path)
    with WorldFile.open(world.path, read_only=True) as reader:
        assert len(reader.frame_table()) == 1
        world.add_frame(frame(1))
        assert len(reader.frame_table()) == 2
        with pytest.raises(SaveError, match="read-only"):
            reader.add_frame(frame(2))
        with pytest.raises(SaveError, match="read-only"):
            reader.journal("pose", {})
    world.add_frame(frame(3))
    world.close()
    with WorldFile.open(world.path) as again:
        assert len(again.frame_table()) == 3


def test_reader_outlives_the_writer(world):
    world.add_frame(frame(0))
    with WorldFile.open(world.path, read_only=True) as reader:
        world.close()
        assert_same(reader.read_frame(1), frame(0))
        with WorldFile.open(world.path) as writer:
            writer.add_frame(frame(1))
            assert len(reader.frame_table()) == 2


def test_reading_changes_nothing(world):
    world.add_frame(frame(0))
    world.close()
    before = world.path.read_bytes()
    with WorldFile.open(world.path, read_only=True) as reader:
        reader.read_frame(1)
        list(reader.journal_entries())
    verify_world(world.path)
    assert world.path.read_bytes() == before
    assert [item.name for item in world.path.parent.iterdir()] == [world.path.name]


def test_fork_while_open_is_independent(world, tmp_path):
    world.add_frame(frame(0))
    world.set_state("camera", {"x": 1})
    fork = world.fork(tmp_path / "second.rtfm")
    with pytest.raises(ValueError, match="exists already"):
        world.fork(fork)
    world.add_frame(frame(1))
    with WorldFile.open(fork) as other:
        assert other.name == "second" and other.provenance["forked_from"] == "home"
        assert other.get_state("camera") == {"x": 1}
        assert_same(other.read_frame(1), frame(0))
        other.delete_frame(1)
    assert world.frame_table().ids.tolist() == [1, 2]
    assert verify_world(fork) == []


def test_compact_gives_room_back_and_keeps_undo(world):
    seed = world.add_frame(frame(0, kind="seed"))
    edit = world.add_frame(frame(1, kind="edit", replaces=seed))
    noise = np.random.default_rng(0).integers(0, 256, (576, 1024, 3), np.uint8)
    large = world.add_frame(frame(2, image=noise))
    world.delete_frame(large)
    before, after = world.compact()
    assert after < before - 1_000_000
    world.undo_edit(edit)
    assert world.frame_table().ids.tolist() == [seed]
    world.restore_frame(edit)
    world.compact(drop_undo=True)
    with pytest.raises(KeyError):
        world.read_frame(seed)
    world.close()
    assert verify_world(world.path) == []


def test_journal_reaches_the_disk_within_a_second(world):
    world.journal("pose", {"n": 1})
    world.set_state("camera", {"n": 1})
    deadline = time.monotonic() + 1.0
    with contextlib.closing(sqlite3.connect(world.path)) as other:
        while not other.execute("SELECT count(*) FROM journal").fetchone()[0]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert other.execute("SELECT value FROM state WHERE key = 'camera'").fetchone()


def test_journal_keeps_its_order_across_flushes(world):
    for number in range(2500):
        world.journal("pose" if number % 2 else "settings", {"n": number})
        if number == 1200:
            world.flush()
    assert [entry.payload["n"] for entry in world.journal_entries()] == list(range(2500))
    assert [e.payload["n"] for e in world.journal_entries("pose")] == list(range(1, 2500, 2))


@pytest.mark.parametrize("value", [float("nan"), object(), "x" * 2_000_000])
def test_state_takes_only_sane_json(world, value):
    with pytest.raises(ValueError):
        world.set_state("notes", value)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(9, 16), (72, 128), (90, 160)]),
    st.sampled_from([0, 0.1, 0.5, 0.9, 1]),
)
def test_masks_and_their_summary(seed, shape, share):
    valid = np.random.default_rng(seed).random(shape) < share
    assert np.array_equal(codec.decode_mask(codec.encode_mask(valid), *shape), valid)
    cells = codec.valid_cells(valid)
    rows, columns = (np.arange(9) * size // 8 for size in shape)
    for row in range(8):
        for column in range(8):
            part = valid[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
            expected = part.mean() >= 0.5 if part.any() else False
            assert bool(cells >> (8 * row + column) & 1) == expected


@pytest.mark.parametrize("stored", STORED_VERSIONS, ids=lambda path: path.stem)
def test_files_of_every_earlier_version_open(stored, tmp_path):
    copy = tmp_path / "old.rtfm"
    shutil.copy(stored, copy)
    with WorldFile.open(copy) as world:
        assert world.name == "stored" and world.provenance == {"source": "test"}
        assert world.frame_table().ids.tolist() == [1, 3]
        for frame_id, seed in ((1, 10), (3, 12)):
            assert np.array_equal(world.read_frame(frame_id).image, picture(seed))
        assert world.read_frame(3).valid.sum() == 36 * 32
        assert world.get_state("camera") == {"mode": "walk"}
        assert [entry.kind for entry in world.journal_entries()] == ["pose"]
        world.add_frame(frame(5))
    assert verify_world(copy) == []


def test_every_version_has_a_stored_file():
    versions = [int(path.stem.removeprefix("world_v")) for path in STORED_VERSIONS]
    assert versions == list(range(1, schema.VERSION + 1))


def test_migration_is_all_or_nothing(tmp_path, monkeypatch):
    copy = tmp_path / "old.rtfm"
    shutil.copy(STORED_VERSIONS[-1], copy)
    before = copy.read_bytes()

    def half(connection):
        connection.execute("UPDATE meta SET value = '\"changed\"' WHERE key = 'name'")
        raise RuntimeError("power cut")

    monkeypatch.setattr(schema, "VERSION", 3)
    monkeypatch.setattr(schema, "MIGRATIONS", {2: half})
    with pytest.raises(RuntimeError, match="power cut"):
        WorldFile.open(copy)
    assert copy.read_bytes() == before
    with pytest.raises(UnreadableWorld, match="open it once for writing"):
        WorldFile.open(copy, read_only=True)

    def rename(connection):
        connection.execute("UPDATE meta SET value = '\"changed\"' WHERE key = 'name'")

    monkeypatch.setattr(schema, "MIGRATIONS", {2: rename})
    with WorldFile.open(copy) as world:
        assert world.name == "changed"
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 3


def test_what_surrounds_a_photograph_becomes_its_own_kind(tmp_path):
    """A file of version 1 calls it seeds; pixels, edits and journal stay."""
    old = Path(__file__).parent / "files" / "photograph_v1.rtfm"
    copy = tmp_path / "old.rtfm"
    shutil.copy(old, copy)
    with WorldFile.open(copy, read_only=True) as world:
        assert world.stats()["seed"] == 2 and world.stats()["surroundings"] == 0
    assert verify_world(copy) == []
    with WorldFile.open(copy) as world:
        stats = world.stats()
        kinds = {"seed": 1, "surroundings": 1, "generated": 1, "edits": 1}
        assert {name: stats[name] for name in kinds} == kinds
        assert [world.read_frame(i).kind for i in (1, 2, 3)] == ["seed", *["surroundings"] * 2]
        for frame_id, seed in ((1, 10), (2, 11), (3, 12), (4, 13), (5, 14)):
            assert np.array_equal(world.read_frame(frame_id).image, picture(seed))
        assert world.origins() == {5: (3, "surroundings")}
        new = world.add_frame(frame(5, kind="surroundings"))
        assert world.read_frame(new).kind == "surroundings"
    assert verify_world(copy) == []


def test_a_migration_does_not_wake_triggers(tmp_path):
    copy = tmp_path / "hostile.rtfm"
    shutil.copy(Path(__file__).parent / "files" / "photograph_v1.rtfm", copy)
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        connection.execute(
            "CREATE TRIGGER hidden AFTER UPDATE ON frames BEGIN DELETE FROM journal; END"
        )
    before = copy.read_bytes()
    with pytest.raises(UnreadableWorld, match="trigger hidden"):
        WorldFile.open(copy)
    assert copy.read_bytes() == before
