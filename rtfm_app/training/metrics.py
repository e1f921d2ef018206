"""Picture metrics and the plain baselines that the model is judged against. Pure numpy and torch.

Pictures are uint8 (H, W, 3); masks are bool (H, W), True where a pixel counts.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from ..geometry import invert_pose, pixel_rays, tangents

PATCH = 16
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def psnr(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB over the masked pixels; 99 when they are equal.

    Raises:
        ValueError: the mask is empty.
    """
    squared = (picture.astype(np.float32) - truth.astype(np.float32)) ** 2
    if mask is not None:
        if not mask.any():
            raise ValueError("cannot take a PSNR over an empty mask")
        squared = squared[mask]
    error = float(squared.mean(dtype=np.float64))
    return 99.0 if error == 0 else 10 * np.log10(255.0**2 / error)


def luma(picture: np.ndarray) -> np.ndarray:
    """Brightness (H, W) float32 in 0..255."""
    return picture.astype(np.float32) @ LUMA


def ssim(picture: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity of the brightness (Wang et al. 2004), Gaussian window of 11 pixels."""
    a, b = (torch.from_numpy(luma(x))[None, None] for x in (picture, truth))
    at = torch.arange(11) - 5.0
    window = torch.exp(-(at**2) / (2 * 1.5**2))
    window = window / window.sum()

    def blur(x):
        rows = F.conv2d(x, window[None, None, :, None])
        return F.conv2d(rows, window[None, None, None, :])

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def gradient_energy(picture: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean squared difference of neighbouring brightnesses: how sharp a picture is."""
    bright = luma(picture)
    across = (bright[:-1, 1:] - bright[:-1, :-1]) ** 2
    down = (bright[1:, :-1] - bright[:-1, :-1]) ** 2
    energy = across + down
    if mask is not None:
        energy = energy[mask[:-1, :-1] & mask[1:, :-1] & mask[:-1, 1:]]
    return float(energy.mean()) if energy.size else 0.0


def border_gradients(
    picture: np.ndarray, mask: np.ndarray | None = None, patch: int = PATCH
) -> tuple[float, float]:
    """Mean absolute brightness step across the borders of the patch grid, and everywhere else.

    Returns sums that can be averaged over pictures before they are divided (`blockiness`).
    """
    bright = luma(picture)
    across = np.abs(np.diff(bright, axis=1))
    down = np.abs(np.diff(bright, axis=0))
    keep_across, keep_down = np.ones_like(across, bool), np.ones_like(down, bool)
    if mask is not None:
        keep_across, keep_down = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    border = np.zeros_like(keep_across)
    border[:, patch - 1 :: patch] = True
    border_down = np.zeros_like(keep_down)
    border_down[patch - 1 :: patch] = True
    on = np.concatenate([across[keep_across & border], down[keep_down & border_down]])
    off = np.concatenate([across[keep_across & ~border], down[keep_down & ~border_down]])
    return (float(on.mean()) if on.size else 0.0, float(off.mean()) if off.size else 0.0)


def homography_reading(
    memory: np.ndarray,
    memory_to_world: np.ndarray,
    memory_fov: float,
    target_to_world: np.ndarray,
    target_fov: float,
    height: int,
    width: int,
) -> tuple[np.ndarray, np.ndarray]:
    """The memory picture as the target camera would see it if everything were infinitely far.

    Outside the memory picture its border is repeated.

    Returns:
        picture uint8 (height, width, 3), and which pixels lie inside the memory picture.
    """
    rotation = memory_to_world[:3, :3].T @ target_to_world[:3, :3]
    rays = pixel_rays(height, width, target_fov) @ rotation.T
    grid, inside = _grid(rays, memory_fov)
    return _read(memory, grid), inside


def reprojected(
    target_inverse_depth: np.ndarray,
    target_to_world: np.ndarray,
    target_fov: float,
    memory_to_world: np.ndarray,
    memory_fov: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a memory frame sees what the target's pixels show.

    Args:
        target_inverse_depth: (H, W) 1/metres, 0 = infinitely far.
    Returns:
        grid (H, W, 2) in [-1, 1] with y down, inside the memory picture bool (H, W), and the
        inverse depth in the memory's camera (H, W).
    """
    height, width = target_inverse_depth.shape
    relative = invert_pose(memory_to_world) @ target_to_world
    rays = pixel_rays(height, width, target_fov) @ relative[:3, :3].T
    points = rays + target_inverse_depth[..., None] * relative[:3, 3]
    grid, inside = _grid(points, memory_fov)
    return grid, inside, target_inverse_depth / np.maximum(-points[..., 2], 1e-6)


def _grid(points: np.ndarray, fov: float) -> tuple[np.ndarray, np.ndarray]:
    """Homogeneous camera points (H, W, 3) to picture coordinates and whether they are inside."""
    tan_x, tan_y = tangents(fov)
    front = points[..., 2] < -1e-3
    depth = np.where(front, -points[..., 2], 1e-3)
    grid = np.stack([points[..., 0] / depth / tan_x, -points[..., 1] / depth / tan_y], -1)
    return grid, front & (np.abs(grid) < 1).all(-1)


def _read(picture: np.ndarray, grid: np.ndarray) -> np.ndarray:
    image = torch.tensor(picture).permute(2, 0, 1)[None].float()
    where = torch.from_numpy(grid.clip(-4, 4).astype(np.float32))[None]
    read = F.grid_sample(image, where, align_corners=False, padding_mode="border")
    return read[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()
