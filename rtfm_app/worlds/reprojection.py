"""One posed view predicted from another through inverse depth: how data sources are checked.

A source whose poses, field of view and depths agree predicts a neighbouring frame far better by
this than by the frame itself; a wrong convention anywhere shows as a worse picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..geometry import invert_pose, pixel_rays, tangents
from ..training.clips import Clip


def reproject(
    image: np.ndarray,
    inverse_depth: np.ndarray,
    target_inverse_depth: np.ndarray,
    source_to_world: np.ndarray,
    target_to_world: np.ndarray,
    fov_y_radians: float,
    occlusion_tolerance: float = 0.1,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict the target view by fetching pixels of the source view.

    Args:
        image: (H, W, 3) uint8, the source view.
        inverse_depth: (h, w) of the source, 1/metres.
        target_inverse_depth: (h, w) of the target.
        occlusion_tolerance: relative disagreement of distances that means "hidden".

    Returns:
        The predicted target (H, W, 3) float32 and where it is valid (H, W) bool: depth known,
        inside the source view, and not hidden in it.
    """
    height, width = image.shape[:2]
    inverse = _upsampled(target_inverse_depth, height, width)
    relative = invert_pose(source_to_world) @ target_to_world
    rays = pixel_rays(height, width, fov_y_radians)
    # Points divided by their depth: (ray + inverse depth * translation) also works at infinity.
    points = rays @ relative[:3, :3].T + inverse[..., None] * relative[:3, 3]
    forward = np.where(points[..., 2] < -1e-6, -points[..., 2], np.nan)
    tan_x, tan_y = tangents(fov_y_radians, width / height)
    x = ((points[..., 0] / forward / tan_x + 1) * width - 1) / 2
    y = ((1 - points[..., 1] / forward / tan_y) * height - 1) / 2
    x, y = x.astype(np.float32), y.astype(np.float32)
    predicted = cv2.remap(image.astype(np.float32), x, y, cv2.INTER_LINEAR)
    seen = cv2.remap(_upsampled(inverse_depth, height, width), x, y, cv2.INTER_NEAREST)
    expected = inverse / forward
    agrees = np.abs(seen - expected) <= occlusion_tolerance * expected + 1e-3
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return predicted, inside & agrees & np.isfinite(inverse)


def _upsampled(field: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(field.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)


def psnr(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of 8-bit pictures over `where` (H, W) bool."""
    error = (a.astype(np.float64) - b.astype(np.float64))[where]
    return float(10 * np.log10(255**2 / max(np.mean(error**2), 1e-9)))


def check_clip(clip: Clip, source: int = 0, target: int = 1) -> dict[str, float]:
    """PSNR of frame `target` predicted from frame `source`, all on the same valid pixels.

    Returns:
        `warped` with the clip's depths, `infinite` with all at infinity (rotation alone),
        `copied` without any motion, and `valid`, the share of valid pixels (0 to 1).
    """
    poses, fov = clip.camera_to_world, clip.fov_y_radians
    pair = (poses[source], poses[target], fov)
    inverse = clip.inverse_depth.astype(np.float32)
    image, truth = clip.images[source], clip.images[target]
    warped, valid = reproject(image, inverse[source], inverse[target], *pair)
    zero = np.zeros_like(inverse[0])
    infinite, inside = reproject(image, zero, zero, *pair)
    valid &= inside
    if not valid.any():
        return {"warped": 0.0, "infinite": 0.0, "copied": 0.0, "valid": 0.0}
    return {
        "warped": psnr(warped, truth, valid),
        "infinite": psnr(infinite, truth, valid),
        "copied": psnr(image, truth, valid),
        "valid": float(valid.mean()),
    }
