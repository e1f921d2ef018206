"""Directions and colours of equirectangular pictures.

The middle column lies at yaw 0 (world -Z, geometry.py), the middle row at the horizon.
"""

from __future__ import annotations

import math

import cv2
import numpy as np


def directions(rows: int, columns: int) -> np.ndarray:
    """Unit rays (rows, columns, 3) of an equirectangular picture."""
    longitude = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * math.pi
    latitude = (0.5 - (np.arange(rows) + 0.5) / rows)[:, None] * math.pi
    flat = np.cos(latitude)
    x, z = flat * np.sin(longitude), -flat * np.cos(longitude)
    return np.stack([x, np.broadcast_to(np.sin(latitude), x.shape), z], -1)


def look_up(panorama: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Values (..., C) of an equirectangular picture in world directions (..., 3)."""
    rows, columns = panorama.shape[:2]
    longitude = np.arctan2(directions[..., 0], -directions[..., 2])
    latitude = np.arctan2(directions[..., 1], np.hypot(directions[..., 0], directions[..., 2]))
    x = (longitude / (2 * math.pi) + 0.5) * columns - 0.5
    y = (0.5 - latitude / math.pi) * rows - 0.5
    around = np.pad(panorama, ((0, 0), (4, 4), (0, 0)), mode="wrap")
    return cv2.remap(
        around,
        (x + 4).astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
