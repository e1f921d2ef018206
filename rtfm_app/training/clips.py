"""Clips: short posed videos on disk, the one format that all training sources write and read.

A clip file is `NAME.clip.npz` (uncompressed npz), F frames of one place:
    images            (F, H, W, 3) uint8 sRGB, H:W = 9:16, normally 144 x 256
    inverse_depth     (F, H/2, W/2) float16, 1/metres, 0 = infinite, NaN = unknown; of what is
                      seen, which in a flat mirror or in still water lies behind it
    camera_to_world   (F, 4, 4) float64 (geometry.py)
    fov_y_radians     () float64
    family            () str;  biome, mood () str ("" = unknown)
    seed              () int64
    scene             () int64, clips with the same family, seed and scene show one place
Seeds are split once: seed % 10 == 8 is validation, 9 is test, the rest is training.
"""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Clip:
    """F posed frames of one place; fields as in the module docstring."""

    images: np.ndarray
    inverse_depth: np.ndarray
    camera_to_world: np.ndarray
    fov_y_radians: float
    family: str
    seed: int
    scene: int = 0
    biome: str = ""
    mood: str = ""

    def __post_init__(self):
        frames, height, width, channels = self.images.shape
        assert channels == 3 and height * 16 == width * 9, self.images.shape
        assert self.images.dtype == np.uint8, self.images.dtype
        half = (frames, height // 2, width // 2)
        assert self.inverse_depth.shape == half, (self.inverse_depth.shape, half)
        assert self.camera_to_world.shape == (frames, 4, 4), self.camera_to_world.shape


def split_of(seed: int) -> str:
    """'train', 'validation' or 'test', from the seed alone."""
    return {8: "validation", 9: "test"}.get(seed % 10, "train")


def save_clip(clip: Clip, folder: Path) -> Path:
    """Write atomically into folder/<split>/; returns the file's path."""
    target = Path(folder) / split_of(clip.seed)
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{clip.family}-{clip.seed:06d}-{clip.scene:03d}.clip.npz"
    fields = {
        "images": clip.images,
        "inverse_depth": clip.inverse_depth.astype(np.float16),
        "camera_to_world": clip.camera_to_world.astype(np.float64),
        "fov_y_radians": np.float64(clip.fov_y_radians),
        "family": np.str_(clip.family),
        "biome": np.str_(clip.biome),
        "mood": np.str_(clip.mood),
        "seed": np.int64(clip.seed),
        "scene": np.int64(clip.scene),
    }
    temporary = path.with_suffix(f".{os.getpid()}.part")
    with open(temporary, "wb") as stream:
        np.savez(stream, **fields)
    os.replace(temporary, path)
    return path


def load_clip(path: Path) -> Clip:
    """Read one clip file.

    Raises:
        ValueError: the file is not a clip; names the file.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            return Clip(
                images=data["images"],
                inverse_depth=data["inverse_depth"],
                camera_to_world=data["camera_to_world"],
                fov_y_radians=float(data["fov_y_radians"]),
                family=str(data["family"]),
                seed=int(data["seed"]),
                scene=int(data["scene"]),
                biome=str(data["biome"]),
                mood=str(data["mood"]),
            )
    except (KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a readable clip file: {error}") from error
