"""Pictures, panoramas and posed pictures become worlds that show what the files show."""

import json
import math
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from rtfm_app.geometry import check_pose, pixel_rays, pose_from_yaw_pitch
from rtfm_app.imports.alignment import estimate_scale, estimate_up, map_pose, rotation_to_y_up
from rtfm_app.imports.lens import Lens, undistorted_frame, widest_tan_y
from rtfm_app.imports.panorama import FOV_Y_RADIANS, ring_poses, world_from_panorama
from rtfm_app.imports.pictures import read_picture, world_from_image
from rtfm_app.imports.source import build_world
from rtfm_app.imports.transforms import TransformsOptions, world_from_transforms
from rtfm_app.memory.world_file import StoredFrame, WorldFile
from rtfm_app.walk import parse_walk, walk_poses


def smooth(height, width, seed=0):
    """A picture with soft structure, (H, W, 3) uint8."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (9, 16, 3)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255)


def save(path, pixels, **options):
    Image.fromarray(np.asarray(pixels).astype(np.uint8)).save(path, **options)
    return path


def psnr(a, b):
    error = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return 10 * math.log10(255**2 / max(error, 1e-9))


def seeds(source):
    return list(source.frames)


# pictures


def test_a_picture_is_cropped_to_its_middle_and_never_enlarged(tmp_path):
    pixels = smooth(600, 800)
    source = world_from_image(save(tmp_path / "a.png", pixels))
    (frame,) = seeds(source)
    assert frame.image.shape == (450, 800, 3)
    assert np.array_equal(frame.image, pixels[75:525].astype(np.uint8))
    assert source.fov_y_radians == pytest.approx(math.radians(60))
    assert np.allclose(source.start_pose[:3, 3], (0, 1.6, 0))


def test_a_large_picture_is_stored_at_1024_by_576(tmp_path):
    pixels = smooth(1500, 2000)
    (frame,) = seeds(world_from_image(save(tmp_path / "a.png", pixels)))
    expected = cv2.resize(pixels[187:1312], (1024, 576), interpolation=cv2.INTER_AREA)
    assert frame.image.shape == (576, 1024, 3)
    assert psnr(frame.image, expected) > 40


def test_exif_orientation_is_honoured(tmp_path):
    pixels = smooth(450, 800)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # shown turned clockwise: stored lying on its side
    save(tmp_path / "a.png", np.rot90(pixels), exif=exif)
    (frame,) = seeds(world_from_image(tmp_path / "a.png"))
    assert np.array_equal(frame.image, pixels.astype(np.uint8))


@pytest.mark.parametrize("size", [(1200, 800), (800, 1200)])
def test_field_of_view_from_the_35_mm_equivalent(tmp_path, size):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 24
    save(tmp_path / "a.jpg", smooth(size[1], size[0]), exif=exif)
    source = world_from_image(tmp_path / "a.jpg", 70.0)
    # a 24x36 mm frame: the 16:9 crop of a landscape picture is 36 mm wide, of a portrait 24
    across = 36 if size[0] > size[1] else 24
    assert source.fov_y_radians == pytest.approx(2 * math.atan(across * 9 / 16 / 2 / 24), rel=1e-6)


def test_field_of_view_from_the_sensor_and_from_the_option(tmp_path):
    exif = Image.Exif()
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    tags[ExifTags.Base.FocalLength] = 10.0
    tags[ExifTags.Base.FocalPlaneXResolution] = 1000.0  # pixels a centimetre
    tags[ExifTags.Base.FocalPlaneResolutionUnit] = 3
    save(tmp_path / "a.jpg", smooth(900, 1600), exif=exif)
    assert world_from_image(tmp_path / "a.jpg").fov_y_radians == pytest.approx(
        2 * math.atan(450 / 1000)
    )
    plain = save(tmp_path / "b.jpg", smooth(900, 1600))
    assert world_from_image(plain, 45.0).fov_y_radians == pytest.approx(math.radians(45))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "I;16", "CMYK", "1"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path, mode):
    rgb = Image.fromarray(smooth(90, 160).astype(np.uint8))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    else:
        image = rgb.convert("L").convert("LA") if mode == "LA" else rgb.convert(mode)
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path)
    read = read_picture(path).image
    assert read.mode == "RGB"
    if mode != "1":
        assert psnr(read.convert("L"), rgb.convert("L")) > (25 if mode in ("CMYK", "P") else 45)


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    head += struct.pack(">I", zlib.crc32(chunk))
    data = b"IDAT" + zlib.compress(b"")
    return head + struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))


def broken_pictures(folder):
    """name -> a word of the expected message."""
    whole = save(folder / "whole.jpg", smooth(360, 640)).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("hello")
    (folder / "huge.png").write_bytes(png_header(20_000, 10_000))
    (folder / "long.png").write_bytes(png_header(90_000, 90))
    (folder / "folder.jpg").mkdir()
    save(folder / "tiny.png", smooth(20, 30))
    return {
        "cut.jpg": "truncated", "empty.jpg": "empty", "text.jpg": "not a picture",
        "huge.png": "megapixels", "long.png": "32000", "folder.jpg": "folder",
        "tiny.png": "at least", "none.jpg": "no picture",
    }  # fmt: skip


def test_broken_pictures_are_refused_by_name(tmp_path):
    for name, word in broken_pictures(tmp_path).items():
        with pytest.raises(ValueError, match=word) as caught:
            world_from_image(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


# worlds


def test_a_failing_import_leaves_nothing(tmp_path):
    good = world_from_image(save(tmp_path / "a.png", smooth(90, 160)))

    def frames():
        yield from good.frames
        raise ValueError("the second picture is broken")

    source = type(good)(frames(), 2, good.start_pose, good.fov_y_radians)
    target = tmp_path / "worlds" / "x.rtfm"
    with pytest.raises(ValueError, match="second picture"):
        build_world(target, "x", source)
    assert list(target.parent.iterdir()) == []


def test_an_existing_world_is_never_overwritten(tmp_path):
    source = world_from_image(save(tmp_path / "a.png", smooth(90, 160)))
    build_world(tmp_path / "x.rtfm", "x", source)
    before = (tmp_path / "x.rtfm").read_bytes()
    with pytest.raises(ValueError, match="exists"):
        build_world(tmp_path / "x.rtfm", "x", source)
    assert (tmp_path / "x.rtfm").read_bytes() == before
    with WorldFile.open(tmp_path / "x.rtfm", read_only=True) as world:
        stored = world.read_frame(int(world.frame_table().ids[0]))
    assert isinstance(stored, StoredFrame)
    assert np.array_equal(stored.image, source.frames[0].image)


# panoramas


def sphere(directions):
    """A soft colour for every direction (..., 3)."""
    x, y, z = np.moveaxis(directions, -1, 0)
    return np.stack([128 + 100 * x, 128 + 100 * y * np.abs(y), 128 + 60 * z + 40 * x * y], -1)


def panorama_pixels(width=1024):
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2 * math.pi
    latitude = (0.5 - (np.arange(width // 2) + 0.5) / (width // 2)) * math.pi
    lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
    around = [np.sin(lon) * np.cos(lat), np.sin(lat), -np.cos(lon) * np.cos(lat)]
    return sphere(np.stack(around, -1))


def test_panorama_views_show_the_direction_they_look_in(tmp_path):
    source = world_from_panorama(save(tmp_path / "p.png", panorama_pixels()))
    frames = seeds(source)
    assert len(frames) == source.count
    for frame in frames:
        height, width = frame.image.shape[:2]
        assert height * 16 == width * 9 and height <= 576
        rays = pixel_rays(height, width, frame.fov_y_radians) @ frame.camera_to_world[:3, :3].T
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        assert psnr(frame.image, sphere(rays)) > 45


def test_the_ring_covers_the_whole_sphere_with_a_margin():
    rng = np.random.default_rng(1)
    directions = rng.normal(size=(20_000, 3))
    covered = np.zeros(len(directions), bool)
    tan_y = math.tan(FOV_Y_RADIANS / 2)
    for pose in ring_poses():
        x, y, z = (directions @ pose[:3, :3]).T
        inside = (np.abs(x) < -z * tan_y * 16 / 9 * 0.97) & (np.abs(y) < -z * tan_y * 0.97)
        covered |= inside
    assert covered.all()


def test_an_ordinary_picture_is_no_panorama(tmp_path):
    with pytest.raises(ValueError, match="--image"):
        world_from_panorama(save(tmp_path / "a.png", smooth(360, 640)))


# lenses

LENSES = {
    "pinhole": Lens(640, 480, 500, 480, 330, 230),
    "barrel": Lens(
        640, 480, 420, 425, 310, 245, radial=(-0.2, 0.04, -0.003, 0), tangential=(1e-3, -2e-3)
    ),
    "fisheye": Lens(640, 480, 300, 300, 322, 238, fisheye=True, radial=(0.03, -0.01, 0.002, 0)),
}  # fmt: skip


@pytest.mark.parametrize("name", LENSES)
def test_projection_agrees_with_opencv(name):
    lens = LENSES[name]
    points = np.random.default_rng(2).uniform(-0.4, 0.4, (50, 2))
    matrix = np.array([[lens.fl_x, 0, lens.cx], [0, lens.fl_y, lens.cy], [0, 0, 1.0]])
    rays = np.concatenate([points, np.ones((50, 1))], 1)[:, None]
    zero = np.zeros(3)
    if lens.fisheye:
        expected = cv2.fisheye.projectPoints(rays, zero, zero, matrix, np.array(lens.radial))[0]
    else:
        k1, k2, k3, _ = lens.radial
        coefficients = np.array([k1, k2, *lens.tangential, k3])
        expected = cv2.projectPoints(rays, zero, zero, matrix, coefficients)[0]
    assert np.allclose(np.stack(lens.project(*points.T), -1), expected.reshape(-1, 2), atol=1e-6)


def seen_through(lens, pose):
    """What a camera with this lens sees of `sphere`, (H, W, 3)."""
    # invert the lens: look for the tangent of every pixel by a few fixed-point steps
    want_x, want_y = np.meshgrid(np.arange(lens.width) + 0.5, np.arange(lens.height) + 0.5)
    x, y = (want_x - lens.cx) / lens.fl_x, (want_y - lens.cy) / lens.fl_y
    for _ in range(60):
        got_x, got_y = lens.project(x, y)
        x = x + 0.7 * (want_x - got_x) / lens.fl_x
        y = y + 0.7 * (want_y - got_y) / lens.fl_y
    rays = np.stack([x, -y, -np.ones_like(x)], -1) @ pose[:3, :3].T
    return sphere(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


@pytest.mark.parametrize("name", LENSES)
def test_distortion_is_undone(name):
    lens, pose = LENSES[name], pose_from_yaw_pitch((0, 0, 0), 0.7, 0.2)
    image = Image.fromarray(np.round(seen_through(lens, pose)).astype(np.uint8))
    frame, _, fov = undistorted_frame(image, None, lens)
    height, width = frame.shape[:2]
    rays = pixel_rays(height, width, fov) @ pose[:3, :3].T
    assert psnr(frame, sphere(rays / np.linalg.norm(rays, axis=-1, keepdims=True))) > 45


def test_the_crop_is_as_large_as_the_picture_allows():
    lens = LENSES["pinhole"]
    assert widest_tan_y(lens) == pytest.approx(310 / 500 * 9 / 16)


# transforms.json


def write_transforms(folder, poses, **shared):
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lens = {"w": 320, "h": 240, "fl_x": 260.0, "fl_y": 260.0, "cx": 161.0, "cy": 119.0}
    frames = []
    for index, pose in enumerate(poses):
        name = f"images/{index:03d}.png"
        save(folder / name, smooth(240, 320, index), compress_level=0)
        frames.append({"file_path": name, "transform_matrix": np.asarray(pose).tolist()})
    document = {**lens, **shared, "frames": frames}
    path = folder / "transforms.json"
    path.write_text(json.dumps(document))
    return path


def walk_around(metres_per_unit=1.0, turned=None):
    poses = np.stack(walk_poses(np.eye(4), parse_walk("w 2; turn 120; w 1; turn -200; w 2")))[::4]
    similarity = np.eye(4)
    similarity[:3, :3] = (np.eye(3) if turned is None else turned) / metres_per_unit
    return np.stack([map_pose(similarity, pose) for pose in poses])


Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def test_y_up_metric_poses_stay_as_they_are(tmp_path):
    poses = walk_around()
    source = world_from_transforms(write_transforms(tmp_path, poses))
    assert np.array_equal(source.source_to_world, np.eye(4))
    stored = np.stack([frame.camera_to_world for frame in source.frames])
    assert np.allclose(stored, poses)


def test_the_walk_starts_at_the_picture_that_is_asked_for(tmp_path):
    poses = walk_around()
    path = write_transforms(tmp_path, poses)
    source = world_from_transforms(path, TransformsOptions(every=2, start=3))
    assert np.allclose(source.start_pose, poses[6])
    with pytest.raises(ValueError, match=f"at most {len(poses[::2]) - 1}"):
        world_from_transforms(path, TransformsOptions(every=2, start=len(poses)))


def test_z_up_is_turned_and_relative_poses_are_kept(tmp_path):
    poses = walk_around(turned=Z_UP)
    source = world_from_transforms(write_transforms(tmp_path, poses))
    stored = np.stack([frame.camera_to_world for frame in source.frames])
    assert np.allclose(stored[:, 1, 1], 1.0)  # every camera's up is +Y
    relative = np.linalg.inv(poses[0]) @ poses
    assert np.allclose(np.linalg.inv(stored[0]) @ stored, relative, atol=1e-9)
    for before, after in zip(poses, stored, strict=True):
        assert np.allclose(map_pose(source.source_to_world, before), after)


def test_a_tilted_up_is_estimated_from_cameras_that_look_around():
    tilt = cv2.Rodrigues(np.array([0.3, 0.2, -0.4]))[0]
    assert np.allclose(estimate_up(walk_around(turned=tilt)), tilt[:, 1], atol=1e-6)
    assert np.allclose(rotation_to_y_up(tilt[:, 1]) @ tilt[:, 1], (0, 1, 0))
    assert np.allclose(rotation_to_y_up(np.array([0, -1.0, 0])) @ (0, -1, 0), (0, 1, 0))


@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_poses_in_unknown_units_are_scaled_to_a_walk(unit):
    positions = walk_around(metres_per_unit=unit)[:, :3, 3]
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1) * estimate_scale(positions)
    assert np.median(steps[steps > 0.01]) == pytest.approx(0.3, rel=0.01)


def test_options_choose_pictures_up_and_scale(tmp_path):
    path = write_transforms(tmp_path, walk_around())
    options = TransformsOptions(every=2, limit=3, scale=2.5, up=(0.0, 0.0, 5.0))
    source = world_from_transforms(path, options)
    assert source.count == len(seeds(source)) == 3
    assert np.allclose(source.source_to_world[:3, :3] @ (0, 0, 1), (0, 2.5, 0))
    check_pose(source.start_pose)


def test_the_crop_lies_about_the_principal_point(tmp_path):
    source = world_from_transforms(write_transforms(tmp_path, walk_around()))
    frame = seeds(source)[0]
    # half the width is 159 of 320 pixels: cx = 161 leaves that much on the right
    assert source.fov_y_radians == pytest.approx(2 * math.atan(159 / 260 * 9 / 16))
    full = smooth(240, 320, 0).astype(np.uint8)
    box = (2, 119 - 159 * 9 / 16, 320, 119 + 159 * 9 / 16)
    expected = Image.fromarray(full).resize(frame.image.shape[1::-1], 1, box=box)
    assert psnr(frame.image, expected) > 45


def test_a_mask_says_what_counts(tmp_path):
    path = write_transforms(tmp_path, walk_around())
    document = json.loads(path.read_text())
    mask = np.zeros((240, 320))
    mask[:, 161:] = 255
    save(tmp_path / "mask.png", mask)
    document["frames"][0]["mask_path"] = "mask.png"
    path.write_text(json.dumps(document))
    valid = seeds(world_from_transforms(path))[0].valid
    half = valid.shape[1] // 2
    assert valid[:, half + 1 :].all() and not valid[:, : half - 1].any()


def broken_transforms(folder):
    """path -> a word of the expected message."""
    poses = walk_around()[:4]
    singular = poses.copy()
    singular[1, :3, :3] = 0
    infinite = poses.copy()
    infinite[1, 0, 3] = np.inf
    missing = write_transforms(folder / "missing", poses)
    (folder / "missing/images/001.png").unlink()
    broken = write_transforms(folder / "json", poses)
    broken.write_text("{not json")
    empty = write_transforms(folder / "empty", poses[:0])
    cut = write_transforms(folder / "cut", poses)
    data = (folder / "cut/images/002.png").read_bytes()
    (folder / "cut/images/002.png").write_bytes(data[:200])
    return {
        missing: "not there",
        broken: "not valid JSON",
        empty: "empty",
        cut: "truncated",
        write_transforms(folder / "singular", singular): "rotation",
        write_transforms(folder / "infinite", infinite): "finite",
        write_transforms(folder / "model", poses, camera_model="EQUIRECTANGULAR"): "EQUIRECT",
        write_transforms(folder / "focal", poses, fl_x=0): "above zero",
        write_transforms(folder / "centre", poses, cx=900): "principal point",
        write_transforms(folder / "size", poses, w=100): "100x240",
        folder / "none" / "transforms.json": "no ",
    }


def test_broken_transforms_are_refused_with_file_and_reason(tmp_path):
    for path, word in broken_transforms(tmp_path).items():
        with pytest.raises(ValueError, match=word) as caught:
            seeds(world_from_transforms(path))
        assert path.parent.name in str(caught.value) and "\n" not in str(caught.value)
