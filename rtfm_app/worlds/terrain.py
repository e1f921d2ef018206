"""Height fields that tile, in numpy: rolling ground, mountains round a basin, dunes."""

from __future__ import annotations

import numpy as np

SIZE = 512


def value_noise(period: int, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    """Smooth noise (size, size) in 0..1 with `period` cells a side, wrapping."""
    lattice = rng.random((period, period))
    x = (np.arange(size) + 0.5) / size * period
    i = x.astype(int)
    f = x - i
    u = f * f * f * (f * (f * 6 - 15) + 10)
    i0, i1 = i % period, (i + 1) % period
    rows = lattice[i0] * (1 - u)[:, None] + lattice[i1] * u[:, None]
    return rows[:, i0] * (1 - u) + rows[:, i1] * u


def fractal(period: int, octaves: int, gain: float, rng, size: int = SIZE) -> np.ndarray:
    """Sum of octaves, 0..1."""
    total = np.zeros((size, size))
    weight = norm = 1.0
    for k in range(octaves):
        total += weight * value_noise(period << k, rng, size)
        norm += weight
        weight *= gain
    return total / (norm - 1.0)


def eroded(period: int, octaves: int, rng, size: int = SIZE) -> np.ndarray:
    """Mountain noise: octaves count less where the sum so far is steep (valleys stay smooth)."""
    total = np.zeros((size, size))
    slope = np.zeros((2, size, size))
    weight = 1.0
    for k in range(octaves):
        if period << k > size // 2:
            break
        n = value_noise(period << k, rng, size)
        slope += np.stack(np.gradient(np.pad(n, 1, mode="wrap")))[:, 1:-1, 1:-1] * weight * size / 5
        total += weight * n / (1 + (slope**2).sum(axis=0))
        weight *= 0.5
    return total


def centered(tile: float, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """World x and z (size, size) of the samples, in -tile/2..tile/2, row = z."""
    x = (np.arange(size) + 0.5) / size * tile
    x = np.where(x > tile / 2, x - tile, x)
    return np.meshgrid(x, x)


def smoothstep(low, high, x):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def rolling(rng, tile: float, relief: float, cells: int = 12) -> np.ndarray:
    """Gentle ground, about 0..relief metres."""
    return (relief * fractal(cells, 4, 0.42, rng)).astype(np.float32)


def lake_valley(rng, tile: float, lake_radius: float, amplitude: float) -> np.ndarray:
    """A lake (water level 0) in the middle, meadows round it, mountains at the rim."""
    x, z = centered(tile)
    far = np.hypot(x, z * rng.uniform(0.8, 1.2))
    dist = far + 60 * (value_noise(8, rng) - 0.5) + 26 * (value_noise(24, rng) - 0.5)
    mountain = smoothstep(lake_radius * 1.15, tile * 0.42, dist)
    ridge = 1 - np.abs(2 * value_noise(6, rng) - 1)
    hills = 3.0 * fractal(24, 3, 0.5, rng) + 0.5
    high = amplitude * (eroded(4, 8, rng) * 1.0 + 0.35 * ridge**2 + 0.1)
    land = hills + high * mountain
    basin = smoothstep(lake_radius * 0.72, lake_radius * 1.12, dist)
    bed = -9.0 + 2.5 * value_noise(20, rng)
    return (bed + (land - bed) * basin).astype(np.float32)


def dunes(rng, tile: float, height: float) -> np.ndarray:
    """Asymmetric dune ridges with a flat hollow in the middle."""
    x, z = centered(tile)
    turn = 0.5 * (value_noise(4, rng) - 0.5) + 0.15 * (value_noise(10, rng) - 0.5)
    phase = (x / tile * 9 + turn * 6) % 1.0
    ridge = np.where(phase < 0.7, smoothstep(0, 0.7, phase), smoothstep(1.0, 0.7, phase))
    share = smoothstep(0.3, 0.7, fractal(5, 3, 0.5, rng))
    flat = smoothstep(10, 90, np.hypot(x, z))
    field = height * ridge * share * (0.15 + 0.85 * flat) + 1.2 * fractal(24, 3, 0.5, rng)
    return field.astype(np.float32)
