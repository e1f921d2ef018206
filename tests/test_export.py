"""Exported folders come back as the same world, and other programs can read them."""

import json
import shutil

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from rtfm_app.geometry import pose_from_yaw_pitch, rotation_from_yaw_pitch
from rtfm_app.memory.export import export_world, import_folder, quaternion_of, rotation_of
from rtfm_app.memory.world_file import StoredFrame, WorldFile, verify_world


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (72, 128, 3), np.uint8)


@pytest.fixture
def world(tmp_path):
    similarity = np.diag([2.0, 2.0, 2.0, 1.0])
    start = pose_from_yaw_pitch([1, 2, 3], 1.0, 0.1)
    with WorldFile.create(
        tmp_path / "home.rtfm",
        name="my home",
        start_pose=start,
        fov_y_radians=1.1,
        source_to_world=similarity,
        provenance={"source": "a.jpg"},
    ) as opened:
        for number in range(5):
            opened.add_frame(
                StoredFrame(
                    kind=("seed", "generated")[number % 2],
                    camera_to_world=pose_from_yaw_pitch([number, 1.6, -3.3], number, 0.3),
                    fov_y_radians=1.0 + 0.1 * (number // 3),
                    image=noise(number),
                    valid=noise(9)[..., 0] > 99 if number == 3 else None,
                    pinned=number == 2,
                )
            )
        opened.delete_frame(2)
        yield opened


def frames_of(world: WorldFile) -> list[StoredFrame]:
    return [world.read_frame(frame_id) for frame_id in world.frame_table().ids.tolist()]


@pytest.mark.parametrize("export_format", ["nerfstudio", "colmap"])
def test_export_then_import_gives_the_same_poses_and_pixels(world, tmp_path, export_format):
    folder = export_world(world, tmp_path / "out", export_format)
    target = import_folder(folder, tmp_path / "back.rtfm")
    assert verify_world(target) == []
    exact = export_format == "nerfstudio"
    with WorldFile.open(target) as back:
        assert len(back.frame_table()) == 4
        for ours, theirs in zip(frames_of(world), frames_of(back), strict=True):
            assert np.array_equal(ours.image, theirs.image)
            assert (ours.valid is None) == (theirs.valid is None)
            assert ours.valid is None or np.array_equal(ours.valid, theirs.valid)
            tolerance = 0 if exact else 1e-12
            gap = np.abs(ours.camera_to_world - theirs.camera_to_world).max()
            assert gap <= tolerance * 10
            assert abs(ours.fov_y_radians - theirs.fov_y_radians) <= tolerance
            if exact:
                assert (ours.kind, ours.pinned) == (theirs.kind, theirs.pinned)
        if exact:
            assert back.name == world.name and back.provenance == world.provenance
            assert np.array_equal(back.start_pose, world.start_pose)
            assert np.array_equal(back.source_to_world, world.source_to_world)


def test_colmap_means_world_to_camera_with_y_down(world, tmp_path):
    folder = export_world(world, tmp_path / "out", "colmap")
    lines = (folder / "sparse/0/images.txt").read_text().splitlines()
    values = next(line for line in lines if not line.startswith("#")).split()
    w, x, y, z, *shift = (float(value) for value in values[1:8])
    rotation = Rotation.from_quat([x, y, z, w]).as_matrix()
    pose = world.read_frame(1).camera_to_world
    ahead_right_below = pose @ [1, -2, -5, 1]
    assert np.allclose(rotation @ ahead_right_below[:3] + shift, [1, 2, 5])


def test_film_shows_every_live_frame(world, tmp_path):
    path = export_world(world, tmp_path / "walk.mp4", "mp4")
    with av.open(str(path)) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(pictures) == 4 and pictures[0].shape == (576, 1024, 3)


@given(st.floats(-4, 4), st.floats(-1.5, 1.5))
def test_quaternions_agree_with_scipy(yaw, pitch):
    rotation = rotation_from_yaw_pitch(yaw, pitch)
    w, x, y, z = quaternion_of(rotation)
    assert np.allclose(Rotation.from_quat([x, y, z, w]).as_matrix(), rotation, atol=1e-12)
    assert np.allclose(rotation_of([w, x, y, z]), rotation, atol=1e-12)


def test_bad_targets_and_formats(world, tmp_path):
    folder = export_world(world, tmp_path / "out", "nerfstudio")
    with pytest.raises(ValueError, match="exists already"):
        export_world(world, folder, "colmap")
    with pytest.raises(ValueError, match="one of nerfstudio"):
        export_world(world, tmp_path / "x", "obj")
    with pytest.raises(ValueError, match="exists already"):
        import_folder(folder, world.path)
    with pytest.raises(ValueError, match="neither"):
        import_folder(tmp_path / "nothing", tmp_path / "x.rtfm")


def break_json(change):
    def apply(folder):
        path = folder / "transforms.json"
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "images/000005.png").unlink(),
        lambda folder: (folder / "images/000005.png").write_bytes(b"junk"),
        lambda folder: Image.new("L", (9000, 9000)).save(folder / "images/000001.png"),
        lambda folder: (folder / "transforms.json").write_text("{"),
        lambda folder: (folder / "transforms.json").write_text("[" * 100000),
        break_json(lambda data: data.pop("rtfm")),
        break_json(lambda data: data.update(frames=[])),
        break_json(lambda data: data["frames"][1].update(file_path="../home.rtfm")),
        break_json(lambda data: data["frames"][1].update(file_path="/etc/hostname")),
        break_json(lambda data: data["frames"][1].update(transform_matrix=[[0] * 4] * 4)),
        break_json(lambda data: data["frames"][1]["rtfm"].update(kind="virus")),
        break_json(lambda data: data["frames"][1].update(mask_path="images/000001.png/x")),
    ],
)
def test_damaged_folders_are_refused_and_leave_nothing(world, tmp_path, damage):
    folder = tmp_path / "out"
    export_world(world, folder, "nerfstudio")
    damage(folder)
    with pytest.raises(ValueError, match="out"):
        import_folder(folder, tmp_path / "back.rtfm")
    shutil.rmtree(folder)
    assert sorted(item.name for item in tmp_path.iterdir() if "home" not in item.name) == []
