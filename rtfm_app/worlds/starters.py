"""Render the generated starter worlds: posed pictures of places that are never trained on.

    python -m rtfm_app.worlds.starters

Writes `assets/starters/<name>/` (JPEG pictures and transforms.json), and the thumbnails of all
starter worlds; run again, it writes the same.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import typer
from PIL import Image
from rich.progress import track

from ..geometry import pose_from_yaw_pitch, tangents, yaw_pitch_of
from ..resources import asset
from ..starters import list_starters, starter_source
from .paths import make_path
from .renderer import WorldRenderer, shrink_image
from .scenes import make_scene

PLACES = {
    "alpine_lake": ("lake", 49),
    "winter_village": ("village", 49),
    "garden": ("garden", 49),
}
FOV_Y_RADIANS = math.radians(60.0)
HEIGHT, WIDTH = 288, 512
WALK_FRAMES = 36
LOOK_ROUND_EVERY = 12
LOOK_ROUND_VIEWS = 6


def place_poses(scene) -> list[np.ndarray]:
    """A walk through the place, with a look round now and then; the first is the start view."""
    poses = []
    for index, pose in enumerate(make_path(scene, scene.seed * 1000, WALK_FRAMES).poses):
        poses.append(pose)
        if index % LOOK_ROUND_EVERY == 0:
            yaw = yaw_pitch_of(pose)[0]
            turns = 2 * math.pi * np.arange(1, LOOK_ROUND_VIEWS) / LOOK_ROUND_VIEWS
            poses += [pose_from_yaw_pitch(pose[:3, 3], yaw + turn, 0.0) for turn in turns]
    return poses


def render_place(renderer: WorldRenderer, family: str, seed: int, folder: Path) -> int:
    """Write the pictures and `transforms.json` of a place; returns how many pictures."""
    assert seed % 10 == 9, f"seed {seed} is trained on; starters come from test seeds"
    scene = make_scene(family, seed)
    renderer.load(scene)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    entries = []
    for index, pose in enumerate(place_poses(scene)):
        drawn = renderer.render(pose, FOV_Y_RADIANS, HEIGHT * 3 // 2, WIDTH * 3 // 2)
        name = f"images/{index:04d}.jpg"
        picture = Image.fromarray(shrink_image(drawn.image, HEIGHT, WIDTH))
        picture.save(folder / name, quality=92, subsampling=0, optimize=True)
        entries.append({"file_path": name, "transform_matrix": pose.tolist()})
    focal = HEIGHT / 2 / tangents(FOV_Y_RADIANS)[1]
    document = {
        "camera_model": "PINHOLE", "w": WIDTH, "h": HEIGHT, "fl_x": focal, "fl_y": focal,
        "cx": WIDTH / 2, "cy": HEIGHT / 2, "frames": entries,
    }  # fmt: skip
    (folder / "transforms.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    return len(entries)


def write_thumbnails() -> None:
    """The first view of every starter world, 512x288."""
    for starter in list_starters():
        first = next(iter(starter_source(starter).frames))
        picture = Image.fromarray(first.image).resize((512, 288), Image.Resampling.LANCZOS)
        picture.save(starter.thumbnail, quality=88, optimize=True)


def main() -> None:
    """Render all generated starter worlds, then the thumbnails."""
    renderer = WorldRenderer()
    for name, (family, seed) in track(PLACES.items(), description="starter worlds"):
        render_place(renderer, family, seed, asset(f"starters/{name}"))
    write_thumbnails()


if __name__ == "__main__":
    typer.run(main)
