"""Few-step sampling of the flow state, and the noise it starts from.

Noise is a field over view direction, fixed per world: an unchanged pose draws identical pixels and
slow motion does not flicker.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from .cameras import Views
from .frame_model import Cameras, FrameModel, Pages, Prediction

NOISE_TEXELS = 96


class NoiseField:
    """Standard normal noise on the six faces of a cube around the world's origin."""

    def __init__(self, seed: int):
        shape = (6, NOISE_TEXELS, NOISE_TEXELS, 3)
        self.seed = seed
        self.faces = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)

    def sample(self, rays: np.ndarray) -> np.ndarray:
        """Noise (..., 3) of world directions (..., 3), nearest texel."""
        axis = np.abs(rays).argmax(-1)
        major = np.take_along_axis(rays, axis[..., None], -1)[..., 0]
        u = np.take_along_axis(rays, ((axis + 1) % 3)[..., None], -1)[..., 0] / np.abs(major)
        v = np.take_along_axis(rays, ((axis + 2) % 3)[..., None], -1)[..., 0] / np.abs(major)
        face = axis * 2 + (major < 0)
        # Equal angles rather than equal tangents, so that texels are about one state pixel wide.
        row, column = (
            ((np.arctan(x) / (np.pi / 2) + 0.5) * NOISE_TEXELS)
            .astype(int)
            .clip(0, NOISE_TEXELS - 1)
            for x in (u, v)
        )
        return self.faces[face, row, column]

    def state(self, rays: np.ndarray, temperature: float) -> torch.Tensor:
        """What a flow state (1, 3, h, w) with these rays (h, w, 3) starts from."""
        noise = torch.from_numpy(self.sample(rays) * temperature)
        return noise.permute(2, 0, 1)[None].contiguous()


@torch.no_grad()
def generate(
    model: FrameModel,
    noise: torch.Tensor,
    cameras: Cameras,
    pages: Pages | None,
    views: Views | None,
    *,
    steps: int = 1,
    memory_guidance: float = 1.0,
    pointer: bool = True,
    begun: Prediction | None = None,
) -> Prediction:
    """Sample the flow state in `steps` Euler steps from noise (N, 3, H / 4, W / 4).

    The pointer is found in the first pass; later passes only refine the state. With
    `memory_guidance` s != 1 every pass also runs without memory and moves s times as far from that
    result (classifier-free guidance, arXiv 2207.12598). `begun` is the result of one step from the
    same noise: its pass is not repeated.
    """
    state, first = noise, begun
    for step in range(steps):
        if step == 0 and begun is not None:
            clean = begun.state
            state = state + (clean - state) / steps
            continue
        t = torch.full((len(noise),), step / steps, device=noise.device)
        prediction = model.denoise(
            state, t, cameras, pages, views, pointer=pointer and first is None
        )
        first = first or prediction
        clean = prediction.state
        if memory_guidance != 1.0 and pages is not None:
            alone = model.denoise(state, t, cameras, None, None).state
            clean = alone + memory_guidance * (clean - alone)
        if step + 1 < steps:
            state = state + (clean - state) / (steps - step)
    return replace(first, state=clean)
