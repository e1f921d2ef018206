"""Speed of the engine's stages, of whole frames and of a walk; part of `rtfm bench`."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch

from .bench_roofline import denoise_flops
from .config import GenerationSettings
from .engine import FrameEngine
from .geometry import pose_from_yaw_pitch
from .memory.world_file import StoredFrame, WorldFile
from .model.fast import best_precision


def matmul_peak(device: torch.device, seconds: float) -> float:
    """Achieved GFLOP/s of a large matrix product in the best precision, bf16 or float32: the
    machine's measured peak."""
    side = 2048
    a = torch.randn(side, side, device=device).to(best_precision(device))
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


def standard_walk(count: int) -> list[np.ndarray]:
    """A standard walk: straight on at 1.5 m/s, ten poses a second, swaying a little."""
    return [
        pose_from_yaw_pitch((0.0, 1.6, -0.15 * i), 0.25 * math.sin(0.15 * i), 0.0)
        for i in range(count)
    ]


def time_engine(engine: FrameEngine, settings: GenerationSettings, count: int) -> dict:
    """Inter frames, keyframes, memory passes and whole pages (with the memory passes of pictures
    beside them and what those tell of distances), and the stages of an inter frame."""
    poses = standard_walk(count + 8)
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
    encoder = engine.pages.encoder
    for name, work in (("memory_pass", encoder.alone), ("page", encoder.encode)):
        engine.pages.clear()
        passes = [_time_ms(work, frame_id) for frame_id in ids[: max(count // 2, 8)]]
        result[f"{name}_ms_p50"] = np.median(passes)
    return result


def achieved_over_peak(engine: FrameEngine, settings: GenerationSettings, result: dict) -> float:
    """Operations of the denoise pass over its time, as a share of the measured matrix-product
    peak, which is not that of 8-bit products where the transformer takes those."""
    flops = denoise_flops(engine.model, settings.memory_frames)
    return flops / (result["denoise_ms_p50"] / 1e3) / (result["matmul_peak_gflops"] * 1e9)


def time_walk(engine: FrameEngine, settings: GenerationSettings, count: int) -> dict:
    """The whole engine on the standard walk, from an empty page pool; nothing is read ahead."""
    engine.pages.clear()
    hits = []
    start = time.perf_counter()
    for pose in standard_walk(count):
        before = len(engine.pages)
        engine.advance(pose, settings)
        hits.append(len(engine.pages) == before)
    seconds = time.perf_counter() - start
    return {"engine_fps": count / seconds, "page_hit_share": np.mean(hits)}


def _time_ms(work, *arguments, **options) -> float:
    start = time.perf_counter()
    work(*arguments, **options)
    return (time.perf_counter() - start) * 1e3
