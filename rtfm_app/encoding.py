"""`PageEncoder`: stored frames to pages, what a target is drawn from.

A given picture's page also holds what other given pictures tell of its distances: those of the same
place make them upright (`standing`), those of other places measure them (`model.triangulation`). So
a page depends on which given pictures the world has, and on nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import functional as F

from .geometry import invert_pose, tangents
from .memory.index import SpatialIndex
from .memory.world_file import StoredFrame, WorldFile
from .model.cameras import Views, relative_views
from .model.fast_picture import Readable
from .model.frame_model import Cameras, Pages
from .model.matching import own_of, with_other_own
from .model.triangulation import triangulated
from .model.upright import OwnMap
from .standing import ONE_PLACE_METRES, Standing

BESIDE = 4  # given pictures that a given picture's distances are measured with
ALONE_KEPT = 16
MEASURED_KEPT = 1024


@dataclass(frozen=True)
class Sources:
    """The given pictures that tell the distances in one of them, each named by its oldest version:
    of the same place (`place`), and of other places (`beside`)."""

    place: tuple[int, ...]
    beside: tuple[int, ...]


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
        sources: what the distances of a given picture come from.
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
    sources: Sources | None = None

    def tensors(self, device: torch.device) -> Iterator[torch.Tensor]:
        """All that lies on the engine's device."""
        yield from (*self.kv, self.features, self.image, self.unmarked, self.valid)
        if device.type != "cpu":
            yield self.picture.tensor(device)
            yield self.picture.unmarked.tensor(device)


class PageEncoder:
    """Encodes the frames of a world; `index` gives its frames as they are now."""

    def __init__(
        self, world: WorldFile, model, device: torch.device, index: Callable[[], SpatialIndex]
    ):
        self.world = world
        self.model = model
        self.device = device
        self._index = index
        self._standing = Standing(self._guessed)
        self._alone: OrderedDict[int, Page] = OrderedDict()
        self._measured: OrderedDict[tuple, tuple[torch.Tensor, ...]] = OrderedDict()

    def clear(self) -> None:
        """Forget all that is kept to encode other frames faster."""
        self._standing = Standing(self._guessed)
        self._alone.clear()
        self._measured.clear()

    def sources_of(self, frame_id: int) -> Sources | None:
        """What the distances of a given frame depend on; None for what was imagined."""
        place = self._index().seeds_at(frame_id, ONE_PLACE_METRES)
        return None if place is None else Sources(place, self._beside(frame_id))

    def _beside(self, frame_id: int) -> tuple[int, ...]:
        measuring = self.model.config.pointer
        return self._index().seeds_beside(frame_id, BESIDE) if measuring else ()

    def missing_for(self, frame_id: int) -> int | None:
        """A frame that has to be encoded before this one can be measured, if any."""
        return next((other for other in self._beside(frame_id) if other not in self._alone), None)

    @torch.no_grad()
    def encode(self, frame_id: int) -> Page:
        """Memory pass of a stored frame, always from its stored 8-bit picture; a given one with the
        distances that the given pictures around it tell."""
        stored = self.world.read_frame(frame_id)
        sources = self.sources_of(frame_id)
        if sources is None:
            return self._encoded(frame_id, stored)
        oldest, _ = self._origin(frame_id, stored.kind)
        page = self.alone(frame_id) if oldest == frame_id else self._encoded(frame_id, stored)
        own = own_of(page.features).clone()
        own[0] = torch.from_numpy(self._standing.of(oldest, sources.place)).to(own)
        if sources.beside:
            found, trusted = self._measurement(oldest, sources.beside)
            own = torch.lerp(own, found.to(own), trusted.to(own))
        features = with_other_own(page.features, own)
        return replace(page, features=features, sources=sources)

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

    @torch.no_grad()
    def alone(self, frame_id: int) -> Page:
        """A frame as it was given, with the distances that it suggests alone; kept for a while:
        pictures that lie together ask for each other."""
        page = self._alone.get(frame_id)
        if page is None:
            page = self._encoded(frame_id, self.world.read_frame(frame_id))
        return _keep(self._alone, frame_id, page, ALONE_KEPT)

    def _measurement(self, frame_id: int, beside: tuple[int, ...]):
        """`triangulated` of a given picture, (2, h, w) and (1, h, w)."""
        known = self._measured.get((frame_id, beside))
        if known is None:
            memory = [self.alone(i) for i in (frame_id, *beside)]
            pose, tan_y = memory[0].camera_to_world, memory[0].tan_y
            cameras = cameras_of(pose[None], np.array([tan_y]), self.device)
            pages, views = self.batch(memory), self.views(pose, tan_y, memory)
            known = tuple(part[0] for part in triangulated(self.model, cameras, pages, views))
        return _keep(self._measured, (frame_id, beside), known, MEASURED_KEPT)

    def _valid(self, stored: StoredFrame) -> torch.Tensor:
        """(1, 1, H, W) at model resolution."""
        size = self.model.config.height, self.model.config.width
        if stored.valid is None:
            return torch.ones(1, 1, *size, device=self.device)
        mask = torch.from_numpy(stored.valid).to(self.device).float()[None, None]
        return F.interpolate(mask, size=size, mode="area")

    def _guessed(self, frame_id: int) -> OwnMap:
        """What a given picture expects of itself."""
        stored = self.world.read_frame(frame_id)
        page = self.alone(frame_id)
        return own_map(page.features[None], self._valid(stored), stored, page.image)

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

    def views(self, pose: np.ndarray, tan_y: float, memory: list[Page]) -> Views:
        """A pose (4, 4) with the tangent `tan_y` of half its field, seen from some pages."""
        poses = np.stack([page.camera_to_world for page in memory])
        of_pages = np.array([page.tan_y for page in memory])
        views = relative_views(pose[None], np.array([tan_y]), poses[None], of_pages[None])
        return Views(
            views.memory_from_target.to(self.device),
            views.tan_target.to(self.device),
            views.tan_memory.to(self.device),
        )

    def batch(self, memory: list[Page]) -> Pages:
        """Some pages as those of one target."""
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


def own_map(
    features: torch.Tensor, valid: torch.Tensor, stored: StoredFrame, image: torch.Tensor
) -> OwnMap:
    """Of one frame's features (1, 2 C + 2, h, w), valid (1, 1, H, W) and image (3, H, W)."""
    u, log_scale = own_of(features)[0].float().cpu().numpy().copy()
    valid = F.interpolate(valid, size=u.shape, mode="area")[0, 0].cpu().numpy()
    pose, tan_y = stored.camera_to_world, tangents(stored.fov_y_radians)[1]
    picture = (image.float().permute(1, 2, 0).cpu().numpy() + 1) / 2
    return OwnMap(u, log_scale, valid, pose, tan_y, np.ascontiguousarray(picture))


def cameras_of(poses: np.ndarray, tan_y: np.ndarray, device: torch.device) -> Cameras:
    """Cameras of absolute poses (N, 4, 4) with half-field tangents (N,)."""
    up = invert_pose(poses)[:, :3, 1].astype(np.float32)
    tangent = np.stack([tan_y * 16 / 9, tan_y], -1).astype(np.float32)
    return Cameras(torch.from_numpy(tangent).to(device), torch.from_numpy(up).to(device))
