"""`frame_model.compose` for one target on CPUs: the same picture in a quarter of the time.

The picture is made in strips of rows, so that what is computed for a strip stays in the core's
cache, and in each strip a memory frame is read only inside the box where it counts. `draw` chooses
between this path and the plain one, which is the twin of the parity test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from ..device import HostCopy
from .cameras import RHO_RATE, RHO_SCALE, Views
from .fast import best_precision
from .fast_kernels import MOST_FRAMES, Kernels, kernels
from .fast_mirror import NOTHING_IMAGINED, Imagined, Mirror, resize
from .fast_picture import Level, Readable, read_pixels
from .frame_model import Cameras, Pages, Prediction, compose, nearest_memory
from .pointer import Pointer

LEAST_SHARE = 1 / 255  # less of a frame than this cannot be seen
STRIP_ROWS = 48  # what a strip needs fits into a core's own cache


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


def remembered(prediction: Prediction, height: int, width: int) -> np.ndarray:
    """`Drawn.gate`, known before anything is drawn."""
    pointer = prediction.pointer
    if pointer is None:
        return np.zeros((height, width), np.float32)
    if pointer.gate_logit.device.type != "cpu":
        gate = F.interpolate(pointer.gate, size=(height, width), mode="bilinear")[0, 0]
        return (gate * 1.06 - 0.03).clamp(0, 1).float().cpu().numpy()
    gate = resize(pointer.gate[0, 0].numpy(), (width, height))
    gate *= 1.06
    gate -= 0.03
    return np.clip(gate, 0, 1, out=gate)


def draw(
    prediction: Prediction,
    pages: Pages | None,
    views: Views | None,
    cameras: Cameras,
    pictures: Sequence[Readable],
    height: int,
    width: int,
    imagination: float,
    gate: np.ndarray | None = None,
) -> Drawn:
    """The picture of one target, on the CPU by `compose_quickly`, elsewhere by `compose`; `gate`
    is `remembered` where that is known already."""
    if prediction.pointer is not None and prediction.state.device.type == "cpu":
        return compose_quickly(
            prediction, pages, views, cameras, pictures, height, width, imagination,
            kernels(best_precision(prediction.state.device)), gate,
        )  # fmt: skip
    images = [picture.tensor(prediction.state.device) for picture in pictures]
    unmarked = [picture.unmarked.tensor(prediction.state.device) for picture in pictures]
    picture, gate, share = compose(
        prediction, pages, views, cameras, images, height, width, imagination, unmarked
    )
    image = ((picture[0].clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    image, seen = HostCopy(image.permute(1, 2, 0).contiguous()), HostCopy(gate[0, 0])
    weights = np.zeros(len(pictures), np.float32)
    if share is not None:
        weights = (share * gate).mean((0, 2, 3)).cpu().numpy()
    return Drawn(image.result(), seen.result(), weights)


def compose_quickly(
    prediction: Prediction,
    pages: Pages,
    views: Views,
    cameras: Cameras,
    pictures: Sequence[Readable],
    height: int,
    width: int,
    imagination: float,
    compiled: Kernels | None = None,
    gate: np.ndarray | None = None,
) -> Drawn:
    """`compose` of one target; arguments as there and of `draw`. Without `compiled` kernels, numpy
    and OpenCV do the same in three times the time."""
    pointer, size = prediction.pointer, (width, height)
    gate = remembered(prediction, height, width) if gate is None else gate

    def level(picture: Readable, m: int) -> Level:
        return picture.level(_stored_per_drawn(picture, views, m, width), compiled)

    sight_of = cache(lambda m: _Sight(views, m, level(pictures[m], m), size))
    imagined = None
    if float(gate.min()) < 1 - LEAST_SHARE:
        anchor = nearest_memory(views) if pages.anchor is None else pages.anchor
        m = int(anchor[0])
        mirror = Mirror(views, cameras, pages, m)
        picture, state = pictures[m].unmarked, prediction.state
        imagined = Imagined(state, picture, level(picture, m), mirror, size, imagination)
    if compiled is not None and width % 16 == 0 and len(pictures) <= MOST_FRAMES:
        return _drawn_natively(compiled, pointer, gate, sight_of, imagined)
    maps = _Maps(
        u=resize(pointer.u[0, 0].numpy(), size),
        logits=[resize(weights, size) for weights in pointer.view_logits[0].numpy()],
        gate=gate,
    )
    image = np.empty((height, width, 3), np.uint8)
    weights = np.zeros(len(pictures))
    for top in range(0, height, STRIP_ROWS):
        rows = slice(top, min(top + STRIP_ROWS, height))
        strip, seen = _draw_strip(maps, sight_of, imagined, rows)
        cv2.cvtColor(strip, cv2.COLOR_RGBA2RGB, dst=image[rows])
        weights += seen
    return Drawn(image, gate, (weights / gate.size).astype(np.float32))


def _drawn_natively(
    compiled: Kernels, pointer: Pointer, gate: np.ndarray, sight_of: Callable[[int], _Sight],
    imagined: Imagined | None,
) -> Drawn:  # fmt: skip
    u, logits = pointer.u[0, 0].contiguous(), pointer.view_logits[0].contiguous()
    frames, height, width = len(logits), *gate.shape
    rho, share = torch.empty(height, width), torch.empty(frames, height, width)
    most, sums = torch.empty(2, height, frames).unbind(0)
    known = torch.from_numpy(gate)
    compiled("shares", frames, *u.shape, u, logits, height, width, known, rho, share, most, sums)
    # A frame that cannot be seen anywhere is neither prepared nor read.
    seen = [m for m, highest in enumerate(most.amax(0).tolist()) if highest >= LEAST_SHARE]
    if len(seen) < frames:
        share = share[seen]
    image = torch.empty(height, width, 3, dtype=torch.uint8)
    sights = [sight_of(m) for m in seen]
    guess = NOTHING_IMAGINED if imagined is None else imagined.arguments()
    compiled(
        "draw", len(seen), height, width, rho, share, known, *_sight_arrays(sights),
        LEAST_SHARE, image, *guess,
    )  # fmt: skip
    weights = sums.sum(0).numpy() / np.float32(gate.size)
    return Drawn(image.numpy(), gate, weights)


def _sight_arrays(sights: Sequence[_Sight]) -> tuple[torch.Tensor, ...]:
    """What `draw` in the kernels wants to know of each memory frame that is seen."""

    def joined(parts: list, dtype: torch.dtype) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(parts)).to(dtype)

    levels = [sight.level for sight in sights]
    single = torch.float32
    return (
        joined([sight.step for sight in sights], single),
        joined([sight.across for sight in sights], single),
        joined([sight.down for sight in sights], single),
        joined([np.add(level.half, level.offset) for level in levels], single),
        joined([level.pixels.shape[:2] for level in levels], torch.int32),
        joined([level.pixels.ctypes.data for level in levels], torch.int64),
    )


@dataclass(frozen=True)
class _Maps:
    """The pointer at the picture's resolution (height, width): coordinate, one logit of each memory
    frame, remembered share."""

    u: np.ndarray
    logits: list[np.ndarray]
    gate: np.ndarray


def _draw_strip(
    maps: _Maps, sight_of: Callable[[int], _Sight], imagined: Imagined | None, rows: slice
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the picture (h, width, 4) uint8, and the share of each memory frame in them,
    summed over the pixels."""
    gate = maps.gate[rows]
    share = _softmax([logits[rows] for logits in maps.logits])
    share *= gate
    rho = np.exp(maps.u[rows] * RHO_RATE)
    rho -= 1
    rho *= RHO_SCALE
    read = np.zeros((*gate.shape, 4), np.float32)
    total = np.zeros(gate.shape, np.float32)
    for m, part in enumerate(share):
        box = _box_where(part)
        if box is not None:
            colour = sight_of(m).read(rho[box], rows.start + box[0].start, box[1])
            read[box] = cv2.blendLinear(read[box], colour, total[box], part[box])
            total[box] += part[box]
    box = None if imagined is None else _box_where(1 - gate)
    if box is not None:
        place = slice(rows.start + box[0].start, rows.start + box[0].stop), box[1]
        read[box] = cv2.blendLinear(read[box], imagined.at(place), gate[box], 1 - gate[box])
    return cv2.add(read, (0, 0, 0, 0), dtype=cv2.CV_8U), share.sum((1, 2), dtype=np.float64)


def _softmax(logits: list[np.ndarray]) -> np.ndarray:
    """(M, h, w) of M maps."""
    highest = logits[0]
    for one in logits[1:]:
        highest = np.maximum(highest, one)
    share = np.empty((len(logits), *highest.shape), np.float32)
    for one, result in zip(logits, share, strict=True):
        np.subtract(one, highest, out=result)
    np.exp(share, out=share)
    share *= np.reciprocal(share.sum(0))
    return share


def _box_where(share: np.ndarray) -> tuple[slice, slice] | None:
    """The smallest box that holds every pixel with a visible share."""
    x, y, width, height = cv2.boundingRect((share >= LEAST_SHARE).view(np.uint8))
    return (slice(y, y + height), slice(x, x + width)) if width else None


def _stored_per_drawn(picture: Readable, views: Views, m: int, width: int) -> float:
    """How many stored pixels one drawn pixel is wide, at equal distance."""
    tangents = float(views.tan_target[0, 0] / views.tan_memory[0, m, 0])
    return picture.pixels.shape[1] / width * tangents


class _Sight:
    """How memory frame `m` is read: `pointer.full_grid` with the picture's pixel coordinates folded
    into its matrix."""

    def __init__(self, views: Views, m: int, level: Level, size: tuple[int, int]):
        width, height = size
        self.level = level
        inverse = 1 / views.tan_memory[0, m].numpy()
        times = np.array([inverse[0] * level.half[0], -inverse[1] * level.half[1], -1.0])
        transform = views.memory_from_target[0, m].numpy()
        rotation = transform[:3, :3] * times[:, None]
        self.step = (transform[:3, 3] * times).astype(np.float32)
        tan_x, tan_y = views.tan_target[0].tolist()
        x = ((np.arange(width) * 2 + 1) / width - 1) * tan_x
        y = (1 - (np.arange(height) * 2 + 1) / height) * tan_y
        self.across = (rotation[:, :1] * x - rotation[:, 2:]).astype(np.float32)
        self.down = (rotation[:, 1:2] * y).astype(np.float32)

    def read(self, rho: np.ndarray, top: int, columns: slice) -> np.ndarray:
        """Colours (h, w, 4) float32 of a box of the picture, with its `rho` (h, w)."""
        rows = slice(top, top + len(rho))
        x, y, depth = (
            self.step[i] * rho + self.across[i, columns] + self.down[i, rows, None]
            for i in range(3)
        )
        np.maximum(depth, np.float32(0.02), out=depth)
        np.reciprocal(depth, out=depth)
        x *= depth
        y *= depth
        return read_pixels(self.level, x, y).astype(np.float32)
