"""Write a world's live frames for other programs: nerfstudio, COLMAP, or a film.

The nerfstudio folder can be imported again (`rtfm new NAME --transforms`): poses and pixels stay
the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from .film import FilmWriter
from .geometry import invert_pose, tangents
from .imports.transforms import OWN_KEY
from .memory.world_file import StoredFrame, WorldFile
from .walk import FRAMES_PER_SECOND

FORMATS = ("nerfstudio", "colmap", "mp4")


def export_world(
    world: WorldFile, file_format: str, out: Path, on_frame: Callable[[], None] = lambda: None
) -> None:
    """Write the live frames of `world` in one of FORMATS; `out` appears only when complete.

    Raises:
        ValueError: the target exists, or the world holds no frames.
    """
    if out.exists():
        raise ValueError(f"{out} exists already; choose another name or remove it first")
    ids = world.frame_table().ids.tolist()
    if not ids:
        raise ValueError(f"{world.path}: holds no frames to export")
    out.parent.mkdir(parents=True, exist_ok=True)
    if file_format == "mp4":
        _write_film(world, ids, out, on_frame)
        return
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.unfinished")
    write = {"nerfstudio": _write_nerfstudio, "colmap": _write_colmap}[file_format]
    try:
        (unfinished / "images").mkdir(parents=True)
        write(world, ids, unfinished, on_frame)
        unfinished.replace(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_film(world: WorldFile, ids: list[int], out: Path, on_frame) -> None:
    writer = FilmWriter(out)
    try:
        for index, frame_id in enumerate(ids):
            writer.add(world.read_frame(frame_id).image, index / FRAMES_PER_SECOND)
            on_frame()
    finally:
        writer.close()


def _intrinsics(frame: StoredFrame) -> tuple[int, int, float]:
    """Width, height and focal length in pixels."""
    height, width = frame.image.shape[:2]
    return width, height, height / 2 / tangents(frame.fov_y_radians)[1]


def _write_nerfstudio(world: WorldFile, ids: list[int], out: Path, on_frame) -> None:
    entries = []
    for frame_id in ids:
        frame = world.read_frame(frame_id)
        width, height, focal = _intrinsics(frame)
        entry = {
            "file_path": f"images/{frame_id:06d}.png",
            "transform_matrix": frame.camera_to_world.tolist(),
            "w": width, "h": height, "fl_x": focal, "fl_y": focal,
            "cx": width / 2, "cy": height / 2,
            "kind": frame.kind,
        }  # fmt: skip
        Image.fromarray(frame.image).save(out / entry["file_path"], compress_level=3)
        if frame.valid is not None:
            (out / "masks").mkdir(exist_ok=True)
            entry["mask_path"] = f"masks/{frame_id:06d}.png"
            mask = frame.valid.astype(np.uint8) * 255
            Image.fromarray(mask).save(out / entry["mask_path"])
        entries.append(entry)
        on_frame()
    document = {
        "camera_model": "PINHOLE",
        OWN_KEY: {"name": world.name, "start_pose": world.start_pose.tolist()},
        "frames": entries,
    }
    (out / "transforms.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def _write_colmap(world: WorldFile, ids: list[int], out: Path, on_frame) -> None:
    """COLMAP's text model: OpenCV axes, world to camera, one PINHOLE camera a frame."""
    cameras, images = ["# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]"], [
        "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME", "# (no 2-D points)",
    ]  # fmt: skip
    flip = np.diag([1.0, -1.0, -1.0, 1.0])
    for frame_id in ids:
        frame = world.read_frame(frame_id)
        width, height, focal = _intrinsics(frame)
        name = f"{frame_id:06d}.png"
        Image.fromarray(frame.image).save(out / "images" / name, compress_level=3)
        camera_from_world = invert_pose(frame.camera_to_world @ flip)
        numbers = [*quaternion_of(camera_from_world[:3, :3]), *camera_from_world[:3, 3]]
        cameras.append(
            f"{frame_id} PINHOLE {width} {height} {focal!r} {focal!r} {width / 2} {height / 2}"
        )
        images += [f"{frame_id} {' '.join(repr(float(n)) for n in numbers)} {frame_id} {name}", ""]
        on_frame()
    sparse = out / "sparse" / "0"
    sparse.mkdir(parents=True)
    (sparse / "cameras.txt").write_text("\n".join(cameras) + "\n", encoding="utf-8")
    (sparse / "images.txt").write_text("\n".join(images) + "\n", encoding="utf-8")
    (sparse / "points3D.txt").write_text("# none: a world has no points\n", encoding="utf-8")


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion (w, x, y, z), w >= 0, of a rotation (3, 3)."""
    # The quaternion is the eigenvector of the largest eigenvalue of this symmetric matrix.
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    matrix = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    quaternion = np.linalg.eigh(matrix)[1][:, -1]
    return quaternion if quaternion[0] >= 0 else -quaternion
