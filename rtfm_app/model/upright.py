"""What stands, stands upright: the distances that given pictures expect of themselves, of all the
pictures of one place together.

A single picture's distances are guesses (`own_distance`), smooth but wavy, and walking on bends
columns and walls into an S. Walls, columns, trees and people have one horizontal distance over
their height, and ground is level: so along each vertical line of the panorama that the pictures of
a place make, distances become level ground and few upright surfaces, as near to the guesses as they
can be: dynamic programming over a Potts-like model, as the stixels of Badino et al. (DAGM 2009),
with a network's distances instead of a stereo camera's. Pictures of one place agree with each other
then, those that look up with those that show on what their walls stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from . import feet
from .cameras import RHO_RATE, RHO_SCALE
from .own_distance import STEP

COLUMNS = 256  # all round
ROWS, HIGHEST = 104, math.radians(86)
SURFACES = np.linspace(0, 0.96, 33, dtype=np.float32)  # coordinates of horizontal inverse distance
GROUND = len(SURFACES)
SLANT_COST, JUMP_COST, MOST_DATA_COST = 60.0, 8.0, 8.0
SKY_TO = 2  # surfaces that count as sky; nothing begins above it
SKY_COST = 200.0
FLAT_SINE = 0.12  # sine below the horizon from which cells tell how high the camera stands
FLAT_SHARE = 0.5  # of them that must agree for there to be level ground
AGREEING = 0.12
LEVEL = math.radians(15)
TILTED = math.radians(25)  # a picture that looks up or down by more counts less
NEARER_CLIP = 0.05


@dataclass(frozen=True)
class OwnMap:
    """What a picture expects of itself.

    Attributes:
        u: (h, w) coordinate of the inverse depth.  log_scale: (h, w), see `OwnDistance`.
        valid: (h, w) 0..1, where the picture counts.
        camera_to_world: (4, 4).  tan_y: half the vertical field's tangent.
        picture: (H, W, 3) float32 0..1.
    """

    u: np.ndarray
    log_scale: np.ndarray
    valid: np.ndarray
    camera_to_world: np.ndarray
    tan_y: float
    picture: np.ndarray

    @property
    def tilt(self) -> float:
        """Radians by which the picture looks up or down."""
        return math.asin(min(abs(float(self.camera_to_world[1, 2])), 1.0))

    @property
    def tangents(self) -> tuple[float, float]:
        return self.tan_y * 16 / 9, self.tan_y


def upright(maps: Sequence[OwnMap]) -> list[np.ndarray]:
    """`u` (h, w) of each of the maps of one place, with what stands made upright; as they are where
    no picture is level (one that looks down at a table shows what lies) or no ground (what rises
    slowly, a slope, would become stairs)."""
    if min(one.tilt for one in maps) > LEVEL:
        return [one.u for one in maps]
    u, weight = _panorama(maps)
    known = np.flatnonzero((weight > 0).any(0))
    u, weight = u[:, known], weight[:, known]
    ground = _ground(u, weight)
    if ground is None:
        return [one.u for one in maps]
    surfaces = _surfaces(u, weight, ground)
    levelled = _levelled(u, weight, surfaces, ground)
    nearness = _rho_of(ground[-1]) / math.tan(-float(_elevations()[-1]))
    guess = np.full(COLUMNS, np.nan)
    guess[known] = _guessed_feet(levelled, surfaces, ground, nearness)
    if (guess < feet.HORIZON).any():
        edges = feet.feet(*_colours(maps), guess)[known]
        _set_on_their_feet(levelled, surfaces, edges, nearness)
    full = np.zeros((ROWS, COLUMNS), np.float32)
    full[:, known] = levelled
    known_cells = np.zeros((ROWS, COLUMNS), np.float32)
    known_cells[:, known] = 1
    return [_seen_from(one, full, known_cells) for one in maps]


def _elevations() -> np.ndarray:
    """(ROWS,) of the panorama's rows, from above, radians."""
    return HIGHEST * (1 - (np.arange(ROWS, dtype=np.float32) * 2 + 1) / ROWS)


def _u_of(rho: np.ndarray) -> np.ndarray:
    return np.log1p(np.maximum(rho, 0) / RHO_SCALE) / RHO_RATE


def _rho_of(u: np.ndarray) -> np.ndarray:
    return RHO_SCALE * (np.exp(RHO_RATE * u) - 1)


def _panorama(maps: Sequence[OwnMap]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinate of the inverse horizontal distance (ROWS, COLUMNS) and its weight, 0 where no map
    shows a cell."""
    elevation = _elevations()
    rays = _all_round(elevation)
    flat = np.cos(elevation)[:, None]
    total = np.zeros((ROWS, COLUMNS), np.float32)
    weight = np.zeros_like(total)
    for one in maps:
        x, y, depth, inside = _places(one, rays)
        u, log_scale, valid = (_read(cells, x, y) for cells in (one.u, one.log_scale, one.valid))
        sure = (
            inside
            * (valid > 0.5)
            / (np.exp(log_scale) + STEP)
            * math.exp(-((one.tilt / TILTED) ** 2))
        )
        # depth 1 along the camera's axis is so far horizontally
        across = flat / depth
        sure = sure.astype(np.float32) ** 2
        total += sure * _u_of(_rho_of(u) / np.maximum(across, 1e-3))
        weight += sure
    return total / np.maximum(weight, 1e-12), np.sqrt(weight)


def _all_round(elevation: np.ndarray) -> np.ndarray:
    """Directions (R, COLUMNS, 3) of a panorama's cells in rows of these elevations (R,)."""
    azimuth = (np.arange(COLUMNS, dtype=np.float32) + 0.5) * (2 * math.pi / COLUMNS)
    up, flat = np.sin(elevation)[:, None], np.cos(elevation)[:, None]
    parts = -flat * np.sin(azimuth), up, -flat * np.cos(azimuth)
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def _places(one: OwnMap, rays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Where a picture shows rays: grid positions x and y, depth of a ray of length 1, and whether
    it does."""
    local = rays @ one.camera_to_world[:3, :3].astype(np.float32)
    depth = np.maximum(-local[..., 2], 1e-3)
    tan_x, tan_y = one.tangents
    x, y = local[..., 0] / depth / tan_x, -local[..., 1] / depth / tan_y
    return x, y, depth, (np.abs(x) < 1) & (np.abs(y) < 1) & (local[..., 2] < -0.05)


def _read(cells: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear, at grid positions in [-1, 1]."""
    rows, columns = cells.shape[:2]
    at = (
        ((x + 1) * columns / 2 - 0.5).astype(np.float32),
        ((y + 1) * rows / 2 - 0.5).astype(np.float32),
    )
    return cv2.remap(
        cells.astype(np.float32), *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _ground(u: np.ndarray, weight: np.ndarray) -> np.ndarray | None:
    """Coordinate (ROWS,) of level ground, by the height of the camera over it that most cells well
    below the horizon agree on; None where too few do."""
    elevation = _elevations()
    low = np.sin(elevation) < -FLAT_SINE
    sure = weight[low]
    if not sure.any():
        return None
    nearness = np.log(np.maximum(_rho_of(u[low]), 1e-4) / np.tan(-elevation[low])[:, None])
    middle = float(np.median(nearness[sure > 0]))
    tried = middle + np.linspace(-1, 1, 81)
    sure = sure / sure.sum()
    agree = [float((sure * np.exp(-(((nearness - t) / AGREEING) ** 2))).sum()) for t in tried]
    best = int(np.argmax(agree))
    if agree[best] < FLAT_SHARE:
        return None
    below = np.tan(np.maximum(-elevation, 0))
    return _u_of(math.exp(tried[best]) * below).astype(np.float32)


def _surfaces(u: np.ndarray, weight: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Index into SURFACES, or GROUND, of every cell (ROWS, C): least cost from below upwards."""
    rows, columns = u.shape
    data = np.minimum(np.abs(u[..., None] - SURFACES) * weight[..., None], MOST_DATA_COST)
    floor = np.full((rows, columns), 1e6, np.float32)
    below = _elevations() < -0.02
    floor[below] = np.minimum(np.abs(u - ground[:, None]) * weight, MOST_DATA_COST)[below]
    between = np.minimum(SLANT_COST * np.abs(SURFACES[:, None] - SURFACES), JUMP_COST)
    between[:SKY_TO, SKY_TO:] += SKY_COST
    came = np.empty((rows, columns, GROUND + 1), np.int8)
    costs = np.concatenate([data[-1], floor[-1][:, None]], 1)
    step = np.empty((columns, GROUND + 1, GROUND + 1), np.float32)
    for row in range(rows - 2, -1, -1):
        step[:, :GROUND, :GROUND] = between
        step[:, :GROUND, GROUND] = JUMP_COST
        step[:, GROUND, GROUND] = 0
        foot = SLANT_COST * np.abs(SURFACES - ground[row + 1])
        step[:, GROUND, :GROUND] = np.minimum(foot, JUMP_COST)
        step += costs[:, :, None]
        came[row] = step.argmin(1)
        costs = np.take_along_axis(step, came[row][:, None].astype(np.intp), 1)[:, 0]
        costs[:, :GROUND] += data[row]
        costs[:, GROUND] += floor[row]
    found = np.empty((rows, columns), np.int8)
    found[0] = costs.argmin(1)
    for row in range(1, rows):
        found[row] = came[row - 1][np.arange(columns), found[row - 1]]
    return found


def _levelled(u, weight, surfaces, ground) -> np.ndarray:
    """Coordinates (ROWS, C): ground, and of each upright surface the mean of what was guessed."""
    standing = SURFACES[np.minimum(surfaces, GROUND - 1)]
    levelled = np.where(surfaces == GROUND, ground[:, None], standing)
    part = np.zeros(surfaces.shape, np.int64)
    part[1:] = (surfaces[1:] != surfaces[:-1]).cumsum(0)
    part += np.arange(surfaces.shape[1]) * ROWS
    off = np.clip(u - levelled, -NEARER_CLIP, NEARER_CLIP)
    sums = [np.bincount(part.ravel(), values.ravel()) for values in (off * weight, weight)]
    mean = (sums[0] / np.maximum(sums[1], 1e-9))[part]
    return np.where(surfaces == GROUND, levelled, levelled + mean).astype(np.float32)


def _guessed_feet(levelled, surfaces, ground, nearness: float) -> np.ndarray:
    """Elevations (C,) at which what stands would meet the ground if it is as far as `levelled`
    (ROWS, C); NaN where nothing stands on the ground, or something hides its foot."""
    first = (surfaces == GROUND).argmax(0)
    standing = levelled[np.maximum(first - 1, 0), np.arange(len(first))]
    stands = (first > 0) & (surfaces[-1] == GROUND)
    stands &= np.abs(standing - ground[first]) < JUMP_COST / SLANT_COST
    return np.where(stands, -np.arctan(_rho_of(standing) / nearness), np.nan)


def _colours(maps: Sequence[OwnMap]) -> tuple[np.ndarray, np.ndarray]:
    """The panorama's colours at `feet.ELEVATIONS`, (R, COLUMNS, 3), and where there are any."""
    rays = _all_round(feet.ELEVATIONS - feet.STEP / 2)
    total = np.zeros(rays.shape, np.float32)
    count = np.zeros(rays.shape[:2], np.float32)
    for one in maps:
        x, y, _, inside = _places(one, rays)
        shown = (inside & (_read(one.valid, x, y) > 0.5)).astype(np.float32)
        total += shown[..., None] * _read(one.picture, x, y)
        count += shown
    return total / np.maximum(count, 1)[..., None], count > 0


def _set_on_their_feet(levelled, surfaces, edges: np.ndarray, nearness: float) -> None:
    """Change coordinates (ROWS, C) so that what stands on the ground is as far as its foot.

    Args:
        edges: (C,) elevations of the feet, or NaN.
        nearness: inverse distance of the ground 45 degrees below the horizon.
    """
    elevation = _elevations()
    for column in np.flatnonzero(~np.isnan(edges)):
        first = int((surfaces[:, column] == GROUND).argmax())
        above = surfaces[first - 1, column]
        top = first - 1
        while top > 0 and surfaces[top - 1, column] == above:
            top -= 1
        stands = elevation > edges[column]
        stands[:top] = False
        lies = ~stands
        lies[:top] = False
        levelled[stands, column] = _u_of(nearness * math.tan(-edges[column]))
        levelled[lies, column] = _u_of(nearness * np.tan(-elevation[lies]))


def _seen_from(one: OwnMap, panorama: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The panorama's distances as `u` of a map's own cells."""
    rows, columns = one.u.shape
    tan_x, tan_y = one.tangents
    x = ((np.arange(columns, dtype=np.float32) * 2 + 1) / columns - 1) * tan_x
    y = (1 - (np.arange(rows, dtype=np.float32) * 2 + 1) / rows) * tan_y
    rays = np.stack(np.broadcast_arrays(x, y[:, None], np.float32(-1)), -1)
    rays = rays @ one.camera_to_world[:3, :3].astype(np.float32).T
    across = np.sqrt(rays[..., 0] ** 2 + rays[..., 2] ** 2)
    elevation = np.arctan2(rays[..., 1], across)
    azimuth = np.arctan2(-rays[..., 0], -rays[..., 2]) % (2 * math.pi)
    column = (azimuth * (COLUMNS / (2 * math.pi)) - 0.5).astype(np.float32)
    row = ((1 - elevation / HIGHEST) * ROWS / 2 - 0.5).astype(np.float32)

    def read(cells: np.ndarray) -> np.ndarray:
        round_about = np.concatenate([cells[:, -1:], cells, cells[:, :1]], 1)
        return cv2.remap(
            round_about, column + 1, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )

    there = (np.abs(elevation) < HIGHEST) & (read(known) > 0.99) & (one.valid > 0.5)
    found = _u_of(_rho_of(read(panorama)) * across)
    return np.where(there, found, one.u).astype(np.float32)
