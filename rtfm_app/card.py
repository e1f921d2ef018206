"""What the graphics card gets of a model frame (`CardPictures`).

Made in the worker process: resizing in the display process took 2 to 7 ms of every display frame
that a model frame arrived in.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .frame import Frame

FULL_CONFIDENCE = 0.5
NEAREST = 4.0  # 1/m, as in frame.vert
ENLARGE_BELOW = 400
SOFT_SIZE = (72, 128)


@dataclass(frozen=True)
class CardPictures:
    """Textures, all uint8 with four channels.

    Attributes:
        picture: (H, W, 4) the frame, twice as large where the card samples bilinearly.
        soft: (72, 128, 4) the frame, blurred, for what lies past its border.
        planes: (h, w, 4) r: root of the trusted inverse distance over NEAREST; g: imagined share.
    """

    picture: np.ndarray
    soft: np.ndarray
    planes: np.ndarray


def pictures_for_card(frame: Frame, *, software: bool) -> CardPictures:
    """Make the textures. A software renderer has no time for a bicubic filter in every pixel: for
    it a small frame is enlarged here."""
    image = frame.image
    if software and image.shape[0] < ENLARGE_BELOW:
        image = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return CardPictures(
        cv2.cvtColor(image, cv2.COLOR_RGB2RGBA),
        cv2.cvtColor(_softened(frame.image), cv2.COLOR_RGB2RGBA),
        _planes_of(frame),
    )


def _softened(image: np.ndarray) -> np.ndarray:
    tiny = cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA)
    tiny = cv2.GaussianBlur(tiny, (0, 0), 1.0)
    return cv2.resize(tiny, SOFT_SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def _planes_of(frame: Frame) -> np.ndarray:
    """Bytes, because software samples them fast; the distance is damped where it is unsure."""
    planes = np.zeros((*frame.inverse_depth.shape, 4), np.uint8)
    trust = np.clip(frame.confidence / FULL_CONFIDENCE, 0.0, 1.0)
    near = np.clip(np.nan_to_num(frame.inverse_depth), 0.0, NEAREST) * trust
    planes[..., 0] = np.sqrt(near / NEAREST) * 255 + 0.5
    planes[..., 1] = frame.unseen
    return planes
