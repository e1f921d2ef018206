"""Shared memory between the display and the worker: poses one way, frames the other.

Both boards have one writer and one reader, never block, and the newest value wins. A record
carries a sequence number before and after its payload; the reader copies and then compares, so a
record that was overwritten while being read is noticed and never used. Anonymous shared arrays of
`multiprocessing` are used, so that nothing is left behind after a crash.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

import numpy as np

from .config import STORED_MAX_SIZE
from .frame import Attended, Frame

SLOTS = 3
MAX_IMAGE = (STORED_MAX_SIZE[0], STORED_MAX_SIZE[1], 3)
MAX_PLANE = (144, 256)
READ_ATTEMPTS = 50

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
        ("text_bytes", "u4"),
        ("text", "u1", (4096,)),
        ("after", "u8"),
    ]
)
_IMAGE_BYTES = int(np.prod(MAX_IMAGE))
_PLANE_PIXELS = MAX_PLANE[0] * MAX_PLANE[1]
_SLOT_BYTES = -(-(_HEADER.itemsize + _IMAGE_BYTES + _PLANE_PIXELS * 9) // 64) * 64


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
    processes; `input_time` is that of the pose it was drawn for."""

    frame: Frame
    number: int
    input_time: float
    started: float
    finished: float


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
    reader is disturbed only when the writer laps it twice within one copy."""

    def __init__(self, context):
        self._shared = context.RawArray("B", _SLOT_BYTES * SLOTS)
        self._latest = context.RawValue("Q", 0)
        self._slots: list[tuple] | None = None
        self._taken = 0

    def __getstate__(self):
        return {"_shared": self._shared, "_latest": self._latest, "_slots": None, "_taken": 0}

    def _slot(self, number: int) -> tuple:
        if self._slots is None:
            self._slots = [_slot_views(self._shared, i * _SLOT_BYTES) for i in range(SLOTS)]
        return self._slots[number % SLOTS]

    def write(self, frame: Frame, *, input_time: float, started: float) -> int:
        """Publish a frame; returns its number. Pictures over 576x1024 are a programmer's error."""
        number = self._latest.value + 1
        header, pixels, planes = self._slot(number)
        height, width = frame.image.shape[:2]
        assert height * width * 3 <= _IMAGE_BYTES, frame.image.shape
        header["before"][0] = number
        pixels[: height * width * 3] = frame.image.reshape(-1)
        shape = _write_planes(planes, frame)
        text = json.dumps(
            {
                "kind": frame.kind,
                "attended": [(a.frame_id, round(float(a.weight), 4)) for a in frame.attended],
                "timings_ms": {k: round(float(v), 3) for k, v in frame.timings_ms.items()},
            }
        ).encode()
        assert len(text) <= header["text"].shape[1], len(text)
        header["text"][0, : len(text)] = np.frombuffer(text, np.uint8)
        header["text_bytes"] = len(text)
        header["number"] = number
        header["camera_to_world"][0] = frame.camera_to_world
        header["fov_y_radians"] = frame.fov_y_radians
        header["novelty"] = frame.novelty
        header["input_time"] = input_time
        header["started"] = started
        header["finished"] = time.perf_counter()
        header["image_shape"][0] = (height, width)
        header["plane_shape"][0] = shape
        header["after"][0] = number
        self._latest.value = number
        return number

    def take(self) -> TakenFrame | None:
        """The newest frame if it was not taken before, as an own copy; else None."""
        for _ in range(READ_ATTEMPTS):
            number = self._latest.value
            if number <= self._taken:
                return None
            header, pixels, planes = self._slot(number)
            taken = _read_slot(header, pixels, planes, number)
            if taken is not None:
                self._taken = number
                return taken
        return None

    def skip(self) -> None:
        """Forget what is there: only frames written from now on are taken."""
        self._taken = self._latest.value


def _slot_views(shared, offset: int) -> tuple:
    header = np.frombuffer(shared, _HEADER, 1, offset)
    offset += _HEADER.itemsize
    pixels = np.frombuffer(shared, np.uint8, _IMAGE_BYTES, offset)
    offset += _IMAGE_BYTES
    planes = np.frombuffer(shared, np.uint8, _PLANE_PIXELS * 9, offset)
    return header, pixels, planes


def _thin(plane: np.ndarray) -> np.ndarray:
    """Every n-th value, so that the plane fits the slot."""
    stride = max(-(-plane.shape[0] // MAX_PLANE[0]), -(-plane.shape[1] // MAX_PLANE[1]), 1)
    return plane[::stride, ::stride]


def _write_planes(planes: np.ndarray, frame: Frame) -> tuple[int, int]:
    unseen, inverse_depth = _thin(frame.unseen), _thin(frame.inverse_depth)
    confidence = _thin(frame.confidence)
    assert unseen.shape == inverse_depth.shape == confidence.shape, (
        unseen.shape,
        inverse_depth.shape,
        confidence.shape,
    )
    count = unseen.size
    planes[:count] = unseen.reshape(-1)
    floats = np.concatenate([inverse_depth.reshape(-1), confidence.reshape(-1)])
    planes[_PLANE_PIXELS : _PLANE_PIXELS + count * 8] = floats.astype("<f4").view(np.uint8)
    return unseen.shape


def _read_slot(header, pixels, planes, number: int) -> TakenFrame | None:
    if int(header["after"][0]) != number:
        return None
    head = header[0].copy()
    height, width = (int(v) for v in head["image_shape"])
    rows, columns = (int(v) for v in head["plane_shape"])
    count = rows * columns
    if height * width * 3 > _IMAGE_BYTES or count > _PLANE_PIXELS:
        return None
    image = pixels[: height * width * 3].copy()
    unseen = planes[:count].copy()
    floats = planes[_PLANE_PIXELS : _PLANE_PIXELS + count * 8].copy().view("<f4")
    text = bytes(head["text"][: int(head["text_bytes"])])
    if not (int(header["before"][0]) == int(header["after"][0]) == int(head["number"]) == number):
        return None
    values = json.loads(text)
    frame = Frame(
        image=image.reshape(height, width, 3),
        camera_to_world=np.array(head["camera_to_world"]),
        fov_y_radians=float(head["fov_y_radians"]),
        kind=values["kind"],
        novelty=float(head["novelty"]),
        unseen=unseen.reshape(rows, columns),
        inverse_depth=floats[:count].reshape(rows, columns),
        confidence=floats[count:].reshape(rows, columns),
        attended=tuple(Attended(int(i), float(w)) for i, w in values["attended"]),
        timings_ms=values["timings_ms"],
    )
    return TakenFrame(
        frame, number, float(head["input_time"]), float(head["started"]), float(head["finished"])
    )
