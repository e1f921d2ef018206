"""Doom levels as plain geometry: reading a WAD, exact distances by ray casting, room to stand.

Level units here are the WAD's own (1 unit = 1/32 m along the ground, see `doom.py`). Nothing here
needs the game engine.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PLAYER_START = 1
SCROLLING_WALL = 48
SKY = b"F_SKY1"
NO_SECTOR = -1
# What the engine lets a player do, in units: half its width, its height, the highest step.
PLAYER_RADIUS, PLAYER_HEIGHT, STEP_HEIGHT = 20, 56, 24

THING = np.dtype([("x", "<i2"), ("y", "<i2"), ("angle", "<i2"), ("type", "<i2"), ("flags", "<i2")])
LINE = np.dtype(
    [(name, "<u2") for name in ("start", "end", "flags", "special", "tag", "front", "back")]
)
SIDE = np.dtype(
    [
        ("x", "<i2"),
        ("y", "<i2"),
        ("upper", "S8"),
        ("lower", "S8"),
        ("middle", "S8"),
        ("sector", "<u2"),
    ]
)
SECTOR = np.dtype(
    [
        ("floor", "<i2"),
        ("ceiling", "<i2"),
        ("floor_flat", "S8"),
        ("ceiling_flat", "S8"),
        ("light", "<i2"),
        ("special", "<i2"),
        ("tag", "<i2"),
    ]
)
VERTEX = np.dtype([("x", "<i2"), ("y", "<i2")])


class Wad:
    """A WAD file in memory; its level lumps can be read and changed in place."""

    def __init__(self, path: Path):
        self.data = bytearray(Path(path).read_bytes())
        magic, count, offset = struct.unpack_from("<4sii", self.data)
        if magic not in (b"IWAD", b"PWAD"):
            raise ValueError(f"{path} is not a WAD file; give a Doom or Freedoom game file")
        entries = [struct.unpack_from("<ii8s", self.data, offset + 16 * i) for i in range(count)]
        names = [name.rstrip(b"\0").decode("ascii", "replace") for _, _, name in entries]
        self._levels: dict[str, dict[str, tuple[int, int]]] = {}
        for index, name in enumerate(names):
            if re.fullmatch(r"MAP\d\d|E\dM\d", name):
                lumps = zip(
                    names[index + 1 : index + 11], entries[index + 1 : index + 11], strict=True
                )
                self._levels[name] = {lump: entry[:2] for lump, entry in lumps}

    @property
    def levels(self) -> list[str]:
        """Names of the levels, in the order of the file."""
        return list(self._levels)

    def table(self, level: str, lump: str, dtype: np.dtype) -> np.ndarray:
        """A lump of a level as a structured array that writes through to `data`."""
        position, size = self._levels[level][lump]
        count = size // dtype.itemsize
        return np.frombuffer(memoryview(self.data), dtype, count, position)

    def make_still(self) -> None:
        """Leave bare, steadily and brightly lit levels: no things, no flicker, no moving walls.

        Sprites turn with the viewer and dark sectors darken with distance; neither looks the same
        from two places. Lights keep a third of their contrast.
        """
        for level in self.levels:
            things = self.table(level, "THINGS", THING)
            things["flags"][things["type"] != PLAYER_START] = 0
            lines = self.table(level, "LINEDEFS", LINE)
            lines["special"][lines["special"] == SCROLLING_WALL] = 0
            sectors = self.table(level, "SECTORS", SECTOR)
            sectors["special"] = 0
            sectors["light"] = 170 + np.clip(sectors["light"], 0, 255) // 3


@dataclass(frozen=True)
class Level:
    """Lines and sectors of one level, L lines and S sectors, in units.

    Attributes:
        start, delta: (L, 2) float32, first end of each line and the way to its other end.
        right, left: (L,) sector on each side, NO_SECTOR where there is none. Right is the side on
            the right hand going along `delta`.
        grating: (L,) bool, something may hang in the opening (a see-through texture).
        floor, ceiling: (S,) float32.
        open_sky: (S,) bool, the ceiling is the sky.
    """

    start: np.ndarray
    delta: np.ndarray
    right: np.ndarray
    left: np.ndarray
    grating: np.ndarray
    floor: np.ndarray
    ceiling: np.ndarray
    open_sky: np.ndarray

    @classmethod
    def read(cls, wad: Wad, name: str) -> Level:
        vertices = wad.table(name, "VERTEXES", VERTEX)
        lines = wad.table(name, "LINEDEFS", LINE)
        sides = wad.table(name, "SIDEDEFS", SIDE)
        sectors = wad.table(name, "SECTORS", SECTOR)
        points = np.stack([vertices["x"], vertices["y"]], -1).astype(np.float32)
        start = points[lines["start"]]
        front, back = lines["front"].astype(int), lines["back"].astype(int)
        two_sided = back != 0xFFFF
        back = np.where(two_sided, back, front)
        middle = (sides["middle"][front] != b"-") | (sides["middle"][back] != b"-")
        return cls(
            start=start,
            delta=points[lines["end"]] - start,
            right=sides["sector"][front].astype(int),
            left=np.where(two_sided, sides["sector"][back].astype(int), NO_SECTOR),
            grating=two_sided & middle,
            floor=sectors["floor"].astype(np.float32),
            ceiling=sectors["ceiling"].astype(np.float32),
            open_sky=sectors["ceiling_flat"] == SKY,
        )

    def crossings(self, position, directions: np.ndarray) -> np.ndarray:
        """Distance (D, L) along each direction (D, 2) to each line, inf where it is missed.

        In lengths of the direction vectors.
        """
        to_start = self.start - np.asarray(position, np.float32)
        across = directions[:, :1] * self.delta[:, 1] - directions[:, 1:] * self.delta[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            distance = (
                to_start[:, 0] * self.delta[:, 1] - to_start[:, 1] * self.delta[:, 0]
            ) / across
            along = to_start[:, 0] * directions[:, 1:] - to_start[:, 1] * directions[:, :1]
            along /= across
        hit = (distance > 1e-3) & (along >= 0) & (along <= 1)
        return np.where(hit, distance, np.inf)

    def sides_from(self, position) -> tuple[np.ndarray, np.ndarray]:
        """(near, far) sectors (L,) of each line, near being on the side of `position`."""
        offset = np.asarray(position, np.float32) - self.start
        on_right = self.delta[:, 0] * offset[:, 1] - self.delta[:, 1] * offset[:, 0] < 0
        near = np.where(on_right, self.right, self.left)
        return near, np.where(on_right, self.left, self.right)

    def sector_at(self, position) -> int:
        """Sector that holds the point (2,), NO_SECTOR outside the level."""
        # An odd direction, so that it does not pass through vertices.
        distance = self.crossings(position, np.array([[0.8137, 0.5813]], np.float32))[0]
        nearest = int(np.argmin(distance))
        if not np.isfinite(distance[nearest]):
            return NO_SECTOR
        return int(self.sides_from(position)[0][nearest])

    def can_stand(self, position) -> bool:
        """Whether a player fits at the point (2,) without touching a wall."""
        sector = self.sector_at(position)
        if sector == NO_SECTOR or self.ceiling[sector] - self.floor[sector] < PLAYER_HEIGHT:
            return False
        offset = np.asarray(position, np.float32) - self.start
        length = np.maximum((self.delta**2).sum(-1), 1e-6)
        along = np.clip((offset * self.delta).sum(-1) / length, 0, 1)
        near = ((offset - along[:, None] * self.delta) ** 2).sum(-1) < PLAYER_RADIUS**2
        right, left = self.right[near], self.left[near]
        if (left == NO_SECTOR).any():
            return False
        bottom = np.maximum(self.floor[right], self.floor[left])
        top = np.minimum(self.ceiling[right], self.ceiling[left])
        low = bottom > self.floor[sector] + STEP_HEIGHT
        return not (low | (top - bottom < PLAYER_HEIGHT)).any()


def cast(level: Level, position, eye: float, directions: np.ndarray, slopes: np.ndarray):
    """Distance (R, D) seen along rays, in lengths of `directions`; inf = sky, NaN = unsure.

    Args:
        position: (2,) of the eye on the ground; eye: its height.
        directions: (D, 2) ground directions, one a picture column.
        slopes: (R,) rise per length of a direction, one a picture row.
    """
    crossings = level.crossings(position, directions)
    order = np.argsort(crossings, axis=1)
    near_of, far_of = level.sides_from(position)
    distance = np.full((len(slopes), len(directions)), np.nan, np.float32)
    going = np.ones(distance.shape, bool)
    slope = slopes[:, None].astype(np.float32)
    for line in order.T:
        reach = np.take_along_axis(crossings, line[:, None], 1)[:, 0]
        near, far = near_of[line], far_of[line]
        going &= np.isfinite(reach) & (near != NO_SECTOR)
        if not going.any():
            break
        height = eye + slope * np.where(np.isfinite(reach), reach, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            to_floor = (level.floor[near] - eye) / slope
            to_ceiling = np.where(level.open_sky[near], np.inf, (level.ceiling[near] - eye) / slope)
        _finish(distance, going, height < level.floor[near], to_floor)
        _finish(distance, going, height > level.ceiling[near], to_ceiling)
        solid = far == NO_SECTOR
        sky_wall = ~solid & level.open_sky[near] & level.open_sky[far]
        wall = solid | (height < level.floor[far])
        _finish(distance, going, wall, np.broadcast_to(reach, height.shape))
        above = ~solid & (height > level.ceiling[far])
        _finish(distance, going, above, np.where(sky_wall, np.inf, reach) + 0 * height)
        going &= ~level.grating[line]
    return distance


def _finish(distance, going, where, value) -> None:
    """Rays that end here get their distance and go no further."""
    where = where & going
    distance[where] = value[where]
    going[where] = False
