"""`frame_model.compose` for CPUs: the same picture in a tenth of the time.

Pictures are read with OpenCV's bilinear `remap`, which handles four bytes a pixel ten times faster
than any bicubic reading. So that nothing is lost, a picture is readied once (`Readable`): drawn at
its own scale it is interpolated to twice its resolution with the bicubic kernel beforehand, drawn
smaller it is low-passed against aliasing. A memory frame is read only inside the box where it
counts. `draw` chooses between this path and the plain one, which is the twin of the parity test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from .cameras import Views
from .frame_model import MOST_TINT, Cameras, Pages, Prediction, compose, nearest_memory
from .matching import RHO_RATE, RHO_SCALE
from .mirror import BORDER, PLAIN_RADIANS, SOFT_RADIANS

SMALL_SIZE = (256, 144)
LEAST_SHARE = 1 / 255  # less of a frame than this cannot be seen
SHRINK_FROM = 1.5  # stored pixels per drawn pixel from which a picture is low-passed
# torch's bicubic kernel (a = -0.75) half way between two pixels.
HALF_WAY = np.array([-0.09375, 0.59375, 0.59375, -0.09375], np.float32)


@dataclass(frozen=True)
class Drawn:
    """A finished picture.

    Attributes:
        image: (height, width, 3) uint8.
        gate: (height, width) float32, the share of each pixel that was remembered.
        weights: (M,) share of the whole picture that was read from each memory frame.
    """

    image: np.ndarray
    gate: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Level:
    """Pixels (h, w, 4) uint8 for bilinear reading: grid coordinate g in [-1, 1] of the picture is
    at pixel (g + 1) * half + offset; both (x, y)."""

    pixels: np.ndarray
    half: tuple[float, float]
    offset: tuple[float, float]


class Readable:
    """A stored picture (H', W', 3) uint8 and what it is read from, made when first needed."""

    def __init__(self, pixels: np.ndarray):
        self.pixels = np.ascontiguousarray(pixels)
        self._levels: dict[bool, Level] = {}
        self._tensor: torch.Tensor | None = None

    def tensor(self, device: torch.device) -> torch.Tensor:
        """(1, 3, H', W') in [-1, 1], what the plain path reads; kept where copying is dear."""
        if self._tensor is not None and self._tensor.device == device:
            return self._tensor
        pixels = torch.from_numpy(self.pixels).to(device).permute(2, 0, 1)[None]
        made = pixels.float() / 127.5 - 1
        if device.type != "cpu":
            self._tensor = made
        return made

    def level(self, scale: float) -> Level:
        """For `scale` stored pixels per drawn pixel."""
        shrink = scale >= SHRINK_FROM
        if shrink not in self._levels:
            self._levels[shrink] = _low_passed(self.pixels) if shrink else _doubled(self.pixels)
        return self._levels[shrink]

    @cached_property
    def small(self) -> Level:
        """What the broad colours of a mirrored reading are taken from."""
        small = cv2.resize(self.pixels, SMALL_SIZE, interpolation=cv2.INTER_AREA)
        return _level(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA))

    @cached_property
    def plain(self) -> Level:
        """Almost a single colour, (9, 16, 4) float32."""
        small = cv2.resize(self.pixels, (16, 9), interpolation=cv2.INTER_AREA)
        return _level(cv2.cvtColor(small, cv2.COLOR_RGB2RGBA).astype(np.float32))


def _level(pixels: np.ndarray) -> Level:
    height, width = pixels.shape[:2]
    return Level(pixels, (width / 2, height / 2), (-0.5, -0.5))


def _doubled(pixels: np.ndarray) -> Level:
    """Twice the resolution: the pixels themselves, and the bicubic values half way between."""
    height, width = pixels.shape[:2]
    full = np.empty((2 * height, 2 * width, 4), np.uint8)
    fine = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA).astype(np.float32)
    one = np.ones(1, np.float32)

    def between(image, across, down):
        # The anchor puts the value between a pixel and the one after it at that pixel.
        anchor = (1 if len(across) > 1 else 0, 1 if len(down) > 1 else 0)
        return cv2.sepFilter2D(
            image, cv2.CV_32F, across, down, anchor=anchor, borderType=cv2.BORDER_REPLICATE
        )

    right = between(fine, HALF_WAY, one)
    for row, column, values in (
        (0, 0, fine), (0, 1, right), (1, 0, between(fine, one, HALF_WAY)),
        (1, 1, between(right, one, HALF_WAY)),
    ):  # fmt: skip
        full[row::2, column::2] = cv2.add(values, (0, 0, 0, 0), dtype=cv2.CV_8U)
    return Level(full, (float(width), float(height)), (-1.0, -1.0))


def _low_passed(pixels: np.ndarray) -> Level:
    """The same resolution without what half of it cannot show."""
    kernel = np.array([0.25, 0.5, 0.25], np.float32)
    soft = cv2.sepFilter2D(pixels, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return _level(cv2.cvtColor(soft, cv2.COLOR_RGB2RGBA))


def draw(
    prediction: Prediction,
    pages: Pages | None,
    views: Views | None,
    cameras: Cameras,
    pictures: Sequence[Readable],
    height: int,
    width: int,
    imagination: float,
) -> Drawn:
    """The picture of one target, on the CPU by `compose_quickly`, elsewhere by `compose`."""
    if prediction.pointer is not None and prediction.state.device.type == "cpu":
        return compose_quickly(
            prediction, pages, views, cameras, pictures, height, width, imagination
        )
    images = [picture.tensor(prediction.state.device) for picture in pictures]
    picture, gate, share = compose(
        prediction, pages, views, cameras, images, height, width, imagination
    )
    image = ((picture[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    weights = np.zeros(len(pictures), np.float32)
    if share is not None:
        weights = (share * gate).mean((0, 2, 3)).cpu().numpy()
    return Drawn(
        image.permute(1, 2, 0).contiguous().cpu().numpy(), gate[0, 0].cpu().numpy(), weights
    )


def compose_quickly(
    prediction: Prediction,
    pages: Pages,
    views: Views,
    cameras: Cameras,
    pictures: Sequence[Readable],
    height: int,
    width: int,
    imagination: float,
) -> Drawn:
    """`compose` of one target; arguments as there."""
    pointer = prediction.pointer
    size = (width, height)
    u = _resize(pointer.u[0, 0].numpy(), size)
    rho = np.exp(u * RHO_RATE)
    rho -= 1
    rho *= RHO_SCALE
    share = _softmax([_resize(w, size) for w in pointer.view_logits[0].numpy()])
    gate = _resize(pointer.gate[0, 0].numpy(), size) * 1.06 - 0.03
    np.clip(gate, 0, 1, out=gate)
    share *= gate
    weights = share.mean((1, 2))
    read = np.zeros((height, width, 4), np.float32)
    total = np.zeros((height, width), np.float32)
    for m, picture in enumerate(pictures):
        box = _box_where(share[m])
        if box is not None:
            scale = _stored_per_drawn(picture, views, m, width)
            colour = _read(picture.level(scale), views, m, rho, box)
            read[box] = cv2.blendLinear(read[box], colour, total[box], share[m][box])
            total[box] += share[m][box]
    box = _box_where(1 - gate)
    if box is not None:
        anchor = nearest_memory(views) if pages.anchor is None else pages.anchor
        m = int(anchor[0])
        scale = _stored_per_drawn(pictures[m], views, m, width)
        mirror = _Mirror(views, cameras, pages, m)
        imagined = _imagined(prediction.state, pictures[m], scale, mirror, size, imagination, box)
        read[box] = cv2.blendLinear(read[box], imagined, gate[box], 1 - gate[box])
    image = cv2.add(read, (0, 0, 0, 0), dtype=cv2.CV_8U)
    return Drawn(cv2.cvtColor(image, cv2.COLOR_RGBA2RGB), gate, weights)


def _resize(x: np.ndarray, size: tuple[int, int], how: int = cv2.INTER_LINEAR) -> np.ndarray:
    return cv2.resize(x, size, interpolation=how)


def _softmax(logits: list[np.ndarray]) -> np.ndarray:
    """(M, height, width) of M maps, which are overwritten."""
    highest = logits[0].copy()
    for one in logits[1:]:
        np.maximum(highest, one, out=highest)
    share = np.empty((len(logits), *highest.shape), np.float32)
    for one, result in zip(logits, share, strict=True):
        np.subtract(one, highest, out=one)
        np.exp(one, out=result)
    total = np.reciprocal(share.sum(0))
    for result in share:
        result *= total
    return share


def _box_where(share: np.ndarray) -> tuple[slice, slice] | None:
    """The smallest box that holds every pixel with a visible share."""
    seen = share >= LEAST_SHARE
    rows = np.flatnonzero(seen.any(1))
    if not len(rows):
        return None
    columns = np.flatnonzero(seen.any(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _stored_per_drawn(picture: Readable, views: Views, m: int, width: int) -> float:
    """How many stored pixels one drawn pixel is wide, at equal distance."""
    tangents = float(views.tan_target[0, 0] / views.tan_memory[0, m, 0])
    return picture.pixels.shape[1] / width * tangents


def _read(level: Level, views: Views, m: int, rho: np.ndarray, box) -> np.ndarray:
    """What memory frame `m` shows in the box (h, w, 4), float32: `pointer.full_grid` with the
    picture's pixel coordinates folded into its matrix."""
    height, width = rho.shape
    scale = np.array([*(1 / views.tan_memory[0, m].numpy()), 1.0], np.float32)
    transform = views.memory_from_target[0, m].numpy()
    rotation, step = transform[:3, :3] * scale[:, None], transform[:3, 3] * scale
    tan_x, tan_y = views.tan_target[0].tolist()
    x = (((np.arange(width) * 2 + 1) / width - 1) * tan_x).astype(np.float32)[box[1]]
    y = ((1 - (np.arange(height) * 2 + 1) / height) * tan_y).astype(np.float32)[box[0]]
    rho = rho[box]

    def coordinate(row: int, times: float) -> np.ndarray:
        plane = rho * np.float32(step[row] * times)
        plane += (rotation[row, 0] * x - rotation[row, 2]) * np.float32(times)
        plane += (rotation[row, 1] * y * np.float32(times))[:, None]
        return plane

    depth = coordinate(2, -1.0)
    np.maximum(depth, np.float32(0.02), out=depth)
    np.reciprocal(depth, out=depth)
    across, down = coordinate(0, level.half[0]), coordinate(1, -level.half[1])
    return _remap(level, np.multiply(across, depth, out=across),
                  np.multiply(down, depth, out=down)).astype(np.float32)  # fmt: skip


def _remap(level: Level, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Bilinear reading at grid coordinates that are already multiplied by `level.half`."""
    x += np.float32(level.half[0] + level.offset[0])
    y += np.float32(level.half[1] + level.offset[1])
    return cv2.remap(level.pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


class _Mirror:
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

    def place(self, azimuth, elevation, half, level: Level):
        """Where a direction lies in the picture, in grid coordinates times `level.half`."""
        elevation = np.minimum(np.maximum(elevation, -half), half)
        elevation -= np.float32(self.pitch)
        flat = np.cos(elevation)
        y = np.sin(elevation)
        x, z = flat * np.sin(azimuth), flat * np.cos(azimuth)
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


class _Reading:
    """`mirror.read_mirrored` of one picture, (h, w, 4) float32 in 0..255. What lies above the
    picture is smooth: a quarter of the resolution shows all of it."""

    def __init__(self, picture: Readable, mirror: _Mirror, size: tuple[int, int]):
        self.picture, self.mirror, self.size = picture, mirror, size
        azimuth, relative, half = mirror.angles(size[1] // 4, size[0] // 4)
        self.soften = np.maximum(relative - half, 0)
        self.soft = None
        self.coarse = self._sharp(picture.small, azimuth, relative, half)
        if self.soften.any():
            broad = picture.plain
            soft = _remap(broad, *mirror.place(azimuth, np.minimum(relative, half), half, broad))
            plain = _ease(self.soften / PLAIN_RADIANS)[..., None]
            soft += (broad.pixels[:1].mean((0, 1)) - soft) * plain
            self.soft, self.soften = soft, _ease(self.soften / SOFT_RADIANS)
            self.coarse = cv2.blendLinear(self.coarse, soft, 1 - self.soften, self.soften)

    def _sharp(self, level: Level, azimuth, relative, half) -> np.ndarray:
        folded = 2 * np.minimum(np.maximum(relative, -half), half) - relative
        place = self.mirror.place(azimuth, folded, half, level)
        return _remap(level, *place).astype(np.float32)

    def at(self, level: Level, box) -> np.ndarray:
        """The reading of the box, from the picture's `level`."""
        width, height = self.size
        sharp = self._sharp(level, *self.mirror.angles(height, width, box))
        if self.soft is None:
            return sharp
        soften = _resize(self.soften, self.size)[box]
        return cv2.blendLinear(sharp, _resize(self.soft, self.size)[box], 1 - soften, soften)


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _imagined(
    state: torch.Tensor,
    picture: Readable,
    scale: float,
    mirror: _Mirror,
    size: tuple[int, int],
    imagination: float,
    box: tuple[slice, slice],
) -> np.ndarray:
    """The mirrored reading moved towards the generated state, (h, w, 4) in 0..255 of the box; see
    `compose`."""
    reading = _Reading(picture, mirror, size)
    small = state.shape[-1], state.shape[-2]
    reading_state = _resize(reading.coarse, small, cv2.INTER_AREA)
    wanted = np.zeros_like(reading_state)
    wanted[..., :3] = (state[0].permute(1, 2, 0).numpy() + 1) * 127.5
    change = wanted - reading_state
    broad = _resize(change, (small[0] // 4, small[1] // 4), cv2.INTER_AREA)
    broad = _resize(broad, small, cv2.INTER_CUBIC)
    most = MOST_TINT * 127.5
    broad = np.clip(broad, -most, most) * (0.25 + 0.75 * imagination)
    change = broad + imagination * (change - broad)
    detail = 1.0 - 0.5 * imagination
    added = _resize((change + (1 - detail) * reading_state).astype(np.float32), size)[box]
    return cv2.addWeighted(reading.at(picture.level(scale), box), detail, added, 1.0, 0.0)
