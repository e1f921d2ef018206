"""Temporary worlds for evaluation, and one posed picture of a place whose truth is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..device import choose_device
from ..engine import DEFAULT_WEIGHTS, FrameEngine
from ..memory.world_file import StoredFrame, WorldFile
from ..model.checkpoint import load_model, weights_sha256
from ..model.fast import prepare
from ..resources import asset
from .metrics import homography_reading, psnr

HEIGHT, WIDTH = 288, 512


@dataclass(frozen=True)
class Posed:
    """A picture with its camera: image uint8 (H, W, 3), pose (4, 4), field of view in radians."""

    image: np.ndarray
    camera_to_world: np.ndarray
    fov_y_radians: float


@dataclass(frozen=True)
class Subject:
    """The model under test, loaded once for all evaluations."""

    model: torch.nn.Module
    path: Path
    device: torch.device

    @classmethod
    def load(cls, weights: Path | None = None, device: str = "auto") -> Subject:
        """Raises ValueError: the weights cannot be read or there is no such device."""
        path = Path(weights) if weights else asset(DEFAULT_WEIGHTS)
        chosen = choose_device(device)
        return cls(prepare(load_model(path), chosen), path, chosen)

    def describe(self) -> dict:
        parameters = sum(p.numel() for p in self.model.parameters())
        return {
            "name": self.model.config.name,
            "parameters": parameters,
            "weights_sha256": weights_sha256(self.path),
        }

    @contextmanager
    def engine(self, memory: Sequence[Posed]) -> Iterator[FrameEngine]:
        """An engine on a temporary world whose seed frames are `memory`; frame ids are 1, 2, …"""
        with tempfile.TemporaryDirectory(prefix="rtfm-eval-") as folder:
            first = memory[0]
            world = WorldFile.create(
                Path(folder) / "eval.rtfm",
                name="eval",
                start_pose=first.camera_to_world,
                fov_y_radians=first.fov_y_radians,
            )
            for item in memory:
                frame = StoredFrame(
                    "seed", item.camera_to_world, item.fov_y_radians, item.image, None
                )
                world.add_frame(frame)
            with FrameEngine(world, self.model, self.path, self.device) as engine:
                yield engine


@dataclass(frozen=True)
class Baseline:
    """The best single memory frame re-projected by the infinite homography."""

    picture: np.ndarray
    inside: np.ndarray
    memory: Posed
    psnr: float


def best_homography(
    truth: Posed, memory: Sequence[Posed], mask: np.ndarray | None = None
) -> Baseline:
    """The one of `memory` whose re-projection is nearest to the truth (chosen knowing the truth,
    so that the baseline is as strong as it can be)."""
    height, width = truth.image.shape[:2]
    readings = []
    for item in memory:
        picture, inside = homography_reading(
            item.image, item.camera_to_world, item.fov_y_radians,
            truth.camera_to_world, truth.fov_y_radians, height, width,
        )  # fmt: skip
        readings.append(Baseline(picture, inside, item, psnr(picture, truth.image, mask)))
    return max(readings, key=lambda reading: reading.psnr)


def nearest(truth: Posed, memory: Sequence[Posed]) -> Posed:
    """The memory frame nearest in position, one radian of turning counting as two metres."""

    def distance(item: Posed) -> float:
        apart = np.linalg.norm(item.camera_to_world[:3, 3] - truth.camera_to_world[:3, 3])
        facing = float(item.camera_to_world[:3, 2] @ truth.camera_to_world[:3, 2])
        return apart + 2 * np.arccos(np.clip(facing, -1, 1))

    return min(memory, key=distance)
