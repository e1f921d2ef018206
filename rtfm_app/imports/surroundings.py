"""What lies around a single photograph, for a start.

A photograph shows a fifth of what can be seen from where it was taken. The rest is imagined once,
when the world is made, with the help of a reference (retrieval-augmented synthesis, as in RDM,
2204.11824): the 360-degree photograph of the program's own collection that is most alike, and
continues the picture best at its border, is turned, tinted and joined to it. Views of the result
become frames of the world beside the photograph, valid where it shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..geometry import pixel_rays, pose_from_yaw_pitch
from ..memory.world_file import StoredFrame
from .joining import Photograph, directions, joined
from .panorama import FOV_Y_RADIANS, frame_sixteenths, ring_poses, sample_panorama
from .references import AUTO, NONE, references
from .source import WorldSource

COARSE_WIDTH = 256  # of the panoramas that are compared
RIM_DEGREES = 9.0  # inside of the photograph's border, where a reference is compared with it
LIKELIEST = 5  # references that are tried
LIKENESS_WEIGHT = 250.0  # of unlike places against a bad fit at the border (grey levels)
TINT_WEIGHT = 25.0  # of strong tints against a bad fit
TILTS_DEGREES = (-16.0, -12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0, 16.0)
LEAST_GAIN, MOST_GAIN = 0.7, 1.4
HORIZON_DEGREES = 6.0  # half the zone in which the tint of the sky becomes that of the ground
LEAST_NEW = 0.02  # share of a view that the photograph does not show, for the view to be kept


@dataclass(frozen=True)
class Fit:
    """How a reference is laid around a photograph: mirrored or not, turned by `yaw` (degrees),
    raised by `tilt`, its colours times `gain` plus `shift`, each (2, 3): above and below the
    horizon. `cost`: how badly it continues the photograph."""

    reference: Path
    flipped: bool
    yaw: float
    tilt: float
    gain: np.ndarray
    shift: np.ndarray
    cost: float


@lru_cache(maxsize=4)
def _opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@lru_cache(maxsize=64)
def _coarse(path: Path) -> np.ndarray:
    size = (COARSE_WIDTH, COARSE_WIDTH // 2)
    return cv2.resize(_opened(path), size, interpolation=cv2.INTER_AREA).astype(np.float32)


def best_fit(photograph: Photograph, candidates: Sequence[Path]) -> Fit:
    """The reference, and how it is turned, that continues the photograph best.

    Places of the same kind are preferred (`_described`); colours are compared in a rim inside of
    the photograph's border, after a gain and a shift for each channel.

    Raises:
        ValueError: no candidates.
    """
    if not candidates:
        raise ValueError("there is no panorama to continue the photograph with")
    azimuth, elevation = directions(COARSE_WIDTH)
    rim = _rim(photograph, azimuth, elevation)
    size = (
        COARSE_WIDTH // 2,
        COARSE_WIDTH * photograph.image.shape[0] // photograph.image.shape[1] // 2,
    )
    small = Photograph(
        cv2.resize(photograph.image, size, interpolation=cv2.INTER_AREA), photograph.fov_y_radians
    )
    wanted, _ = small.at(azimuth, elevation)
    kind = _described(_level_view(photograph))
    unlike = {path: float(np.abs(_kind_of(path) - kind).mean()) for path in candidates}
    likeliest = sorted(candidates, key=unlike.__getitem__)[:LIKELIEST]
    return min(
        (
            _fit_of(path, flipped, tilt, wanted, rim, LIKENESS_WEIGHT * unlike[path])
            for path in likeliest
            for flipped in (False, True)
            for tilt in TILTS_DEGREES
        ),
        key=lambda fit: fit.cost,
    )


def _rim(photograph: Photograph, azimuth, elevation) -> np.ndarray:
    """(H, W) bool: shown by the photograph, near its border."""
    _, shown = photograph.at(azimuth, elevation)
    per_degree = COARSE_WIDTH / 360
    inner = cv2.erode(
        shown.astype(np.uint8),
        np.ones((3, 3), np.uint8),
        iterations=round(RIM_DEGREES * per_degree),
    )
    return shown & (inner == 0)


def _fit_of(
    path: Path, flipped: bool, tilt: float, wanted: np.ndarray, rim: np.ndarray, dislike: float
) -> Fit:
    """The best turn of one reference: all turns at once, as correlations around the circle."""
    picture = _laid(_coarse(path), flipped, tilt)
    ground = _ground_share(directions(COARSE_WIDTH)[1])
    fits = [_tints(picture, wanted, rim * share) for share in (1 - ground, ground)]
    cost = sum(error for error, _, _ in fits) / max(rim.sum(), 1)
    strong = sum(np.abs(np.log(gain)).sum(1) for _, gain, _ in fits)
    total = np.sqrt(np.maximum(cost, 0)) + TINT_WEIGHT * strong + dislike
    best = int(total.argmin())
    gain, shift = (np.stack([fit[part][best] for fit in fits]) for part in (1, 2))
    turn = best * 360 / COARSE_WIDTH
    return Fit(path, flipped, turn, tilt, gain, shift, float(total[best]))


def _tints(picture: np.ndarray, wanted: np.ndarray, weight: np.ndarray):
    """Gain and shift of a picture's channels that bring it closest to what is wanted where `weight`
    says, for every turn: squared error (W,), gain and shift (W, 3)."""
    weight = weight.astype(np.float32)[..., None]
    count = weight.sum() + 1e-3

    def correlated(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Sum over pixels of a(p) b(p + turn) for every turn: (W, channels)."""
        spectrum = np.conj(np.fft.rfft(a, axis=1)) * np.fft.rfft(b, axis=1)
        return np.fft.irfft(spectrum, n=a.shape[1], axis=1).sum(0)

    mean, square = correlated(weight, picture) / count, correlated(weight, picture**2) / count
    cross = correlated(weight * wanted, picture) / count
    own_mean = (weight * wanted).sum((0, 1)) / count
    own_square = (weight * wanted**2).sum((0, 1)) / count
    spread = np.sqrt(np.maximum(square - mean**2, 16.0))
    own_spread = np.sqrt(np.maximum(own_square - own_mean**2, 16.0))
    gain = np.clip(np.sqrt(own_spread / spread), LEAST_GAIN, MOST_GAIN)
    shift = own_mean - gain * mean
    error = own_square + gain**2 * square + shift**2
    error = error - 2 * gain * cross - 2 * shift * own_mean + 2 * gain * shift * mean
    return error.sum(1) * count, gain, shift


def _ground_share(elevation: np.ndarray) -> np.ndarray:
    """1 below the horizon, 0 above."""
    return np.clip(0.5 - elevation / (2 * HORIZON_DEGREES), 0, 1).astype(np.float32)


def _level_view(photograph: Photograph) -> np.ndarray:
    """What a level camera of 60 degrees would see of it, (144, 256, 3) uint8."""
    tan = math.tan(math.radians(30)) / math.tan(photograph.fov_y_radians / 2)
    height, width = photograph.image.shape[:2]
    y, x = np.mgrid[-1:1:144j, -1:1:256j].astype(np.float32) * np.float32(min(tan, 1.0))
    columns, rows = (x + 1) * (width - 1) / 2, (y + 1) * (height - 1) / 2
    return cv2.remap(photograph.image, columns, rows, cv2.INTER_AREA)


@lru_cache(maxsize=128)
def _kind_of(path: Path) -> np.ndarray:
    """Mean description of the views around a reference."""
    panorama = _opened(path)
    yaws = range(0, 360, 45)
    poses = [pose_from_yaw_pitch((0.0, 0.0, 0.0), math.radians(yaw), 0.0) for yaw in yaws]
    return np.mean([_described(sample_panorama(panorama, pose, 144, 256)) for pose in poses], 0)


def _described(view: np.ndarray) -> np.ndarray:
    """What kind of place a level view (144, 256, 3) uint8 shows: colours, their spread, and how
    much changes in which direction at two scales, above, at and below the horizon."""
    lab = cv2.cvtColor((view / 255).astype(np.float32), cv2.COLOR_RGB2LAB)
    described: list[float] = []
    for top, bottom in ((0.0, 0.42), (0.42, 0.58), (0.58, 1.0)):
        rows = slice(round(top * len(lab)), round(bottom * len(lab)))
        pixels = lab[rows].reshape(-1, 3)
        described += [*(pixels.mean(0) / (25, 12, 12)), *(pixels.std(0) / (15, 8, 8))]
        for sigma in (0.8, 2.0):
            smooth = cv2.GaussianBlur(lab[..., 0], (0, 0), sigma)[rows]
            across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
            strength, angle = np.hypot(across, down), np.mod(np.arctan2(down, across), math.pi)
            share = np.histogram(angle, 8, (0, math.pi), weights=strength)[0] / strength.size
            described += list(0.7 * np.log(share + 0.3))
    return np.array(described)


def _laid(panorama: np.ndarray, flipped: bool, tilt: float) -> np.ndarray:
    """Mirrored and raised by `tilt` degrees; the uncovered pole gets its border's mean colour."""
    if flipped:
        panorama = panorama[:, ::-1]
    rows = round(tilt / 180 * panorama.shape[0])
    if not rows:
        return panorama
    moved = np.roll(panorama, -rows, axis=0)
    pole = slice(-rows, None) if rows > 0 else slice(None, -rows)
    border = panorama[-1 if rows > 0 else 0].mean(0)
    moved[pole] = border
    return moved


def laid_around(fit: Fit) -> np.ndarray:
    """The reference of a fit (H, 2 H, 3) float32 as it lies around the photograph."""
    reference = _laid(_opened(fit.reference), fit.flipped, fit.tilt)
    width = reference.shape[1]
    reference = np.roll(reference, -round(fit.yaw / 360 * width), axis=1).astype(np.float32)
    ground = _ground_share(directions(width)[1])[..., None]
    gain, shift = (above + (below - above) * ground for above, below in (fit.gain, fit.shift))
    return reference * gain + shift


def with_surroundings(source: WorldSource, choice: str = AUTO) -> WorldSource:
    """The world of one photograph, looking along -Z, with what lies around it.

    Args:
        choice: "auto", "none", or the name of a reference.
    Raises:
        ValueError: another choice.
    """
    if choice == NONE:
        return source
    known = {path.stem: path for path in references()}
    if choice != AUTO and choice not in known:
        names = ", ".join([AUTO, NONE, *known])
        raise ValueError(f"there are no surroundings {choice!r}; choose one of {names}")
    (seed,) = source.frames
    photograph = Photograph(seed.image, seed.fov_y_radians)
    fit = best_fit(photograph, list(known.values()) if choice == AUTO else [known[choice]])
    around = surrounding_frames(photograph, fit)
    provenance = {**(source.provenance or {}), "surroundings": fit.reference.stem}
    return replace(source, frames=(seed, *around), count=1 + len(around), provenance=provenance)


def surrounding_frames(photograph: Photograph, fit: Fit) -> list[StoredFrame]:
    """Views of the surroundings from where the photograph was taken; valid where it shows
    nothing."""
    sphere = joined(photograph, laid_around(fit))
    size = frame_sixteenths(sphere.shape[1])
    frames = []
    for pose in ring_poses():
        rays = pixel_rays(9 * size, 16 * size, FOV_Y_RADIANS) @ pose[:3, :3].T
        azimuth = np.degrees(np.arctan2(rays[..., 0], -rays[..., 2]))
        elevation = np.degrees(np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2])))
        _, shown = photograph.at(azimuth, elevation)
        if 1 - shown.mean() >= LEAST_NEW:
            image = sample_panorama(sphere, pose, 9 * size, 16 * size)
            valid = ~shown if shown.any() else None
            frames.append(StoredFrame("surroundings", pose, FOV_Y_RADIANS, image, valid))
    return frames
