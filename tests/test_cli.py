"""The command line as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from test_imports import broken_pictures, broken_transforms, smooth, walk_around, write_transforms

from rtfm_app import cli, worlds_folder
from rtfm_app.commands import play
from rtfm_app.imports.alignment import map_pose
from rtfm_app.memory.world_file import WorldFile
from rtfm_app.render import read_poses
from rtfm_app.starters import list_starters, open_starter


@pytest.fixture(autouse=True)
def saves(tmp_path, monkeypatch):
    """Worlds of these tests live in a folder of their own; the current folder is empty."""
    folder = tmp_path / "saves"
    monkeypatch.setattr(worlds_folder, "worlds_folder", lambda: folder)
    for name in ("rtfm_app.starters", "rtfm_app.commands.render"):
        monkeypatch.setattr(f"{name}.worlds_folder", lambda: folder)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return folder


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(smooth(288, 512).astype(np.uint8)).save(path)
    return path


ALONE = ("--surroundings", "none")


def rtfm(*arguments):
    return cli.run([str(argument) for argument in arguments])


def refused(capsys, *arguments):
    """Run a command that must end with one line and code 2; returns the line."""
    capsys.readouterr()
    assert rtfm(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("rtfm: ") and err.count("\n") == 1
    return err


def facts(capsys, world):
    capsys.readouterr()
    assert rtfm("info", world, "--json", "-") == 0
    return json.loads(capsys.readouterr().out)


def test_a_photograph_becomes_a_world_that_is_listed_and_sound(photo, saves, capsys):
    assert rtfm("new", "home", "--image", photo) == 0
    assert (saves / "home.rtfm").is_file()
    known = facts(capsys, "home")
    assert known["seed"] == 1 and known["surroundings"] > 20
    assert known["provenance"]["surroundings"]
    assert rtfm("new", "alone", "--image", photo, *ALONE) == 0
    alone = facts(capsys, "alone")
    assert (alone["frames"], alone["seed"], alone["generated"], alone["edits"]) == (1, 1, 0, 0)
    assert known["source_to_world"] == np.eye(4).tolist()
    assert rtfm("verify", "home") == 0
    assert rtfm("list") == 0
    assert "home" in capsys.readouterr().out


def test_bad_pictures_leave_nothing(tmp_path, saves, capsys):
    folder = tmp_path / "bad"
    folder.mkdir()
    for name in broken_pictures(folder):
        assert name in refused(capsys, "new", "x", "--image", folder / name)
    assert not saves.exists() or not list(saves.iterdir())


def test_bad_transforms_leave_nothing(tmp_path, saves, capsys):
    for path in broken_transforms(tmp_path):
        assert path.parent.name in refused(capsys, "new", "x", "--transforms", path)
    assert not saves.exists() or not list(saves.iterdir())


def test_bad_arguments_are_one_line(photo, capsys):
    for arguments in (
        ["new", "x"],
        ["new", "x", "--image", photo, "--panorama", photo],
        ["new", "x", "--image", photo, "--fov", "200"],
        ["new", "x", "--image", photo, "--scale", "2"],
        ["new", "x", "--image", photo, "--images", photo],
        ["new", "x", "--image", photo, "--every", "2"],
        ["new", "x", "--image", photo, "--surroundings", "moon"],
        ["new", "x", "--panorama", photo, "--surroundings", "none"],
        ["new", "x", "--video", photo, "--up", "0,1,0"],
        ["new", "a:b", "--image", photo],
        ["new", "..", "--image", photo],
        ["render", "x", "--walk", "w 1"],
        ["frobnicate"],
        ["info", "--frobnicate"],
    ):
        refused(capsys, *arguments)


def test_an_unknown_world_suggests_close_names(photo, capsys):
    rtfm("new", "harbour", "--image", photo, *ALONE)
    assert "harbour" in refused(capsys, "info", "harbor")
    assert "nowhere.rtfm" in refused(capsys, "render", "nowhere.rtfm", "--tour", "--out", "o")


def test_an_existing_world_is_kept(photo, capsys):
    rtfm("new", "home", "--image", photo, *ALONE)
    assert "exists" in refused(capsys, "new", "home", "--image", photo)


def test_another_programs_file_is_refused(tmp_path, capsys):
    other = tmp_path / "other.rtfm"
    other.write_bytes(b"not a database" * 100)
    for command in ("info", "verify", "play"):
        assert "other.rtfm" in refused(capsys, command, other)
    assert other.read_bytes() == b"not a database" * 100


def test_a_damaged_world_is_told_from_an_unreadable_one(photo, saves, capsys):
    rtfm("new", "home", "--image", photo, *ALONE)
    path = saves / "home.rtfm"
    data = bytearray(path.read_bytes())
    position = len(data) * 3 // 4
    data[position : position + 64] = bytes(64)
    path.write_bytes(data)
    assert rtfm("verify", "home") == 1
    path.write_bytes(data[:50])
    assert rtfm("verify", "home") == 2


def test_fork_export_and_import_keep_the_frames(photo, saves, tmp_path, capsys):
    rtfm("new", "home", "--image", photo, *ALONE)
    assert rtfm("fork", "home", "copy") == 0
    assert rtfm("export", "copy", "--format", "nerfstudio", "--out", tmp_path / "folder") == 0
    assert rtfm("import", tmp_path / "folder", "again") == 0
    pictures = []
    for name in ("home", "copy", "again"):
        with WorldFile.open(saves / f"{name}.rtfm", read_only=True) as world:
            pictures.append(world.read_frame(int(world.frame_table().ids[0])).image)
    assert np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[0], pictures[2])
    assert rtfm("compact", "copy") == 0


def test_source_poses_go_through_the_similarity(tmp_path, saves, capsys):
    poses = walk_around()[:4]
    path = write_transforms(tmp_path / "scan", poses)
    assert rtfm("new", "scan", "--transforms", path, "--scale", "2", "--up", "0,0,1") == 0
    similarity = np.array(facts(capsys, "scan")["source_to_world"])
    assert np.cbrt(np.linalg.det(similarity[:3, :3])) == pytest.approx(2)
    entry = {"camera_to_world": poses[2].tolist(), "fov_y_degrees": 40}
    poses_file = tmp_path / "poses.json"
    poses_file.write_text(json.dumps({"frame": "source", "poses": [entry]}))
    (view,) = read_poses(poses_file, similarity)
    assert np.allclose(view.camera_to_world, map_pose(similarity, poses[2]))
    assert view.fov_y_radians == pytest.approx(np.radians(40))


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"poses": []}', '{"poses": [{}]}', '{"poses": [3]}',
     '{"frame": "moon", "poses": [{}]}', '{"poses": [{"camera_to_world": [[1]]}]}'],
)  # fmt: skip
def test_bad_poses_are_refused(text, photo, tmp_path, capsys):
    rtfm("new", "home", "--image", photo, *ALONE)
    poses = tmp_path / "poses.json"
    poses.write_text(text)
    line = refused(capsys, "render", "home", "--poses", poses, "--out", tmp_path / "out")
    assert "poses.json" in line and not (tmp_path / "out").exists()


def test_the_first_rendered_frame_is_the_picture(photo, saves, tmp_path, capsys):
    rtfm("new", "home", "--image", photo, *ALONE)
    before = (saves / "home.rtfm").read_bytes()
    out = tmp_path / "out"
    assert rtfm("render", "home", "--walk", "turn 12", "--no-commit", "--out", out) == 0
    assert sorted(p.name for p in out.iterdir()) == ["000000.png", "000001.png", "000002.png"]
    error = np.asarray(Image.open(out / "000000.png"), float) - np.asarray(Image.open(photo), float)
    assert 10 * np.log10(255**2 / np.mean(error**2)) >= 28
    assert (saves / "home.rtfm").read_bytes() == before


def test_without_commit_a_picture_depends_on_its_pose_alone(photo, tmp_path):
    rtfm("new", "home", "--image", photo, *ALONE)
    poses = [np.eye(4), np.eye(4)]
    poses[0][:3, 3], poses[1][:3, 3] = (0, 1.6, -0.5), (0.3, 1.6, 0)
    pictures = []
    for name, order in (("a", [0, 1]), ("b", [1, 0])):
        file = tmp_path / f"{name}.json"
        entries = [{"camera_to_world": poses[i].tolist()} for i in order]
        file.write_text(json.dumps({"poses": entries}))
        options = ["--no-commit", "--deterministic", "--device", "cpu", "--out", tmp_path / name]
        assert rtfm("render", "home", "--poses", file, *options) == 0
        pictures.append([(tmp_path / name / f"{i:06d}.png").read_bytes() for i in (0, 1)])
    assert pictures[0] == pictures[1][::-1]


def test_an_interrupted_render_goes_on(photo, saves, tmp_path, monkeypatch):
    rtfm("new", "home", "--image", photo, *ALONE)
    out, command = tmp_path / "out", ["render", "home", "--walk", "turn 18", "--no-commit"]
    from rtfm_app.engine import FrameEngine

    step, drawn = FrameEngine.step, []

    def interrupted(*arguments, **options):
        drawn.append(1)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return step(*arguments, **options)

    monkeypatch.setattr(FrameEngine, "step", interrupted)
    assert rtfm(*command, "--out", out) == 130
    assert rtfm(*command, "--out", out) == 0
    assert len(drawn) == 3 + 2
    assert len(list(out.glob("*.png"))) == 4


def test_a_film(photo, tmp_path):
    rtfm("new", "home", "--image", photo, *ALONE)
    film = tmp_path / "walk.mp4"
    assert rtfm("render", "home", "--walk", "wait 0.4", "--out", film, "--size", "256x144") == 0
    with av.open(str(film)) as container:
        pictures = [frame for frame in container.decode(video=0)]
    assert len(pictures) == 5 and (pictures[0].width, pictures[0].height) == (256, 144)


def test_without_a_display_a_walk_is_recorded(photo, monkeypatch, capsys):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(play, "tour_views", lambda world: tour(world)[:3])
    assert rtfm("play", photo) == 0
    assert "no display" in capsys.readouterr().out
    with av.open("walk.mp4") as container:
        assert len(list(container.decode(video=0))) == 3


def tour(world):
    from rtfm_app.commands.render import tour_views

    return tour_views(world)


def test_a_missing_library_names_its_package():
    with pytest.raises(ValueError, match="apt-get install libnone"):
        play.check_system_libraries({"libnone.so.9": "libnone"})


def test_starters_are_complete_and_open(saves):
    starters = list_starters()
    assert len(starters) >= 6
    for starter in starters:
        assert starter.source.is_file() and starter.credit
        assert Image.open(starter.thumbnail).size == (512, 288)
    path = open_starter("leadenhall_market")
    assert path == open_starter("leadenhall_market")
    with WorldFile.open(path, read_only=True) as world:
        assert world.stats()["seed"] == 26


def test_names_and_paths(saves, tmp_path):
    assert worlds_folder.new_world_path("home") == saves / "home.rtfm"
    assert worlds_folder.new_world_path("a/home") == Path("a/home.rtfm")
    assert worlds_folder.new_world_path("home.rtfm") == Path("home.rtfm")
    assert worlds_folder.free_world_path("a/b").parent == saves


def test_the_program_starts_from_a_shell(tmp_path):
    """Also that nothing heavy is loaded just to say hello."""
    code = "import sys, rtfm_app.cli; sys.exit('torch' in sys.modules or 'glfw' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    said = subprocess.run(
        [sys.executable, "-m", "rtfm_app", "--version"], capture_output=True, text=True,
        check=True, env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    assert said.stdout.startswith("rtfm ")
