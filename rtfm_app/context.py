"""What a target is drawn from: encoded memory frames (pages) of a world, on the engine's device."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from .clock import StageClock
from .config import STORED_MAX_SIZE, GenerationSettings
from .device import SideStream
from .geometry import invert_pose, rotation_angle, tangents
from .memory.pages import PagePool
from .memory.world_file import StoredFrame, WorldFile
from .model.cameras import Views, relative_views
from .model.fast_picture import Readable
from .model.frame_model import Cameras, Pages
from .model.matching import own_of
from .model.upright import OwnMap
from .standing import ONE_PLACE_METRES, Standing

FRAMES_AHEAD = (2, 5)
JUMP_METRES, JUMP_RADIANS = 2.0, 0.8


@dataclass(frozen=True)
class Page:
    """One encoded memory frame, on the engine's device.

    Attributes:
        kv: one tensor (2, heads, T, D / heads) per block.  features: (C, H / 4, W / 4).
        image: (3, H, W) at model resolution; unmarked: the same before a user painted on it.
        valid: (1, H, W).
        picture: at its stored resolution.
        camera_to_world: (4, 4) float64.  tan_y: of the stored picture.
        given: a picture from outside, not imagined.
    """

    kv: tuple[torch.Tensor, ...]
    features: torch.Tensor
    image: torch.Tensor
    unmarked: torch.Tensor
    valid: torch.Tensor
    picture: Readable
    camera_to_world: np.ndarray
    tan_y: float
    given: bool

    def tensors(self, device: torch.device) -> Iterator[torch.Tensor]:
        """All that lies on the engine's device."""
        yield from (*self.kv, self.features, self.image, self.unmarked, self.valid)
        if device.type != "cpu":
            yield self.picture.tensor(device)
            yield self.picture.unmarked.tensor(device)


@dataclass(frozen=True)
class Task:
    """One pose to draw and what it is drawn from.

    Attributes:
        coverage: share of the view that they see by their poses, see `Retrieval`.
        ids: of the frames in `memory`. clock: measures the stages of the frame.
    """

    pose: np.ndarray
    fov_y_radians: float
    settings: GenerationSettings
    coverage: float
    ids: tuple[int, ...]
    memory: list[Page]
    pages: Pages | None
    views: Views | None
    cameras: Cameras
    noise: torch.Tensor
    clock: StageClock


class PageStore:
    """Pages by frame id, within a byte budget; a miss is encoded from the stored picture.

    Args:
        seeds_at: see `SpatialIndex.seeds_at`; the given pictures of a place make each other's
            distances upright.

    Attributes:
        missed: how many pages the last `fetch` had to encode.
    """

    def __init__(
        self,
        world: WorldFile,
        model,
        device: torch.device,
        seeds_at: Callable[[int, float], tuple[int, ...] | None],
    ):
        self._seeds_at = seeds_at
        self._standing = Standing(self._guessed)
        self._places: dict[int, tuple[int, ...]] = {}
        self.world = world
        self.model = model
        self.device = device
        config = model.config
        picture_bytes = 3 * 4 * STORED_MAX_SIZE[0] * STORED_MAX_SIZE[1]
        self.pool = PagePool(
            GenerationSettings().kv_budget_mb << 20, config.kv_bytes_per_page + picture_bytes
        )
        self._pages: dict[int, Page] = {}
        self._side = SideStream(device)
        self._last: tuple[list[Page], Pages] | None = None
        self.missed = 0

    def __len__(self) -> int:
        return len(self._pages)

    def __iter__(self) -> Iterator[int]:
        return iter(self._pages)

    def __contains__(self, frame_id: int) -> bool:
        return frame_id in self._pages

    def apply_budget(self, settings: GenerationSettings) -> None:
        """Hold as many pages as the settings allow, and never fewer than one frame takes."""
        pages = (settings.kv_budget_mb << 20) // self.pool.page_bytes
        pages = max(pages, settings.memory_frames + 1)
        if self.pool.capacity != pages:
            self.pool.resize(pages * self.pool.page_bytes)
            self._drop_evicted()

    def drop(self, frame_id: int) -> None:
        """The frame is gone or has changed."""
        self.pool.drop(frame_id)
        self._pages.pop(frame_id, None)
        self._places.pop(frame_id, None)

    def keep_only(self, ids: Container[int]) -> None:
        """Drop the pages of all other frames, and of places that lost or got a given picture."""
        for frame_id in list(self._pages):
            if frame_id not in ids or self._place(frame_id) != self._places.get(frame_id):
                self.drop(frame_id)

    def _drop_evicted(self) -> None:
        self._pages = {i: page for i, page in self._pages.items() if i in self.pool}
        self._places = {i: place for i, place in self._places.items() if i in self.pool}

    def fetch(self, ids: tuple[int, ...]) -> list[Page]:
        """Pages of the chosen frames, encoding those that are not cached."""
        pages = []
        self.missed = 0
        for frame_id in ids:
            if self.pool.lookup(frame_id) is None:
                self._encode_into_pool(frame_id)
                self.missed += 1
            pages.append(self._pages[frame_id])
        return pages

    def warm(self, ids: tuple[int, ...]) -> bool:
        """Encode the first of these frames that is not cached; False if all are, or if the pool is
        too small to hold more than what frames in turn need now."""
        missing = next((frame_id for frame_id in ids if frame_id not in self.pool), None)
        if missing is None or self.pool.capacity <= 2 * (len(ids) + 1):
            return False
        self._encode_into_pool(missing)
        return True

    def _encode_into_pool(self, frame_id: int) -> None:
        with self._side.work():
            page = self.encode(frame_id)
        self.pool.allocate(frame_id)
        self._drop_evicted()
        self._pages[frame_id] = page

    @torch.no_grad()
    def encode(self, frame_id: int) -> Page:
        """Memory pass of a stored frame, always from its stored 8-bit picture."""
        stored = self.world.read_frame(frame_id)
        oldest, given = self._origin(frame_id, stored.kind)
        before = None if oldest == frame_id else self.world.read_frame(oldest).image
        picture = Readable(stored.image, before)
        image = unmarked = self._shrunk(picture)
        if before is not None:
            unmarked = self._shrunk(picture.unmarked)
        valid = self._valid(stored)
        kv, features = self._memory_pass(image, valid, stored)
        place = self._place(frame_id)
        if place is not None:
            self._places[frame_id] = place
            own = own_map(features, valid, stored) if before is None else None
            u = torch.from_numpy(self._standing.of(oldest, place, own))
            own_of(features)[0, 0] = u.to(features)
        if stored.valid is not None:
            # Soft borders: what is read fades into what is imagined again, without a seam.
            valid = F.avg_pool2d(valid, 9, 1, 4, count_include_pad=False)
        return Page(
            tuple(layer[0] for layer in kv), features[0], image[0], unmarked[0], valid[0], picture,
            stored.camera_to_world, tangents(stored.fov_y_radians)[1], given,
        )  # fmt: skip

    def _memory_pass(self, image: torch.Tensor, valid: torch.Tensor, stored: StoredFrame):
        tan_y = np.array([tangents(stored.fov_y_radians)[1]])
        cameras = cameras_of(stored.camera_to_world[None], tan_y, self.device)
        return self.model.encode(image, (valid > 0.5).float(), cameras)

    def _valid(self, stored: StoredFrame) -> torch.Tensor:
        """(1, 1, H, W) at model resolution."""
        size = self.model.config.height, self.model.config.width
        if stored.valid is None:
            return torch.ones(1, 1, *size, device=self.device)
        mask = torch.from_numpy(stored.valid).to(self.device).float()[None, None]
        return F.interpolate(mask, size=size, mode="area")

    def _place(self, frame_id: int) -> tuple[int, ...] | None:
        """The given pictures seen from where this given one was; None for what was imagined."""
        return self._seeds_at(frame_id, ONE_PLACE_METRES)

    def _guessed(self, frame_id: int) -> OwnMap:
        """What a given picture expects of itself."""
        stored = self.world.read_frame(frame_id)
        valid = self._valid(stored)
        _, features = self._memory_pass(self._shrunk(Readable(stored.image)), valid, stored)
        return own_map(features, valid, stored)

    def _shrunk(self, picture: Readable) -> torch.Tensor:
        """(1, 3, H, W) at model resolution."""
        size = self.model.config.height, self.model.config.width
        return F.interpolate(picture.tensor(self.device), size=size, mode="area")

    def _origin(self, frame_id: int, kind: str) -> tuple[int, bool]:
        """The frame that a frame is a painted version of, else itself, and whether that came from
        outside."""
        if kind == "edit":
            frame_id, kind = self.world.origins().get(frame_id, (frame_id, "seed"))
        return frame_id, kind != "generated"

    def gather(
        self, pose, fov: float, memory: list[Page], anchor: int
    ) -> tuple[Pages | None, Views | None]:
        """The batch of one target and its memory pages."""
        if not memory:
            return None, None
        poses = np.stack([page.camera_to_world for page in memory])
        tan_y = np.array([page.tan_y for page in memory])
        views = relative_views(pose[None], np.array([tangents(fov)[1]]), poses[None], tan_y[None])
        pages = replace(self._joined(memory), anchor=torch.tensor([anchor], device=self.device))
        return pages, Views(
            views.memory_from_target.to(self.device),
            views.tan_target.to(self.device),
            views.tan_memory.to(self.device),
        )

    def _joined(self, memory: list[Page]) -> Pages:
        """The pages as one batch; a walker's context stays the same for many frames."""
        known, pages = self._last or ([], None)
        same = len(known) == len(memory) and all(map(operator.is_, known, memory))
        if pages is not None and same:
            return pages
        for page in memory:
            self._side.join(page.tensors(self.device))
        poses = np.stack([page.camera_to_world for page in memory])
        tan_y = np.array([page.tan_y for page in memory])
        painted = any(page.picture.unmarked is not page.picture for page in memory)
        pages = Pages(
            kv=tuple(
                torch.stack(layers)[None] for layers in zip(*(p.kv for p in memory), strict=True)
            ),
            features=torch.stack([p.features for p in memory])[None],
            images=torch.stack([p.image for p in memory])[None],
            valid=torch.stack([p.valid for p in memory])[None],
            up=cameras_of(poses, tan_y, self.device).up[None],
            given=torch.tensor([[float(p.given) for p in memory]], device=self.device),
            unmarked=torch.stack([p.unmarked for p in memory])[None] if painted else None,
        )
        self._last = memory, pages
        return pages


def own_map(features: torch.Tensor, valid: torch.Tensor, stored: StoredFrame) -> OwnMap:
    """Of one frame's features (1, 2 C + 2, h, w) and valid (1, 1, H, W)."""
    u, log_scale = own_of(features)[0].float().cpu().numpy().copy()
    valid = F.interpolate(valid, size=u.shape, mode="area")[0, 0].cpu().numpy()
    pose, tan_y = stored.camera_to_world, tangents(stored.fov_y_radians)[1]
    return OwnMap(u, log_scale, valid, pose, tan_y)


def poses_ahead(before: np.ndarray, now: np.ndarray) -> list[np.ndarray]:
    """Poses a few frames ahead if the motion from `before` to `now` (4, 4) goes on as it was; none
    when standing, or after a jump to another place."""
    motion = invert_pose(before) @ now
    metres, radians = np.linalg.norm(motion[:3, 3]), float(rotation_angle(motion[:3, :3]))
    if max(metres, radians) < 1e-3 or metres > JUMP_METRES or radians > JUMP_RADIANS:
        return []
    return [now @ np.linalg.matrix_power(motion, frames) for frames in FRAMES_AHEAD]


def cameras_of(poses: np.ndarray, tan_y: np.ndarray, device: torch.device) -> Cameras:
    """Cameras of absolute poses (N, 4, 4) with half-field tangents (N,)."""
    up = invert_pose(poses)[:, :3, 1].astype(np.float32)
    tangent = np.stack([tan_y * 16 / 9, tan_y], -1).astype(np.float32)
    return Cameras(torch.from_numpy(tangent).to(device), torch.from_numpy(up).to(device))
