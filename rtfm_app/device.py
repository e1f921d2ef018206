"""Where the model runs."""

from __future__ import annotations

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
