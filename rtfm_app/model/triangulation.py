"""What several memory frames say together of the distances in each of them.

A frame's own distances are a guess from its picture alone (`own_distance`). Where other frames show
the same from elsewhere the guess can be measured: the model is asked for the view of the frame
itself, with the frame among its memory. Nothing has to be drawn, only to be found, and one of the
pictures that are compared along every ray is the very one that is sought: multi-view stereo
(MVSNet, 1804.02505) by the network that draws. The page keeps the result, so that a view that is
read from few frames knows what many of them agreed on.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .cameras import Views, epipolar_lines
from .frame_model import Cameras, FrameModel, Pages
from .settling import trust

MEASURED = -3.0  # logarithm of the Laplace scale of a coordinate that frames agree on


def triangulated(
    model: FrameModel, cameras: Cameras, pages: Pages, views: Views
) -> tuple[torch.Tensor, torch.Tensor]:
    """What N frames and their neighbours tell of the frames' distances.

    Args:
        model: one with a pointer head.  cameras: of the frames.  pages, views: of the frames
            themselves and their neighbours.
    Returns:
        coordinate and logarithm of its Laplace scale (N, 2, H / 4, W / 4), as of `OwnDistance`; how
        far they are to take the place of a frame's own (N, 1, H / 4, W / 4), 0 where no other
        frame shows the same with parallax.
    """
    n, m = pages.features.shape[:2]
    height, width = model.config.height // 4, model.config.width // 4
    state = pages.features.new_zeros(n, 3, height, width)
    pointer = model.denoise(state, state.new_zeros(n), cameras, pages, views).pointer
    assert pointer is not None, "found by the pointer head"
    given = pages.given if pages.given is not None else state.new_ones(n, m)
    lines = epipolar_lines(views, height, width)
    trusted = trust(pointer.u_coarse, pointer.logits, given, views, lines)
    u = F.avg_pool2d(pointer.u.float(), 2)
    return torch.cat([u, torch.full_like(u, MEASURED)], 1), trusted
