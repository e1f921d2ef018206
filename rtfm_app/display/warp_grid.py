"""The grid on which the time-warp follows a translation, and which of its cells see past the frame.

A software renderer takes half as long again for what lies past the border, in every pixel that is
drawn with it: so only the cells that may show some of that are.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..card import NEAREST

COLUMNS, ROWS = 48, 27  # as in frame.vert
ROUNDS = 2
ROUNDING = 0.02  # the card reads textures with eight bits


def _corners() -> tuple[np.ndarray, np.ndarray]:
    """Vertices of each cell's two triangles (ROWS, COLUMNS, 6), and normalised device coordinates
    of all vertices (ROWS + 1, COLUMNS + 1, 2)."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    first = rows * (COLUMNS + 1) + columns
    above = first + COLUMNS + 1
    triangles = np.stack([first, first + 1, above + 1, first, above + 1, above], -1)
    y, x = np.mgrid[: ROWS + 1, : COLUMNS + 1]
    return triangles.astype(np.int32), np.stack([x / COLUMNS, y / ROWS], -1) * 2 - 1


TRIANGLES, VERTICES = _corners()


def inside_cells(
    to_frame: np.ndarray,
    shift: np.ndarray,
    roots: np.ndarray,
    tan_view: tuple[float, float],
    tan_frame: tuple[float, float],
) -> np.ndarray:
    """(ROWS, COLUMNS) bool: the cells that lie in the frame.

    Args:
        to_frame: (3, 3), shift: (3,) of the newest camera in the frame's axes.
        roots: (h, w) float32, 0..1, the channel r of `CardPictures.planes`.
    """
    rays = np.concatenate([VERTICES * tan_view, -np.ones((*VERTICES.shape[:2], 1))], -1)
    rays = moved = rays @ to_frame.T
    for _ in range(ROUNDS):
        at = _places(moved, tan_frame).clip(-1, 1)
        x, y = (at[..., 0] + 1) / 2 * roots.shape[1] - 0.5, (1 - at[..., 1]) / 2 * len(roots) - 0.5
        x, y = x.astype(np.float32), y.astype(np.float32)
        root = cv2.remap(roots, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        nearness = root * root * NEAREST * np.maximum(-moved[..., 2], 0)
        moved = rays + shift * nearness[..., None]
    seen = (moved[..., 2] < -0.05) & (np.abs(_places(moved, tan_frame)).max(-1) < 1 - ROUNDING)
    return seen[:-1, :-1] & seen[1:, :-1] & seen[:-1, 1:] & seen[1:, 1:]


def _places(points: np.ndarray, tan_frame: tuple[float, float]) -> np.ndarray:
    """Where points (..., 3) lie in the frame, (..., 2) in -1..1."""
    return points[..., :2] / (np.maximum(-points[..., 2:], 0.02) * tan_frame)


def sorted_triangles(inside: np.ndarray) -> tuple[np.ndarray, int]:
    """Vertices of all cells, those of the cells inside first, and how many these are."""
    order = np.argsort(~inside.reshape(-1), kind="stable")
    return TRIANGLES.reshape(-1, 6)[order], 6 * int(inside.sum())
