"""What is known of a drawn frame beside its picture: how much is new, how far things are, what it
was read from."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from .frame import Attended
from .model.cameras import METRES_PER_UNIT, rho_of
from .model.fast_compose import Drawn
from .model.frame_model import Prediction


def described(
    prediction: Prediction, drawn: Drawn, ids: tuple[int, ...], is_imagined: Callable[[int], bool]
) -> dict:
    """The numbers of a `Frame`, by name; `ids` are the memory frames that it was drawn from."""
    if prediction.pointer is None:
        small = tuple(2 * size for size in prediction.state.shape[-2:])
        nothing = np.zeros(small, np.float32)
        return {
            "novelty": 1.0, "unseen": np.full(small, 255, np.uint8), "inverse_depth": nothing,
            "confidence": nothing, "attended": tuple(Attended(i, 0.0) for i in ids),
        }  # fmt: skip
    pointer = prediction.pointer
    size = pointer.u.shape[-1], pointer.u.shape[-2]
    remembered = torch.from_numpy(cv2.resize(drawn.gate, size, interpolation=cv2.INTER_AREA))
    certainty = pointer.logits.softmax(1).topk(3, 1).values.sum(1, keepdim=True)
    certainty = F.interpolate(certainty, size=pointer.u.shape[-2:])[0, 0].cpu() * remembered
    lasting = [not is_imagined(i) for i in ids]
    given = pointer.view_logits.softmax(1)[0, lasting].sum(0).float().cpu() * remembered
    attended = [Attended(i, w) for i, w in zip(ids, drawn.weights.tolist(), strict=True)]
    return {
        "novelty": float(1 - remembered.mean()),
        "unseen": ((1 - remembered) * 255).round().to(torch.uint8).numpy(),
        "given": (given * 255).round().to(torch.uint8).numpy(),
        "inverse_depth": (rho_of(pointer.u)[0, 0] / METRES_PER_UNIT).float().cpu().numpy(),
        "confidence": certainty.float().numpy(),
        "attended": tuple(sorted(attended, key=lambda a: -a.weight)),
    }
