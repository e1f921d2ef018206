"""Worlds to folders that other programs read, and back: nerfstudio, COLMAP (text), and a film.

nerfstudio  `transforms.json` and `images/`, masks in `masks/` (white = valid). Poses are ours as
            they are (OpenGL cameras); under "rtfm" lies what the format has no place for, so that
            importing gives back the same poses, bit for bit, and pixels.
colmap      `sparse/0/{cameras,images,points3D}.txt` and `images/`: world-to-camera, y down. Poses
            come back to float64 rounding; kinds become "seed".
mp4         the live frames in the order of their making.

A folder appears under its name only when complete. Only live frames are exported.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ..geometry import invert_pose
from ..unfinished import remove_abandoned
from . import rows
from .schema import KINDS, MAX_HEIGHT
from .world_file import StoredFrame, WorldFile

FORMATS = ("nerfstudio", "colmap", "mp4")
FILM_SIZE = (576, 1024)
MAX_TEXT_BYTES = 1 << 30
Progress = Callable[[int, int], None]
_FLIP_Y_Z = np.diag([1.0, -1.0, -1.0, 1.0])


def export_world(
    world: WorldFile, target: Path | str, export_format: str, progress: Progress | None = None
) -> Path:
    """Write a world's live frames as a folder (`nerfstudio`, `colmap`) or a film (`mp4`).

    Raises:
        ValueError: unknown format, the target exists, or the world has no frames.
        DamagedFrame: a frame cannot be read.
        OSError: the target cannot be written (nothing is left behind).
    """
    target = Path(target).expanduser()
    if export_format not in FORMATS:
        raise ValueError(f"export format {export_format!r}: must be one of {', '.join(FORMATS)}")
    if target.exists():
        raise ValueError(f"{target}: exists already; choose another name or remove it")
    ids = world.frame_table().ids.tolist()
    if not ids:
        raise ValueError(f"{world.path}: has no frames to export")
    writers = {"nerfstudio": _write_nerfstudio, "colmap": _write_colmap, "mp4": _write_film}
    with _appearing(target) as temporary:
        writers[export_format](world, _frames(world, ids, progress), temporary)
    return target


def import_folder(folder: Path | str, target: Path | str, progress: Progress | None = None) -> Path:
    """Make a world from an exported folder.

    Raises:
        ValueError: not an exported folder, a missing or unfit picture, or the target exists.
        SaveError: the target cannot be written.
    """
    folder, target = Path(folder).expanduser(), Path(target).expanduser()
    if (folder / "transforms.json").is_file():
        details, frames = _read_nerfstudio(folder)
    elif (folder / "sparse/0/images.txt").is_file():
        details, frames = _read_colmap(folder)
    else:
        raise ValueError(f"{folder}: has neither transforms.json nor sparse/0/images.txt")
    if not frames:
        raise ValueError(f"{folder}: lists no frames")
    loaded = [_load(folder, *entry) for entry in frames[:1]]  # before anything is written
    details = {
        "name": target.stem,
        "start_pose": loaded[0].camera_to_world,
        "fov_y_radians": loaded[0].fov_y_radians,
        **details,
    }
    world = WorldFile.create(target, **details)
    try:
        with world:
            for done, entry in enumerate(frames):
                world.add_frame(_load(folder, *entry))
                if progress is not None:
                    progress(done + 1, len(frames))
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def _frames(world, ids, progress) -> Iterator[tuple[int, StoredFrame]]:
    for done, frame_id in enumerate(ids):
        yield frame_id, world.read_frame(frame_id)
        if progress is not None:
            progress(done + 1, len(ids))


@contextlib.contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A temporary name beside the target that becomes it on success."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}")
    remove_abandoned(target.parent, f".{target.stem}.", f".part{target.suffix}")
    try:
        yield temporary
        os.rename(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _save_pictures(folder: Path, frame_id: int, frame: StoredFrame) -> tuple[str, str | None]:
    """Write image and mask as PNG; returns their paths relative to the folder."""
    image_name, mask_name = f"images/{frame_id:06d}.png", None
    Image.fromarray(frame.image).save(folder / image_name, compress_level=3)
    if frame.valid is not None:
        mask_name = f"masks/{frame_id:06d}.png"
        Image.fromarray(frame.valid.astype(np.uint8) * 255).save(folder / mask_name)
    return image_name, mask_name


def _focal(height: int, fov_y: float) -> float:
    return height / 2 / math.tan(fov_y / 2)


def _write_nerfstudio(world: WorldFile, frames, folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    entries = []
    for frame_id, frame in frames:
        image_name, mask_name = _save_pictures(folder, frame_id, frame)
        height, width = frame.image.shape[:2]
        focal = _focal(height, frame.fov_y_radians)
        entry = {
            "file_path": image_name,
            "transform_matrix": frame.camera_to_world.tolist(),
            "fl_x": focal,
            "fl_y": focal,
            "cx": width / 2,
            "cy": height / 2,
            "w": width,
            "h": height,
            "rtfm": {
                "kind": frame.kind,
                "pinned": frame.pinned,
                "fov_y_radians": frame.fov_y_radians,
            },
        }
        if mask_name is not None:
            entry["mask_path"] = mask_name
        entries.append(entry)
    source = world.source_to_world
    about = {
        "name": world.name,
        "start_pose": world.start_pose.tolist(),
        "fov_y_radians": world.fov_y_radians,
        "source_to_world": None if source is None else source.tolist(),
        "provenance": world.provenance,
        "model": world.model,
    }
    text = json.dumps({"camera_model": "OPENCV", "rtfm": about, "frames": entries}, indent=1)
    (folder / "transforms.json").write_text(text)


def _read_nerfstudio(folder: Path) -> tuple[dict, list[tuple]]:
    path = folder / "transforms.json"
    try:
        data = json.loads(_read_text(path))
        about = data["rtfm"]
        details = {
            key: about[key]
            for key in ("name", "start_pose", "fov_y_radians", "source_to_world", "provenance")
        }
        details["model"] = about["model"]
        frames = [
            (
                entry["file_path"],
                entry.get("mask_path"),
                np.array(entry["transform_matrix"], np.float64),
                float(entry["rtfm"]["fov_y_radians"]),
                entry["rtfm"]["kind"],
                bool(entry["rtfm"]["pinned"]),
            )
            for entry in data["frames"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: is not an export of this program (no {error}); "
            "for other transforms.json files use `rtfm new NAME --transforms`"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: is not readable ({error})") from error
    return details, frames


def _write_colmap(world: WorldFile, frames, folder: Path) -> None:
    for name in ("images", "masks", "sparse/0"):
        (folder / name).mkdir(parents=True)
    cameras: dict[str, int] = {}
    lines = []
    for frame_id, frame in frames:
        image_name, _ = _save_pictures(folder, frame_id, frame)
        height, width = frame.image.shape[:2]
        focal = _focal(height, frame.fov_y_radians)
        camera = f"PINHOLE {width} {height} {focal!r} {focal!r} {width / 2} {height / 2}"
        camera_id = cameras.setdefault(camera, len(cameras) + 1)
        world_to_camera = _FLIP_Y_Z @ invert_pose(frame.camera_to_world)
        numbers = [*quaternion_of(world_to_camera[:3, :3]), *world_to_camera[:3, 3].tolist()]
        text = " ".join(repr(float(number)) for number in numbers)
        lines.append(f"{frame_id} {text} {camera_id} {Path(image_name).name}\n\n")
    model = folder / "sparse/0"
    (model / "cameras.txt").write_text(
        "# CAMERA_ID MODEL WIDTH HEIGHT FX FY CX CY\n"
        + "".join(f"{number} {camera}\n" for camera, number in cameras.items())
    )
    (model / "images.txt").write_text(
        "# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points (none)\n"
        + "".join(lines)
    )
    (model / "points3D.txt").write_text("# empty: this world has no points\n")


def _read_colmap(folder: Path) -> tuple[dict, list[tuple]]:
    try:
        fields_of = {}
        for line in _lines(folder / "sparse/0/cameras.txt"):
            if line and not line.startswith("#"):
                number, model, *values = line.split()
                if model != "PINHOLE":
                    raise ValueError(f"camera model {model}; only PINHOLE can be imported")
                height, focal_y = float(values[1]), float(values[3])
                fields_of[number] = 2 * math.atan(height / 2 / focal_y)
        lines = [x for x in _lines(folder / "sparse/0/images.txt") if not x.startswith("#")]
        frames = []
        for line in lines[::2]:
            if not line:
                continue
            values = line.split(maxsplit=9)
            world_to_camera = np.eye(4)
            world_to_camera[:3, :3] = rotation_of([float(value) for value in values[1:5]])
            world_to_camera[:3, 3] = [float(value) for value in values[5:8]]
            pose = invert_pose(_FLIP_Y_Z @ world_to_camera)
            mask = f"masks/{values[9]}"
            mask = mask if (folder / mask).is_file() else None
            fov = fields_of[values[8]]
            frames.append((f"images/{values[9]}", mask, pose, fov, "seed", False))
    except (ValueError, IndexError, KeyError, ZeroDivisionError) as error:
        raise ValueError(f"{folder}/sparse/0: is not a readable COLMAP model ({error})") from error
    return {"provenance": {"imported": folder.name}}, frames


def quaternion_of(rotation: np.ndarray) -> list[float]:
    """(w, x, y, z) of a rotation (3, 3), w >= 0: the eigenvector that fits all nine numbers."""
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    quaternion = np.linalg.eigh(symmetric)[1][:, 3]
    return (quaternion if quaternion[0] >= 0 else -quaternion).tolist()


def rotation_of(quaternion) -> np.ndarray:
    """Rotation (3, 3) of (w, x, y, z), normalised first. ValueError: zero or not finite."""
    length = math.sqrt(sum(value * value for value in quaternion))
    if not math.isfinite(length) or length < 1e-9:
        raise ValueError(f"not a rotation: {quaternion}")
    w, x, y, z = (value / length for value in quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _write_film(world: WorldFile, frames, path: Path) -> None:
    import av

    rows_out, columns_out = FILM_SIZE
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10), options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = columns_out, rows_out, "yuv420p"
        for _, frame in frames:
            picture = Image.fromarray(frame.image)
            if picture.size != (columns_out, rows_out):
                picture = picture.resize((columns_out, rows_out), Image.Resampling.LANCZOS)
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def _load(folder: Path, image_name, mask_name, pose, fov_y, kind, pinned) -> StoredFrame:
    """One frame of a folder. ValueError: names the file that is missing or unfit."""
    if kind not in KINDS:
        raise ValueError(f"{folder}: frame {image_name} has an unknown kind {kind!r}")
    image = _open_png(folder, image_name, "RGB")
    valid = None if mask_name is None else _open_png(folder, mask_name, "L") > 127
    frame = StoredFrame(kind, pose, fov_y, image, valid, pinned)
    try:
        rows.check(frame)
    except ValueError as error:
        raise ValueError(f"{folder / image_name}: {error}") from None
    return frame


def _open_png(folder: Path, name, mode: str) -> np.ndarray:
    path = folder / str(name)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{folder}: refers to {name}, outside of the folder")
    try:
        with Image.open(path, formats=["PNG", "JPEG"]) as picture:
            if picture.height > MAX_HEIGHT or picture.width > MAX_HEIGHT * 2:
                raise ValueError(f"is {picture.width}x{picture.height}, over 1024x576")
            return np.array(picture.convert(mode))
    except FileNotFoundError:
        raise ValueError(f"{path}: is missing; export the world again") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: is not a usable picture ({error})") from error


def _read_text(path: Path) -> str:
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise ValueError(f"{path}: is over {MAX_TEXT_BYTES} bytes")
    return path.read_text()


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in _read_text(path).split("\n")]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
