"""What a target is drawn from: encoded memory frames (pages) of a world, on the engine's device."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from .clock import StageClock
from .config import STORED_MAX_SIZE, GenerationSettings
from .device import SideStream
from .geometry import invert_pose, rotation_angle, tangents
from .memory.index import SpatialIndex
from .memory.pages import PagePool
from .memory.world_file import StoredFrame, WorldFile
from .model.cameras import Views, relative_views
from .model.fast_picture import Readable
from .model.frame_model import Cameras, Pages
from .model.matching import own_of, with_other_own
from .model.triangulation import triangulated
from .model.upright import OwnMap
from .standing import ONE_PLACE_METRES, Standing

FRAMES_AHEAD = (2, 5)
JUMP_METRES, JUMP_RADIANS = 2.0, 0.8
BESIDE = 4  # given pictures that a given picture's distances are measured with
ALONE_KEPT = 16
MEASURED_KEPT = 1024


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
class Sources:
    """The given pictures that tell the distances in one of them, each named by its oldest version:
    of the same place (`place`), and of other places (`beside`)."""

    place: tuple[int, ...]
    beside: tuple[int, ...]


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
        index: the world's frames as they are now. The given pictures of a place make each other's
            distances upright, those of other places measure them.

    Attributes:
        missed: how many pages the last `fetch` had to encode.
    """

    def __init__(
        self, world: WorldFile, model, device: torch.device, index: Callable[[], SpatialIndex]
    ):
        self._index = index
        self._standing = Standing(self._guessed)
        self._sources: dict[int, Sources] = {}
        self._alone_pages: OrderedDict[int, Page] = OrderedDict()
        self._measured: OrderedDict[tuple, tuple[torch.Tensor, ...]] = OrderedDict()
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
        self._sources.pop(frame_id, None)

    def keep_only(self, ids: Container[int]) -> None:
        """Drop the pages of all other frames, and those whose distances other given pictures would
        be asked for than when they were made."""
        for frame_id in list(self._pages):
            if frame_id not in ids or self._sources_of(frame_id) != self._sources.get(frame_id):
                self.drop(frame_id)

    def _drop_evicted(self) -> None:
        self._pages = {i: page for i, page in self._pages.items() if i in self.pool}
        self._sources = {i: made for i, made in self._sources.items() if i in self.pool}

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
        """Memory pass of a stored frame, always from its stored 8-bit picture; a given one with the
        distances that the given pictures around it tell."""
        stored = self.world.read_frame(frame_id)
        sources = self._sources_of(frame_id)
        if sources is None:
            return self._encoded(frame_id, stored)
        self._sources[frame_id] = sources
        oldest, _ = self._origin(frame_id, stored.kind)
        page = self._alone(frame_id) if oldest == frame_id else self._encoded(frame_id, stored)
        own = own_of(page.features).clone()
        own[0] = torch.from_numpy(self._standing.of(oldest, sources.place)).to(own)
        if sources.beside:
            found, trusted = self._measurement(oldest, sources.beside)
            own = torch.lerp(own, found.to(own), trusted.to(own))
        return replace(page, features=with_other_own(page.features, own))

    def _encoded(self, frame_id: int, stored: StoredFrame) -> Page:
        """A frame with the distances that it suggests alone."""
        oldest, given = self._origin(frame_id, stored.kind)
        before = None if oldest == frame_id else self.world.read_frame(oldest).image
        picture = Readable(stored.image, before)
        image = unmarked = self._shrunk(picture)
        if before is not None:
            unmarked = self._shrunk(picture.unmarked)
        valid = self._valid(stored)
        tan_y = tangents(stored.fov_y_radians)[1]
        cameras = cameras_of(stored.camera_to_world[None], np.array([tan_y]), self.device)
        kv, features = self.model.encode(image, (valid > 0.5).float(), cameras)
        if stored.valid is not None:
            # Soft borders: what is read fades into what is imagined again, without a seam.
            valid = F.avg_pool2d(valid, 9, 1, 4, count_include_pad=False)
        return Page(
            tuple(layer[0] for layer in kv), features[0], image[0], unmarked[0], valid[0], picture,
            stored.camera_to_world, tan_y, given,
        )  # fmt: skip

    def _alone(self, frame_id: int) -> Page:
        """`_encoded`, kept for a while: pictures that lie together ask for each other."""
        page = self._alone_pages.get(frame_id)
        if page is None:
            page = self._encoded(frame_id, self.world.read_frame(frame_id))
        return _keep(self._alone_pages, frame_id, page, ALONE_KEPT)

    def _measurement(self, frame_id: int, beside: tuple[int, ...]):
        """`triangulated` of a given picture, (2, h, w) and (1, h, w)."""
        known = self._measured.get((frame_id, beside))
        if known is None:
            memory = [self._alone(i) for i in (frame_id, *beside)]
            pose, tan_y = memory[0].camera_to_world, memory[0].tan_y
            cameras = cameras_of(pose[None], np.array([tan_y]), self.device)
            pages, views = self._batch(memory), self._views(pose, tan_y, memory)
            known = tuple(part[0] for part in triangulated(self.model, cameras, pages, views))
        return _keep(self._measured, (frame_id, beside), known, MEASURED_KEPT)

    def _valid(self, stored: StoredFrame) -> torch.Tensor:
        """(1, 1, H, W) at model resolution."""
        size = self.model.config.height, self.model.config.width
        if stored.valid is None:
            return torch.ones(1, 1, *size, device=self.device)
        mask = torch.from_numpy(stored.valid).to(self.device).float()[None, None]
        return F.interpolate(mask, size=size, mode="area")

    def _sources_of(self, frame_id: int) -> Sources | None:
        place = self._index().seeds_at(frame_id, ONE_PLACE_METRES)
        return place and Sources(place, self._index().seeds_beside(frame_id, BESIDE))

    def _guessed(self, frame_id: int) -> OwnMap:
        """What a given picture expects of itself."""
        stored = self.world.read_frame(frame_id)
        return own_map(self._alone(frame_id).features[None], self._valid(stored), stored)

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
        pages = replace(self._joined(memory), anchor=torch.tensor([anchor], device=self.device))
        return pages, self._views(pose, tangents(fov)[1], memory)

    def _views(self, pose: np.ndarray, tan_y: float, memory: list[Page]) -> Views:
        poses = np.stack([page.camera_to_world for page in memory])
        of_pages = np.array([page.tan_y for page in memory])
        views = relative_views(pose[None], np.array([tan_y]), poses[None], of_pages[None])
        return Views(
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
        pages = self._batch(memory)
        self._last = memory, pages
        return pages

    def _batch(self, memory: list[Page]) -> Pages:
        poses = np.stack([page.camera_to_world for page in memory])
        tan_y = np.array([page.tan_y for page in memory])
        painted = any(page.picture.unmarked is not page.picture for page in memory)
        return Pages(
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


def _keep(kept: OrderedDict, key, value, most: int):
    """`value`, put last into `kept`, which holds at most so many."""
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
    return value


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
