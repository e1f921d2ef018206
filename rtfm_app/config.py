"""Frozen configuration: model presets and generation settings, checked when they are made.

User preferences (keys, sensitivities, window) live in `preferences.py`; nothing here reads a file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .geometry import ASPECT

OVERSCAN = 1.1
WALK_SPEED = 1.5
EYE_HEIGHT = 1.6
DEFAULT_FOV_Y_DEGREES = 60.0
STORED_MAX_SIZE = (576, 1024)


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a frame model. Tokens are `patch` x `patch` pixels of a `height` x `width` picture.

    The flow state of a target frame is its low-pass at a quarter of the resolution, so that one
    token carries (patch / 4)^2 * 3 numbers.
    """

    name: str
    height: int = 144
    width: int = 256
    patch: int = 16
    dim: int = 320
    depth: int = 8
    heads: int = 5
    mlp_ratio: int = 4
    planes: int = 48
    match_channels: int = 16
    volume_channels: int = 16
    cell_channels: int = 16
    refine_channels: int = 32
    pointer: bool = True
    prope: bool = True

    def __post_init__(self):
        if self.dim % self.heads or (self.dim // self.heads) % 8:
            raise ValueError(
                f"preset {self.name}: dim {self.dim} / heads {self.heads} must divide by 8"
            )
        if self.patch != 16 or self.height % 16 or self.width % 16:
            raise ValueError(f"preset {self.name}: the picture must be whole 16 x 16 patches")
        if not math.isclose(self.width / self.height, ASPECT):
            raise ValueError(f"preset {self.name}: the picture must be 16:9")

    @property
    def tokens_shape(self) -> tuple[int, int]:
        """(rows, columns) of the token grid."""
        return self.height // self.patch, self.width // self.patch

    @property
    def tokens(self) -> int:
        rows, columns = self.tokens_shape
        return rows * columns

    @property
    def kv_bytes_per_page(self) -> int:
        """Bytes of one frame's keys and values in bf16."""
        return self.depth * 2 * self.tokens * self.dim * 2


PRESETS = {
    "embedded": ModelConfig("embedded"),
    "small": ModelConfig("small", dim=768, depth=14, heads=12, height=288, width=512),
    "base": ModelConfig("base", dim=2560, depth=11, heads=40, height=288, width=512),
    "large": ModelConfig("large", dim=3328, depth=36, heads=52, height=576, width=1024),
}


@dataclass(frozen=True)
class GenerationSettings:
    """What a user may change between two frames; every field acts from the next frame.

    Attributes:
        inter_steps, key_steps: flow steps of a displayed frame and of a committed keyframe.
        memory_frames: K, how many stored frames are attended to (0 dreams).
        memory_guidance: classifier-free guidance scale on memory for what is imagined (1 = none).
        noise_temperature: standard deviation of the flow noise (1 = as trained).
        noise_seed: seed of the noise field over view directions.
        imagination: 0..1, how much of what was never seen comes from the flow sample instead of
            the free pointer's mirrored reading.
        novelty_threshold: unseen share of the view (0..1) above which a keyframe is committed.
        look_ahead_s: how far ahead of the walker, in seconds, uncovered views are imagined.
        kv_budget_mb: memory for cached KV pages.
        pointer: draw with the pointer head; off shows the synthesis alone.
        height: rows of the drawn picture (columns = rows * 16 / 9).
    """

    inter_steps: int = 1
    key_steps: int = 2
    memory_frames: int = 4
    memory_guidance: float = 1.0
    noise_temperature: float = 1.0
    noise_seed: int = 0
    imagination: float = 0.1
    novelty_threshold: float = 0.25
    look_ahead_s: float = 0.7
    kv_budget_mb: int = 512
    pointer: bool = True
    height: int = 288

    def __post_init__(self):
        _check("inter_steps", self.inter_steps, 1, 64)
        _check("key_steps", self.key_steps, 1, 64)
        _check("memory_frames", self.memory_frames, 0, 16)
        _check("memory_guidance", self.memory_guidance, 0.0, 10.0)
        _check("noise_temperature", self.noise_temperature, 0.0, 2.0)
        _check("imagination", self.imagination, 0.0, 1.0)
        _check("novelty_threshold", self.novelty_threshold, 0.0, 1.0)
        _check("look_ahead_s", self.look_ahead_s, 0.0, 5.0)
        _check("kv_budget_mb", self.kv_budget_mb, 16, 1 << 20)
        _check("height", self.height, 72, 2160)
        if self.height % 9:
            raise ValueError(f"height must be a multiple of 9 (16:9 pictures), got {self.height}")

    @property
    def width(self) -> int:
        return self.height * 16 // 9


def _check(name: str, value, low, high) -> None:
    if not (isinstance(value, (int, float)) and low <= value <= high):
        raise ValueError(f"setting {name} must be between {low} and {high}, got {value!r}")
