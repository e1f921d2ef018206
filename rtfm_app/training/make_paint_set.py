"""Say where marks belong in the places of the evaluation set, from the true distances.

    python -m rtfm_app.training.make_paint_set --set assets/eval

Adds paint.json and paint-N.png (see `evaluate_paint`) to each place in which a mark can be put on
something solid that is seen from enough sides. Needs OpenGL; evaluating does not.
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

from ..geometry import invert_pose, pixel_rays, rotation_angle
from ..worlds.renderer import WorldRenderer
from ..worlds.scenes import make_scene
from .eval_set import MASK_REFLECTIVE, Place, load_place
from .evaluate_paint import PAINT_FILE, RADIUS, disc
from .evaluate_worlds import HEIGHT, WIDTH
from .make_eval_set import Camera
from .metrics import reprojected

VIEWS, LEAST_VIEWS = 5, 4
MOST_DEGREES = 45.0
APART_DEGREES = 4.0
TRIES = 40  # marks looked at that lie well


class _Shot:
    """A view with its true distances."""

    def __init__(self, camera: Camera, pose: np.ndarray):
        self.pose = pose
        _, self.depth, self.mask = camera.shoot(pose)


def belongs(mark: np.ndarray, painted: _Shot, view: _Shot, fov: float) -> tuple[np.ndarray, float]:
    """The mark (H, W) as `view` sees it, 0..1, and the share of it that nothing hides."""
    grid, inside, expected = reprojected(view.depth, view.pose, fov, painted.pose, fov)
    x = ((grid[..., 0] + 1) * WIDTH - 1) / 2
    y = ((grid[..., 1] + 1) * HEIGHT - 1) / 2
    x, y = x.astype(np.float32), y.astype(np.float32)
    there = cv2.remap(mark.astype(np.float32), x, y, cv2.INTER_LINEAR) * inside
    depth = cv2.remap(painted.depth, x, y, cv2.INTER_NEAREST)
    same = np.abs(depth - expected) < 0.06 * np.maximum(depth, expected) + 0.004
    return there * same, float((there * same).sum() / max(there.sum(), 1e-6))


def choose(place: Place, shots: list[_Shot], fov: float, rng) -> tuple | None:
    """(painted view, centre, [(angle, pose, mask)]) with the widest views, None if none are."""
    best, widest, tried = None, 0.0, 0
    for _ in range(100 * TRIES):
        if tried == TRIES:
            break
        painted = shots[int(rng.integers(len(place.memory), len(shots)))]
        x, y = int(rng.integers(90, WIDTH - 90)), int(rng.integers(60, HEIGHT - 50))
        near = np.s_[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1]
        depth = painted.depth[near]
        solid = not (painted.mask[near] & MASK_REFLECTIVE).any()
        if not (solid and depth.min() > 1 / 8 and depth.max() < min(1 / 1.5, 1.3 * depth.min())):
            continue
        tried += 1
        views = _views((x, y), painted, shots, fov)
        angles = [angle for angle, _, _ in views]
        if len(views) >= LEAST_VIEWS and sum(angles) > widest:
            best, widest = (painted, (x, y), views), sum(angles)
    return best


def _views(centre, painted: _Shot, shots: list[_Shot], fov: float) -> list:
    """Up to `VIEWS` other views of the mark, the widest first, none much like another."""
    x, y = centre
    ray = pixel_rays(HEIGHT, WIDTH, fov)[y, x] / painted.depth[y, x]
    point = painted.pose[:3, :3] @ ray + painted.pose[:3, 3]
    found = []
    for shot in shots:
        local = invert_pose(shot.pose)[:3, :3] @ (point - shot.pose[:3, 3])
        if shot is painted or local[2] > -0.8:
            continue
        sides = [s.pose[:3, 3] - point for s in (painted, shot)]
        cosine = sides[0] @ sides[1] / np.linalg.norm(sides[0]) / np.linalg.norm(sides[1])
        angle = math.degrees(math.acos(np.clip(cosine, -1, 1)))
        turned = np.degrees(rotation_angle(painted.pose[:3, :3].T @ shot.pose[:3, :3]))
        if angle <= MOST_DEGREES and max(angle, turned) >= APART_DEGREES:
            found.append((angle, shot))
    found.sort(key=lambda item: -item[0])
    views: list = []
    mark = disc(centre)
    for angle, shot in found:
        same = [np.linalg.norm(pose[:3, 3] - shot.pose[:3, 3]) < 0.1 for _, pose, _ in views]
        if any(same) or len(views) == VIEWS:
            continue
        mask, visible = belongs(mark, painted, shot, fov)
        if visible > 0.8 and mask.sum() > 0.3 * mark.sum():
            views.append((angle, shot.pose, mask))
    return views


def make_paint(renderer: WorldRenderer, folder: Path) -> bool:
    """Write the truth of one place; False where no mark can be put."""
    place = load_place(folder)
    fov = place.memory[0].fov_y_radians
    renderer.load(make_scene(place.family, place.seed))
    camera = Camera(renderer, fov)
    targets = [t.posed for t in place.targets if t.role != "novel"]
    shots = [_Shot(camera, posed.camera_to_world) for posed in (*place.memory, *targets)]
    chosen = choose(place, shots, fov, np.random.default_rng([place.seed, 11]))
    if chosen is None:
        return False
    painted, centre, views = chosen
    entries = []
    for number, (angle, pose, mask) in enumerate(views):
        name = f"paint-{number}.png"
        Image.fromarray(mask > 0.5).save(folder / name, optimize=True)
        entries.append({"camera_to_world": pose.tolist(), "mask": name, "degrees": round(angle, 1)})
    described = {
        "camera_to_world": painted.pose.tolist(), "centre": list(centre), "views": entries,
    }  # fmt: skip
    (folder / PAINT_FILE).write_text(json.dumps(described), encoding="utf-8")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Say where marks belong in the evaluation set.")
    parser.add_argument("--set", type=Path, required=True)
    parser.add_argument("--families", default="gallery,village,garden,objects,forest,desert,night")
    arguments = parser.parse_args()
    renderer = WorldRenderer()
    for folder in sorted(arguments.set.iterdir()):
        family = folder.name.rsplit("-", 1)[0]
        if family in arguments.families.split(",") and not (folder / PAINT_FILE).exists():
            print(folder, make_paint(renderer, folder), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("LP_NUM_THREADS", "0")  # software GL: draw in this thread
    main()
