"""360-degree photographs as places with distances, from layouts drawn on them by hand.

`assets/panoramas/layouts.json` says for most photographs where the ground meets what stands on
it, and how far up that reaches: a layout is a flat ground, perhaps a flat ceiling, and upright
surfaces, each a polyline. That is coarse, but it is what the photograph shows (unlike the shells of
`panoramas.py`), so the clips of family `pano_place` teach what real pictures tell of distance.

A layout is `{"ceiling": metres or null, "ground_edge": [[azimuth, elevation], ...],
"ceiling_edge": the same, "surfaces": [[[azimuth, base, top, distance], ...], ...]}`. Azimuth
counts from the middle column of the photograph to the right; base and top are elevations; all in
degrees as seen by the camera, EYE_HEIGHT above the ground. Without a distance the base stands on
the ground. A top of 90 or more has no end. The edges, where given, are elevations at which the
ground or ceiling ends. What no surface meets is infinitely far.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

import cv2
import numpy as np

from ..geometry import pixel_rays, pose_from_yaw_pitch
from ..resources import asset
from ..training.clips import Clip
from .equirectangular import directions, look_up
from .panorama_things import Sun, light_on_ground, random_sun, random_things
from .paper_room import ELBOW_ROOM, SHELL, Solid, draw_solids, first_hit
from .stroll import Stop, stroll

EYE_HEIGHT = 1.6
ENDLESS = 1e4
HEIGHT, WIDTH, FRAMES = 144, 256, 16
SUPERSAMPLING = 2
FROM_CENTRE = 0.5  # share of clips that look round first
ROAM_SHARE, ROAM_METRES = 0.4, (0.5, 2.5)  # how far from the camera's place a walk leads
CENTRE_ROWS, CENTRE_COLUMNS = 512, 1024
NO_SUN = Sun(np.zeros(2), 0.0)
SLACK = 1.05  # a point that much farther than what the camera saw is hidden from it


@dataclass(frozen=True)
class Strip:
    """An upright flat piece between two vertical edges: plan positions (x, z), heights; metres."""

    start: np.ndarray
    end: np.ndarray
    base: tuple[float, float]
    top: tuple[float, float]


@dataclass(frozen=True)
class Layout:
    """What stands where around the camera of a photograph, at (0, EYE_HEIGHT, 0)."""

    strips: tuple[Strip, ...]
    ceiling: float | None
    ground_edge: np.ndarray | None
    ceiling_edge: np.ndarray | None

    @classmethod
    def of(cls, entry: dict) -> Layout:
        """From one entry of layouts.json."""
        edges = [entry.get(f"{what}_edge") for what in ("ground", "ceiling")]
        strips = [_strip(a, b) for surface in entry["surfaces"] for a, b in pairwise(surface)]
        return cls(
            tuple(strips), entry["ceiling"], *(None if e is None else np.array(e) for e in edges)
        )

    @cached_property
    def room(self) -> float:
        """Distance over the ground to the nearest surface that reaches to it."""
        standing = [s for s in self.strips if min(s.base) < EYE_HEIGHT]
        return min(_nearest(s.start, s.end) for s in standing)

    def cast(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Distance (H, W), in lengths of `rays` (H, W, 3), from inside; inf where nothing is met.

        Rays of one column must share their azimuth roughly: columns that cannot meet a surface are
        not tried."""
        origin = origin.astype(np.float32)
        rays = rays.astype(np.float32)
        found = self._level(origin, rays, 0.0, self.ground_edge, -1)
        if self.ceiling is not None:
            above = self._level(origin, rays, self.ceiling, self.ceiling_edge, 1)
            found = np.minimum(found, above)
        middle = rays[rays.shape[0] // 2, rays.shape[1] // 2]
        azimuth = np.arctan2(rays[..., 0], -rays[..., 2])
        ahead = math.atan2(middle[0], -middle[2])
        turned = _wrapped(azimuth - ahead)
        first, last = turned.min(0), turned.max(0)
        for strip in self.strips:
            ends = [
                _wrapped(math.atan2(p[0] - origin[0], -(p[1] - origin[2])) - ahead)
                for p in (strip.start, strip.end)
            ]
            low, high = min(ends), max(ends)
            across = high - low > math.pi  # behind: the short way round
            columns = (last >= high) | (first <= low) if across else (last >= low) & (first <= high)
            if not columns.any():
                continue
            met = _meet(strip, origin, rays[:, columns])
            found[:, columns] = np.minimum(found[:, columns], met)
        return found

    def _level(self, origin, rays, height: float, edge, sign: int) -> np.ndarray:
        """Distances to the level surface at `height`, above (sign 1) or below the camera."""
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (height - origin[1]) / rays[..., 1]
        distance = np.where(distance > 1e-4, distance, np.inf)
        if edge is not None:
            x, z = (origin[i] + distance * rays[..., i] for i in (0, 2))
            azimuth = np.degrees(np.arctan2(x, -z))
            limit = np.interp(azimuth, *_around(edge))
            elevation = np.degrees(np.arctan2(height - EYE_HEIGHT, np.hypot(x, z)))
            distance = np.where(sign * elevation > sign * limit, distance, np.inf)
        return distance.astype(np.float32)


def _wrapped(angle):
    """The same angle within -pi ... pi."""
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _around(edge: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An edge (A, 2) as samples for interpolation from -360 to 360 degrees."""
    turns = [edge + np.array([turn, 0]) for turn in (-360, 0, 360)]
    return tuple(np.concatenate(turns).T)


def _strip(a: list[float], b: list[float]) -> Strip:
    (start, *one), (end, *other) = _corner(a), _corner(b)
    return Strip(start, end, (one[0], other[0]), (one[1], other[1]))


def _corner(vertex: list[float]) -> tuple[np.ndarray, float, float]:
    """Plan position (2,), base and top in metres of one vertex of a surface."""
    azimuth, base, top, *rest = vertex
    turn = math.radians(azimuth)
    distance = rest[0] if rest else EYE_HEIGHT / math.tan(math.radians(-base))
    low = EYE_HEIGHT + distance * math.tan(math.radians(base)) if rest else 0.0
    high = ENDLESS if top >= 90 else EYE_HEIGHT + distance * math.tan(math.radians(top))
    place = np.array([math.sin(turn), -math.cos(turn)], np.float32) * distance
    return place, low, high


def _nearest(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of the segment a b from 0."""
    along = b - a
    share = float(np.clip(-(a @ along) / max(along @ along, 1e-9), 0, 1))
    return float(np.linalg.norm(a + share * along))


def _meet(strip: Strip, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Distance at which rays (..., 3) meet a strip, inf where they do not."""
    along = strip.end - strip.start
    x, z = strip.start[0] - origin[0], strip.start[1] - origin[2]
    across = rays[..., 0] * along[1] - rays[..., 2] * along[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (x * along[1] - z * along[0]) / across
        share = (x * rays[..., 2] - z * rays[..., 0]) / across
        height = origin[1] + distance * rays[..., 1]
        base = strip.base[0] + share * (strip.base[1] - strip.base[0])
        top = strip.top[0] + share * (strip.top[1] - strip.top[0])
        met = (distance > 1e-3) & (share >= -1e-4) & (share <= 1 + 1e-4)
        met &= (height >= base - 1e-3) & (height <= top)
    return np.where(met, distance, np.inf).astype(np.float32)


@lru_cache(maxsize=1)
def layouts() -> dict[str, Layout]:
    """All layouts by the stem of their photograph."""
    entries = json.loads(asset("panoramas/layouts.json").read_text(encoding="utf-8"))
    return {name: Layout.of(entry) for name, entry in entries.items()}


def seen_from_camera(layout: Layout) -> np.ndarray:
    """Inverse distance (CENTRE_ROWS, CENTRE_COLUMNS) of what the photograph shows."""
    rays = directions(CENTRE_ROWS, CENTRE_COLUMNS)
    parts = np.split(rays, 8, axis=1)  # a column's neighbours must not lie behind
    eye = np.array([0.0, EYE_HEIGHT, 0.0])
    return 1 / np.concatenate([layout.cast(eye, part) for part in parts], 1)


@dataclass(frozen=True)
class Place:
    """A photograph with its layout and things stood in it; `mirrored` swaps left and right of
    all."""

    panorama: np.ndarray
    layout: Layout
    mirrored: bool
    things: tuple[Solid, ...] = ()
    sun: Sun = NO_SUN

    @cached_property
    def seen(self) -> np.ndarray:
        return seen_from_camera(self.layout)[..., None].astype(np.float32)

    def shows_ground(self, places: np.ndarray) -> np.ndarray:
        """Which of (x, z) (N, 2) lie on ground that the photograph shows, not behind a wall."""
        rays = np.stack([places[:, 0], np.full(len(places), -EYE_HEIGHT), places[:, 1]], -1)
        eye = np.array([0.0, EYE_HEIGHT, 0.0])
        met = [self.layout.cast(eye, ray[None, None])[0, 0] for ray in rays]
        return np.abs(np.array(met) - 1) < 1e-3

    def draw(self, pose: np.ndarray, fov_y: float) -> tuple[np.ndarray, np.ndarray]:
        """View (HEIGHT, WIDTH, 3) uint8 and its inverse distance (HEIGHT / 2, WIDTH / 2), NaN where
        the photograph does not show what is there."""
        eye, rays = self._rays(pose, fov_y, SUPERSAMPLING)
        distance = self.layout.cast(eye, rays)
        points, hidden = self._shown(eye, rays, distance)
        picture = look_up(self.panorama, points)
        if hidden.any():
            mask = cv2.dilate(hidden.astype(np.uint8), np.ones((3, 3), np.uint8))
            picture = cv2.inpaint(picture, mask, 4, cv2.INPAINT_TELEA)
        if self.things:
            picture = self._with_things(picture, eye, rays, distance)
        small = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        eye, rays = self._rays(pose, fov_y, 0.5)
        distance = self.layout.cast(eye, rays)
        _, hidden = self._shown(eye, rays, distance)
        hit = first_hit(self.things, eye, rays, distance)
        hidden &= hit.solid == SHELL
        return small, np.where(hidden, np.nan, 1 / hit.distance).astype(np.float16)

    def _rays(self, pose: np.ndarray, fov_y: float, scale: float):
        """Origin (3,) and rays (H, W, 3) of a view, `scale` rays a pixel, in the layout's axes."""
        flip = np.array([-1.0 if self.mirrored else 1.0, 1.0, 1.0])
        rays = pixel_rays(int(HEIGHT * scale), int(WIDTH * scale), fov_y)
        return pose[:3, 3] * flip, (rays @ pose[:3, :3].T) * flip

    def _shown(self, eye: np.ndarray, rays: np.ndarray, distance: np.ndarray):
        """What of the layout rays meet, as seen from the photograph's camera (H, W, 3), and whether
        it is hidden from there."""
        met = np.isfinite(distance)
        points = (
            eye - np.array([0.0, EYE_HEIGHT, 0.0]) + np.where(met, distance, 0)[..., None] * rays
        )
        points = np.where(met[..., None], points, rays)  # of what is infinitely far: the direction
        expected = np.where(met, 1 / np.linalg.norm(points, axis=-1), 0)
        hidden = look_up(self.seen, points) > SLACK * expected + 0.01
        return points, hidden

    def _with_things(self, picture, eye, rays, distance: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) uint8 of the layout with the things before it and their shadows."""
        picture = picture.astype(np.float32)
        at = eye + np.where(np.isfinite(distance), distance, 0)[..., None] * rays
        ground = np.isfinite(distance) & (at[..., 1] < 1e-2)
        picture[ground] *= light_on_ground(self.things, at[ground], self.sun)[:, None]
        hit = first_hit(self.things, eye, rays, distance)
        met = np.where(hit.solid == SHELL, 0, hit.distance)
        draw_solids(picture, self.things, hit, eye + met[..., None] * rays)
        return np.clip(picture, 0, 255).astype(np.uint8)


def place_clip(panorama: np.ndarray, name: str, seed: int) -> Clip:
    """A short walk about the camera's place of the photograph `name`, often after a look round,
    among things stood there.

    Args:
        panorama: its pixels (H, W, 3) uint8, as they are in the file but for their tint.
    """
    rng = np.random.default_rng([seed, 0x91AC])
    layout = layouts()[name]
    place = Place(panorama, layout, bool(rng.random() < 0.5))
    sun = random_sun(rng)
    things = random_things(rng, panorama, place.shows_ground, sun)
    place = replace(place, things=things, sun=sun)
    fov_y = math.radians(rng.uniform(45, 80))
    roam = float(np.clip(ROAM_SHARE * layout.room, *ROAM_METRES))

    def free_step(at, direction, metres):
        x, z = at[0] + direction[0] * metres, at[1] + direction[1] * metres
        own_x = -x if place.mirrored else x
        free = all(thing.gap(own_x, z) > ELBOW_ROOM for thing in things)
        return (x, z) if free and math.hypot(x, z) < roam else None

    start = (0.0, 0.0)  # always free
    for _ in range(8):
        somewhere = rng.uniform(-0.4, 0.4, 2) * roam
        start = free_step(start, somewhere, 1.0) or start
        if start != (0.0, 0.0):
            break
    yaw = rng.uniform(-math.pi, math.pi)
    stops = []
    if rng.random() < FROM_CENTRE:
        # As a panorama's own frames are: many directions, one place, no parallax among them.
        turns = yaw + rng.uniform(-0.9, 0.9, FRAMES // 2)
        stops = [Stop((0.0, 0.0), turn, rng.normal(0, 0.15)) for turn in turns]
    stops += stroll(rng, start, yaw, free_step, 0.25, FRAMES - len(stops))
    eye = EYE_HEIGHT + rng.uniform(-0.3, 0.3)
    poses = [pose_from_yaw_pitch((s.place[0], eye, s.place[1]), s.yaw, s.pitch) for s in stops]
    drawn = [place.draw(pose, fov_y) for pose in poses]
    images, inverse_depth = (np.stack(x) for x in zip(*drawn, strict=True))
    return Clip(images, inverse_depth, np.stack(poses), fov_y, "pano_place", seed)
