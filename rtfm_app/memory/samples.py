"""Samples of a target view, and how well stored views show them.

A sample is a point on the ray through a grid position of the target picture, at one of a few
depths or at infinity. `Views` holds the stored poses as flat arrays and scores any subset of them
against a sample set, in float32 relative to the target, so that it works far from the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import ASPECT
from .codec import ALL_CELLS

EDGE = 1.04
SHARP_TO = 1.25
NEAREST_COSINE, FARTHEST_COSINE = 0.95, 0.5


@dataclass(frozen=True)
class SampleSet:
    """Where to sample a view.

    Attributes:
        ndc: (P, 2) positions in the picture. inverse_depth: (P,) 1/metres, 0 = infinity.
        weights: (P,) float32, sum 1.
    """

    ndc: np.ndarray
    inverse_depth: np.ndarray
    weights: np.ndarray

    @classmethod
    def grid(cls, columns: int, rows: int, depths: dict[float, float]) -> SampleSet:
        """A grid of cell centres at each depth; `depths` maps metres to weight."""
        x = (np.arange(columns) * 2 + 1) / columns - 1
        y = 1 - (np.arange(rows) * 2 + 1) / rows
        cells = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        ndc = np.tile(cells, (len(depths), 1))
        inverse = np.repeat([1 / depth for depth in depths], len(cells))
        weights = np.repeat(list(depths.values()), len(cells))
        weights = (weights / weights.sum()).astype(np.float32)
        return cls(ndc.astype(np.float32), inverse.astype(np.float32), weights)

    def world_rays(self, rotation: np.ndarray, tan_y: float) -> np.ndarray:
        """(P, 3) float32 rays in world axes of a camera with this camera-to-world rotation."""
        rays = np.empty((len(self.weights), 3), np.float32)
        rays[:, 0] = self.ndc[:, 0] * (tan_y * ASPECT)
        rays[:, 1] = self.ndc[:, 1] * tan_y
        rays[:, 2] = -1
        return rays @ rotation.T.astype(np.float32)


FINE = SampleSet.grid(6, 4, {1.2: 0.15, 3.5: 0.35, 10.0: 0.3, np.inf: 0.2})
COARSE = SampleSet.grid(3, 2, {2.5: 0.5, 12.0: 0.5})


class Views:
    """Stored views as arrays over slots.

    Attributes:
        position: (N, 3) float64 metres. rotation: (N, 3, 3) float32 world to camera.
        tan_y: (N,) float32. valid_cells: (N,) uint64. kind: (N,) int8.
    """

    def __init__(self, capacity: int):
        capacity = max(capacity, 64)
        self.position = np.zeros((capacity, 3))
        self.rotation = np.zeros((capacity, 3, 3), np.float32)
        self.tan_y = np.ones(capacity, np.float32)
        self.valid_cells = np.zeros(capacity, np.uint64)
        self.kind = np.zeros(capacity, np.int8)

    @property
    def forward(self) -> np.ndarray:
        """(N, 3) unit viewing directions."""
        return -self.rotation[:, 2]

    def fill(self, camera_to_world, tan_y, valid_cells, kind) -> None:
        """Set the first slots from arrays over frames."""
        count = len(camera_to_world)
        self.position[:count] = camera_to_world[:, :3, 3]
        self.rotation[:count] = camera_to_world[:, :3, :3].transpose(0, 2, 1)
        self.tan_y[:count] = tan_y
        self.valid_cells[:count] = valid_cells
        self.kind[:count] = kind

    def put(self, slot: int, camera_to_world, tan_y, valid_cells: int, kind: int) -> None:
        """Set one slot."""
        self.position[slot] = camera_to_world[:3, 3]
        self.rotation[slot] = camera_to_world[:3, :3].T
        self.tan_y[slot : slot + 1] = tan_y
        self.valid_cells[slot] = valid_cells
        self.kind[slot] = kind

    def grow(self, capacity: int) -> None:
        """Make room for more slots."""
        for name, values in vars(self).items():
            larger = np.zeros((capacity, *values.shape[1:]), values.dtype)
            larger[: len(values)] = values
            setattr(self, name, larger)

    def keep(self, slots: np.ndarray) -> None:
        """Move these slots to the front, in order."""
        for values in vars(self).values():
            values[: len(slots)] = values[slots]

    def seen(self, samples: SampleSet, slots, camera_to_world, tan_y: float) -> np.ndarray:
        """(C, P) float32 in 0..1: how well each stored view shows each sample.

        In homogeneous coordinates a sample is, seen from a stored view, its ray from the target
        plus inverse depth times the shift between the cameras; the common scale does not matter.
        """
        rays = samples.world_rays(camera_to_world[:3, :3], tan_y)
        shift = (camera_to_world[:3, 3] - self.position[slots]).astype(np.float32)
        tan = self.tan_y[slots]
        shown = self._quality(samples, rays, shift, tan / tan_y)
        rotation = self.rotation[slots]
        rotation[:, 0] /= (tan * ASPECT)[:, None]
        rotation[:, 1] /= tan[:, None]
        point = (rotation.reshape(-1, 3) @ rays.T).reshape(len(slots), 3, len(rays))
        moved = np.einsum("cij,cj->ci", rotation, shift)
        point += moved[:, :, None] * samples.inverse_depth
        x, y, z = point[:, 0], point[:, 1], point[:, 2]
        inside = np.maximum(np.abs(x), np.abs(y)) < z * -EDGE
        self._exclude_invalid(inside, slots, x, y, z)
        shown *= inside
        return shown

    @staticmethod
    def _quality(samples: SampleSet, rays, shift, coarseness) -> np.ndarray:
        """(C, P) in 0..1: less for a view that is farther from the sample, or to its side."""
        ray2 = (rays * rays).sum(axis=1)
        ray = np.sqrt(ray2)
        along = shift @ rays.T
        along *= samples.inverse_depth
        length = 2 * along
        length += ray2
        length += (shift * shift).sum(axis=1)[:, None] * (samples.inverse_depth**2)
        np.sqrt(np.maximum(length, 1e-12, out=length), out=length)
        along += ray2
        along /= length
        along /= ray  # now the cosine between the two lines of sight
        along -= FARTHEST_COSINE
        along *= 1 / (NEAREST_COSINE - FARTHEST_COSINE)
        np.clip(along, 0, 1, out=along)
        sharpness = ray * SHARP_TO / length
        sharpness /= coarseness[:, None]
        along *= np.minimum(sharpness, 1, out=sharpness)
        return along

    def _exclude_invalid(self, inside, slots, x, y, z) -> None:
        """Clear `inside` (C, P) where the stored picture is masked."""
        cells = self.valid_cells[slots]
        partly = np.flatnonzero(cells != np.uint64(ALL_CELLS))
        if not len(partly):
            return
        depth = np.maximum(-z[partly], 1e-6)
        column = ((x[partly] / depth + 1) * 4).clip(0, 7).astype(np.uint64)
        row = ((1 - y[partly] / depth) * 4).clip(0, 7).astype(np.uint64)
        bits = cells[partly, None] >> (row * np.uint64(8) + column)
        inside[partly] &= (bits & np.uint64(1)).astype(bool)

    def nearness(self, slots, camera_to_world) -> tuple[np.ndarray, np.ndarray]:
        """(C,) in 0..1, near and looking the same way is 1, and (C,) cosine between directions."""
        shift = self.position[slots] - camera_to_world[:3, 3]
        distance = np.sqrt(np.einsum("ci,ci->c", shift, shift))
        along = self.rotation[slots, 2] @ camera_to_world[:3, 2]
        return (1.5 + along) / 2.5 / (1 + distance), along

    def alikeness(self, slots, metres: float, cosine_gap: float) -> np.ndarray:
        """(C, C) in 0..1: how much two views look alike; a half at `metres` or `cosine_gap`."""
        position = (self.position[slots] - self.position[slots[0]]).astype(np.float32)
        length2 = (position * position).sum(axis=1)
        distance2 = length2[:, None] + length2 - 2 * (position @ position.T)
        forward = self.rotation[slots, 2]
        gap = distance2 * (1 / metres**2) + (1 - forward @ forward.T) * (1 / cosine_gap)
        return 1 / (1 + np.maximum(gap, 0))


def coverage_of(seen: np.ndarray, weights: np.ndarray) -> float:
    """Share 0..1 of the view that views seeing (k, P) of its samples show together."""
    return float(seen.max(axis=0, initial=0) @ weights)
