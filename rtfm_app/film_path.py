"""A smooth camera path through key poses (`FilmPath`). Pure numpy.

Positions follow a centripetal Catmull-Rom spline (Yuksel et al. 2011), which passes through every
key without loops or overshoot; rotations follow squad (Shoemake 1987), so neither jerks at a key.
Where every key is level the path is level all along: squad's own roll is taken out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .config import WALK_SPEED
from .geometry import check_pose, rotation_angle, rotation_from_yaw_pitch, yaw_pitch_of

TURN_SPEED = math.radians(60.0)
LEVEL_ROLL = math.radians(1.0)
STEEP = math.radians(80.0)
SAMPLES_A_LEG = 64
SHORTEST_S = 0.5
FOCUS_RANGE_M = (0.05, 10_000.0)


@dataclass(frozen=True)
class FilmKey:
    """A pose that the film passes through.

    Attributes:
        camera_to_world: (4, 4).
        focus_m: distance along the view that is sharp here, in metres; None = found by itself.
        thumbnail: how it looked there, a JPEG in base64, for people.
    """

    camera_to_world: np.ndarray
    focus_m: float | None = None
    name: str = ""
    thumbnail: str = ""

    def to_json(self) -> dict:
        return {
            "name": self.name,
            "camera_to_world": np.asarray(self.camera_to_world).tolist(),
            "focus_m": self.focus_m,
            "thumbnail": self.thumbnail,
        }


def keys_from_json(values, where: str = "the film") -> list[FilmKey]:
    """Key poses from a list of {"camera_to_world", "focus_m", "name"}; bookmarks are such too.

    Raises:
        ValueError: not such a list, or a pose that is none; `where` names it.
    """
    if not isinstance(values, list):
        raise ValueError(f"{where} has no list of key poses; see rtfm film --help")
    return [_key(value, f"{where}: key {number + 1}") for number, value in enumerate(values)]


def _key(value, where: str) -> FilmKey:
    try:
        pose = check_pose(value["camera_to_world"], tolerance=1e-2)
        focus = value.get("focus_m")
        focus = None if focus is None else float(focus)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{where} needs "camera_to_world", a 4x4 matrix') from error
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if focus is not None and not FOCUS_RANGE_M[0] <= focus <= FOCUS_RANGE_M[1]:
        raise ValueError(f"{where}: focus_m must be between 0.05 and 10000 metres, got {focus:g}")
    return FilmKey(pose, focus, str(value.get("name", "")), str(value.get("thumbnail", "")))


class FilmPath:
    """Poses along the keys, by share of the film's time (0 = first key, 1 = last).

    Args:
        keys: two or more.
        even: constant speed: each stretch takes as long as walking (1.5 m/s) and turning (60
            degrees a second) through it does; else each leg between two keys takes equally long.
    Raises:
        ValueError: fewer than two keys, or all at the same pose.
    """

    def __init__(self, keys: Sequence[FilmKey], even: bool = True):
        if len(keys) < 2:
            raise ValueError(f"a film needs two key poses or more, got {len(keys)}; add some")
        self.keys = tuple(keys)
        self.even = even
        poses = np.stack([np.asarray(key.camera_to_world, np.float64) for key in keys])
        self._positions = poses[:, :3, 3]
        self._quaternions = _aligned(np.stack([quaternion_of(p[:3, :3]) for p in poses]))
        self._controls = _squad_controls(self._quaternions)
        self._level = all(_is_level(pose) for pose in poses)
        self._legs = np.linspace(0.0, len(keys) - 1, (len(keys) - 1) * SAMPLES_A_LEG + 1)
        self._clock = self._walking_clock()
        if self._clock[-1] < 1e-6:
            raise ValueError("all key poses are the same; move between them")

    @property
    def natural_seconds(self) -> float:
        """How long walking along the path takes."""
        return max(float(self._clock[-1]), SHORTEST_S)

    @property
    def metres(self) -> float:
        points = np.stack([self._position(u) for u in self._legs])
        return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())

    def pose_at(self, share: float) -> np.ndarray:
        """camera_to_world (4, 4) after this share of the film (clipped to 0..1)."""
        u = self._leg_of(share)
        pose = np.eye(4)
        pose[:3, :3] = self._rotation(u)
        pose[:3, 3] = self._position(u)
        return pose

    def focus_at(self, share: float) -> float | None:
        """Metres to what is sharp, blended between keys as 1/distance; None = nowhere given."""
        given = [(i, 1.0 / k.focus_m) for i, k in enumerate(self.keys) if k.focus_m is not None]
        if not given:
            return None
        places, inverse = zip(*given, strict=True)
        return 1.0 / float(np.interp(self._leg_of(share), places, inverse))

    def key_shares(self) -> list[float]:
        """The share of the film's time at which each key is passed."""
        last = len(self.keys) - 1
        if not self.even:
            return [i / last for i in range(last + 1)]
        at_keys = self._clock[::SAMPLES_A_LEG]
        return (at_keys / self._clock[-1]).tolist()

    def points(self, count: int) -> np.ndarray:
        """Positions (count, 3) along the path, to draw it."""
        return np.stack([self._position(self._leg_of(s)) for s in np.linspace(0, 1, count)])

    def _leg_of(self, share: float) -> float:
        """Path parameter u in [0, keys - 1]; key i lies at u = i."""
        share = min(max(float(share), 0.0), 1.0)
        if not self.even:
            return share * (len(self.keys) - 1)
        return float(np.interp(share * self._clock[-1], self._clock, self._legs))

    def _walking_clock(self) -> np.ndarray:
        """Seconds (N,) at which a walker passes each of `_legs`."""
        points = np.stack([self._position(u) for u in self._legs])
        rotations = np.stack([self._rotation(u) for u in self._legs])
        metres = np.linalg.norm(np.diff(points, axis=0), axis=1)
        angles = rotation_angle(np.swapaxes(rotations[:-1], 1, 2) @ rotations[1:])
        seconds = np.hypot(metres / WALK_SPEED, angles / TURN_SPEED)
        return np.concatenate([[0.0], np.cumsum(seconds)])

    def _position(self, u: float) -> np.ndarray:
        i = min(int(u), len(self.keys) - 2)
        before, a, b, after = (self._point(j) for j in (i - 1, i, i + 1, i + 2))
        return _centripetal(before, a, b, after, u - i)

    def _point(self, index: int) -> np.ndarray:
        """Key positions; past the ends the first and last legs are mirrored."""
        points, last = self._positions, len(self._positions) - 1
        if index < 0:
            return 2 * points[0] - points[1]
        return 2 * points[last] - points[last - 1] if index > last else points[index]

    def _rotation(self, u: float) -> np.ndarray:
        i = min(int(u), len(self.keys) - 2)
        t = u - i
        along = slerp(self._quaternions[i], self._quaternions[i + 1], t)
        bent = slerp(self._controls[i], self._controls[i + 1], t)
        rotation = rotation_of(slerp(along, bent, 2 * t * (1 - t)))
        if self._level and abs(rotation[1, 2]) < math.sin(STEEP):
            pose = np.eye(4)
            pose[:3, :3] = rotation
            return rotation_from_yaw_pitch(*yaw_pitch_of(pose))
        return rotation


def _is_level(camera_to_world: np.ndarray) -> bool:
    """No roll to be seen, and not looking straight up or down, where roll means nothing."""
    right, forward = camera_to_world[:3, 0], camera_to_world[:3, 2]
    return abs(right[1]) < math.sin(LEVEL_ROLL) and abs(forward[1]) < math.sin(STEEP)


def _centripetal(before, a, b, after, t: float) -> np.ndarray:
    """Point (3,) at t in [0, 1] between a and b (Barry and Goldman's pyramid)."""
    knots = [0.0]
    for start, end in ((before, a), (a, b), (b, after)):
        knots.append(knots[-1] + max(math.sqrt(float(np.linalg.norm(end - start))), 1e-6))
    if knots[2] - knots[1] <= 2e-6:
        return a + (b - a) * t
    x = knots[1] + t * (knots[2] - knots[1])

    def blend(p, q, low: float, high: float):
        return p + (q - p) * ((x - low) / (high - low))

    first = blend(before, a, knots[0], knots[1])
    second = blend(a, b, knots[1], knots[2])
    third = blend(b, after, knots[2], knots[3])
    left = blend(first, second, knots[0], knots[2])
    right = blend(second, third, knots[1], knots[3])
    return blend(left, right, knots[1], knots[2])


# ---- quaternions (w, x, y, z) ----


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternion (4,) of a rotation (3, 3): the largest eigenvector of Bar-Itzhack's matrix
    (2000), exact at every angle."""
    (a, b, c), (d, e, f), (g, h, i) = rotation
    symmetric = np.array(
        [
            [a + e + i, h - f, c - g, d - b],
            [h - f, a - e - i, b + d, c + g],
            [c - g, b + d, e - a - i, f + h],
            [d - b, c + g, f + h, i - a - e],
        ]
    )
    return np.linalg.eigh(symmetric)[1][:, -1]


def rotation_of(quaternion: np.ndarray) -> np.ndarray:
    """Rotation (3, 3) of a unit quaternion (4,)."""
    w, x, y, z = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """From a to b at constant angular speed, the short way round."""
    cosine = float(a @ b)
    if cosine < 0:
        b, cosine = -b, -cosine
    if cosine > 1 - 1e-9:
        mixed = a + (b - a) * t
        return mixed / np.linalg.norm(mixed)
    angle = math.acos(cosine)
    return (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)


def _aligned(quaternions: np.ndarray) -> np.ndarray:
    """The same rotations with signs such that each is nearest to the one before."""
    aligned = quaternions.copy()
    for i in range(1, len(aligned)):
        if aligned[i] @ aligned[i - 1] < 0:
            aligned[i] = -aligned[i]
    return aligned


def _squad_controls(quaternions: np.ndarray) -> np.ndarray:
    """Squad's inner control rotations (N, 4); at the ends the key itself."""
    controls = quaternions.copy()
    for i in range(1, len(quaternions) - 1):
        here = _conjugate(quaternions[i])
        bend = _logarithm(_product(here, quaternions[i - 1]))
        bend = bend + _logarithm(_product(here, quaternions[i + 1]))
        controls[i] = _product(quaternions[i], _exponential(-bend / 4))
    return controls


def _conjugate(q: np.ndarray) -> np.ndarray:
    return q * (1.0, -1.0, -1.0, -1.0)


def _product(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    scalar = p[0] * q[0] - p[1:] @ q[1:]
    return np.concatenate([[scalar], p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:])])


def _logarithm(q: np.ndarray) -> np.ndarray:
    """Half the rotation vector (3,)."""
    length = float(np.linalg.norm(q[1:]))
    return np.zeros(3) if length < 1e-12 else q[1:] / length * math.atan2(length, q[0])


def _exponential(vector: np.ndarray) -> np.ndarray:
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.array([1.0, 0.0, 0.0, 0.0])
    return np.concatenate([[math.cos(angle)], vector / angle * math.sin(angle)])
