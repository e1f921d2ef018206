"""Shared memory between the display and the worker: poses one way, frames the other.

Both boards have one writer and one reader, never block, and the newest value wins. A record
carries a sequence number before and after its payload; the reader copies and then compares, so a
record that was overwritten while being read is noticed and never used. Anonymous shared arrays of
`multiprocessing` are used, so that nothing is left behind after a crash.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field, replace

import numpy as np

from .card import ENLARGE_BELOW, SOFT_SIZE, CardPictures, pictures_for_card
from .config import STORED_MAX_SIZE
from .frame import Attended, Frame

SLOTS = 3
MAX_IMAGE = (STORED_MAX_SIZE[0], STORED_MAX_SIZE[1], 3)
MAX_PLANE = (144, 256)
READ_ATTEMPTS = 50
_TEXT_BYTES = 4096

_POSE = np.dtype(
    [
        ("before", "u8"),
        ("number", "u8"),
        ("camera_to_world", "f8", (4, 4)),
        ("velocity", "f8", (3,)),
        ("yaw_rate", "f8"),
        ("input_time", "f8"),
        ("flying", "u1"),
        ("after", "u8"),
    ]
)
_HEADER = np.dtype(
    [
        ("before", "u8"),
        ("number", "u8"),
        ("camera_to_world", "f8", (4, 4)),
        ("fov_y_radians", "f8"),
        ("novelty", "f8"),
        ("input_time", "f8"),
        ("started", "f8"),
        ("finished", "f8"),
        ("image_shape", "u4", (2,)),
        ("plane_shape", "u4", (2,)),
        ("card_shape", "u4", (2,)),
        ("text_bytes", "u4"),
        ("text", "u1", (_TEXT_BYTES,)),
        ("after", "u8"),
    ]
)
_IMAGE_BYTES = int(np.prod(MAX_IMAGE))
_PLANE_PIXELS = MAX_PLANE[0] * MAX_PLANE[1]
_SOFT_BYTES = SOFT_SIZE[0] * SOFT_SIZE[1] * 4
_CARD_BYTES = 2 * ENLARGE_BELOW * (2 * ENLARGE_BELOW * 16 // 9) * 4
# A slot's parts: image, unseen, inverse depth and confidence, then the pictures for the card.
_PARTS = (
    *(_IMAGE_BYTES, _PLANE_PIXELS, _PLANE_PIXELS * 8),
    *(_CARD_BYTES, _SOFT_BYTES, _PLANE_PIXELS * 4),
)
_SLOT_BYTES = -(-(_HEADER.itemsize + sum(_PARTS)) // 64) * 64


@dataclass(frozen=True)
class PoseStamp:
    """The walker at one moment. `input_time` is the `time.perf_counter()` of the newest input
    event that this pose already contains; `velocity` in m/s, `yaw_rate` in rad/s."""

    camera_to_world: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    yaw_rate: float = 0.0
    input_time: float = 0.0
    flying: bool = False
    number: int = 0


@dataclass(frozen=True)
class TakenFrame:
    """A frame as it arrived. Times are `time.perf_counter()` seconds, the same clock in both
    processes; `input_time` is that of the pose it was drawn for; `card` is what the graphics card
    gets of it, too large to be copied on the way: it lies in the shared memory until the worker has
    drawn two more frames, see `FrameBoard.holds`."""

    frame: Frame
    number: int
    input_time: float
    started: float
    finished: float
    card: CardPictures | None = None


class PoseBoard:
    """Newest pose, written by the display, read by the worker."""

    def __init__(self, context):
        self._shared = context.RawArray("B", _POSE.itemsize)
        self._view: np.ndarray | None = None

    def __getstate__(self):
        return {"_shared": self._shared, "_view": None}

    def _record(self) -> np.ndarray:
        if self._view is None:
            self._view = np.frombuffer(self._shared, dtype=_POSE)
        return self._view

    def write(self, pose: PoseStamp) -> None:
        record = self._record()
        number = int(record["number"][0]) + 1
        record["before"] = number
        record["number"] = number
        record["camera_to_world"][0] = pose.camera_to_world
        record["velocity"][0] = pose.velocity
        record["yaw_rate"] = pose.yaw_rate
        record["input_time"] = pose.input_time
        record["flying"] = pose.flying
        record["after"] = number

    def read(self) -> PoseStamp | None:
        """The newest pose; None before the first one was written."""
        record = self._record()
        for _ in range(READ_ATTEMPTS):
            after = int(record["after"][0])
            copy = record[0].copy()
            if int(copy["before"]) == int(record["before"][0]) == after:
                return _pose_of(copy) if after else None
            time.sleep(0)
        return None

    def clear(self) -> None:
        self._record()[:] = np.zeros(1, _POSE)


def _pose_of(record) -> PoseStamp:
    return PoseStamp(
        camera_to_world=np.array(record["camera_to_world"]),
        velocity=np.array(record["velocity"]),
        yaw_rate=float(record["yaw_rate"]),
        input_time=float(record["input_time"]),
        flying=bool(record["flying"]),
        number=int(record["number"]),
    )


class FrameBoard:
    """Newest frame, written by the worker, taken by the display. Three slots in turn, so that the
    reader is disturbed only when the writer laps it twice within one copy. `for_software` is told
    by the display: its graphics card is a processor (see `card.py`)."""

    def __init__(self, context):
        self._shared = context.RawArray("B", _SLOT_BYTES * SLOTS)
        self._latest = context.RawValue("Q", 0)
        self._for_software = context.RawValue("B", 0)
        self._slots: list[tuple] | None = None
        self._taken = 0

    def __getstate__(self):
        return {**vars(self), "_slots": None, "_taken": 0}

    @property
    def for_software(self) -> bool:
        return bool(self._for_software.value)

    @for_software.setter
    def for_software(self, on: bool) -> None:
        self._for_software.value = on

    def _slot(self, number: int) -> tuple:
        if self._slots is None:
            self._slots = [_slot_views(self._shared, i * _SLOT_BYTES) for i in range(SLOTS)]
        return self._slots[number % SLOTS]

    def write(self, frame: Frame, *, input_time: float, started: float) -> int:
        """Publish a frame; returns its number. Pictures over 576x1024 are a programmer's error."""
        frame = _with_thin_planes(frame)
        card = pictures_for_card(frame, software=self.for_software)
        text = _text_of(frame)
        number = self._latest.value + 1
        header, parts = self._slot(number)
        header["before"][0] = number
        floats = np.concatenate([frame.inverse_depth.reshape(-1), frame.confidence.reshape(-1)])
        contents = (
            frame.image,
            frame.unseen,
            floats.astype("<f4").view(np.uint8),
            card.picture,
            card.soft,
            card.planes,
        )
        for part, content in zip(parts, contents, strict=True):
            assert content.size <= part.size, (content.shape, part.size)
            part[: content.size] = content.reshape(-1)
        header["text"][0, : len(text)] = np.frombuffer(text, np.uint8)
        header["text_bytes"] = len(text)
        header["number"] = number
        header["camera_to_world"][0] = frame.camera_to_world
        header["fov_y_radians"] = frame.fov_y_radians
        header["novelty"] = frame.novelty
        header["input_time"] = input_time
        header["started"] = started
        header["finished"] = time.perf_counter()
        header["image_shape"][0] = frame.image.shape[:2]
        header["plane_shape"][0] = frame.unseen.shape
        header["card_shape"][0] = card.picture.shape[:2]
        header["after"][0] = number
        self._latest.value = number
        return number

    def take(self) -> TakenFrame | None:
        """The newest frame if it was not taken before, as an own copy apart from what the graphics
        card gets; else None."""
        for _ in range(READ_ATTEMPTS):
            number = self._latest.value
            if number <= self._taken:
                return None
            header, parts = self._slot(number)
            taken = _read_slot(header, parts, number)
            if taken is not None:
                self._taken = number
                return taken
        return None

    def holds(self, taken: TakenFrame) -> bool:
        """Whether what lies in the shared memory is still that frame's. To be asked after use: the
        card has got pieces of two frames if not, and a newer one is there to be taken."""
        return int(self._slot(taken.number)[0]["before"][0]) == taken.number

    def skip(self) -> None:
        """Forget what is there: only frames written from now on are taken."""
        self._taken = self._latest.value


def _slot_views(shared, offset: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The header of a slot and its parts, as bytes, in the order of `_PARTS`."""
    header = np.frombuffer(shared, _HEADER, 1, offset)
    offset += _HEADER.itemsize
    parts = []
    for size in _PARTS:
        parts.append(np.frombuffer(shared, np.uint8, size, offset))
        offset += size
    return header, parts


def _with_thin_planes(frame: Frame) -> Frame:
    """Every n-th value of each plane, so that they fit the slot."""
    names = ("unseen", "inverse_depth", "confidence")
    rows, columns = frame.unseen.shape
    assert all(getattr(frame, name).shape == (rows, columns) for name in names), names
    stride = max(-(-rows // MAX_PLANE[0]), -(-columns // MAX_PLANE[1]), 1)
    return replace(frame, **{name: getattr(frame, name)[::stride, ::stride] for name in names})


def _text_of(frame: Frame) -> bytes:
    text = json.dumps(
        {
            "kind": frame.kind,
            "attended": [(a.frame_id, round(float(a.weight), 4)) for a in frame.attended],
            "timings_ms": {k: round(float(v), 3) for k, v in frame.timings_ms.items()},
        }
    ).encode()
    assert len(text) <= _TEXT_BYTES, len(text)
    return text


def _read_slot(header, parts: list[np.ndarray], number: int) -> TakenFrame | None:
    """What is in the slot, the pictures for the card as they lie there, the rest as an own copy;
    None when it is being written over."""
    if int(header["after"][0]) != number:
        return None
    head = header[0].copy()
    rows, columns = (int(v) for v in head["plane_shape"])
    plane = (rows, columns)
    shapes = (
        (*(int(v) for v in head["image_shape"]), 3),
        plane,
        (8, *plane),
        (*(int(v) for v in head["card_shape"]), 4),
        (*SOFT_SIZE, 4),
        (*plane, 4),
    )
    sizes = [math.prod(shape) for shape in shapes]
    if any(size > part.size for size, part in zip(sizes, parts, strict=True)):
        return None
    contents = [part[:size] for size, part in zip(sizes, parts, strict=True)]
    image, unseen, floats = (part.copy() for part in contents[:3])
    picture, soft, planes = contents[3:]
    text = bytes(head["text"][: int(head["text_bytes"])])
    if not (int(header["before"][0]) == int(header["after"][0]) == int(head["number"]) == number):
        return None
    inverse_depth, confidence = floats.view("<f4").reshape(2, *plane)
    values = json.loads(text)
    frame = Frame(
        image=image.reshape(shapes[0]),
        camera_to_world=np.array(head["camera_to_world"]),
        fov_y_radians=float(head["fov_y_radians"]),
        kind=values["kind"],
        novelty=float(head["novelty"]),
        unseen=unseen.reshape(plane),
        inverse_depth=inverse_depth,
        confidence=confidence,
        attended=tuple(Attended(int(i), float(w)) for i, w in values["attended"]),
        timings_ms=values["timings_ms"],
    )
    card = CardPictures(
        picture.reshape(shapes[3]), soft.reshape(shapes[4]), planes.reshape(shapes[5])
    )
    input_time, started, finished = (
        float(head[name]) for name in ("input_time", "started", "finished")
    )
    return TakenFrame(frame, number, input_time, started, finished, card)
