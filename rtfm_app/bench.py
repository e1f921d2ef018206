"""`rtfm bench`: speed of the model, retrieval, the whole engine and the whole program.

    run_bench(quick=True, json_path=Path("bench.json"))

Times are wall-clock milliseconds as a user gets them: pose in, uint8 512x288 picture out, a new
pose each step. `inter_frame`, `keyframe` and `memory_pass` are timed after a warm-up that is
reported apart (`warmup_s`; nothing is compiled). Page encoding is not part of an inter frame whose
memory is cached; `engine_fps` walks a whole world, retrieval, encoding and keyframes included.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from .bench_engine import achieved_over_peak, bench_world, matmul_peak, time_engine, time_walk
from .bench_growth import plot_growth, time_growth, time_retrieval
from .bench_train import time_training
from .config import GenerationSettings
from .engine import FrameEngine
from .training.evaluate import write_result
from .training.machine import describe_machine

Say = Callable[[str], None]
APP_SECONDS, TRAIN_SECONDS = 12.0, 30.0


def run_bench(
    quick: bool = False,
    json_path: Path | None = None,
    compare: tuple[Path, Path] | None = None,
    *,
    weights: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    window: bool = True,
    plot: Path | None = None,
    say: Say = lambda _: None,
) -> dict:
    """Measure, or with `compare` divide one result by another.

    Args:
        quick: fewer repetitions, no world of a million frames, no training.
        window: also run the program under a headless window with injected input.
        plot: a PNG of cost over world size.
    Returns:
        {"metric": number, …, "machine": {…}, "model": {…}, "settings": {…}}; with `compare`
        {"metric": b / a}.
    Raises:
        ValueError: unreadable weights or results.
    """
    if compare is not None:
        result = compared(*compare)
        write_result(result, json_path)
        return result
    settings = GenerationSettings()
    sizes = (1_000, 100_000) if quick else (1_000, 100_000, 1_000_000)
    if threads is not None:
        torch.set_num_threads(threads)
    say("matrix products")
    result = {"matmul_peak_gflops": matmul_peak(torch.device("cpu"), 0.5 if quick else 2.0)}
    with tempfile.TemporaryDirectory(prefix="rtfm-bench-") as folder:
        path = Path(folder) / "bench.rtfm"
        with FrameEngine.open(
            bench_world(path), weights=weights, device=device, threads=threads
        ) as engine:
            say("frames")
            result |= time_engine(engine, settings, 40 if quick else 200)
            result["achieved_over_peak"] = achieved_over_peak(engine, settings, result)
            model = engine.model_info()
            say("growth with the world")
            result |= time_growth(engine, settings, sizes, 10 if quick else 40)
            say("a walk")
            result |= time_walk(engine, settings, 30 if quick else 200)
        say("retrieval")
        result |= time_retrieval(sizes)
        complaint = "not asked for"
        if window:
            say("the program under a headless window")
            program, complaint = time_app(path, 6.0 if quick else APP_SECONDS)
            result |= program
    if not quick:
        say("training")
        result |= time_training(TRAIN_SECONDS)
    if plot is not None:
        plot_growth(result, plot)
    result = {name: round(float(value), 4) for name, value in result.items()}
    result |= {
        "machine": describe_machine(), "model": model,
        "settings": asdict(settings) | {"quick": quick, "window": complaint or "measured"},
    }  # fmt: skip
    write_result(result, json_path)
    return result


def compared(first: Path, second: Path) -> dict:
    """Ratios second / first of the numbers that both files hold."""
    a, b = (_read_result(path) for path in (first, second))
    both = [name for name in a if isinstance(a[name], int | float) and name in b]
    return {name: b[name] / a[name] for name in both if a[name]}


def _read_result(path: Path) -> dict:
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a result of rtfm bench: {error}") from error
    if not isinstance(result, dict):
        raise ValueError(f"{path} is not a result of rtfm bench")
    return result


def time_app(world: Path, seconds: float) -> tuple[dict, str]:
    """The whole program in a process of its own: its numbers and "", or {} and why it could not
    be measured (a machine without OpenGL, for example); the other measurements stand."""
    command = [sys.executable, "-m", "rtfm_app.bench_app", str(world), str(seconds)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds * 10 + 60, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, "the program did not come to its end in time"
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {}, f"the program could not be measured: {last}"
    return json.loads(done.stdout.splitlines()[-1]), ""
