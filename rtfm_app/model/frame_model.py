"""The frame model: posed memory pictures in, the picture of a new pose out.

encode (memory pass)   picture -> Pages: KV pages, matching features, the picture itself
denoise (denoise pass) flow state, pages, relative cameras -> Prediction
compose                Prediction -> picture at any resolution

The flow state is the low-pass of the target at a quarter of the model's resolution (48 numbers a
token), predicted as a change to the mirrored reading of the nearest memory frame. Detail comes from
the pointer where memory shows the content, and from the mirrored reading where nothing does. Flow
time t: 0 noise, 1 data; the network predicts the clean state (JiT, arXiv 2511.13720).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional as F

from ..config import ModelConfig
from .cameras import Views, epipolar_lines
from .layers import Linear
from .matching import FeatureNet, PlaneSweep, with_own
from .mirror import mirrored_reading, read_mirrored
from .own_distance import OwnDistance
from .pointer import Pointer, PointerHead, cells, read_memory
from .transformer import Transformer

MOST_TINT = 0.25


@dataclass(frozen=True)
class Cameras:
    """What a frame knows of its own camera: tangents (N, 2) and the world's +Y in camera axes
    (N, 3)."""

    tangents: torch.Tensor
    up: torch.Tensor


@dataclass(frozen=True)
class Pages:
    """Encoded memory of N targets with M frames each.

    Attributes:
        kv: one tensor (N, M, 2, heads, T, D / heads) per block.
        features: (N, M, 2 C + 2, H / 4, W / 4), `matching.with_own`.
        images: (N, M, 3, H, W) in [-1, 1], model resolution; valid: (N, M, 1, H, W).
        up: (N, M, 3) the world's +Y in each memory camera's axes.
        given: (N, M) 1 for given pictures, 0 for what the model imagined; None = all given.
        unmarked: `images` before a user painted on them, which are mirrored; None = the same.
        anchor: (N,) index of the frame whose mirrored reading fills what none shows; None = the
            one that looks most alike.
    """

    kv: tuple[torch.Tensor, ...]
    features: torch.Tensor
    images: torch.Tensor
    valid: torch.Tensor
    up: torch.Tensor
    given: torch.Tensor | None = None
    unmarked: torch.Tensor | None = None
    anchor: torch.Tensor | None = None
    _shrunk: dict = field(default_factory=dict, repr=False, compare=False)

    def shrunk(self, name: str, size: tuple[int, int]) -> torch.Tensor:
        """`images`, `unmarked` or `valid` at a smaller size (N, M, C, *size); remembered, also by a
        copy with another anchor."""
        source = getattr(self, name)
        known = self._shrunk.get((name, size))
        if known is None or known[0] is not source:
            smaller = F.interpolate(source.flatten(0, 1), size=size, mode="area")
            known = source, smaller.unflatten(0, source.shape[:2])
            self._shrunk[name, size] = known
        return known[1]


@dataclass(frozen=True)
class Prediction:
    """Result of one denoise pass: the clean flow state (N, 3, H / 4, W / 4) and the pointer (None
    without memory or with the pointer off)."""

    state: torch.Tensor
    pointer: Pointer | None


class FrameModel(nn.Module):
    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.products = torch.bfloat16
        dim, patch = config.dim, config.patch
        self.embed_memory = nn.Sequential(
            Linear(4 * patch * patch, 128, bias=False), Linear(128, dim)
        )
        self.embed_state = Linear(3 * (patch // 4) ** 2, dim)
        self.embed_camera = Linear(5, dim)
        self.position = nn.Parameter(torch.randn(config.tokens, dim) * 0.02)
        self.kind = nn.Parameter(torch.randn(2, dim) * 0.02)
        self.transformer = Transformer(config)
        self.state_head = Linear(dim, 3 * (patch // 4) ** 2)
        nn.init.zeros_(self.state_head.weight)
        self.features = FeatureNet(config)
        self.own_distance = OwnDistance(config)
        self.sweep = PlaneSweep(config)
        self.embed_cues = Linear(4 * self.sweep.outputs, dim)
        self.pointer_head = PointerHead(config)
        self.embed_hint = Linear(3 * (patch // 4) ** 2, dim)
        nn.init.zeros_(self.embed_hint.weight)
        nn.init.zeros_(self.embed_hint.bias)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the matrix products: `products`, unless the weights say float64 (tests)."""
        weight = self.state_head.weight.dtype
        return self.products if weight in (torch.float32, torch.bfloat16) else weight

    def encode(self, images: torch.Tensor, valid: torch.Tensor, cameras: Cameras, classes=None):
        """Memory pass of F frames, each alone.

        Args:
            images: (F, 3, H, W) in [-1, 1].  valid: (F, 1, H, W), 0 where pixels must not be read.
        Returns:
            kv, a tensor (F, 2, heads, T, D / heads) per block, and features (F, 2 C + 2, H / 4,
            W / 4) for the pointer (`matching.with_own`).
        """
        config = self.config
        patches = _patches(torch.cat([images, valid * 2 - 1], 1), config.patch)
        x = self.embed_memory(patches.to(self.dtype)).float() + self._camera_tokens(cameras, 1)
        ones = torch.ones(len(images), device=images.device)
        classes = ones.long() * 0 if classes is None else classes
        modulation = self.transformer.modulation(ones, classes)
        kv, x = self.transformer.memory_pass(x, modulation, self.dtype)
        images = images.to(self.dtype)
        features = self.features(images)
        tokens = F.layer_norm(x, (config.dim,)).to(self.dtype)
        own = self.own_distance(tokens, features, images)
        return kv, with_own(features.float(), own)

    def denoise(
        self,
        state: torch.Tensor,
        t: torch.Tensor,
        cameras: Cameras,
        pages: Pages | None,
        views: Views | None,
        classes: torch.Tensor | None = None,
        pointer: bool = True,
    ) -> Prediction:
        """One denoise pass of N targets.

        Args:
            state: (N, 3, H / 4, W / 4) noisy flow state.  t: (N,) flow times.
            pointer: whether to run the pointer head too.
        """
        config, dtype = self.config, self.dtype
        rows, columns = config.tokens_shape
        x = self.embed_state(_patches(state, config.patch // 4).to(dtype)).float()
        x = x + self._camera_tokens(cameras, 0)
        sweep_logits = prope = None
        hint = torch.zeros_like(state)
        if pages is not None:
            hint = self.starting_state(pages, views, cameras)
            x = x + self.embed_hint(_patches(hint, config.patch // 4).to(dtype)).float()
            lines = epipolar_lines(views, *self.sweep.grid_shape)
            sweep_logits, cues = self.sweep(pages.features, lines, dtype)
            x = x + self.embed_cues(_patches(cues, 2).to(dtype)).float()
            prope = views.prope() if config.prope else None
        classes = torch.zeros(len(state), dtype=torch.long) if classes is None else classes
        modulation = self.transformer.modulation(t, classes.to(state.device))
        kv = None if pages is None else pages.kv
        x = self.transformer.denoise_pass(x, modulation, kv, prope, dtype)
        tokens = F.layer_norm(x, (config.dim,)).to(dtype)
        clean = hint + cells(self.state_head(tokens), rows, columns, config.patch // 4).float()
        if pages is None or not (pointer and config.pointer):
            return Prediction(clean, None)
        half = (config.height // 2, config.width // 2)
        given = pages.given
        if given is None:
            given = pages.features.new_ones(pages.features.shape[:2])
        found = self.pointer_head(
            tokens, sweep_logits, pages.features, pages.shrunk("images", half),
            pages.shrunk("valid", half), given, views, dtype,
        )  # fmt: skip
        return Prediction(clean, found)

    def starting_state(self, pages: Pages, views: Views, cameras: Cameras) -> torch.Tensor:
        """The mirrored reading (N, 3, H / 4, W / 4), which the flow state is a change to."""
        size = self.config.height // 4, self.config.width // 4
        return _mirrored_state(pages, views, cameras, *size)

    def _camera_tokens(self, cameras: Cameras, kind: int) -> torch.Tensor:
        """Position, kind and viewing direction of every token (N, T, D): the direction's height
        above the horizon tells ground from sky."""
        rows, columns = self.config.tokens_shape
        x = (torch.arange(columns, device=cameras.up.device) * 2 + 1) / columns - 1
        y = 1 - (torch.arange(rows, device=cameras.up.device) * 2 + 1) / rows
        grid = torch.stack([x.expand(rows, columns), y[:, None].expand(rows, columns)], -1)
        plane = grid.reshape(1, -1, 2) * cameras.tangents[:, None]
        rays = F.normalize(torch.cat([plane, -torch.ones_like(plane[..., :1])], -1), dim=-1)
        height = (rays * cameras.up[:, None]).sum(-1, keepdim=True)
        steep = height.clamp(max=-0.02).reciprocal() * 0.1
        described = torch.cat([plane, height, steep, 4 * height.clamp(-0.25, 0.25)], -1)
        embedded = self.embed_camera(described.to(self.dtype)).float()
        return embedded + self.position.float() + self.kind[kind].float()


def nearest_memory(views: Views) -> torch.Tensor:
    """Index (N,) of the memory frame that looks most alike."""
    facing = views.memory_from_target[..., 2, 2]
    baseline = views.memory_from_target[..., :3, 3].norm(dim=-1)
    return (facing - 0.2 * torch.log1p(4 * baseline)).argmax(1)


def mirrored(
    pages: Pages, views: Views, cameras: Cameras, images, height: int, width: int, mode="bilinear"
):
    """Mirrored reading (N, 3, height, width) of the anchor; `images` are M pictures (N, 3, H', W')
    at any resolution."""
    nearest = nearest_memory(views) if pages.anchor is None else pages.anchor
    read = []
    for i, m in enumerate(nearest.tolist()):
        one = slice(i, i + 1)
        reading = mirrored_reading(
            views.memory_from_target[one, m], cameras.tangents[one], views.tan_memory[one, m],
            pages.up[one, m], height, width,
        )  # fmt: skip
        read.append(read_mirrored(images[m][one], reading, mode))
    return torch.cat(read)


def _mirrored_state(pages: Pages, views: Views, cameras: Cameras, height: int, width: int):
    """The mirrored reading at the flow state's resolution: where the state starts from."""
    small = pages.shrunk("images" if pages.unmarked is None else "unmarked", (height, width))
    return mirrored(pages, views, cameras, small.unbind(1), height, width)


def compose(
    prediction: Prediction,
    pages: Pages | None,
    views: Views | None,
    cameras: Cameras,
    images: Sequence[torch.Tensor],
    height: int,
    width: int,
    imagination: float,
    unmarked: Sequence[torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Draw the picture at any resolution.

    What memory shows is read by the pointer; what it does not is the mirrored reading, moved
    towards the generated state on a scale set by `imagination` (0: a tint of its broad colours, 1:
    all of the state).

    Args:
        images: M memory pictures (N, 3, H', W'), each at its stored resolution.
        unmarked: the same before a user painted on them, if any were.
    Returns:
        picture (N, 3, height, width), remembered share (N, 1, height, width), share of each memory
        frame (N, M, height, width) or None.
    """
    size = {"size": (height, width), "mode": "bilinear", "align_corners": False}
    if prediction.pointer is None:
        picture = F.interpolate(prediction.state, size=(height, width), mode="bicubic")
        return picture, torch.zeros_like(picture[:, :1]), None
    read, share = read_memory(prediction.pointer, images, views, height, width, "bicubic")
    gate = F.interpolate(prediction.pointer.gate, **size)
    gate = (gate * 1.06 - 0.03).clamp(0, 1)
    reading = mirrored(pages, views, cameras, unmarked or images, height, width, "bicubic")
    state = prediction.state
    reading_state = F.interpolate(reading, size=state.shape[-2:], mode="area")
    change = state - reading_state
    rows, columns = state.shape[-2] // 4, state.shape[-1] // 4
    broad = F.interpolate(
        F.interpolate(change, size=(rows, columns), mode="area"), size=state.shape[-2:],
        mode="bicubic", align_corners=False,
    )  # fmt: skip
    broad = broad.clamp(-MOST_TINT, MOST_TINT) * (0.25 + 0.75 * imagination)
    change = broad + imagination * (change - broad)
    detail = 1.0 - 0.5 * imagination
    fine = reading - F.interpolate(reading_state, **size)
    imagined = F.interpolate(reading_state + change, **size) + detail * fine
    return gate * read + (1 - gate) * imagined, gate, share


def _patches(x: torch.Tensor, patch: int) -> torch.Tensor:
    """(N, C, H, W) -> (N, T, C * patch^2)."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // patch, patch, w // patch, patch).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(n, (h // patch) * (w // patch), c * patch * patch)
