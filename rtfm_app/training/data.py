"""Batches of posed frames from a folder of clips.

`ClipPool` keeps decoded clips in memory, looks for new files now and then, and draws batches of
scenes: memory frames and target frames of one place, from well covered to never seen. All draws
come from one numpy generator whose state is part of a training checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..geometry import invert_pose
from ..model.cameras import METRES_PER_UNIT, Views, relative_views
from ..model.frame_model import Cameras
from .clips import Clip, load_clip
from .distributed import Share

MEMORY_COUNTS = (0, 1, 2, 3, 4, 6)
MEMORY_ODDS = (0.03, 0.42, 0.2, 0.16, 0.15, 0.04)


# Photographs painted on rooms and domes that have nothing to do with them: their parallax is true,
# but nobody could tell these distances from a single picture.
PAINTED = frozenset({"pano_box"})


@dataclass(frozen=True)
class Batch:
    """B scenes with M memory and T target frames each; N = B * T targets.

    Attributes:
        memory: (B * M, 3, H, W) in [-1, 1].  memory_cameras: their cameras.
        targets: (N, 3, H, W).  target_cameras, views: of the targets.
        rho: (N, 1, H / 2, W / 2) true inverse depth in 1 / (4 m), NaN where unknown.
        memory_rho: (B, M, 1, H / 2, W / 2).
        memory_valid: (B * M, 1, H, W), 0 where a memory picture must not be read.
        painted: (B,) bool, scenes of which no single picture tells its distances.
        imagined: how many of the last memory frames of each scene the model drew itself.
    """

    memory: torch.Tensor
    memory_cameras: Cameras
    memory_rho: torch.Tensor
    targets: torch.Tensor
    target_cameras: Cameras
    views: Views
    rho: torch.Tensor
    scenes: int
    memory_valid: torch.Tensor
    painted: torch.Tensor
    imagined: int = 0

    @property
    def memory_count(self) -> int:
        return self.views.count

    def told(self, rho: torch.Tensor) -> torch.Tensor:
        """Inverse depths (B * n, 1, h, w), n frames a scene, that a picture alone tells: NaN in
        painted scenes."""
        silent = self.painted.repeat_interleave(len(rho) // self.scenes)
        return rho.masked_fill(silent[:, None, None, None], torch.nan)

    def only(self, targets: torch.Tensor) -> Batch:
        """The same scenes with some of the targets (indices, equally many of each scene)."""
        cameras, views = self.target_cameras, self.views
        return replace(
            self,
            targets=self.targets[targets],
            target_cameras=Cameras(cameras.tangents[targets], cameras.up[targets]),
            views=Views(
                views.memory_from_target[targets],
                views.tan_target[targets],
                views.tan_memory[targets],
            ),
            rho=self.rho[targets],
        )

    def of_memory(self) -> Batch:
        """The memory frames themselves as the targets of their scenes."""
        b, m = self.scenes, self.memory_count
        memory_from_target = self.views.memory_from_target[:: len(self.targets) // b]
        between = memory_from_target[:, None] @ torch.linalg.inv(memory_from_target)[:, :, None]
        tangents = self.memory_cameras.tangents
        shared = tangents.unflatten(0, (b, 1, m)).expand(b, m, m, 2).flatten(0, 1)
        return replace(
            self,
            targets=self.memory,
            target_cameras=self.memory_cameras,
            views=Views(between.flatten(0, 1), tangents, shared),
            rho=self.memory_rho.flatten(0, 1),
        )

    def remembering(
        self, source: Batch, frames: torch.Tensor, pictures: torch.Tensor, valid: torch.Tensor
    ) -> Batch:
        """With one more memory frame a scene: targets `frames` of `source`, shown by `pictures`
        (B, 3, H, W) where `valid` (B, 1, H, W)."""
        b, m = self.scenes, self.memory_count
        per_scene = len(self.targets) // b
        of_target = source.views.memory_from_target[frames, 0].repeat_interleave(per_scene, 0)
        added = torch.linalg.inv(of_target) @ self.views.memory_from_target[:, 0]
        tan = source.target_cameras.tangents[frames].repeat_interleave(per_scene, 0)

        def join(old: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
            return torch.cat([old.unflatten(0, (b, m)), new[:, None]], 1).flatten(0, 1)

        cameras, views = self.memory_cameras, self.views
        return replace(
            self,
            memory=join(self.memory, pictures),
            memory_valid=join(self.memory_valid, valid),
            memory_cameras=Cameras(
                join(cameras.tangents, source.target_cameras.tangents[frames]),
                join(cameras.up, source.target_cameras.up[frames]),
            ),
            memory_rho=torch.cat([self.memory_rho, source.rho[frames][:, None]], 1),
            views=Views(
                torch.cat([views.memory_from_target, added[:, None]], 1),
                views.tan_target,
                torch.cat([views.tan_memory, tan[:, None]], 1),
            ),
            imagined=self.imagined + 1,
        )


@dataclass(frozen=True)
class Shape:
    """How many frames a batch holds."""

    scenes: int
    targets: int
    memory: int


class ClipPool:
    """Clips of one split, grouped by family; families are drawn by `weights` (default equal)."""

    def __init__(self, folder: Path, split: str, weights: dict[str, float] | None = None):
        self.folder = Path(folder) / split
        self.weights = weights or {}
        self.families: dict[str, list[Clip]] = {}
        self._known: set[str] = set()
        self.refresh()

    def listed(self) -> list[str]:
        """Names of the files that are there now."""
        return sorted(path.name for path in self.folder.glob("*.clip.npz"))

    def refresh(self, names: list[str] | None = None) -> int:
        """Load those of the files `names` (None: all that are there) that are not loaded yet;
        returns how many."""
        fresh = [n for n in (self.listed() if names is None else names) if n not in self._known]
        for name in fresh:
            path = self.folder / name
            clip = load_clip(path)
            self.families.setdefault(clip.family, []).append(clip)
            self._known.add(path.name)
        return len(fresh)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def longest(self) -> int:
        """Frames of the longest clip."""
        return max((len(c.images) for family in self.families.values() for c in family), default=0)

    def draw(self, rng: np.random.Generator, frames: int) -> Clip:
        """A clip of at least `frames` frames.

        Raises:
            ValueError: the folder has none.
        """
        fitting = {
            name: clips
            for name in sorted(self.families)
            if (clips := [c for c in self.families[name] if len(c.images) >= frames])
        }
        if not fitting:
            raise ValueError(f"{self.folder} has no clip of {frames} frames or more to train on")
        odds = np.array([self.weights.get(name, 1.0) for name in fitting])
        family = list(fitting.values())[rng.choice(len(fitting), p=odds / odds.sum())]
        return family[rng.integers(len(family))]


def draw_shape(rng: np.random.Generator, targets: int) -> Shape:
    """Number of memory frames and how the targets are split into scenes: few memory frames leave
    room for more scenes."""
    memory = int(rng.choice(MEMORY_COUNTS, p=MEMORY_ODDS))
    per_scene = 2 if memory <= 1 else 3
    return Shape(max(1, targets // per_scene), per_scene, memory)


def _choose_frames(rng: np.random.Generator, frames: int, shape: Shape) -> np.ndarray:
    """Indices of M memory frames, then T targets, from a window of random length."""
    need = shape.memory + shape.targets
    span = int(rng.integers(min(need + 1, frames), frames + 1))
    start = int(rng.integers(0, frames - span + 1))
    chosen = start + rng.permutation(span)[:need]
    return np.concatenate([chosen[: shape.memory], chosen[shape.memory :]])


@dataclass(frozen=True)
class _Scene:
    images: np.ndarray
    inverse_depth: np.ndarray
    poses: np.ndarray
    tan_y: float
    painted: bool


def _take(clip: Clip, chosen: np.ndarray, rng: np.random.Generator, augment: bool) -> _Scene:
    images = clip.images[chosen].astype(np.float32) / 127.5 - 1
    depth = clip.inverse_depth[chosen].astype(np.float32)
    poses = clip.camera_to_world[chosen].copy()
    if augment:
        if rng.random() < 0.5:
            mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
            poses = mirror @ poses @ mirror
            images, depth = images[:, :, ::-1], depth[:, :, ::-1]
        if rng.random() < 0.3:
            scale = float(np.exp(rng.normal(0, 0.15)))
            poses[:, :3, 3] *= scale
            depth = depth / scale
        if rng.random() < 0.6:
            gain = np.exp(rng.normal(0, 0.12, (1, 1, 1, 3)) + rng.normal(0, 0.15))
            gamma = float(np.exp(rng.normal(0, 0.15)))
            images = (((images + 1) / 2) ** gamma * gain).clip(0, 1).astype(np.float32) * 2 - 1
    tan_y = float(np.tan(clip.fov_y_radians / 2))
    return _Scene(images, depth, poses, tan_y, clip.family in PAINTED)


def make_batch(
    pool: ClipPool,
    shape: Shape,
    rng: np.random.Generator,
    augment: bool = True,
    share: Share = Share(),  # noqa: B008 (frozen)
) -> Batch:
    """Draw one batch, or this process's share of it; where all clips are short, with fewer memory
    frames than asked for. Each scene has a generator of its own, so that other processes' scenes
    need not be made."""
    shape = replace(shape, memory=max(0, min(shape.memory, pool.longest - shape.targets)))
    scenes = []
    seeds = rng.integers(1 << 62, size=shape.scenes)
    for scene in share.scenes(shape.scenes):
        own = np.random.default_rng(seeds[scene])
        clip = pool.draw(own, shape.memory + shape.targets)
        chosen = _choose_frames(own, len(clip.images), shape)
        scenes.append(_take(clip, chosen, own, augment))
    return batch_of(scenes, shape)


def batch_of(scenes: list[_Scene], shape: Shape) -> Batch:
    m, t = shape.memory, shape.targets

    def frames(values: list[np.ndarray], channels_last: bool = False) -> torch.Tensor:
        stacked = torch.from_numpy(np.ascontiguousarray(np.concatenate(values)))
        return stacked.permute(0, 3, 1, 2).contiguous() if channels_last else stacked[:, None]

    poses = np.stack([s.poses for s in scenes])
    tan_y = np.array([s.tan_y for s in scenes])
    target_poses = poses[:, m:].reshape(-1, 4, 4)
    memory_poses = np.repeat(poses[:, :m], t, 0)
    views = relative_views(
        target_poses, np.repeat(tan_y, t), memory_poses, np.repeat(tan_y, t)[:, None].repeat(m, 1)
    )
    return Batch(
        memory=frames([s.images[:m] for s in scenes], True),
        memory_cameras=cameras_of(poses[:, :m].reshape(-1, 4, 4), np.repeat(tan_y, m)),
        memory_rho=frames([s.inverse_depth[:m] for s in scenes]).unflatten(0, (len(scenes), m))
        * METRES_PER_UNIT,
        targets=frames([s.images[m:] for s in scenes], True),
        target_cameras=cameras_of(target_poses, np.repeat(tan_y, t)),
        views=views,
        rho=frames([s.inverse_depth[m:] for s in scenes]) * METRES_PER_UNIT,
        scenes=len(scenes),
        memory_valid=torch.ones(len(scenes) * m, 1, *scenes[0].images.shape[1:3]),
        painted=torch.tensor([s.painted for s in scenes]),
    )


def cameras_of(poses: np.ndarray, tan_y: np.ndarray) -> Cameras:
    """Cameras of absolute poses (N, 4, 4) with half-field tangents (N,)."""
    up = invert_pose(poses)[:, :3, 1] if len(poses) else np.zeros((0, 3))
    tangents = np.stack([tan_y * 16 / 9, tan_y], -1)
    return Cameras(
        torch.from_numpy(tangents.astype(np.float32)), torch.from_numpy(up.astype(np.float32))
    )
