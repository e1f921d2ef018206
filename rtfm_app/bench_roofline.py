"""What a preset would cost on an accelerator that is not here: counted operations and bytes over
the accelerator's data sheet. `rtfm bench --preset base --dry-run`; nothing is allocated.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from .config import PRESETS, ModelConfig
from .model.cameras import Views, epipolar_lines
from .model.frame_model import Cameras, FrameModel
from .model.own_distance import OWN_CHANNELS

BF16_BYTES = 2
WORKSPACE_BYTES = 2e9  # activations, pictures and the framework itself


@dataclass(frozen=True)
class Accelerator:
    """Dense bf16 operations and memory traffic a second, and memory, as on the data sheet."""

    name: str
    flops_per_s: float
    bytes_per_s: float
    memory_bytes: float


H100 = Accelerator("H100 SXM 80 GB", 989e12, 3.35e12, 80e9)


def roofline(
    preset: str,
    accelerator: Accelerator = H100,
    *,
    memory_frames: int = 8,
    steps: int = 4,
    share_of_peak: float = 0.4,
) -> dict:
    """Predicted speed where every frame is a fresh keyframe of `steps` steps that is committed:
    the pointer head runs in the first step, the memory pass once a frame.

    A stage takes as long as the slower of its arithmetic at `share_of_peak` and its traffic: the
    weights and, while denoising, the KV pages are read once a step.

    Raises:
        ValueError: no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; use one of {', '.join(PRESETS)}")
    config = PRESETS[preset]
    with torch.device("meta"):
        model = FrameModel(config).requires_grad_(False)
    parameters = sum(p.numel() for p in model.parameters())
    step_flops = count_flops(lambda: denoise_products(model, memory_frames))
    head_flops = count_flops(lambda: pointer_products(model, memory_frames))
    memory_flops = count_flops(lambda: memory_products(model))
    weight_bytes = parameters * BF16_BYTES
    step_bytes = weight_bytes + memory_frames * config.kv_bytes_per_page
    memory_bytes = weight_bytes + config.kv_bytes_per_page

    def predicted_ms(flops: float, moved: float) -> float:
        arithmetic = flops / (accelerator.flops_per_s * share_of_peak)
        return 1e3 * max(arithmetic, moved / accelerator.bytes_per_s)

    step_ms = predicted_ms(step_flops, step_bytes)
    head_ms = predicted_ms(head_flops, 0)
    memory_ms = predicted_ms(memory_flops, memory_bytes)
    frame_ms = steps * step_ms + head_ms + memory_ms
    room = accelerator.memory_bytes - weight_bytes - WORKSPACE_BYTES
    return {
        "parameters": parameters,
        "target_tokens": config.tokens,
        "step_flops": step_flops,
        "step_bytes": step_bytes,
        "pointer_flops": head_flops,
        "memory_pass_flops": memory_flops,
        "memory_pass_bytes": memory_bytes,
        "predicted_step_ms": step_ms,
        "predicted_pointer_ms": head_ms,
        "predicted_memory_pass_ms": memory_ms,
        "predicted_frame_ms": frame_ms,
        "predicted_fps": 1e3 / frame_ms,
        "kv_bytes_per_page": config.kv_bytes_per_page,
        "pages_in_memory": int(room // config.kv_bytes_per_page),
        "machine": {
            "accelerator": accelerator.name, "bf16_flops_per_s": accelerator.flops_per_s,
            "bytes_per_s": accelerator.bytes_per_s, "share_of_peak": share_of_peak,
        },
        "settings": {"preset": preset, "memory_frames": memory_frames, "steps": steps},
    }  # fmt: skip


def denoise_flops(model: FrameModel, memory_frames: int) -> int:
    """Operations of one whole denoise pass of a model of this shape, pointer head included."""
    with torch.device("meta"):
        twin = FrameModel(model.config).requires_grad_(False)
    return count_flops(
        lambda: (denoise_products(twin, memory_frames), pointer_products(twin, memory_frames))
    )


def count_flops(work) -> int:
    counter = FlopCounterMode(display=False)
    with torch.device("meta"), counter, torch.no_grad():
        work()
    return counter.get_total_flops()


def empty_views(memory_frames: int) -> Views:
    return Views(
        torch.empty(1, memory_frames, 4, 4), torch.empty(1, 2), torch.empty(1, memory_frames, 2)
    )


def empty_features(config: ModelConfig, memory_frames: int) -> torch.Tensor:
    shape = 2 * config.match_channels + OWN_CHANNELS, config.height // 4, config.width // 4
    return torch.empty(1, memory_frames, *shape)


def denoise_products(model: FrameModel, memory_frames: int) -> None:
    """The products of `FrameModel.denoise` up to the tokens; what is between them is elementwise
    and reads cameras, which a meta device has not."""
    config, views = model.config, empty_views(memory_frames)
    state = torch.empty(1, config.tokens, 3 * (config.patch // 4) ** 2, dtype=model.dtype)
    x = model.embed_state(state) + model.embed_hint(state)
    lines = epipolar_lines(views, *model.sweep.grid_shape)
    _, cues = model.sweep(empty_features(config, memory_frames), lines, model.dtype)
    rows = cues.reshape(1, config.tokens, -1).to(model.dtype)
    x = (x + model.embed_cues(rows)).float()
    page = torch.empty(
        1, memory_frames, 2, config.heads, config.tokens, config.dim // config.heads,
        dtype=model.dtype,
    )  # fmt: skip
    modulation = model.transformer.modulation(torch.empty(1), torch.empty(1, dtype=torch.long))
    model.transformer.denoise_pass(x, modulation, [page] * config.depth, views.prope(), model.dtype)
    model.state_head(x.to(model.dtype))


def pointer_products(model: FrameModel, memory_frames: int) -> None:
    """The pointer head."""
    config, views = model.config, empty_views(memory_frames)
    half = config.height // 2, config.width // 2
    logits = torch.empty(1, config.planes, config.height // 8, config.width // 8)
    model.pointer_head(
        torch.empty(1, config.tokens, config.dim, dtype=model.dtype), logits,
        empty_features(config, memory_frames), torch.empty(1, memory_frames, 3, *half),
        torch.empty(1, memory_frames, 1, *half), torch.empty(1, memory_frames), views, model.dtype,
    )  # fmt: skip


def memory_products(model: FrameModel) -> None:
    """The memory pass of one frame."""
    config = model.config
    picture = torch.empty(1, 3, config.height, config.width)
    cameras = Cameras(torch.empty(1, 2), torch.empty(1, 3))
    model.encode(picture, picture[:, :1], cameras)
