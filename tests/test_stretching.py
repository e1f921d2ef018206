"""Pages that are read magnified give way: imagined ones soon, given ones late."""

import math

import numpy as np
import pytest
import torch

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.model.cameras import METRES_PER_UNIT, relative_views, u_of
from rtfm_app.model.pointer import Pointer
from rtfm_app.model.stretching import without_stretched

TAN = math.tan(math.radians(30))
WALL_METRES = 12.0


def before_a_wall(walked: float, memory_places=(0.0,)):
    """A pointer that reads a wall WALL_METRES ahead of the first page, and its views."""
    poses = np.stack([pose_from_yaw_pitch((0, 1.6, -z), 0.0, 0.0) for z in memory_places])[None]
    tan = np.full((1, len(memory_places)), TAN)
    target = pose_from_yaw_pitch((0, 1.6, -walked), 0.0, 0.0)[None]
    views = relative_views(target, np.array([TAN]), poses, tan)
    u = u_of(torch.tensor(METRES_PER_UNIT / (WALL_METRES - walked)))
    count = len(memory_places)
    pointer = Pointer(
        logits=torch.zeros(1, 48, 18, 32), sweep_logits=torch.zeros(1, 48, 18, 32),
        u_coarse=u.expand(1, 1, 36, 64), u=u.expand(1, 1, 72, 128),
        view_logits=torch.zeros(1, count, 72, 128), inside=torch.ones(1, count, 72, 128),
        gate_logit=torch.full((1, 1, 72, 128), 4.0),
    )  # fmt: skip
    return pointer, views


@pytest.mark.parametrize(
    "walked, given, kept",
    [(2, False, True), (9, False, False), (6, True, True), (11.2, True, False)],
)
def test_a_page_gives_way_where_it_is_magnified(walked, given, kept):
    pointer, views = before_a_wall(walked)
    found = without_stretched(pointer, views, [given], [1.0])
    assert (found.gate_logit.mean() > 2) == kept and (found.gate_logit.mean() < -2) != kept


def test_a_page_that_shows_the_place_better_takes_over():
    pointer, views = before_a_wall(9, (0.0, 8.0))
    found = without_stretched(pointer, views, [False, False], [1.0, 1.0])
    share = found.view_logits.softmax(1).mean((0, 2, 3))
    assert share[1] > 0.99 and found.gate_logit.mean() > 3.5, "and nothing is imagined anew"


def test_pictures_of_more_pixels_last_longer():
    pointer, views = before_a_wall(7)
    small, large = (without_stretched(pointer, views, [False], [s]) for s in (0.5, 2.0))
    assert large.gate_logit.mean() > 3.5 > small.gate_logit.mean()
