"""Worlds from videos and unposed pictures."""

import math
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from rtfm_app.cli import run
from rtfm_app.film import FilmWriter
from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch, rotation_angle
from rtfm_app.imports.colmap import NotPosed, Placed, Recovered
from rtfm_app.imports.recognise import recognise
from rtfm_app.imports.structure import (
    StructureOptions,
    find_ground,
    world_from_pictures,
    world_from_video,
    world_similarity,
)
from rtfm_app.imports.video import first_picture, read_video
from rtfm_app.memory.world_file import WorldFile

FOV = math.radians(55)
SIZE = (225, 400)
ROOM = np.array([3.0, 1.4, 4.0])  # half extents; the floor is 1.4 m under the origin


def room_textures() -> np.ndarray:
    """Six textures (6, 512, 512, 3) rich in corners."""
    rng = np.random.default_rng(3)
    sheets = []
    for _ in range(6):
        sheet = np.zeros((512, 512, 3))
        for cells in (16, 48, 128):
            noise = rng.random((cells, cells, 3)).astype(np.float32)
            sheet += cv2.resize(noise, (512, 512), interpolation=cv2.INTER_NEAREST)
        sheets.append(cv2.GaussianBlur(sheet * 80, (0, 0), 0.8))
    return np.array(sheets)


def look(textures: np.ndarray, camera_to_world: np.ndarray) -> np.ndarray:
    """The room from inside, (H, W, 3) uint8, twice supersampled."""
    rays = pixel_rays(SIZE[0] * 2, SIZE[1] * 2, FOV) @ camera_to_world[:3, :3].T
    origin = camera_to_world[:3, 3]
    with np.errstate(divide="ignore"):
        distances = np.where(rays > 0, (ROOM - origin) / rays, (-ROOM - origin) / rays)
    axis = distances.argmin(-1)
    points = origin + rays * distances.min(-1, keepdims=True)
    side = np.take_along_axis(rays, axis[..., None], -1)[..., 0] > 0
    others = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    places = np.take_along_axis(points, others, -1) / np.take(ROOM, others) * 255 + 256
    columns, rows = np.clip(places, 0, 511).astype(int)[..., 0], places.astype(int)[..., 1]
    image = textures[axis * 2 + side, np.clip(rows, 0, 511), columns].clip(0, 255)
    return cv2.resize(image.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_AREA)


def walk(count: int) -> list[np.ndarray]:
    shares = np.linspace(0, 1, count)
    return [
        pose_from_yaw_pitch((-1.2 + 2.4 * s, 0.1 * math.sin(6 * s), 1.5 - s), 0.3 - 0.7 * s, -0.15)
        for s in shares
    ]


def write_video(path: Path, pictures, per_second: float = 2.0) -> Path:
    writer = FilmWriter(path, crf=8)
    for number, picture in enumerate(pictures):
        writer.add(picture, number / per_second)
    writer.close()
    return path


def similarity_error(poses: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """(true size / recovered size, largest position error in metres after the best similarity,
    largest rotation error in degrees)."""
    a, b = poses[:, :3, 3], truth[:, :3, 3]
    centred, target = a - a.mean(0), b - b.mean(0)
    u, strength, vt = np.linalg.svd(target.T @ centred)
    flip = np.diag([1, 1, np.linalg.det(u @ vt)])
    rotation, scale = u @ flip @ vt, (strength * np.diag(flip)).sum() / (centred**2).sum()
    metres = np.linalg.norm(scale * centred @ rotation.T - target, axis=1).max()
    turned = rotation @ poses[:, :3, :3]
    angles = rotation_angle(np.swapaxes(turned, 1, 2) @ truth[:, :3, :3])
    return scale, float(metres), math.degrees(angles.max())


@pytest.mark.slow
def test_a_video_of_a_walk_becomes_a_world_with_its_true_poses(tmp_path):
    textures, truth = room_textures(), np.stack(walk(9))
    video = write_video(tmp_path / "walk.mp4", [look(textures, pose) for pose in truth])
    world = tmp_path / "walk.rtfm"
    assert run(["new", str(world), "--video", str(video), "--every", "0.5"]) == 0
    with WorldFile.open(world, read_only=True) as opened:
        poses = opened.frame_table().camera_to_world
        assert opened.provenance["pictures"] == 9 and opened.provenance["not_placed"] == []
        assert math.degrees(opened.fov_y_radians) == pytest.approx(55, abs=1.0)
        frame = opened.read_frame(1)
    scale, metres, degrees = similarity_error(poses, truth)
    assert metres < 0.02 and degrees < 0.5
    assert scale == pytest.approx(1.4 / 1.6, rel=0.05), "the floor tells the size"
    assert np.abs(poses[:, 1, 0]).max() < 0.05, "the horizon is level"
    assert frame.image.shape[1] >= 384 and frame.image.std() > 20


@pytest.mark.slow
def test_pictures_that_do_not_fit_together_are_refused_and_leave_nothing(tmp_path, capsys):
    rng = np.random.default_rng(0)
    folder = tmp_path / "holiday"
    folder.mkdir()
    for number in range(4):
        noise = cv2.resize(rng.integers(0, 255, (12, 20, 3), np.uint8), (320, 180))
        Image.fromarray(noise).save(folder / f"{number}.png")
    with pytest.raises(NotPosed, match="0 of 4"):
        world_from_pictures([folder])
    assert run(["new", str(tmp_path / "x.rtfm"), "--images", str(folder)]) == 2
    assert "camera could not be followed" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.rtfm*"))


def test_without_pycolmap_the_remedy_is_named_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(ValueError, match=r"pip install 'rtfm\[import\]'"):
        world_from_video(tmp_path / "not there.mp4")


# ---- videos ----


def test_the_sharpest_picture_of_each_stretch_is_taken(tmp_path):
    textures = room_textures()
    sharp = [look(textures, pose) for pose in walk(3)]
    blurred = [cv2.GaussianBlur(picture, (0, 0), 4) for picture in sharp]
    pictures = [p for pair in zip(blurred, sharp, strict=True) for p in pair]
    video = write_video(tmp_path / "a.mp4", pictures, per_second=4.0)
    shares = []
    chosen = list(read_video(video, every_s=0.5, on_share=shares.append))
    assert [c.time_s for c in chosen] == pytest.approx([0.25, 0.75, 1.25], abs=0.01)
    assert all(0 <= s <= 1 for s in shares) and sorted(shares) == shares
    assert len(list(read_video(video, every_s=0.25, most=2))) <= 3
    assert first_picture(video).time_s == pytest.approx(0.25, abs=0.51)


def test_what_is_no_video_is_explained(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(ValueError, match="convert it to MP4"):
        list(read_video(tmp_path / "a.mp4"))
    with pytest.raises(ValueError, match="check the path"):
        list(read_video(tmp_path / "b.mp4"))
    with pytest.raises(ValueError, match="--every"):
        list(read_video(tmp_path / "a.mp4", every_s=0))


# ---- size and place ----


def cameras_over_a_floor(height: float) -> Recovered:
    rng = np.random.default_rng(1)
    floor = np.stack([rng.uniform(-4, 4, 400), np.full(400, -height), rng.uniform(-4, 4, 400)], 1)
    walls = rng.uniform(-1, 1, (600, 3)) * (4, height, 4)
    strays = rng.uniform(-9, -5, (20, 3))
    poses = [pose_from_yaw_pitch((0.4 * i, 0.0, 0.1 * i), 0.4 * i, 0.0) for i in range(9)]
    placed = [Placed(f"{i}", pose, None) for i, pose in enumerate(poses)]
    return Recovered(placed, np.concatenate([floor, walls, strays]), [])


def test_the_ground_gives_size_and_up_and_lies_at_zero():
    recovered = cameras_over_a_floor(0.8)
    matrix = world_similarity(recovered)
    assert matrix[0, 0] == pytest.approx(2.0, rel=0.02)
    cameras = np.stack([c.camera_to_source[:, 3] for c in recovered.placed]) @ matrix.T
    assert np.median(cameras[:, 1]) == pytest.approx(1.6)
    assert cameras[0, [0, 2]] == pytest.approx([0, 0])
    assert world_similarity(recovered, 2.0)[0, 0] == pytest.approx(2 * matrix[0, 0])


def test_a_tilted_guess_of_up_is_put_right_by_the_ground():
    recovered = cameras_over_a_floor(0.8)
    tilted = np.array([0.25, 1.0, 0.1]) / np.linalg.norm([0.25, 1.0, 0.1])
    cameras = np.stack([c.camera_to_source[:3, 3] for c in recovered.placed])
    ground = find_ground(cameras, recovered.points, tilted)
    assert ground.up[1] > 0.9999 and ground.camera_height == pytest.approx(0.8, rel=0.02)


def test_without_a_ground_a_step_gives_the_size():
    recovered = cameras_over_a_floor(0.8)
    sky = Recovered(recovered.placed, np.abs(recovered.points) + (0, 1, 0), [])
    step = math.hypot(0.4, 0.1)
    assert world_similarity(sky)[0, 0] == pytest.approx(0.3 / step)


# ---- telling what a file is ----


def test_what_is_given_is_recognised(tmp_path):
    plain, wide = tmp_path / "plain.jpg", tmp_path / "wide.jpg"
    Image.new("RGB", (640, 360)).save(plain)
    Image.new("RGB", (2048, 1024)).save(wide)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(ValueError, match="neither"):
        recognise([folder])
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(plain, folder / name)
    assert recognise([folder]).kind == "pictures"
    (folder / "transforms.json").write_text("{}")
    assert recognise([folder]).kind == "transforms" and recognise([folder]).name == "folder"
    assert recognise([plain]).kind == "picture" and not recognise([plain]).maybe_panorama
    assert recognise([wide]).maybe_panorama
    assert recognise([plain, wide]).kind == "pictures"
    (tmp_path / "v.MOV").touch()
    assert recognise([tmp_path / "v.MOV"]).kind == "video"
    for wrong in ([tmp_path / "none.jpg"], [plain, tmp_path / "v.MOV"]):
        with pytest.raises(ValueError):
            recognise(wrong)


def test_options_are_checked():
    for wrong in ({"limit": 1}, {"scale": 0.0}, {"fov_y_degrees": 200.0}):
        with pytest.raises(ValueError):
            StructureOptions(**wrong)
