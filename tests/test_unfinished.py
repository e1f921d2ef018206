"""What a killed program left is removed by the next one that writes there, and nothing else is."""

import os
import subprocess
import sys

import pattern_engine
import pytest

from rtfm_app.memory.export import export_world
from rtfm_app.memory.world_file import WorldFile
from rtfm_app.unfinished import remove_abandoned


@pytest.fixture(scope="module")
def dead() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_what_a_dead_process_was_writing_goes(tmp_path, dead):
    gone = [f".w.rtfm.{dead}.part", f".w.rtfm.{dead}.part-journal"]
    kept = [f".w.rtfm.{os.getpid()}.part", ".w.rtfm.x.part", f".v.rtfm.{dead}.part", "w.rtfm"]
    for name in (*gone, *kept):
        (tmp_path / name).write_text("x")
    folder = tmp_path / f".w.rtfm.{dead}.part-wal"
    folder.mkdir()
    (folder / "inside").write_text("x")
    remove_abandoned(tmp_path, ".w.rtfm.", ".part")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(kept)


def test_forks_and_exports_clear_up_after_those_that_were_killed(tmp_path, dead):
    pattern_engine.make_world(tmp_path / "w.rtfm")
    (tmp_path / f".copy.rtfm.{dead}.part").write_text("x")
    (tmp_path / f".out.{dead}.part").mkdir()
    (tmp_path / f".out.{dead}.part" / "000001.png").write_text("x")
    with WorldFile.open(tmp_path / "w.rtfm") as world:
        world.fork(tmp_path / "copy.rtfm")
        export_world(world, tmp_path / "out", "nerfstudio")
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]
