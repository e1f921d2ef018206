"""An equirectangular picture becomes posed frames at one point that cover the whole sphere.

Column 0 of the panorama is behind the start view: its centre column lies at yaw 0 (world -Z), its
right half to the right (negative yaw), its middle row at the horizon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..config import EYE_HEIGHT
from ..geometry import pixel_rays, pose_from_yaw_pitch
from ..memory.world_file import StoredFrame
from .pictures import MAX_SIXTEENTHS, Picture, read_picture
from .source import WorldSource

FOV_Y_RADIANS = math.radians(60.0)
# (pitch in degrees, how many yaws): neighbours overlap by a third or more, and the two rows of
# tilted views meet the views of the zenith and the nadir.
RING = ((0.0, 8), (40.0, 7), (-40.0, 7), (90.0, 2), (-90.0, 2))
# A little finer than the panorama itself, so that cutting it up loses no detail.
OVERSAMPLING = 1.3


def ring_poses() -> list[np.ndarray]:
    """The camera_to_world poses of a panorama world; the first is the start view."""
    poses = []
    for pitch_degrees, yaws in RING:
        # Looking straight up, a half turn gives the same picture: spread those over 180 degrees.
        circle = 2 * math.pi if abs(pitch_degrees) < 90 else math.pi
        for index in range(yaws):
            yaw = circle * index / yaws
            poses.append(
                pose_from_yaw_pitch((0.0, EYE_HEIGHT, 0.0), yaw, math.radians(pitch_degrees))
            )
    return poses


def world_from_panorama(path: Path | str) -> WorldSource:
    """A world in which looking round is all real.

    Raises:
        ValueError: unreadable (see `read_picture`), or not twice as wide as high.
    """
    picture = read_picture(path)
    _check_equirectangular(picture)
    poses = ring_poses()
    return WorldSource(
        frames=_frames(picture, poses),
        count=len(poses),
        start_pose=poses[0],
        fov_y_radians=FOV_Y_RADIANS,
        provenance={"import": "panorama", "sources": [picture.provenance]},
    )


def _check_equirectangular(picture: Picture) -> None:
    width, height = picture.image.size
    if not 1.9 <= width / height <= 2.1 or width < 256:
        raise ValueError(
            f"{picture.path} is {width}x{height}; an equirectangular panorama is twice as wide as "
            "high and at least 256 wide (use --image for an ordinary picture)"
        )


def frame_sixteenths(panorama_width: int) -> int:
    """k of the frame size (16 k, 9 k) that keeps the panorama's detail at the frame's centre."""
    rows = 2 * math.tan(FOV_Y_RADIANS / 2) * panorama_width / (2 * math.pi) * OVERSAMPLING
    return min(math.ceil(rows / 9), MAX_SIXTEENTHS)


def _frames(picture: Picture, poses: list[np.ndarray]) -> Iterator[StoredFrame]:
    sixteenths = frame_sixteenths(picture.image.width)
    panorama = _prefiltered(picture, sixteenths)
    for pose in poses:
        image = sample_panorama(panorama, pose, 9 * sixteenths, 16 * sixteenths)
        yield StoredFrame("seed", pose, FOV_Y_RADIANS, image, None)


def _prefiltered(picture: Picture, sixteenths: int) -> np.ndarray:
    """The panorama (H, W, 3) no finer than the frames, so that sampling it does not alias."""
    width = round(9 * sixteenths * math.pi / math.tan(FOV_Y_RADIANS / 2))
    image = picture.image
    if image.width > width * 1.05:
        image = image.resize((width, width // 2), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(image)


def sample_panorama(
    panorama: np.ndarray, camera_to_world: np.ndarray, height: int, width: int
) -> np.ndarray:
    """The perspective view (height, width, 3) uint8 of an equirectangular panorama (H, W, 3)."""
    rows, columns = panorama.shape[:2]
    rays = pixel_rays(height, width, FOV_Y_RADIANS) @ camera_to_world[:3, :3].T
    longitude = np.arctan2(rays[..., 0], -rays[..., 2])
    latitude = np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    x = (longitude / (2 * math.pi) + 0.5) * columns - 0.5
    y = (0.5 - latitude / math.pi) * rows - 0.5
    border = 4
    around = np.pad(panorama, ((0, 0), (border, border), (0, 0)), mode="wrap")
    return cv2.remap(
        around,
        (x + border).astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
