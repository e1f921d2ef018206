"""Read a user's picture safely, and turn one into the seed of a world.

Sizes are checked before anything is decoded. Every refusal is a `ValueError` of one line that
names the file and the remedy.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from ..config import DEFAULT_FOV_Y_DEGREES, EYE_HEIGHT
from ..geometry import ASPECT, pose_from_yaw_pitch
from ..memory.world_file import StoredFrame
from .source import WorldSource, check_fov_degrees

FORMATS = ("JPEG", "PNG", "WEBP")
MAX_PIXELS = 100_000_000
MAX_SIDE = 32_000
MAX_SIXTEENTHS = 64
MIN_SIXTEENTHS = 4
FULL_FRAME_DIAGONAL_MM = math.hypot(36.0, 24.0)
_MILLIMETRES_PER_UNIT = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        path: where it came from.
        image: RGB in sRGB.
        focal_pixels: focal length in pixels of `image`, None where the file does not say.
        sha256: of the file's bytes.
    """

    path: Path
    image: Image.Image
    focal_pixels: float | None
    sha256: str

    @property
    def provenance(self) -> dict:
        return {"file": self.path.name, "sha256": self.sha256}


def read_picture(path: Path | str, upright: bool = True) -> Picture:
    """Decode a JPEG, PNG or WebP file.

    Args:
        upright: turn it as EXIF says; False keeps the pixels as they lie in the file, which is
            what the poses and intrinsics of posed pictures speak about.

    Raises:
        ValueError: missing, empty, not a picture, another format, truncated, or over 100
            megapixels.
    """
    path = Path(path)
    data = _read_bytes(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        opened = _open(path, data)
        _check_size(path, *opened.size)
        try:
            opened.load()
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise ValueError(
                f"{path} is truncated or damaged ({error}); copy it again from its source"
            ) from error
    focal_pixels = _focal_pixels(opened)
    if upright:
        opened = ImageOps.exif_transpose(opened)
    return Picture(path, _to_srgb(opened), focal_pixels, hashlib.sha256(data).hexdigest())


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ValueError(f"there is no picture {path}; check the path") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a folder; name a picture in it") from error
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    if not data:
        raise ValueError(f"{path} is empty (0 bytes); copy it again from its source")
    return data


def _open(path: Path, data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has over 100 megapixels; scale it down first") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(
            f"{path} is not a picture that can be read; convert it to JPEG, PNG or WebP"
        ) from error


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ValueError(
            f"{path} is {width}x{height}, over 100 megapixels or {MAX_SIDE} a side; "
            "scale it down first"
        )


def _to_srgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: colour profile applied, transparency over white, 16-bit grey scaled down."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I"):
        # 16-bit grey arrives as 0..65535 and would be clipped by a plain conversion.
        grey = np.asarray(image, dtype=np.float64) / 257.0
        image = Image.fromarray(np.clip(grey + 0.5, 0, 255).astype(np.uint8))
        profile = None
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba).convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            # A broken profile is no reason to refuse the picture: its numbers are read as sRGB.
            return image.convert("RGB")
    return image.convert("RGB")


def _focal_pixels(image: Image.Image) -> float | None:
    """Focal length in pixels from EXIF: the 35 mm equivalent, else focal length and sensor."""
    try:
        tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
        equivalent_mm = _number(tags.get(ExifTags.Base.FocalLengthIn35mmFilm))
        focal_mm = _number(tags.get(ExifTags.Base.FocalLength))
        density = _number(tags.get(ExifTags.Base.FocalPlaneXResolution))
        unit_mm = _MILLIMETRES_PER_UNIT.get(tags.get(ExifTags.Base.FocalPlaneResolutionUnit, 2))
        exif_width = _number(tags.get(ExifTags.Base.ExifImageWidth))
    except (ValueError, TypeError, KeyError, SyntaxError, OSError):
        # EXIF is a courtesy of the camera: where it is damaged the field of view is unknown.
        return None
    if equivalent_mm:
        return equivalent_mm * math.hypot(*image.size) / FULL_FRAME_DIAGONAL_MM
    if focal_mm and density and unit_mm:
        # The density counts pixels as captured; the picture may have been scaled since.
        scaled = max(image.size) / exif_width if exif_width else 1.0
        return focal_mm * density / unit_mm * min(scaled, 1.0)
    return None


def _number(value) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if math.isfinite(number) and number > 0 else None


def crop_box(width: int, height: int) -> tuple[float, float, float, float]:
    """The largest centred 16:9 box (left, top, right, bottom) in a picture, in pixels."""
    box_width = min(width, height * ASPECT)
    box_height = box_width / ASPECT
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def stored_sixteenths(box_width: float) -> int:
    """k of the stored size (16 k, 9 k): the largest that fits the box and 1024x576."""
    return min(int(box_width / 16 + 1e-6), MAX_SIXTEENTHS)


def crop_to_frame(
    image: Image.Image, box: tuple[float, float, float, float], sixteenths: int
) -> np.ndarray:
    """Cut `box` (pixels, may be fractional) out as a (9 k, 16 k, 3) uint8 picture."""
    size = (16 * sixteenths, 9 * sixteenths)
    if (box[2] - box[0], box[3] - box[1]) == size and all(edge == int(edge) for edge in box):
        return np.asarray(image.crop(tuple(int(edge) for edge in box))).copy()
    resized = image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    return np.asarray(resized).copy()


def frame_of_picture(picture: Picture) -> np.ndarray:
    """The centred 16:9 crop as stored, (9 k, 16 k, 3) uint8, never larger than the picture."""
    box = crop_box(*picture.image.size)
    sixteenths = stored_sixteenths(box[2] - box[0])
    if sixteenths < MIN_SIXTEENTHS:
        raise ValueError(
            f"{picture.path} is only {picture.image.width}x{picture.image.height}; "
            f"give a picture of at least {16 * MIN_SIXTEENTHS}x{9 * MIN_SIXTEENTHS}"
        )
    return crop_to_frame(picture.image, box, sixteenths)


def fov_of_picture(picture: Picture, fov_y_degrees: float | None = None) -> float:
    """Vertical field of view in radians of the 16:9 crop: EXIF, else the given one, else 60."""
    if picture.focal_pixels:
        left, top, right, bottom = crop_box(*picture.image.size)
        fov = 2 * math.atan((bottom - top) / 2 / picture.focal_pixels)
        if 5.0 <= math.degrees(fov) <= 120.0:
            return fov
    if fov_y_degrees is None:
        return math.radians(DEFAULT_FOV_Y_DEGREES)
    return math.radians(check_fov_degrees(fov_y_degrees))


def world_from_image(path: Path | str, fov_y_degrees: float | None = None) -> WorldSource:
    """A world that starts as one photograph, seen from eye height, looking along -Z."""
    if fov_y_degrees is not None:
        check_fov_degrees(fov_y_degrees)
    return _world_of(read_picture(path), fov_y_degrees)


def world_from_loaded(image: Image.Image, path: Path) -> WorldSource:
    """The same from a decoded RGB picture that was taken out of the file `path` (a video)."""
    digest = hashlib.sha256(image.tobytes()).hexdigest()
    return _world_of(Picture(path, image, None, digest), None)


def _world_of(picture: Picture, fov_y_degrees: float | None) -> WorldSource:
    pose = pose_from_yaw_pitch((0.0, EYE_HEIGHT, 0.0), 0.0, 0.0)
    fov = fov_of_picture(picture, fov_y_degrees)
    frame = StoredFrame("seed", pose, fov, frame_of_picture(picture), None)
    return WorldSource(
        frames=(frame,),
        count=1,
        start_pose=pose,
        fov_y_radians=fov,
        provenance={"import": "image", "sources": [picture.provenance]},
    )
