"""`rtfm bench`: speed of the model, retrieval, the whole engine and the whole program.

    run_bench(quick=True, json_path=Path("bench.json"))

Times are wall-clock milliseconds as a user gets them: pose in, uint8 512x288 picture out, a new
pose each step. `inter_frame`, `keyframe` and `memory_pass` are timed after a warm-up that is
reported apart (`warmup_s`). Page encoding is not part of an inter frame whose memory is cached;
`engine_fps` walks a whole world, retrieval, encoding and keyframes included.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from .config import GenerationSettings
from .engine import FrameEngine
from .geometry import pose_from_yaw_pitch
from .memory.index import SpatialIndex
from .memory.world_file import FrameTable, StoredFrame, WorldFile
from .training.evaluate import write_result
from .training.machine import describe_machine

Say = Callable[[str], None]
APP_SECONDS = 12.0


def run_bench(
    quick: bool = False,
    json_path: Path | None = None,
    compare: tuple[Path, Path] | None = None,
    *,
    weights: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    window: bool = True,
    say: Say = lambda _: None,
) -> dict:
    """Measure, or with `compare` divide one result by another.

    Args:
        quick: fewer repetitions, no retrieval at a million frames.
        window: also run the program under a headless window with injected input.
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
    say("matrix products")
    if threads is not None:
        torch.set_num_threads(threads)
    complaint = ""
    result = {"matmul_peak_gflops": matmul_peak(torch.device("cpu"), 0.5 if quick else 2.0)}
    with tempfile.TemporaryDirectory(prefix="rtfm-bench-") as folder:
        world = bench_world(Path(folder) / "bench.rtfm")
        with FrameEngine.open(world, weights=weights, device=device, threads=threads) as engine:
            say("frames")
            result |= time_engine(engine, settings, 40 if quick else 200)
            model = engine.model_info()
            say("a walk")
            result |= time_walk(engine, settings, 30 if quick else 200)
        say("retrieval")
        result |= time_retrieval((1_000, 100_000) if quick else (1_000, 100_000, 1_000_000))
        if window:
            say("the program under a headless window")
            seconds = 6.0 if quick else APP_SECONDS
            program, complaint = time_app(Path(folder) / "bench.rtfm", seconds)
            result |= program
    result = {name: round(float(value), 4) for name, value in result.items()}
    result |= {"machine": describe_machine(), "model": model,
               "settings": asdict(settings) | {"quick": quick}}  # fmt: skip
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


def matmul_peak(device: torch.device, seconds: float) -> float:
    """Achieved bf16 GFLOP/s of a large matrix product: the machine's measured peak."""
    side = 2048
    a = torch.randn(side, side, device=device).to(torch.bfloat16)
    best, end = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return 2 * side**3 / best / 1e9


def bench_world(path: Path) -> WorldFile:
    """A corridor of smooth noise: a world whose every view has K frames to choose from.
    Speed does not depend on what the pictures show."""
    pictures = _pictures()
    fov = math.radians(60)
    start = pose_from_yaw_pitch((0.0, 1.6, 0.0), 0.0, 0.0)
    world = WorldFile.create(path, name="bench", start_pose=start, fov_y_radians=fov)
    for index in range(48):
        pose = pose_from_yaw_pitch(
            (0.4 * math.sin(index), 1.6, -0.5 * index), 0.3 * math.cos(0.7 * index), 0.0
        )
        world.add_frame(StoredFrame("seed", pose, fov, pictures[index % len(pictures)], None))
    return world


def _pictures() -> list[np.ndarray]:
    """Test pictures: smooth noise at the stored resolution."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(4):
        coarse = torch.from_numpy(rng.random((1, 3, 9, 16), dtype=np.float32) * 255)
        large = torch.nn.functional.interpolate(coarse, size=(288, 512), mode="bilinear")
        pictures.append(large[0].permute(1, 2, 0).to(torch.uint8).numpy())
    return pictures


def _walk(count: int) -> list[np.ndarray]:
    """A standard walk: straight on at 1.5 m/s, ten poses a second, swaying a little."""
    return [
        pose_from_yaw_pitch((0.0, 1.6, -0.15 * i), 0.25 * math.sin(0.15 * i), 0.0)
        for i in range(count)
    ]


def time_engine(engine: FrameEngine, settings: GenerationSettings, count: int) -> dict:
    """Inter frames, keyframes and memory passes, and the stages of an inter frame."""
    poses = _walk(count + 8)
    start = time.perf_counter()
    for pose in poses[:8]:
        engine.step(pose, settings)
    result = {"warmup_s": time.perf_counter() - start}
    for pose in poses:  # every page is in the pool before timing begins
        engine.pages.fetch(engine.index.retrieve(pose, engine.world.fov_y_radians, 4).ids)
    inter, stages = [], []
    for pose in poses[8:]:
        start = time.perf_counter()
        stages.append(engine.step(pose, settings).timings_ms)
        inter.append((time.perf_counter() - start) * 1e3)
    for q in (50, 90, 99):
        result[f"inter_frame_ms_p{q}"] = np.percentile(inter, q)
    for stage in ("retrieve", "encode", "denoise", "compose"):
        result[f"{stage}_ms_p50"] = np.median([times[stage] for times in stages])
    keys = [_time_ms(engine.step, pose, settings, kind="key") for pose in poses[: count // 4]]
    result["keyframe_ms_p50"] = np.median(keys)
    ids = engine.world.frame_table().ids.tolist()
    passes = [_time_ms(engine.pages.encode, ids[i % len(ids)]) for i in range(count // 2)]
    result["memory_pass_ms_p50"] = np.median(passes)
    return result


def time_walk(engine: FrameEngine, settings: GenerationSettings, count: int) -> dict:
    """The whole engine on the standard walk, from an empty page pool; nothing is read ahead."""
    for frame_id in list(engine.pages):
        engine.pages.drop(frame_id)
    hits = []
    start = time.perf_counter()
    for pose in _walk(count):
        before = len(engine.pages)
        engine.advance(pose, settings)
        hits.append(len(engine.pages) == before)
    seconds = time.perf_counter() - start
    return {"engine_fps": count / seconds, "page_hit_share": np.mean(hits)}


def time_retrieval(sizes: tuple[int, ...]) -> dict:
    """Retrieval in synthetic worlds of several sizes."""
    names = {1_000: "1k", 100_000: "100k", 1_000_000: "1m"}
    result = {}
    for size in sizes:
        index = SpatialIndex(synthetic_table(size))
        previous: tuple[int, ...] = ()
        times = []
        for step in range(220):
            angle = 0.01 * step
            pose = pose_from_yaw_pitch((0.1 * step, 1.6, 0.0), angle, 0.0)
            start = time.perf_counter()
            previous = index.retrieve(pose, math.radians(60), 4, previous).ids
            times.append((time.perf_counter() - start) * 1e3)
        result[f"retrieval_ms_p50_{names[size]}"] = np.median(times[20:])
        result[f"retrieval_ms_p99_{names[size]}"] = np.percentile(times[20:], 99)
    return result


def synthetic_table(count: int) -> FrameTable:
    """Frames at random over ground that grows with their number: one for each square metre."""
    rng = np.random.default_rng(count)
    side = math.sqrt(count)
    yaw = rng.uniform(0, 2 * math.pi, count)
    poses = np.zeros((count, 4, 4))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(yaw)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(yaw), -np.sin(yaw)
    poses[:, 1, 1] = poses[:, 3, 3] = 1.0
    poses[:, 0, 3] = rng.uniform(-side / 2, side / 2, count)
    poses[:, 1, 3] = 1.6
    poses[:, 2, 3] = rng.uniform(-side / 2, side / 2, count)
    return FrameTable(
        ids=np.arange(1, count + 1), camera_to_world=poses,
        fov_y=np.full(count, math.radians(60)), kind=np.zeros(count, np.int8),
        created=np.arange(count, dtype=np.float64), pinned=np.zeros(count, bool),
    )  # fmt: skip


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


def _time_ms(work, *arguments, **options) -> float:
    start = time.perf_counter()
    work(*arguments, **options)
    return (time.perf_counter() - start) * 1e3
