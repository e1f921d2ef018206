"""Keyframes: when a frame is kept in the world, and what of it. Pure."""

from __future__ import annotations

import cv2
import numpy as np

from .config import GenerationSettings
from .frame import Frame, Known
from .geometry import invert_pose, rotation_angle

KEY_COVERAGE = 0.7  # share of a view that frames must see well for it to be drawn from them alone
KEPT_FROM = 0.25  # share of a pixel that is imagined, from which it is kept
AROUND_CELLS = 7  # what is imagined within half as many cells counts too
VAIN_METRES, VAIN_RADIANS = 0.5, np.radians(15)


def is_new(known: Known, coverage: float, settings: GenerationSettings) -> bool:
    """Whether a frame is drawn as a keyframe and kept: memory does not show enough of it, or shows
    much of what was imagined there only from afar or aside.

    Args:
        coverage: share 0..1 of the view that its memory frames see well by their poses.
    """
    if known.novelty >= settings.novelty_threshold:
        return True
    share = float(_imagined(known).mean()) / 255
    return coverage < KEY_COVERAGE and share > settings.novelty_threshold


def kept_pixels(frame: Frame) -> np.ndarray:
    """(H, W) bool: what of a frame's picture is kept, all but what given pictures show.

    What is only half given is kept too: a keyframe that hangs together reads better later than
    shreds of it among the originals.
    """
    around = np.ones((AROUND_CELLS, AROUND_CELLS), np.uint8)
    imagined = cv2.dilate(_imagined(frame), around)
    size = frame.image.shape[1::-1]
    return cv2.resize(imagined, size, interpolation=cv2.INTER_LINEAR) > KEPT_FROM * 255


def _imagined(frame: Frame | Known) -> np.ndarray:
    """(h, w) uint8, 255 where the picture is not read from given or painted frames."""
    return frame.unseen if frame.given is None else 255 - frame.given


def about_there(there: np.ndarray, camera_to_world: np.ndarray) -> bool:
    """Whether a pose (4, 4) is so near another that a look from it shows nothing else."""
    moved = invert_pose(there) @ camera_to_world
    near = np.linalg.norm(moved[:3, 3]) < VAIN_METRES
    return bool(near and rotation_angle(moved[:3, :3]) < VAIN_RADIANS)
