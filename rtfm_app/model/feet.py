"""Where what stands meets the ground, from the pictures' colours.

What a network guesses of distances is smooth where walls meet the ground, and too far: the lowest
part of a wall or column lies on the ground then, and bends as one walks. The picture itself mostly
shows the line. So around the guessed line the one is sought at which the colours above and below
differ most, against how they vary on either side (Fisher's criterion), and which runs on smoothly
from column to column: the shortest path, by dynamic programming.
"""

from __future__ import annotations

import cv2
import numpy as np

STEP = np.radians(0.4)
HIGHEST, LOWEST = np.radians(2.0), np.radians(-50.0)
ELEVATIONS = np.arange(HIGHEST, LOWEST, -STEP, dtype=np.float32)  # edges that are compared
SIDE = 4  # elevations above and below that are compared
COLUMNS = 3  # columns that are compared together
NOISE = 0.0028  # variance of colours 0..1 that says nothing
HORIZON = np.radians(-5.0)  # guesses above it are left alone: there a line says little of distance
SPREAD = np.radians(5.0)  # cost 1 away from the guess
FARTHEST = 20  # steps from the guess that are tried
MOST_CONTRAST = 3.0
SMOOTHED = 7  # columns over which the change to the guess is averaged
BEND_COST, BREAK_COST = 0.6, 6.0  # of a step between columns; most of any


def feet(colours: np.ndarray, known: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Elevations (C,) in radians at which what stands meets the ground.

    Args:
        colours: (R, C, 3) float32 0..1 at `ELEVATIONS`, columns all round.
        known: (R, C) bool, where there are colours.
        guess: (C,) elevations, NaN where nothing is known to stand on the ground.
    Returns:
        NaN where `guess` is, and where it is at the horizon.
    """
    contrast = np.minimum(_contrast(colours, known), MOST_CONTRAST)
    stands = guess < HORIZON
    expected = np.where(stands, HIGHEST - guess, 0) / STEP
    tried = np.arange(-FARTHEST, FARTHEST + 1)[:, None]
    rows = np.round(expected).astype(np.intp) + tried
    there = stands & (rows >= 0) & (rows < len(contrast))
    shown = np.take_along_axis(contrast, rows.clip(0, len(contrast) - 1), 0)
    cost = np.abs(tried) * (STEP / SPREAD) - np.where(there, shown, 0)
    lower = _mean_of_neighbours(_smoothest(cost * stands) - FARTHEST, stands)
    return np.where(stands, HIGHEST - (expected + lower) * STEP, np.nan)


def _mean_of_neighbours(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(C,) over SMOOTHED columns all round, of those that count."""
    half = SMOOTHED // 2

    def total(x: np.ndarray) -> np.ndarray:
        return np.convolve(np.pad(x, half, "wrap"), np.ones(SMOOTHED), "valid")

    return total(values * count) / np.maximum(total(count.astype(float)), 1)


def _contrast(colours: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(R, C) at the upper edge of each row: squared difference of the means above and below, over
    the variances."""
    around = [(0, 0), (COLUMNS, COLUMNS), (0, 0)]
    kernel = np.full((1, COLUMNS), 1 / COLUMNS, np.float32)

    def sums(values: np.ndarray) -> np.ndarray:
        mean = cv2.filter2D(np.pad(values, around, "wrap"), -1, kernel)[:, COLUMNS:-COLUMNS]
        return np.pad(mean.astype(np.float64).cumsum(0), [(1, 0), (0, 0), (0, 0)])

    values, squares = sums(colours), sums(colours**2)
    whole = np.pad(known.cumsum(0), [(1, 0), (0, 0)])
    row = np.arange(SIDE, len(colours) - SIDE)
    ends = (row - SIDE, row), (row, row + SIDE)
    above, below = ((values[b] - values[a]) / SIDE for a, b in ends)
    varying = sum(
        ((squares[b] - squares[a]) / SIDE - mean**2).sum(-1)
        for (a, b), mean in zip(ends, (above, below), strict=True)
    )
    result = np.zeros(colours.shape[:2], np.float32)
    result[row] = ((above - below) ** 2).sum(-1) / (np.maximum(varying, 0) + NOISE)
    result[row] *= whole[row + SIDE] - whole[row - SIDE] == 2 * SIDE
    return result


def _smoothest(cost: np.ndarray) -> np.ndarray:
    """Row (C,) in each column of the path of least cost (R, C) all round, which is gone twice, so
    that it closes."""
    rows, columns = cost.shape
    apart = np.abs(np.arange(rows)[:, None] - np.arange(rows))
    step = np.minimum(BEND_COST * apart, BREAK_COST).astype(np.float32)
    came = np.empty((2 * columns, rows), np.intp)
    total = cost[:, 0]
    for column in range(1, 2 * columns):
        ways = total + step
        came[column] = ways.argmin(1)
        total = ways.min(1) + cost[:, column % columns]
    path = np.empty(2 * columns, np.intp)
    path[-1] = total.argmin()
    for column in range(2 * columns - 1, 0, -1):
        path[column - 1] = came[column, path[column]]
    half = columns // 2
    return np.concatenate([path[columns : columns + half], path[half:columns]])
