"""What was imagined from afar is not enough for one who comes near.

Walking straight on, every keyframe lies inside the picture of the one before, so that each would be
a magnified reading of a magnified reading: after fifty metres a single colour. Where a page is read
magnified it gives way, to pages that show the place better, or to imagining it anew from the given
pictures; what was given stays longer, however coarse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from .cameras import Views, epipolar_lines, rho_of
from .pointer import Pointer

# Stored pixels per drawn pixel, in the direction in which they are fewest, at which an imagined
# page begins to give way and at which it has given way; the same of a given one.
IMAGINED, GIVEN = (0.7, 0.4), (0.3, 0.15)
PAGE_LOGIT, GATE_LOGIT = 6.0, 12.0  # what a stretched page loses against others, and against none


def without_stretched(
    pointer: Pointer, views: Views, given: Sequence[bool], pages_per_drawn: Sequence[float]
) -> Pointer:
    """The pointer of one target, with pages giving way where they are stretched.

    Args:
        given: of each page, whether it came from outside.
        pages_per_drawn: columns of each stored picture over columns of the drawn one.
    """
    rows, columns = pointer.u_coarse.shape[-2:]
    lines = epipolar_lines(views, rows, columns)
    grid, _ = lines.at(rho_of(pointer.u_coarse).flatten(2)[:, None])
    grid = grid[0, :, 0].unflatten(1, (rows, columns)).float().cpu().numpy()
    lost = given_way(_least_stretch(grid), given, pages_per_drawn)
    lost = torch.from_numpy(lost)[None].to(pointer.view_logits.device)
    size = pointer.view_logits.shape[-2:]
    lost = F.interpolate(lost, size=size, mode="bilinear", align_corners=False)
    view_logits = pointer.view_logits - PAGE_LOGIT * lost
    stretched = (view_logits.softmax(1) * lost).sum(1, keepdim=True)
    gate_logit = pointer.gate_logit - GATE_LOGIT * stretched
    return replace(pointer, view_logits=view_logits, gate_logit=gate_logit)


def given_way(
    fine: np.ndarray, given: Sequence[bool], pages_per_drawn: Sequence[float]
) -> np.ndarray:
    """How far each page has given way in each cell, 0..1 (M, h, w), in place of the smaller
    singular values `fine`; other arguments as of `without_stretched`."""
    for m, (is_given, scale) in enumerate(zip(given, pages_per_drawn, strict=True)):
        begins, ends = GIVEN if is_given else IMAGINED
        smooth = cv2.GaussianBlur(cv2.medianBlur(fine[m], 5), (0, 0), 1) * scale
        fine[m] = np.clip((begins - smooth) / (begins - ends), 0, 1)
    return fine


def _least_stretch(grid: np.ndarray) -> np.ndarray:
    """Smaller singular value (M, h, w) of the Jacobian of where grids (M, h, w, 2) read; 1 where
    neighbouring cells read as far apart as they lie."""
    rows, columns = grid.shape[1:3]
    places = grid * np.array([columns / 2, rows / 2], np.float32)
    down, across = np.gradient(places, axis=(1, 2))
    total = (down**2 + across**2).sum(-1)
    area = np.abs(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])
    least = np.maximum(total - np.sqrt(np.maximum(total**2 - 4 * area**2, 0)), 0) / 2
    return np.minimum(np.sqrt(least), 2).astype(np.float32)
