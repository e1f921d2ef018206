"""Training throughput, without compiling, on clips of noise; part of `rtfm bench`."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from .bench_engine import standard_walk
from .training.clips import Clip, save_clip
from .training.data import ClipPool
from .training.train import TrainConfig, Trainer

FRAMES = 16


def time_training(seconds: float) -> dict[str, float]:
    """Target frames a second through whole training steps, after one step of warm-up."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(prefix="rtfm-bench-") as folder:
        for seed in range(2):
            clip = Clip(
                images=rng.integers(0, 255, (FRAMES, 144, 256, 3), dtype=np.uint8),
                inverse_depth=rng.uniform(0, 0.5, (FRAMES, 72, 128)).astype(np.float16),
                camera_to_world=np.stack(standard_walk(FRAMES)),
                fov_y_radians=1.0, family="bench", seed=seed,
            )  # fmt: skip
            save_clip(clip, Path(folder))
        pool = ClipPool(Path(folder), "train")
        trainer = Trainer(TrainConfig(Path(folder), Path(folder) / "run", compile=False))
        trainer.train_step(pool)
        targets, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            targets += int(trainer.train_step(pool)["targets"])
        return {"train_targets_per_s": targets / (time.perf_counter() - start)}
