"""Footprints: where a walker has trodden (`Trail`), and how that looks in a picture. Pure.

Prints are gathered and stamped together (`painting.py`), a few metres at a time, as one stroke in
the picture of a frame that looks over that ground.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from .config import EYE_HEIGHT, WALK_SPEED
from .frame import Frame
from .geometry import invert_pose, look_at, tangents
from .marks import draw_soles, sole

STRIDE_M = 0.7
LANE_M = 0.11  # of each foot beside the middle
GATHERED = 8  # prints of one stroke
LEAST_AT_REST = 4
REST_S = 1.5
JUMP_M = 2.0
FRAME_EVERY_M = 0.6
FRAMES_KEPT = 18
BEST_SHARE = 0.6
NEAREST_M, FARTHEST_M = 0.8, 9.0
MUD = (34, 28, 24)
HIDDEN_NEARER, HIDDEN_MARGIN = 1.4, 0.03  # 1 / metre; as of a mark, but prints are on the ground


@dataclass(frozen=True)
class Print:
    """`ground`: (3,) where the middle of the foot is.  `heading`: yaw in radians of the walk."""

    ground: np.ndarray
    heading: float
    left: bool

    def outlines(self) -> list[np.ndarray]:
        """World points (N, 3) of the parts of its sole."""
        ahead = np.array([-math.sin(self.heading), 0.0, -math.cos(self.heading)])
        right = np.array([math.cos(self.heading), 0.0, -math.sin(self.heading)])
        return [self.ground + part[:, :1] * right + part[:, 1:] * ahead for part in sole(self.left)]


def prints_to_json(prints: Iterable[Print]) -> list[list[float]]:
    """[x, y, z, heading, left] each, for the world file."""
    rows = [(*p.ground.tolist(), p.heading, float(p.left)) for p in prints]
    return [[round(number, 3) for number in row] for row in rows]


def prints_from_json(rows) -> list[Print]:
    """What `prints_to_json` wrote; nothing of anything else."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        try:
            x, y, z, heading, left = map(float, row)
        except (TypeError, ValueError):
            continue
        if math.isfinite(x + y + z + heading):
            found.append(Print(np.array([x, y, z]), heading, left > 0.5))
    return found


class Trail:
    """Follows a walker and gathers prints and the pictures that may show their ground."""

    def __init__(self):
        self.prints: list[Print] = []
        self._frames: deque[Frame] = deque(maxlen=FRAMES_KEPT)
        self._last: np.ndarray | None = None
        self._left = True
        self._moved_at = 0.0

    def walked(self, frame: Frame, now: float) -> None:
        """The walker stands where `frame` was drawn, at `now` seconds."""
        position = frame.camera_to_world[:3, 3]
        if not self._frames or _apart(self._frames[-1], frame) > FRAME_EVERY_M:
            self._frames.append(frame)
        if self._last is None or np.linalg.norm(position - self._last) > JUMP_M:
            self._last = position.copy()
            return
        way = (position - self._last) * (1.0, 0.0, 1.0)
        length = float(np.linalg.norm(way))
        for _ in range(int(length / STRIDE_M)):
            self._moved_at = now
            ahead = way / length
            self._last = self._last + ahead * STRIDE_M
            self._last[1] = position[1]
            self._tread(ahead)

    def _tread(self, ahead: np.ndarray) -> None:
        right = np.array([-ahead[2], 0.0, ahead[0]])
        side = -LANE_M if self._left else LANE_M
        ground = self._last + right * side - (0.0, EYE_HEIGHT, 0.0)
        self.prints.append(Print(ground, math.atan2(-ahead[0], -ahead[2]), self._left))
        self._left = not self._left

    def due(self, now: float) -> bool:
        """Whether it is time to stamp: enough are gathered, or the walker rests."""
        resting = now - self._moved_at > REST_S
        return len(self.prints) >= GATHERED or (resting and len(self.prints) >= LEAST_AT_REST)

    def take(self) -> tuple[list[Print], Frame | None]:
        """The gathered prints, and the picture that shows most of them from where one sees well;
        None where none shows enough of them."""
        prints, self.prints = self.prints, []
        best, most = None, BEST_SHARE * len(prints)
        for frame in self._frames:
            shown = sum(_shows(frame, p) for p in prints)
            if shown >= most:
                best, most = frame, shown
        return prints, best


def pose_behind(prints: list[Print]) -> np.ndarray:
    """A pose (4, 4) a step beyond the newest print that looks back over them."""
    newest, middle = prints[-1], np.mean([p.ground for p in prints], axis=0)
    ahead = np.array([-math.sin(newest.heading), 0.0, -math.cos(newest.heading)])
    eye = newest.ground + ahead * WALK_SPEED + (0.0, EYE_HEIGHT, 0.0)
    return look_at(eye, middle)


def draw_prints(frame: Frame, prints: list[Print]) -> np.ndarray:
    """Mark (H, W, 4) uint8 of the prints that the frame shows."""
    size = frame.image.shape[:2]
    outlines = []
    for one in prints:
        if _shows(frame, one):
            outlines += [_pixels(frame, part) for part in one.outlines()]
    return draw_soles(size, outlines, MUD)


def unhidden(frame: Frame, mark: np.ndarray, prints: list[Print]) -> np.ndarray:
    """The mark (H, W, 4) without what stands in front of the ground where the prints are."""
    shown = [one.ground for one in prints if _shows(frame, one)]
    if not shown:
        return mark
    height, width = mark.shape[:2]
    local = _local(frame, np.array(shown))
    ahead, below = -local[:, 2], local[:, 1]
    # Where the ground is in each row of the picture, as the prints have it: 1 / distance is linear.
    rows = (1 - below / ahead / tangents(frame.fov_y_radians)[1]) * height / 2
    if np.ptp(rows) < 1:
        expected = np.full(height, (1 / ahead).mean())
    else:
        expected = np.polyval(np.polyfit(rows, 1 / ahead, 1), np.arange(height) + 0.5)
    near = cv2.resize(frame.inverse_depth, (width, height))
    hidden = near > expected[:, None] * HIDDEN_NEARER + HIDDEN_MARGIN
    return np.where(hidden[..., None], np.uint8(0), mark)


def _apart(a: Frame, b: Frame) -> float:
    return float(np.linalg.norm(a.camera_to_world[:3, 3] - b.camera_to_world[:3, 3]))


def _local(frame: Frame, points: np.ndarray) -> np.ndarray:
    to_camera = invert_pose(frame.camera_to_world)
    return points @ to_camera[:3, :3].T + to_camera[:3, 3]


def _shows(frame: Frame, one: Print) -> bool:
    local = _local(frame, one.ground[None])[0]
    tan_x, tan_y = tangents(frame.fov_y_radians)
    ahead = -local[2]
    inside = abs(local[0]) < ahead * tan_x * 0.95 and abs(local[1]) < ahead * tan_y * 0.95
    return bool(NEAREST_M < ahead < FARTHEST_M and inside)


def _pixels(frame: Frame, points: np.ndarray) -> np.ndarray:
    """Pixel positions (N, 2) of world points (N, 3) before the camera."""
    height, width = frame.image.shape[:2]
    local = _local(frame, points)
    tan_x, tan_y = tangents(frame.fov_y_radians)
    deep = np.maximum(-local[:, 2], 0.1)
    x = (local[:, 0] / deep / tan_x + 1) * width / 2
    return np.stack([x, (1 - local[:, 1] / deep / tan_y) * height / 2], -1)
