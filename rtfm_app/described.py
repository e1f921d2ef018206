"""What is known of a frame beside its picture, and before it is drawn: how much is new, how far
things are (`described`); and what it was read from (`attended`)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from .frame import Attended, Known
from .model.cameras import METRES_PER_UNIT, rho_of
from .model.fast_compose import remembered
from .model.frame_model import Prediction


def described(
    prediction: Prediction,
    ids: tuple[int, ...],
    is_imagined: Callable[[int], bool],
    height: int,
    width: int,
) -> Known:
    """What a prediction says of its picture (height, width); `ids` are the memory frames that it is
    drawn from."""
    gate = remembered(prediction, height, width)
    if prediction.pointer is None:
        small = tuple(2 * size for size in prediction.state.shape[-2:])
        nothing = np.zeros(small, np.float32)
        return Known(1.0, np.full(small, 255, np.uint8), None, nothing, nothing, gate)
    pointer = prediction.pointer
    size = pointer.u.shape[-1], pointer.u.shape[-2]
    share = torch.from_numpy(cv2.resize(gate, size, interpolation=cv2.INTER_AREA))
    certainty = pointer.logits.softmax(1).topk(3, 1).values.sum(1, keepdim=True)
    certainty = F.interpolate(certainty, size=pointer.u.shape[-2:])[0, 0].cpu() * share
    lasting = [not is_imagined(i) for i in ids]
    given = pointer.view_logits.softmax(1)[0, lasting].sum(0).float().cpu() * share
    return Known(
        novelty=float(1 - share.mean()),
        unseen=((1 - share) * 255).round().to(torch.uint8).numpy(),
        given=(given * 255).round().to(torch.uint8).numpy(),
        inverse_depth=(rho_of(pointer.u)[0, 0] / METRES_PER_UNIT).float().cpu().numpy(),
        confidence=certainty.float().numpy(),
        remembered=gate,
    )


def attended(ids: tuple[int, ...], weights: np.ndarray) -> tuple[Attended, ...]:
    """The memory frames with their shares of the picture, heaviest first."""
    frames = [Attended(i, weight) for i, weight in zip(ids, weights.tolist(), strict=True)]
    return tuple(sorted(frames, key=lambda one: -one.weight))
