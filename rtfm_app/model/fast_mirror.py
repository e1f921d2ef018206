"""`mirror.read_mirrored`, and what `compose` makes of it, for one target on CPUs, in numpy."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import torch

from .cameras import Views
from .fast_kernels import Kernels
from .fast_picture import Level, Readable, read_pixels
from .frame_model import MOST_TINT, Cameras, Pages, nearest_memory
from .mirror import BORDER, GROUND_RADIANS, HORIZON, PLAIN_RADIANS, SOFT_RADIANS

PLAIN_SIZE = (9, 16)  # of what is almost a single colour
NOT_READ = Level(np.empty((0, 0, 4), np.uint8), (0.0, 0.0), (0.0, 0.0))
Box = tuple[slice, slice]


def resize(x: np.ndarray, size: tuple[int, int], how: int = cv2.INTER_LINEAR) -> np.ndarray:
    """To `size` (width, height)."""
    return cv2.resize(x, size, interpolation=how)


class Mirror:
    """`mirror.mirrored_reading` of memory frame `m`, in numpy."""

    def __init__(self, views: Views, cameras: Cameras, pages: Pages, m: int):
        self.tan_target = cameras.tangents[0].tolist()
        self.tan_memory = views.tan_memory[0, m].tolist()
        up = pages.up[0, m].tolist()
        self.pitch = np.arctan2(up[2], up[1])
        c, s = np.cos(self.pitch), np.sin(self.pitch)
        level = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        rotation = views.memory_from_target[0, m, :3, :3].double().numpy()
        self.level = level.astype(np.float32)
        self.rotation = (level @ rotation).astype(np.float32)

    def angles(self, height: int, width: int, box=(slice(None), slice(None))):
        """Folded azimuth, elevation above the picture's level, and half the picture's height there
        in radians, of the pixels in the box."""
        tan_x, tan_y = self.tan_target
        x = (((np.arange(width) * 2 + 1) / width - 1) * tan_x).astype(np.float32)[box[1]]
        y = ((1 - (np.arange(height) * 2 + 1) / height) * tan_y).astype(np.float32)[box[0]]
        turned = [row[0] * x - row[2] + (row[1] * y)[:, None] for row in self.rotation]
        azimuth = np.arctan2(turned[0], -turned[2])
        flat = np.sqrt(np.square(turned[0]) + np.square(turned[2]))
        relative = np.arctan2(turned[1], flat)
        relative += np.float32(self.pitch)
        limit = np.float32(np.arctan(self.tan_memory[0]) * BORDER)
        azimuth += limit
        azimuth -= np.floor(azimuth / (4 * limit)) * (4 * limit)
        azimuth -= 2 * limit
        np.abs(azimuth, out=azimuth)
        np.subtract(limit, azimuth, out=azimuth)
        half = np.cos(azimuth)
        half *= np.float32(self.tan_memory[1])
        np.arctan(half, out=half)
        half *= np.float32(BORDER)
        return azimuth, relative, half

    def numbers(self, level: Level, detail: float) -> torch.Tensor:
        """`Mirror` in kernels/picture.c, for reading `level`."""
        limit = np.arctan(self.tan_memory[0]) * BORDER
        base = np.add(level.half, level.offset)
        return torch.tensor(
            [*self.rotation.ravel().tolist(), self.pitch, self.level[1, 1], self.level[1, 2],
             *self.tan_target, *self.tan_memory, limit, BORDER, *level.half, *base, detail],
            dtype=torch.float32,
        )  # fmt: skip

    def direction(self, azimuth, elevation, half) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """To the right, upwards and ahead in level axes."""
        elevation = np.minimum(np.maximum(elevation, -half), half)
        elevation -= np.float32(self.pitch)
        flat = np.cos(elevation)
        return flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)

    def mirrored(self, azimuth, relative, half) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The direction that a direction reads."""
        folded = 2 * np.minimum(np.maximum(relative, -half), half) - relative
        direction = self.direction(azimuth, folded, half)
        below = relative < -half
        if not below.any():
            return direction
        lowest = half + np.float32(self.pitch)
        metres = 1 / np.tan(np.maximum(np.float32(self.pitch) - relative, np.float32(HORIZON)))
        ahead = 2 / np.tan(np.maximum(lowest, np.float32(HORIZON))) - metres
        ahead *= np.cos(azimuth)
        right = metres * np.sin(azimuth)
        near = 1 / np.sqrt(right * right + ahead * ahead + 1)
        share = np.clip(lowest * np.float32(1 / GROUND_RADIANS), 0, 1) * below
        ground = right * near, -near, ahead * near
        return tuple(a + (b - a) * share for a, b in zip(direction, ground, strict=True))

    def place(self, direction, level: Level):
        """Where a direction lies in the picture, in grid coordinates times `level.half`."""
        x, y, z = direction
        # Back from the level axes: the rotation is about x only.
        c, s = self.level[1, 1], self.level[1, 2]
        depth = c * z
        depth -= s * y
        np.maximum(depth, np.float32(0.05), out=depth)
        np.reciprocal(depth, out=depth)
        up = c * y
        up += s * z
        across = _within(x * depth * np.float32(1 / self.tan_memory[0]))
        down = _within(up * depth * np.float32(-1 / self.tan_memory[1]))
        return across * np.float32(level.half[0]), down * np.float32(level.half[1])


def _within(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -1, 1, out=x)


def mirrored_state(
    kernels: Kernels, pages: Pages, views: Views, cameras: Cameras, height: int, width: int
) -> torch.Tensor:
    """`frame_model._mirrored_state` (1, 3, height, width) of one target; `width` divides by 16."""
    m = int((nearest_memory(views) if pages.anchor is None else pages.anchor)[0])
    name = "images" if pages.unmarked is None else "unmarked"
    picture, plain = (pages.shrunk(name, size)[0, m] for size in ((height, width), PLAIN_SIZE))
    numbers = Mirror(views, cameras, pages, m).numbers(NOT_READ, 1.0)
    state = torch.empty(1, 3, height, width)
    kernels(
        "mirrored_state", numbers, height, width, picture, *PLAIN_SIZE, plain, height, width, state
    )
    return state


class Reading:
    """`mirror.read_mirrored` of one picture, (h, w, 4) float32 in 0..255. What lies above the
    picture is smooth: a quarter of the resolution shows all of it.

    Attributes:
        coarse: the reading at a quarter of the resolution.
        soft, soften: what lies above the picture and its share, at a quarter of the resolution;
            None where nothing does.
    """

    def __init__(self, picture: Readable, mirror: Mirror, size: tuple[int, int]):
        self.picture, self.mirror, self.size = picture, mirror, size
        azimuth, relative, half = mirror.angles(size[1] // 4, size[0] // 4)
        above = np.maximum(relative - half, 0)
        self.soft = self.soften = None
        self.coarse = self._sharp(picture.small, azimuth, relative, half)
        if above.any():
            broad = picture.plain
            capped = mirror.direction(azimuth, np.minimum(relative, half), half)
            soft = read_pixels(broad, *mirror.place(capped, broad))
            plain = _ease(above / PLAIN_RADIANS)[..., None]
            soft += (broad.pixels[:1].mean((0, 1)) - soft) * plain
            soften = _ease(above / SOFT_RADIANS)
            self.coarse = cv2.blendLinear(self.coarse, soft, 1 - soften, soften)
            self.soft, self.soften = soft, soften

    @cached_property
    def _enlarged(self) -> tuple[np.ndarray, np.ndarray]:
        """`soft` and `soften` at full size."""
        return resize(self.soft, self.size), resize(self.soften, self.size)

    def _sharp(self, level: Level, azimuth, relative, half) -> np.ndarray:
        place = self.mirror.place(self.mirror.mirrored(azimuth, relative, half), level)
        return read_pixels(level, *place).astype(np.float32)

    def at(self, level: Level, box) -> np.ndarray:
        """The reading of the box, from the picture's `level`."""
        width, height = self.size
        sharp = self._sharp(level, *self.mirror.angles(height, width, box))
        if self.soft is None:
            return sharp
        soft, soften = (one[box] for one in self._enlarged)
        if not soften.any():
            return sharp
        return cv2.blendLinear(sharp, soft, 1 - soften, soften)


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


class Imagined:
    """The mirrored reading moved towards the generated state, in 0..255; see `compose`."""

    def __init__(
        self, state: torch.Tensor, picture: Readable, level: Level, mirror: Mirror,
        size: tuple[int, int], imagination: float,
    ):  # fmt: skip
        self.reading, self.level, self.size = Reading(picture, mirror, size), level, size
        small = state.shape[-1], state.shape[-2]
        reading_state = resize(self.reading.coarse, small, cv2.INTER_AREA)
        wanted = np.zeros_like(reading_state)
        wanted[..., :3] = (state[0].permute(1, 2, 0).numpy() + 1) * 127.5
        change = wanted - reading_state
        broad = resize(change, (small[0] // 4, small[1] // 4), cv2.INTER_AREA)
        broad = resize(broad, small, cv2.INTER_CUBIC)
        most = MOST_TINT * 127.5
        broad = np.clip(broad, -most, most) * (0.25 + 0.75 * imagination)
        change = broad + imagination * (change - broad)
        self.detail = 1.0 - 0.5 * imagination
        added = change + (1 - self.detail) * reading_state
        self.added = added.astype(np.float32)

    @cached_property
    def _enlarged(self) -> np.ndarray:
        return resize(self.added, self.size)

    def at(self, box: Box) -> np.ndarray:
        return cv2.addWeighted(
            self.reading.at(self.level, box), self.detail, self._enlarged[box], 1.0, 0.0
        )

    def arguments(self) -> tuple:
        """`Imagined` in kernels/picture.c."""
        reading, pixels = self.reading, self.level.pixels
        soft = soften = None
        soft_size = (0, 0)
        if reading.soft is not None:
            soft, soften = (torch.from_numpy(x) for x in (reading.soft, reading.soften))
            soft_size = soften.shape
        return (
            reading.mirror.numbers(self.level, self.detail), *pixels.shape[:2],
            torch.from_numpy(pixels), *soft_size, soften, soft, *self.added.shape[:2],
            torch.from_numpy(self.added),
        )  # fmt: skip


NOTHING_IMAGINED = (None, 0, 0, None, 0, 0, None, None, 0, 0, None)
