"""Shells that a photograph is painted on and solids that stand inside, met by rays exactly.

World axes of geometry.py; the floor is y = 0, the photograph was taken at (0, centre_height, 0).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

# How close a walker may come to a solid or a wall, metres.
ELBOW_ROOM = 0.35
SHELL = -1
SMALL = 1e-9


@dataclass(frozen=True)
class Shell:
    """The surface that carries the photograph.

    Attributes:
        kind: "room" (a box), "dome" (ground under a half ball), "courtyard" (ground inside a
            cylinder, closed far above).
        half_sides: of a room, along x and z, metres.
        height: of a room.
        radius: of a dome or a courtyard.
    """

    kind: str
    half_sides: tuple[float, float]
    height: float
    radius: float
    centre_height: float

    @property
    def reach(self) -> float:
        """Distance from the middle at which there is still floor in every direction."""
        return min(self.half_sides) if self.kind == "room" else self.radius

    def holds(self, x: float, z: float) -> bool:
        """Whether a walker may stand there: not so near the shell that its paint blurs."""
        if self.kind == "room":
            return all(abs(v) < 0.6 * side for v, side in zip((x, z), self.half_sides, strict=True))
        return math.hypot(x, z) < min(0.5 * self.radius, 5.0)

    def cast(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Distance (...) from inside, in lengths of `rays` (..., 3)."""
        upper = self.height if self.kind == "room" else math.inf
        distance = _slab(origin[1], rays[..., 1], 0.0, upper)
        if self.kind == "room":
            for axis, side in zip((0, 2), self.half_sides, strict=True):
                wall = _slab(origin[axis], rays[..., axis], -side, side)
                distance = np.minimum(distance, wall)
            return distance
        far = self.radius * (10 if self.kind == "courtyard" else 1)
        centre = origin - _up(self.centre_height, origin)
        distance = np.minimum(distance, _exit_of_ball(centre, rays, far))
        if self.kind == "courtyard":
            flat = np.array([1.0, 0.0, 1.0], rays.dtype)
            distance = np.minimum(distance, _exit_of_ball(origin * flat, rays * flat, self.radius))
        return distance


def _up(height: float, like: np.ndarray) -> np.ndarray:
    return np.array([0.0, height, 0.0], like.dtype)


def _slab(origin: float, ray: np.ndarray, low: float, high: float) -> np.ndarray:
    """Distance at which rays from between two parallel planes leave."""
    ray = np.where(np.abs(ray) < SMALL, SMALL, ray)
    return np.where(ray > 0, (high - origin) / ray, (low - origin) / ray)


def _exit_of_ball(origin: np.ndarray, rays: np.ndarray, radius: float) -> np.ndarray:
    """Distance at which rays from inside a ball about 0 leave it."""
    a = np.maximum(np.einsum("...i,...i", rays, rays), SMALL)
    b = rays @ origin
    return (-b + np.sqrt(b * b - a * (origin @ origin - radius * radius))) / a


@dataclass(frozen=True)
class Solid:
    """A box, pillar or ball on the floor, papered with a picture.

    Attributes:
        kind: "box", "pillar" or "ball".
        centre: (x, z), metres.
        half_sides: of a box; the first is a pillar's or a ball's radius.
        height: metres above the floor.
        yaw: turn of a box, radians.
        paper: (S, S, 3) uint8, repeated mirrored.
        light: direction over the floor, radians, that its lit side faces.
    """

    kind: str
    centre: tuple[float, float]
    half_sides: tuple[float, float]
    height: float
    yaw: float
    paper: np.ndarray
    texels_per_metre: float
    light: float

    @cached_property
    def _axes(self) -> np.ndarray:
        """(3, 3): columns are the solid's own x, y, z axes in the world."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])

    def _local(self, points: np.ndarray) -> np.ndarray:
        centre = np.array([self.centre[0], 0.0, self.centre[1]], points.dtype)
        return (points - centre) @ self._axes.astype(points.dtype)

    def gap(self, x, z) -> np.ndarray:
        """Distance over the floor from (x, z) (any shapes) to the solid's outline, 0 inside."""
        x = np.asarray(x)
        local = self._local(np.stack([x, np.zeros_like(x), z], -1))
        if self.kind == "box":
            beyond_x, beyond_z = (
                np.maximum(np.abs(local[..., axis]) - side, 0)
                for axis, side in zip((0, 2), self.half_sides, strict=True)
            )
            return np.hypot(beyond_x, beyond_z)
        return np.maximum(np.hypot(local[..., 0], local[..., 2]) - self.half_sides[0], 0)

    def cast(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Distance (...) from outside, in lengths of `rays` (..., 3), inf where missed."""
        start, local = self._local(origin), rays @ self._axes.astype(rays.dtype)
        with np.errstate(invalid="ignore"):
            if self.kind == "ball":
                radius = self.half_sides[0]
                enter, leave = _round(start - _up(radius, start), local, radius)
            else:
                enter, leave = self._upright(start, local)
        return np.where((enter < leave) & (enter > SMALL), enter, np.inf)

    def _upright(self, start: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        enter, leave = _between(start[1], rays[..., 1], 0.0, self.height)
        if self.kind == "pillar":
            flat = np.array([1.0, 0.0, 1.0], rays.dtype)
            pairs = [_round(start * flat, rays * flat, self.half_sides[0])]
        else:
            sides = zip((0, 2), self.half_sides, strict=True)
            pairs = [_between(start[axis], rays[..., axis], -side, side) for axis, side in sides]
        for inward, outward in pairs:
            enter, leave = np.fmax(enter, inward), np.fmin(leave, outward)
            leave = np.where(np.isnan(inward), -np.inf, leave)
        return enter, leave

    def colours(self, points: np.ndarray) -> np.ndarray:
        """Colours (N, 3) float32, 0 to 255, of points (N, 3) on the surface."""
        local = self._local(points)
        u, v, normal = self._paper_coordinates(local)
        size = self.paper.shape[0]
        texels = [
            _mirrored(value * self.texels_per_metre, size).astype(np.float32)[:, None]
            for value in (u, v)
        ]
        # remap takes at most 32,767 rows.
        colour = np.concatenate(
            [
                cv2.remap(self.paper, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)[:, 0]
                for u, v in zip(
                    *(np.array_split(t, len(t) // 30000 + 1) for t in texels), strict=True
                )
            ]
        )
        lit = np.array([math.cos(self.light), 0.8, math.sin(self.light)]) / 1.3
        shade = 0.75 + 0.3 * np.clip(normal @ self._axes.T @ lit, -1, 1)
        return colour.astype(np.float32) * shade[:, None].astype(np.float32)

    def _paper_coordinates(self, local: np.ndarray):
        """Metres along the paper (u, v) and the outward normal (N, 3), in the solid's axes."""
        if self.kind == "box":
            bounds = np.array([self.half_sides[0], self.height / 2, self.half_sides[1]])
            middle = local - (0.0, self.height / 2, 0.0)
            face = np.argmax(np.abs(middle) - bounds, axis=-1)
            normal = np.eye(3)[face] * np.sign(np.take_along_axis(middle, face[:, None], 1))
            u = np.where(face == 0, local[:, 2], local[:, 0])
            return u, np.where(face == 1, local[:, 2], -local[:, 1]), normal
        radius = self.half_sides[0]
        middle = local - (0.0, radius, 0.0) if self.kind == "ball" else local.copy()
        on_top = (self.kind == "pillar") & (local[:, 1] > self.height - 1e-6)
        angle = np.arctan2(middle[:, 2], middle[:, 0])
        v = -middle[:, 1]
        if self.kind == "ball":
            v = -radius * np.arcsin(np.clip(middle[:, 1] / radius, -1, 1))
        else:
            middle[:, 1] = 0.0
        normal = middle / np.maximum(np.linalg.norm(middle, axis=-1, keepdims=True), SMALL)
        normal[on_top] = (0.0, 1.0, 0.0)
        return (
            np.where(on_top, local[:, 0], angle * radius),
            np.where(on_top, local[:, 2], v),
            normal,
        )


def _between(start: float, ray: np.ndarray, low: float, high: float):
    """Distances at which rays enter and leave the space between two parallel planes."""
    ray = np.where(np.abs(ray) < SMALL, SMALL, ray)
    first, second = (low - start) / ray, (high - start) / ray
    return np.minimum(first, second), np.maximum(first, second)


def _round(start: np.ndarray, rays: np.ndarray, radius: float):
    """Distances at which rays enter and leave a ball about 0, NaN where they miss it."""
    a = np.maximum(np.einsum("...i,...i", rays, rays), SMALL)
    b = rays @ start
    root = np.sqrt(b * b - a * (start @ start - radius * radius))
    return (-b - root) / a, (-b + root) / a


def _mirrored(texel: np.ndarray, size: int) -> np.ndarray:
    """Positions on an endless paper folded into [0, size - 1]."""
    period = 2 * (size - 1)
    folded = np.mod(texel, period)
    return np.minimum(folded, period - folded)


@dataclass(frozen=True)
class Hit:
    """What rays met: `distance` (...) in lengths of the rays, `solid` (...) index or SHELL."""

    distance: np.ndarray
    solid: np.ndarray


def first_hit(solids: Sequence[Solid], origin: np.ndarray, rays: np.ndarray, distance) -> Hit:
    """What rays (..., 3) from `origin` (3,) meet first: a solid, or what is at `distance` (...)."""
    which = np.full(distance.shape, SHELL)
    for index, solid in enumerate(solids):
        reach = solid.cast(origin, rays)
        nearer = reach < distance
        distance, which = np.where(nearer, reach, distance), np.where(nearer, index, which)
    return Hit(distance, which)


def draw_solids(picture: np.ndarray, solids: Sequence[Solid], hit: Hit, points: np.ndarray) -> None:
    """Colour `picture` (H, W, 3) float32 where rays met a solid at `points` (H, W, 3)."""
    for index, solid in enumerate(solids):
        where = hit.solid == index
        if where.any():
            picture[where] = solid.colours(points[where])


def contact_light(gap: np.ndarray) -> np.ndarray:
    """Share of the light that reaches the floor `gap` metres beside a solid."""
    return 1 - 0.55 * np.exp(-gap / 0.12)


@dataclass(frozen=True)
class PaperRoom:
    """A shell with solids inside."""

    shell: Shell
    solids: tuple[Solid, ...]

    def cast(self, origin: np.ndarray, rays: np.ndarray) -> Hit:
        """First surface along rays (..., 3) from `origin` (3,)."""
        return first_hit(self.solids, origin, rays, self.shell.cast(origin, rays))

    def is_free(self, x: float, z: float) -> bool:
        """Whether a walker may stand at (x, z)."""
        return self.shell.holds(x, z) and all(s.gap(x, z) > ELBOW_ROOM for s in self.solids)

    def free_place(self, rng: np.random.Generator) -> tuple[float, float] | None:
        """A random (x, z) where a walker may stand, None if the room seems too full."""
        reach = min(self.shell.reach, 5.0)
        for _ in range(200):
            x, z = rng.uniform(-reach, reach, 2)
            if self.is_free(x, z):
                return float(x), float(z)
        return None

    def contact_shadow(self, points: np.ndarray) -> np.ndarray:
        """Brightness (...) of shell points (..., 3): darker on the floor beside a solid."""
        shade = np.ones(points.shape[:-1], np.float32)
        floor = points[..., 1] < 1e-3
        for solid in self.solids:
            gap = solid.gap(points[floor][:, 0], points[floor][:, 2])
            shade[floor] *= contact_light(gap)
        return shade


def random_crop(rng: np.random.Generator, panorama: np.ndarray) -> np.ndarray:
    """A crop (S, S, 3) that avoids the stretched poles and flat white or black."""
    best = None
    for _ in range(6):
        size = int(rng.integers(96, 257))
        top = int(
            rng.integers(int(panorama.shape[0] * 0.2), panorama.shape[0] * 4 // 5 - size // 2)
        )
        top = min(top, panorama.shape[0] - size)
        left = int(rng.integers(panorama.shape[1] - size))
        crop = panorama[top : top + size, left : left + size]
        if best is None or crop.std() > best.std():
            best = crop
    return best
