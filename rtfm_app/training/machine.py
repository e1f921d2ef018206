"""What a measurement ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8")


def describe_machine() -> dict:
    """Processor, cores, relevant instruction sets, accelerator, versions."""
    described = {
        "cpu": platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(), "flags": [],
        "torch": torch.__version__, "python": platform.python_version(),
        "system": platform.platform(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }  # fmt: skip
    information = Path("/proc/cpuinfo")
    if information.exists():
        text = information.read_text(encoding="utf-8")
        lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        lines = {key.strip(): value.strip() for key, value in lines.items()}
        described["cpu"] = lines.get("model name", described["cpu"])
        present = set(lines.get("flags", "").split())
        described["flags"] = [flag for flag in FLAGS if flag in present]
    return described
