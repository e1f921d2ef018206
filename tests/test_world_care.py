"""Renaming, throwing away and bringing back worlds."""

import os
import time

import pattern_engine
import pytest

from rtfm_app.cli import run
from rtfm_app.memory.world_file import WorldFile
from rtfm_app.world_care import TRASH, bring_back, rename_world, set_notes, throw_away


@pytest.fixture
def world(tmp_path):
    path = tmp_path / "place.rtfm"
    pattern_engine.make_world(path, name="place")
    return path


def test_a_new_name_is_the_files_too_and_nothing_else_changes(world):
    with WorldFile.open(world) as opened:
        pose = opened.start_pose
    target = rename_world(world, "Grandmother's garden")
    assert target.name == "Grandmother's garden.rtfm" and not world.exists()
    with WorldFile.open(target, read_only=True) as opened:
        assert opened.name == "Grandmother's garden" and len(opened.frame_table()) == 4
        assert (opened.start_pose == pose).all()


def test_a_name_that_is_taken_or_impossible_is_refused(world, tmp_path):
    pattern_engine.make_world(tmp_path / "other.rtfm")
    for name in ("other", "", "a/b", "..", "x" * 300):
        with pytest.raises(ValueError):
            rename_world(world, name)
    assert world.exists()


def test_what_was_thrown_away_comes_back_whole(world):
    before = world.read_bytes()
    thrown = throw_away(world)
    assert not world.exists() and thrown.kept.parent.name == TRASH
    assert bring_back(thrown) == world and world.read_bytes() == before
    again = throw_away(world)
    pattern_engine.make_world(world)
    with pytest.raises(ValueError, match="another"):
        bring_back(again)
    assert again.kept.exists()


def test_a_world_in_use_is_not_thrown_away_but_a_broken_one_is(world, tmp_path):
    with WorldFile.open(world), pytest.raises(ValueError, match="close it there"):
        throw_away(world)
    broken = tmp_path / "broken.rtfm"
    broken.write_bytes(b"nothing")
    assert throw_away(broken).kept.read_bytes() == b"nothing"


def test_the_trash_is_kept_for_a_month(world, tmp_path, monkeypatch):
    kept = throw_away(world).kept
    other = tmp_path / "other.rtfm"
    pattern_engine.make_world(other)
    later = time.time() + 31 * 86400
    monkeypatch.setattr("rtfm_app.world_care.time.time", lambda: later)
    newest = throw_away(other).kept
    assert os.listdir(tmp_path / TRASH) == [newest.name] and not kept.exists()


def test_notes_are_kept(world):
    set_notes(world, "Come back in spring.")
    with WorldFile.open(world, read_only=True) as opened:
        assert opened.get_state("notes") == "Come back in spring."


def test_commands(world, tmp_path, capsys):
    assert run(["fork", str(world), str(tmp_path / "twin.rtfm")]) == 0
    with WorldFile.open(tmp_path / "twin.rtfm", read_only=True) as twin:
        assert twin.name == "twin", "a copy is not called as its original"
    assert run(["rename", str(world), "meadow"]) == 0
    assert run(["delete", str(tmp_path / "meadow.rtfm")]) == 0
    assert "meadow" in capsys.readouterr().out and not (tmp_path / "meadow.rtfm").exists()
    assert run(["delete", str(tmp_path / "meadow.rtfm")]) == 2
