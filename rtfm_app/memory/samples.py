"""Samples of a target view, and how well stored views show them.

A sample is a point on the ray through a grid position of the target picture, at one of a few
depths or at infinity. `Views` holds the stored poses as flat arrays and scores any subset of them
against a sample set, in float32 relative to the target, so that it works far from the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..geometry import ASPECT

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


FINE = SampleSet.grid(6, 4, {1.0: 0.1, 2.5: 0.25, 6.0: 0.3, 20.0: 0.2, np.inf: 0.15})
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
        """(C, P) float32 in 0..1: how well each stored view shows each sample."""
        rays = np.empty((len(samples.weights), 3), np.float32)
        rays[:, 0] = samples.ndc[:, 0] * (tan_y * ASPECT)
        rays[:, 1] = samples.ndc[:, 1] * tan_y
        rays[:, 2] = -1
        # a sample is ray + inverse_depth * (target position - view position), as directions go
        target = camera_to_world[:3, :3].astype(np.float32)
        world_rays = rays @ target.T
        shift = (camera_to_world[:3, 3] - self.position[slots]).astype(np.float32)
        rotation = self.rotation[slots]
        point = np.matmul(rotation, world_rays.T)
        moved = np.matmul(rotation, shift[:, :, None])
        point += moved * samples.inverse_depth
        x, y, z = point[:, 0], point[:, 1], point[:, 2]
        tan = self.tan_y[slots][:, None]
        depth = np.maximum(-z, 1e-6)
        u = x / (depth * (tan * ASPECT))
        v = y / (depth * tan)
        inside = (np.maximum(np.abs(u), np.abs(v)) < EDGE) & (z < -1e-6)
        inside &= self._valid(slots, u, v)
        length = np.sqrt(x * x + y * y + z * z)
        ray_length = np.sqrt((rays * rays).sum(axis=1))
        farther = length * (tan / tan_y) / ray_length
        cosine = self._cosine(shift, world_rays, samples.inverse_depth, length, ray_length)
        sharp = np.minimum(SHARP_TO / np.maximum(farther, 1e-6), 1)
        angle = (cosine - FARTHEST_COSINE) * (1 / (NEAREST_COSINE - FARTHEST_COSINE))
        return np.where(inside, sharp * np.clip(angle, 0, 1), 0).astype(np.float32)

    def _valid(self, slots, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """(C, P) whether a position in the picture lies in a valid cell."""
        cells = self.valid_cells[slots]
        partly = cells != np.uint64(0xFFFFFFFFFFFFFFFF)
        valid = np.ones(u.shape, bool)
        if partly.any():
            column = ((u[partly] + 1) * 4).clip(0, 7).astype(np.uint64)
            row = ((1 - v[partly]) * 4).clip(0, 7).astype(np.uint64)
            bits = cells[partly, None] >> (row * np.uint64(8) + column)
            valid[partly] = (bits & np.uint64(1)).astype(bool)
        return valid

    @staticmethod
    def _cosine(shift, world_rays, inverse_depth, length, ray_length) -> np.ndarray:
        """(C, P) cosine of the angle at the sample between the two lines of sight."""
        along = shift @ world_rays.T
        along *= inverse_depth
        along += ray_length * ray_length
        return along / np.maximum(length * ray_length, 1e-6)

    def nearness(self, slots, camera_to_world) -> np.ndarray:
        """(C,) in 0..1: near and looking the same way is 1."""
        shift = self.position[slots] - camera_to_world[:3, 3]
        distance = np.sqrt((shift * shift).sum(axis=1))
        along = self.rotation[slots, 2] @ camera_to_world[:3, 2]
        return (1.5 + along) / 2.5 / (1 + distance)

    def redundancy(self, slots, metres: float, cosine_gap: float):
        """A function of an index into `slots` to (C,) 0..1: how much the others look like it."""
        position = (self.position[slots] - self.position[slots[0]]).astype(np.float32)
        forward = self.rotation[slots, 2]

        def alike(index: int) -> np.ndarray:
            shift = position - position[index]
            gap = 1 - forward @ forward[index]
            distance2 = (shift * shift).sum(axis=1)
            return 1 / (1 + distance2 * (1 / metres**2) + np.maximum(gap, 0) * (1 / cosine_gap))

        return alike


def coverage_of(seen: np.ndarray, weights: np.ndarray) -> float:
    """Share 0..1 of the view that views seeing (k, P) of its samples show together."""
    return float(seen.max(axis=0, initial=0) @ weights)
