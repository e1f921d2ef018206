"""Draw places in which painting is measured (see `evaluate_paint`), with the truth.

    python -m rtfm_app.training.make_paint_set --out assets/paint

In each place a walker goes half round a spot, a picture every eight degrees. Places that exist are
skipped. Needs OpenGL; evaluating does not.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..geometry import invert_pose, look_at, pixel_rays, tangents
from ..worlds.builder import Scene
from ..worlds.paths import drop_in, pose_of
from ..worlds.renderer import WorldRenderer
from ..worlds.scenes import make_scene
from .eval_set import MASK_REFLECTIVE
from .evaluate_paint import PAINT_FILE, disc
from .evaluate_worlds import HEIGHT, WIDTH
from .make_eval_set import Camera, _is_clear
from .metrics import reprojected

FOV = math.radians(60)
MEMORY_DEGREES = range(-48, 49, 8)
VIEW_DEGREES = (-43, -24, -9, 8, 22, 41)
PAINTED_DEGREES = 5
LEAST_MEMORY, LEAST_VIEWS = 10, 4
NEAREST_M, FARTHEST_M = 1.8, 6.5
TRIES = 60


def belongs(mark, painted, view) -> tuple[np.ndarray, float]:
    """The mark (H, W) as `view` sees it, 0..1, and the share of it that nothing hides; both views
    are (pose, true inverse depth)."""
    grid, inside, expected = reprojected(view[1], view[0], FOV, painted[0], FOV)
    x = (((grid[..., 0] + 1) * WIDTH - 1) / 2).astype(np.float32)
    y = (((grid[..., 1] + 1) * HEIGHT - 1) / 2).astype(np.float32)
    there = cv2.remap(mark.astype(np.float32), x, y, cv2.INTER_LINEAR) * inside
    depth = cv2.remap(painted[1], x, y, cv2.INTER_NEAREST)
    same = np.abs(depth - expected) < 0.06 * np.maximum(depth, expected) + 0.004
    return there * same, float((there * same).sum() / max(there.sum(), 1e-6))


def find_spot(depth: np.ndarray, mask: np.ndarray, rng) -> tuple[int, int] | None:
    """A pixel on something solid, neither too near nor too far; None if there is none."""
    for _ in range(40):
        x, y = int(rng.integers(130, 382)), int(rng.integers(80, 230))
        near = np.s_[y - 20 : y + 21, x - 20 : x + 21]
        low, high = depth[near].min(), depth[near].max()
        solid = not (mask[near] & MASK_REFLECTIVE).any()
        if solid and low > 1 / FARTHEST_M and high < min(1 / NEAREST_M, 1.35 * low):
            return x, y
    return None


def orbit(pose: np.ndarray, spot: np.ndarray, degrees: float, rng) -> np.ndarray:
    """A pose so far round the spot, about as far away, looking about at it."""
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    reach = rng.uniform(0.9, 1.1)
    away = turn @ (pose[:3, 3] - spot) * (reach, 1.0, reach)
    return look_at(spot + away, spot + rng.uniform(-0.4, 0.4, 3))


def pixel_of(spot: np.ndarray, pose: np.ndarray) -> tuple[float, float]:
    local = invert_pose(pose)[:3, :3] @ (spot - pose[:3, 3])
    tan_x, tan_y = tangents(FOV)
    x = (local[0] / -local[2] / tan_x + 1) * WIDTH / 2
    return float(x), float((1 - local[1] / -local[2] / tan_y) * HEIGHT / 2)


def make_place(camera: Camera, scene: Scene, rng, folder: Path) -> bool:
    """Try one place to stand; writes it and returns True when it will do."""
    pose = pose_of(scene, drop_in(scene, rng))
    _, depth, mask = camera.shoot(pose)
    found = find_spot(depth, mask, rng)
    if found is None:
        return False
    x, y = found
    ray = pixel_rays(HEIGHT, WIDTH, FOV)[y, x] / depth[y, x]
    spot = pose[:3, 3] + pose[:3, :3] @ ray
    memory = [p for p in (orbit(pose, spot, d, rng) for d in MEMORY_DEGREES) if _is_clear(scene, p)]
    views = [(d, orbit(pose, spot, d, rng)) for d in VIEW_DEGREES]
    views = [(d, p) for d, p in views if _is_clear(scene, p)]
    if len(memory) < LEAST_MEMORY or len(views) < LEAST_VIEWS:
        return False
    painted_pose = orbit(pose, spot, PAINTED_DEGREES, rng)
    painted = (painted_pose, camera.shoot(painted_pose)[1])
    centre = pixel_of(spot, painted_pose)
    mark = disc(centre)
    masks = []
    for degrees, view in views:
        there, visible = belongs(mark, painted, (view, camera.shoot(view)[1]))
        if visible > 0.7 and there.sum() > 0.25 * mark.sum():
            masks.append((degrees - PAINTED_DEGREES, view, there > 0.5))
    if len(masks) < LEAST_VIEWS:
        return False
    pictures = [(camera.shoot(p)[0].image, p) for p in memory]
    write_place(folder, painted_pose, centre, pictures, masks)
    return True


def write_place(folder: Path, painted_pose, centre, memory, views) -> None:
    """`memory`: (picture, pose) each.  `views`: (degrees, pose, mask) each."""
    folder.mkdir(parents=True, exist_ok=True)
    described: dict = {
        "fov_y_radians": FOV, "camera_to_world": painted_pose.tolist(), "centre": list(centre),
        "memory": [], "views": [],
    }  # fmt: skip
    for number, (image, pose) in enumerate(memory):
        name = f"{number:03d}.jpg"
        Image.fromarray(image).save(folder / name, quality=90, optimize=True)
        described["memory"].append({"file": name, "camera_to_world": pose.tolist()})
    for number, (degrees, pose, mask) in enumerate(views):
        name = f"view-{number}.png"
        Image.fromarray(mask).save(folder / name, optimize=True)
        described["views"].append(
            {"mask": name, "degrees": degrees, "camera_to_world": pose.tolist()}
        )
    (folder / PAINT_FILE).write_text(json.dumps(described), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw places in which painting is measured.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--families", default="gallery,village,garden,objects,forest,desert")
    parser.add_argument("--seed", type=int, default=9)
    arguments = parser.parse_args()
    renderer = WorldRenderer()
    for family in arguments.families.split(","):
        folder = arguments.out / f"{family}-{arguments.seed:04d}"
        if (folder / PAINT_FILE).exists():
            continue
        scene = make_scene(family, arguments.seed)
        renderer.load(scene)
        camera, rng = Camera(renderer, FOV), np.random.default_rng([arguments.seed, 3])
        made = any(make_place(camera, scene, rng, folder) for _ in range(TRIES))
        print(folder, "made" if made else "has no such place", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software GL: draw in this thread
    main()
