"""How retrieval and whole frames grow with the size of a world: they should not.

Part of `rtfm bench`; `plot_growth` draws the result.
"""

from __future__ import annotations

import math
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .bench_engine import standard_walk
from .config import GenerationSettings
from .engine import FrameEngine
from .geometry import pose_from_yaw_pitch
from .memory.index import SpatialIndex
from .memory.world_file import FrameTable

NAMES = {1_000: "1k", 10_000: "10k", 100_000: "100k", 1_000_000: "1m"}
FAR_METRES = 20_000.0
PLOT_SIZE, PLOT_BOX = (900, 420), (80, 50, 860, 360)  # box: left, top, right, bottom
PAPER, INK, FAINT = (255, 255, 255), (40, 40, 48), (222, 222, 228)
COLOURS = {"inter_frame": (31, 102, 173), "retrieval": (196, 78, 42)}


def time_retrieval(sizes: tuple[int, ...]) -> dict:
    """Retrieval in synthetic worlds of several sizes."""
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
        result[f"retrieval_ms_p50_{NAMES[size]}"] = np.median(times[20:])
        result[f"retrieval_ms_p99_{NAMES[size]}"] = np.percentile(times[20:], 99)
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


def time_growth(
    engine: FrameEngine, settings: GenerationSettings, sizes: tuple[int, ...], count: int
) -> dict:
    """Whole inter frames while the world holds ever more frames elsewhere, so that the pictures
    that are drawn, and the memory they are drawn from, stay the same."""
    index, own = engine.index, engine.world.frame_table()
    indices = {
        size: SpatialIndex(_joined(own, _far_away(synthetic_table(size - len(own)))))
        for size in sizes
    }
    times: dict[int, list[float]] = {size: [] for size in sizes}
    for number, pose in enumerate(standard_walk((count + 3) * len(sizes))):
        size = sizes[number % len(sizes)]  # in turn: a machine's moods reach all of them
        engine.index = indices[size]
        start = time.perf_counter()
        engine.step(pose, settings)
        times[size].append((time.perf_counter() - start) * 1e3)
    engine.index = index
    return {f"inter_frame_ms_p50_{NAMES[size]}": np.median(t[3:]) for size, t in times.items()}


def _far_away(table: FrameTable) -> FrameTable:
    table.camera_to_world[:, 0, 3] += FAR_METRES
    table.ids[:] += 1 << 40
    return table


def _joined(first: FrameTable, second: FrameTable) -> FrameTable:
    parts = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(FrameTable)}
    return FrameTable(**{name: np.concatenate(both) for name, both in parts.items()})


def plot_growth(result: dict, path: Path) -> None:
    """A PNG of milliseconds over frames in the world (logarithmic); `result` as of `run_bench`.

    Raises:
        ValueError: the file cannot be written, or is no PNG.
    """
    image = Image.new("RGB", PLOT_SIZE, PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    series = {
        name: {n: result[f"{name}_ms_p50_{label}"] for n, label in NAMES.items()
               if f"{name}_ms_p50_{label}" in result}
        for name in COLOURS
    }  # fmt: skip
    highest = max(value for line in series.values() for value in line.values()) * 1.25
    left, top, right, bottom = PLOT_BOX

    def at(frames: int, value: float) -> tuple[float, float]:
        return left + (right - left) * (math.log10(frames) - 3) / 3, bottom - (
            bottom - top
        ) * value / highest

    step = 10.0 ** math.floor(math.log10(highest / 2))
    for mark in np.arange(0, highest, step):
        draw.line([at(1_000, mark), at(1_000_000, mark)], FAINT)
        draw.text((left - 8, at(1_000, mark)[1]), f"{mark:g}", INK, font, anchor="rm")
    for frames in NAMES:
        draw.text((at(frames, 0)[0], bottom + 18), f"{frames:,}", INK, font, anchor="mm")
    draw.text((left, top - 22), "milliseconds over frames in the world", INK, font, anchor="lm")
    for number, (name, line) in enumerate(series.items()):
        points = [at(frames, value) for frames, value in line.items()]
        draw.line(points, COLOURS[name], 3)
        for x, y in points:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), COLOURS[name])
        label = name.replace("_", " ")
        draw.text((right, top - 30 + 18 * number), label, COLOURS[name], font, anchor="rm")
    try:
        image.save(path, format="PNG")
    except OSError as error:
        raise ValueError(f"the plot cannot be written to {path}: {error}") from error
