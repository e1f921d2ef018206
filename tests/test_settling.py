"""Coordinates without parallax come from what the pages themselves expect."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.model.cameras import METRES_PER_UNIT, epipolar_lines, relative_views, rho_of, u_of
from rtfm_app.model.pointer import Pointer
from rtfm_app.model.settling import (
    CANDIDATES,
    meeting,
    own_coordinate,
    settled,
    with_even_borders,
)

TAN = math.tan(math.radians(30))
CERTAIN, VAGUE = 12.0, 0.0


def views_of(target, memory):
    poses = np.stack([pose_from_yaw_pitch(place, 0.0, 0.0) for place in memory])[None]
    tan = np.full((1, len(memory)), TAN)
    return relative_views(pose_from_yaw_pitch(target, 0.0, 0.0)[None], np.array([TAN]), poses, tan)


def wall(metres: float, count: int = 1) -> torch.Tensor:
    """Own distance (1, count, 2, 9, 16) of pages that see a wall straight ahead."""
    u = u_of(torch.tensor(METRES_PER_UNIT / metres))
    return torch.stack([u.expand(9, 16), torch.full((9, 16), -4.0)])[None, None].repeat(
        1, count, 1, 1, 1
    )


def logits(strength: float, at: int = 40) -> torch.Tensor:
    scores = torch.zeros(1, 48, 9, 16)
    scores[:, at] = strength
    return scores


def test_a_wall_comes_nearer_by_as_much_as_one_walks():
    views = views_of((0, 1.6, -1.5), [(0, 1.6, 0)])
    u = own_coordinate(wall(5.0), epipolar_lines(views, 18, 32), torch.ones(1, 1))
    metres = METRES_PER_UNIT / rho_of(u.reshape(18, 32)[5:13, 8:24])
    assert metres.sub(3.5).abs().max() < 0.1


def test_the_nearest_of_two_surfaces_is_met():
    difference = torch.full((1, CANDIDATES, 2), -0.1)
    difference[0, 10:20, 0] = 0.1  # in front of one thing, behind another
    difference[0, 25:, 0] = 0.1
    difference[0, 15:, 1] = 0.1
    met = meeting(difference, torch.ones_like(difference)) * (CANDIDATES - 1)
    assert met.tolist() == pytest.approx([24.5, 14.5], abs=1e-4)


def test_what_no_page_shows_is_infinitely_far():
    difference = torch.full((1, CANDIDATES, 1), -0.1)
    assert meeting(difference, torch.zeros_like(difference)).item() == 0


@pytest.mark.parametrize("apart, kept", [(0.0, 0.0), (0.5, 1.0)])
def test_agreement_counts_only_between_pictures_from_different_places(apart, kept):
    views = views_of((0, 1.6, -0.5), [(0, 1.6, 0), (apart, 1.6, 0)])
    guess = torch.full((1, 1, 18, 32), 0.4)
    found = settled(guess, logits(CERTAIN), wall(5.0, 2), torch.ones(1, 2), views)
    own = own_coordinate(wall(5.0, 2), epipolar_lines(views, 18, 32), torch.ones(1, 2))
    wanted = kept * guess + (1 - kept) * own.reshape(guess.shape)
    torch.testing.assert_close(found[..., 5:13, 10:22], wanted[..., 5:13, 10:22])


def test_uncertain_guesses_of_several_pictures_are_not_used():
    views = views_of((0, 1.6, -0.5), [(0, 1.6, 0), (0.5, 1.6, 0)])
    own = own_coordinate(wall(5.0, 2), epipolar_lines(views, 18, 32), torch.ones(1, 2))
    guess = torch.full((1, 1, 18, 32), 0.4)
    found = settled(guess, logits(VAGUE), wall(5.0, 2), torch.ones(1, 2), views)
    torch.testing.assert_close(found.flatten(1), own)


def test_a_given_picture_has_the_say_over_an_imagined_one():
    views = views_of((0, 1.6, -0.5), [(0, 1.6, 0), (0.2, 1.6, 0)])
    own = torch.cat([wall(5.0), wall(2.0)], 1)
    given = own_coordinate(own, epipolar_lines(views, 18, 32), torch.tensor([[1.0, 0.0]]))
    views = views_of((0, 1.6, -0.5), [(0, 1.6, 0)])
    alone = own_coordinate(own[:, :1], epipolar_lines(views, 18, 32), torch.ones(1, 1))
    assert (given - alone).reshape(18, 32)[5:13, 8:24].abs().max() < 0.03


def test_no_other_page_shows_through_at_the_border_of_what_is_remembered():
    """Page 0 shows the left half; page 1, which nobody would read there, all of the picture."""
    size = (1, 1, 8, 16)
    left = (torch.arange(16) < 8).expand(8, 16)
    gate_logit = torch.where(left, 8.0, -8.0).reshape(size)
    weights = torch.stack([torch.where(left, 6.0, -40.0), torch.zeros(8, 16)])[None]
    nothing = torch.zeros(0)
    pointer = Pointer(
        logits=nothing, sweep_logits=nothing, u_coarse=nothing, u=torch.full(size, 0.4),
        view_logits=weights, inside=torch.ones(1, 2, 8, 16), gate_logit=gate_logit,
    )  # fmt: skip
    even = with_even_borders(pointer)

    def other(found: Pointer) -> float:
        """The most of page 1 that is seen anywhere in the enlarged picture."""
        size = {"size": (32, 64), "mode": "bilinear", "align_corners": False}
        share = F.interpolate(found.view_logits, **size).softmax(1)
        return float((share[:, 1:] * F.interpolate(found.gate, **size)).max())

    assert other(pointer) > 0.5 and other(even) < 0.05
    assert torch.allclose(even.view_logits[..., :7], weights[..., :7], atol=0.1)
