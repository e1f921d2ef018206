"""What a target is drawn from: encoded memory frames (pages) of a world, on the engine's device."""

from __future__ import annotations

import operator
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from .clock import StageClock
from .config import STORED_MAX_SIZE, GenerationSettings
from .device import SideStream
from .encoding import Page, PageEncoder
from .geometry import invert_pose, rotation_angle, tangents
from .memory.index import SpatialIndex
from .memory.pages import PagePool
from .memory.world_file import WorldFile
from .model.cameras import Views
from .model.frame_model import Cameras, Pages

FRAMES_AHEAD = (2, 5)
JUMP_METRES, JUMP_RADIANS = 2.0, 0.8


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
        index: gives the world's frames as they are now.

    Attributes:
        missed: how many pages the last `fetch` had to encode.
    """

    def __init__(
        self, world: WorldFile, model, device: torch.device, index: Callable[[], SpatialIndex]
    ):
        self.encoder = PageEncoder(world, model, device, index)
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

    def keep_only(self, ids: Container[int]) -> None:
        """Drop the pages of all other frames, and those whose distances other given pictures would
        be asked for than when they were made."""
        for frame_id, page in list(self._pages.items()):
            if frame_id not in ids or page.sources != self.encoder.sources_of(frame_id):
                self.drop(frame_id)

    def _drop_evicted(self) -> None:
        self._pages = {i: page for i, page in self._pages.items() if i in self.pool}

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
        """Encode the first of these frames that is not cached, or first one of those that its
        distances are measured with; False if all are cached, or if the pool is too small to hold
        more than what frames in turn need now."""
        missing = next((frame_id for frame_id in ids if frame_id not in self.pool), None)
        if missing is None or self.pool.capacity <= 2 * (len(ids) + 1):
            return False
        needed = self.encoder.missing_for(missing)
        if needed is None:
            self._encode_into_pool(missing)
        else:
            with self._side.work():
                self.encoder.alone(needed)
        return True

    def clear(self) -> None:
        """Forget all that was encoded and measured."""
        for frame_id in list(self._pages):
            self.drop(frame_id)
        self.encoder.clear()

    def _encode_into_pool(self, frame_id: int) -> None:
        with self._side.work():
            page = self.encoder.encode(frame_id)
        self.pool.allocate(frame_id)
        self._drop_evicted()
        self._pages[frame_id] = page

    def gather(
        self, pose, fov: float, memory: list[Page], anchor: int
    ) -> tuple[Pages | None, Views | None]:
        """The batch of one target and its memory pages."""
        if not memory:
            return None, None
        pages = replace(self._joined(memory), anchor=torch.tensor([anchor], device=self.device))
        return pages, self.encoder.views(pose, tangents(fov)[1], memory)

    def _joined(self, memory: list[Page]) -> Pages:
        """The pages as one batch; a walker's context stays the same for many frames."""
        known, pages = self._last or ([], None)
        same = len(known) == len(memory) and all(map(operator.is_, known, memory))
        if pages is not None and same:
            return pages
        for page in memory:
            self._side.join(page.tensors(self.device))
        pages = self.encoder.batch(memory)
        self._last = memory, pages
        return pages


def poses_ahead(before: np.ndarray, now: np.ndarray) -> list[np.ndarray]:
    """Poses a few frames ahead if the motion from `before` to `now` (4, 4) goes on as it was; none
    when standing, or after a jump to another place."""
    motion = invert_pose(before) @ now
    metres, radians = np.linalg.norm(motion[:3, 3]), float(rotation_angle(motion[:3, :3]))
    if max(metres, radians) < 1e-3 or metres > JUMP_METRES or radians > JUMP_RADIANS:
        return []
    return [now @ np.linalg.matrix_power(motion, frames) for frames in FRAMES_AHEAD]
