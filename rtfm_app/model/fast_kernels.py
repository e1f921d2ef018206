"""The C files in `kernels/`, compiled for this machine when first needed and kept for next time.

A frame is some thousand small operations, each too short for what it costs to start and to carry
its result through memory; the C files do in a dozen passes what lies between the matrix products.
Any C compiler will do and takes a few seconds, once. Without one (`kernels` is None then), or with
RTFM_KERNELS=off, the same is done by torch and OpenCV, and takes longer.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import platformdirs
import torch

FOLDER = Path(__file__).with_name("kernels")
SOURCES, HEADERS = sorted(FOLDER.glob("*.c")), sorted(FOLDER.glob("*.h"))
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC", "-shared", "-w")
WITHOUT = {
    "SSE41": ["-mno-avx"],
    "AVX": ["-mno-avx2", "-mno-fma"],
    "AVX2": ["-mno-avx512f", "-DNO_VNNI"],
    "AVX2_VNNI": ["-mno-avx512f"],
    "AVX2_VNNI_2": ["-mno-avx512f"],
}
COMPILE_SECONDS = 60
MOST_FRAMES = 32  # memory frames that fit the kernels' own arrays


class Kernels:
    """The compiled functions, called with tensors, whole numbers and floats as the C files say."""

    def __init__(self, library: Path, precision: torch.dtype):
        self.precision = precision
        self._library = ctypes.CDLL(str(library))

    def __call__(self, name: str, *arguments: torch.Tensor | int | float | None) -> None:
        self._library[name](*[_passed(argument) for argument in arguments])

    def number(self, name: str) -> int:
        """What a function without arguments says of the compiled kernels."""
        return self._library[name]()


def _passed(argument: torch.Tensor | int | float | None):
    if isinstance(argument, torch.Tensor):
        assert argument.is_contiguous(), (argument.shape, argument.stride())
        return ctypes.c_void_p(argument.data_ptr())
    return ctypes.c_float(argument) if isinstance(argument, float) else argument


@lru_cache
def kernels(precision: torch.dtype) -> Kernels | None:
    """The kernels for a model in `precision`; None where they cannot be had."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None or os.environ.get("RTFM_KERNELS") == "off":
        return None
    if precision not in (torch.bfloat16, torch.float32):
        return None
    flags = [*FLAGS, *_instructions(), *(["-DBF16"] if precision == torch.bfloat16 else [])]
    try:
        folder = platformdirs.user_cache_path("rtfm") / "kernels"
        library = folder / f"{_key(compiler, flags)}.so"
        if not library.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _compile(compiler, flags, library)
        return Kernels(library, precision)
    except (OSError, subprocess.SubprocessError) as error:
        logging.getLogger(__name__).warning("slower frames: no compiled kernels (%s)", error)
        return None


def most_instructions() -> str:
    """The newest instructions that oneDNN may use, by its name for them; empty for all."""
    names = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
    return next((os.environ[name].upper() for name in names if os.environ.get(name)), "")


def _instructions() -> list[str]:
    """What oneDNN is told not to use of the processor, the kernels do not use either."""
    on_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return WITHOUT.get(most_instructions(), []) if on_x86 else []


def _key(compiler: str, flags: list[str]) -> str:
    """Changes with the source, the compiler and the processor."""
    version = _output([compiler, "--version"])
    processor = f"{platform.machine()} {platform.processor()}"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        processor += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    sources = [path.read_text(encoding="utf-8") for path in (*SOURCES, *HEADERS)]
    parts = [*sources, version, *flags, processor]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _compile(compiler: str, flags: list[str], library: Path) -> None:
    """With OpenMP, whose threads are torch's own, or without where the compiler has none."""
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / "kernels.so"
        command = [compiler, *flags, *map(str, SOURCES), "-o", str(made), "-lm"]
        try:
            _output([*command, "-fopenmp"])
        except subprocess.CalledProcessError:
            _output(command)
        os.replace(made, library)


def _output(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=True
    )
    return done.stdout
