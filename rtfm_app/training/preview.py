"""Pictures of how a training run is doing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from ..config import ModelConfig
from ..model.frame_model import FrameModel, compose
from .data import ClipPool, Shape, make_batch
from .step import encode_memory


@torch.no_grad()
def draw_preview(config: ModelConfig, weights: dict, pool: ClipPool, path: Path) -> None:
    """A grid of samples: memory frames | truth | drawn | remembered | distance."""
    model = FrameModel(config)
    model.load_state_dict(weights)
    rng = np.random.default_rng(7)
    rows = []
    for memory in (1, 3, 3, 2, 1, 3):
        batch = make_batch(pool, Shape(1, 2, memory), rng, augment=False)
        n, _, h, w = batch.targets.shape
        pages = encode_memory(model, batch)
        noise = torch.randn(n, 3, h // 4, w // 4, generator=torch.Generator().manual_seed(1))
        prediction = model.denoise(noise, torch.zeros(n), batch.target_cameras, pages, batch.views)
        drawn, gate, _ = compose(
            prediction, pages, batch.views, batch.target_cameras, pages.images.unbind(1), h, w, 0.0
        )
        u = F.interpolate(prediction.pointer.u, size=(h, w))
        shown = list(batch.memory[:3]) + [torch.zeros_like(drawn[0])] * (3 - min(3, memory))
        for i in range(n):
            extra = [(x[i] * 2 - 1).expand(3, -1, -1) for x in (gate, u)]
            rows.append(torch.cat([*shown, batch.targets[i], drawn[i].clamp(-1, 1), *extra], 2))
    grid = ((torch.cat(rows, 1).permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).byte().numpy()
    Image.fromarray(grid).save(path)
