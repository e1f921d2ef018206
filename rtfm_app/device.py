"""Where the model runs, and what CUDA can do that a CPU cannot: copies and work beside the frame in
progress, and recorded work. Each has a plain twin, so that nothing else needs to know the device.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        ValueError: no such device here.
    """
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device(next(n for n in ("cuda", "mps", "cpu") if available[n]))
    if not available.get(name.split(":")[0], False):
        raise ValueError(f"device {name!r} is not available here; use one of "
                         f"{', '.join(n for n, ok in available.items() if ok)}")  # fmt: skip
    return torch.device(name)


class HostCopy:
    """A tensor on its way to the computer's own memory. From CUDA it goes through pinned memory
    without waiting: what is queued meanwhile runs beside it, and `result` waits."""

    def __init__(self, tensor: torch.Tensor):
        self._arrived: torch.cuda.Event | None = None
        if tensor.device.type != "cuda":
            self._held = tensor.cpu()
            return
        self._held = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._held.copy_(tensor, non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record()

    def result(self) -> np.ndarray:
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._held.numpy()


class SideStream:
    """Work that is queued beside the frame in progress; without CUDA it simply runs."""

    def __init__(self, device: torch.device):
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    @contextmanager
    def work(self) -> Iterator[None]:
        """What is queued inside runs after what was queued before, beside what comes after."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            yield

    def join(self, results: Iterable[torch.Tensor]) -> None:
        """What is queued from now on may use these results of the work."""
        if self._stream is None:
            return
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_stream(self._stream)
        for tensor in results:
            tensor.record_stream(current)


@dataclass(frozen=True)
class Captured:
    """A recorded piece of work: `replay` reads its inputs and writes its output where they lay
    when it was recorded."""

    replay: Callable[[], None]
    output: torch.Tensor


Work = Callable[..., torch.Tensor]


def capture_cuda(work: Work, inputs: Sequence[torch.Tensor]) -> Captured:
    """Record as a CUDA graph: one launch instead of hundreds. The warm-up on a stream of its own is
    what PyTorch's documentation asks for."""
    current, warm = torch.cuda.current_stream(), torch.cuda.Stream()
    warm.wait_stream(current)
    with torch.cuda.stream(warm):
        for _ in range(3):
            work(*inputs)
    current.wait_stream(warm)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = work(*inputs)
    return Captured(graph.replay, output)


def capture_plainly(work: Work, inputs: Sequence[torch.Tensor]) -> Captured:
    """The twin of `capture_cuda`: does the work again at every replay."""
    output = work(*inputs).clone()

    def replay() -> None:
        output.copy_(work(*inputs))

    return Captured(replay, output)


class Recorded:
    """Work on tensors that is recorded once for each set of shapes and then replayed.

    Args:
        work: takes tensors, returns one tensor; must not wait for the device.
        capture: `capture_cuda` or its twin.
        most: shapes whose recordings (and copies of the inputs) are kept.
    """

    def __init__(self, work: Work, capture=capture_cuda, most: int = 6):
        self._work, self._capture, self._most = work, capture, most
        self._known: OrderedDict[tuple, _Recording] = OrderedDict()

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        key = tuple((x.shape, x.dtype) for x in inputs)
        if key in self._known:
            self._known.move_to_end(key)
        else:
            if len(self._known) >= self._most:
                self._known.popitem(last=False)
            own = [x.clone() for x in inputs]
            self._known[key] = _Recording(own, self._capture(self._work, own))
        return self._known[key].run(inputs)


class _Recording:
    def __init__(self, own: list[torch.Tensor], captured: Captured):
        self._own, self._captured = own, captured
        self._last: list[tuple[torch.Tensor, int]] = []

    def run(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Inputs that are the very tensors of the last time, unchanged, are not copied again: the
        pages of memory stay the same for many frames."""
        last = self._last or [(None, 0)] * len(inputs)
        for own, given, (known, version) in zip(self._own, inputs, last, strict=True):
            if given is not known or given._version != version:
                own.copy_(given)
        self._last = [(given, given._version) for given in inputs]
        self._captured.replay()
        return self._captured.output.clone()
