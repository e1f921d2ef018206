"""Upright distances: a street whose guessed distances are wavy, seen in several pictures."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch
from rtfm_app.model.upright import OwnMap, upright
from rtfm_app.standing import Standing, place_of

TAN = 0.55
SHAPE = (36, 64)
EYE = 1.6


def u_of(rho):
    return np.log1p(rho / 0.02) / 6


def street(yaw: float, pitch: float, wave: float = 0.0) -> tuple[OwnMap, np.ndarray]:
    """A picture's guess of a road between two walls, 3 m aside, and what is true."""
    pose = pose_from_yaw_pitch((5.0, EYE, -3.0), yaw, pitch)
    rays = pixel_rays(*SHAPE, 2 * math.atan(TAN)) @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        floor = np.where(rays[..., 1] < 0, -EYE / rays[..., 1], np.inf)
        wall = 3.0 / np.abs(rays[..., 0])
        true = u_of(4 / np.minimum(np.minimum(floor, wall), 40.0))
    sure = np.where(floor < wall, 0.03, 0.09)
    height = rays[..., 1] / np.linalg.norm(rays, axis=-1)
    guess = true + wave * np.sin(9 * height) * (wall < floor)
    ones = np.ones(SHAPE)
    return OwnMap(guess, np.log(sure), ones, pose, TAN, painted(pose)), true


def painted(pose: np.ndarray) -> np.ndarray:
    """The street's picture: rough grey floor, reddish walls."""
    rays = pixel_rays(4 * SHAPE[0], 4 * SHAPE[1], 2 * math.atan(TAN)) @ pose[:3, :3].T
    with np.errstate(divide="ignore"):
        floor = np.where(rays[..., 1] < 0, -EYE / rays[..., 1], np.inf) < 3.0 / np.abs(rays[..., 0])
    rough = np.random.default_rng(0).normal(0, 0.02, rays.shape)
    return (np.where(floor[..., None], 0.5, (0.6, 0.4, 0.35)) + rough).astype(np.float32)


def bend(u: np.ndarray) -> float:
    """Greatest change of the nearness of the right wall's column along its height."""
    return float(np.ptp(u[2:16, 52]))


def test_walls_become_straight_and_ground_stays():
    guess, true = street(0.0, 0.0, wave=0.06)
    (found,) = upright([guess])
    assert bend(guess.u) > 0.05 and bend(found) < 0.02
    ground = slice(28, 36), slice(20, 44)
    assert np.abs(found - true)[ground].max() < 0.02
    assert np.abs(found - true).mean() < 0.7 * np.abs(guess.u - true).mean()


def test_what_is_right_is_left_alone():
    guess, true = street(0.2, 0.0)
    (found,) = upright([guess])
    assert np.abs(found - true).mean() < 0.012


def test_the_picture_tells_where_walls_meet_the_ground():
    """Walls that are guessed too far stand at their true distance."""
    guess, true = street(0.0, 0.0)
    rows = slice(2, 18), slice(44, 64)
    far = replace(guess, u=guess.u - 0.05 * np.isclose(guess.log_scale, math.log(0.09)))
    (seen,) = upright([far])
    assert np.abs(seen - true)[rows].mean() < 0.4 * np.abs(far.u - true)[rows].mean()
    (blind,) = upright([replace(far, picture=np.full_like(far.picture, 0.5))])
    assert np.abs(blind - true)[rows].mean() > 2 * np.abs(seen - true)[rows].mean()


def test_pictures_of_one_place_agree():
    """One that looks up has its walls where the level one sees them stand."""
    level, _ = street(-0.8, 0.0)
    above, true = street(-0.8, 0.6)
    astray = replace(above, u=above.u + 0.08, log_scale=above.log_scale + 0.7)
    together = upright([level, astray])
    assert np.abs(together[1] - true).mean() < 0.5 * np.abs(astray.u - true).mean()
    assert np.abs(together[0] - level.u).mean() < 0.015


def test_nothing_stands_above_the_sky():
    guess, _ = street(0.0, 0.0)
    u, log_scale = guess.u.copy(), guess.log_scale.copy()
    u[5:16, 20:44], log_scale[5:16, 20:44] = 0, math.log(0.02)  # sky behind the street's end
    u[:5, 20:44] = 0.6  # and a wrong guess above it
    (found,) = upright([replace(guess, u=u, log_scale=log_scale)])
    assert found[:4, 28:36].max() < 0.2


def test_a_slope_does_not_become_stairs():
    guess, _ = street(0.0, 0.0)
    rays = pixel_rays(*SHAPE, 2 * math.atan(TAN))
    rises = math.tan(math.radians(20))
    near = (rises - rays[..., 1] / np.abs(rays[..., 2])) / EYE
    slope = replace(guess, u=u_of(4 * np.maximum(near, 0)))
    assert np.array_equal(upright([slope])[0], slope.u)


@pytest.mark.parametrize("pitch", [-0.5, 0.5])
def test_a_lone_tilted_picture_is_left_as_it_is(pitch):
    guess, _ = street(0.0, pitch, wave=0.05)
    assert np.array_equal(upright([guess])[0], guess.u)


def test_masked_cells_are_left_as_they_are():
    guess, _ = street(0.0, 0.0, wave=0.06)
    valid = np.ones(SHAPE)
    valid[:, :20] = 0
    (found,) = upright([replace(guess, valid=valid)])
    assert np.array_equal(found[:, :20], guess.u.astype(np.float32)[:, :20])


def test_a_place_is_worked_out_once_and_does_not_depend_on_who_asks_first():
    maps = {i: street(0.6 * i, 0.0, wave=0.05)[0] for i in (3, 4, 9)}
    asked = []

    def guessed(frame_id):
        asked.append(frame_id)
        return maps[frame_id]

    first, second = Standing(guessed), Standing(guessed)
    forth = [first.of(i, (3, 4, 9)) for i in (3, 4, 9)]
    back = [second.of(i, (3, 4, 9), maps[i]) for i in (9, 4, 3)][::-1]
    assert asked == [3, 4, 9, 3, 4]
    assert all(np.array_equal(a, b) for a, b in zip(forth, back, strict=True))


def test_few_places_are_kept(monkeypatch):
    monkeypatch.setattr("rtfm_app.standing.PLACES_KEPT", 2)
    alone, asked = street(0.0, 0.0)[0], []
    standing = Standing(lambda frame_id: asked.append(frame_id) or alone)
    for frame_id in (1, 2, 1, 3, 1, 2):
        standing.of(frame_id, (frame_id,))
    assert asked == [1, 2, 3, 2]


def test_a_crowded_place_takes_its_first_frames_and_the_others_alone():
    crowd = tuple(range(100))
    assert place_of(7, crowd) == crowd[:48] and place_of(80, crowd) == (80,)
