"""Real places from 360-degree photographs (assets/panoramas) as training clips with exact motion.

`pano_turn`  looking round at one point: exact rotations of a real place, infinitely far.
`pano_box`   walking about inside the photograph painted on a simple shell (a room, open ground
             under a dome, a courtyard), among boxes, pillars and balls papered with crops of other
             photographs, so that things hide each other with exact parallax.
`pano_place` a few steps about the camera's place, with the distances of a layout drawn by hand
             (`panorama_places.py`), often with things stood in it (`panorama_things.py`); only of
             photographs that have a layout.
A photograph belongs to one split, and so do the clips made of it. Write clips with
`python -m rtfm_app.worlds.panoramas --out FOLDER`.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ..geometry import pixel_rays, pose_from_yaw_pitch
from ..resources import asset
from ..training.clips import Clip, save_clip, split_of
from .equirectangular import look_up
from .panorama_places import layouts, place_clip
from .paper_room import PaperRoom, Shell, Solid, draw_solids, random_crop
from .stroll import Stop, metres_walked, stroll
from .tone import tinted

FRAMES, HEIGHT, WIDTH = 16, 144, 256
SUPERSAMPLING = 2
EYE_HEIGHT = 1.6
INDOOR_SHELLS = ("room", "room", "dome", "courtyard")
# Trees would bend over the ceiling of a room.
OUTDOOR_SHELLS = ("dome", "courtyard")
OUTDOORS = {
    "immenstadter_horn",
    "kiara_1_dawn",
    "kloppenheim_05",
    "narrow_moonlit_road",
    "noon_grass",
    "phalzer_forest_01",
    "potsdamer_platz",
    "rainforest_trail",
    "rooitou_park",
    "st_peters_square_night",
}
FAMILIES = ("pano_turn", "pano_box", "pano_place")


def photographs() -> list[Path]:
    """The photographs in sorted order; a photograph's number is its place here."""
    return sorted(asset("panoramas").glob("*.jpg"))


def clip_seed(number: int, count: int) -> int:
    """Seed of the clip `number`, which shows photograph number % count, in that one's split."""
    return 10 * number + (number % count) % 10


def photograph_of(seed: int, count: int) -> int:
    """Number of the photograph that a seed made by `clip_seed` shows."""
    return (seed // 10) % count


def open_photograph(path: Path, rng: np.random.Generator) -> np.ndarray:
    """An equirectangular picture (H, W, 3) uint8, randomly turned, mirrored and tinted."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    pixels = np.roll(pixels, int(rng.integers(pixels.shape[1])), axis=1)
    return tinted(pixels, rng, log_gamma=0.1, spread=0.2)


def turn_clip(panorama: np.ndarray, seed: int) -> Clip:
    """Looking round at one point."""
    rng = np.random.default_rng([seed, 0x7042])
    fov_y = math.radians(rng.uniform(45, 80))
    place, yaw, pitch = (0.0, EYE_HEIGHT, 0.0), rng.uniform(-math.pi, math.pi), rng.normal(0, 0.2)
    poses, turn, tilt = [], 0.0, 0.0
    for frame in range(FRAMES):
        if frame % 4 == 0:
            turn = math.radians(rng.uniform(-15, 15))
            tilt = math.radians(rng.normal(0, 3))
        yaw, pitch = yaw + turn, float(np.clip(pitch + tilt, -0.8, 0.8))
        poses.append(pose_from_yaw_pitch(place, yaw, pitch))
    rays = pixel_rays(HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING, fov_y)
    images = [_shrunk(look_up(panorama, rays @ pose[:3, :3].T)) for pose in poses]
    inverse_depth = np.zeros((FRAMES, HEIGHT // 2, WIDTH // 2), np.float16)
    return Clip(np.stack(images), inverse_depth, np.stack(poses), fov_y, "pano_turn", seed)


def box_clip(panorama: np.ndarray, others: list[np.ndarray], indoors: bool, seed: int) -> Clip:
    """Walking about in the photograph painted on a shell, among papered solids."""
    rng = np.random.default_rng([seed, 0xB0C5])
    fov_y = math.radians(rng.uniform(45, 72))
    room = random_room(rng, others, indoors)
    stops = walk_in(room, rng)
    while metres_walked(stops) < 1:
        room = random_room(rng, others, indoors)
        stops = walk_in(room, rng)
    eye = rng.uniform(1.3, 1.9)
    images, depths, poses = [], [], []
    for stop in stops:
        pose = pose_from_yaw_pitch((stop.place[0], eye, stop.place[1]), stop.yaw, stop.pitch)
        images.append(draw(room, panorama, pose, fov_y))
        rays = pixel_rays(HEIGHT // 2, WIDTH // 2, fov_y) @ pose[:3, :3].T
        depths.append(1 / room.cast(pose[:3, 3], rays).distance)
        poses.append(pose)
    inverse_depth = np.stack(depths).astype(np.float16)
    return Clip(np.stack(images), inverse_depth, np.stack(poses), fov_y, "pano_box", seed)


def walk_in(room: PaperRoom, rng: np.random.Generator) -> list[Stop]:
    """A walk between the solids of a room, places are (x, z); none if it is too full."""
    start = room.free_place(rng)
    if start is None:
        return []

    def free_step(place, direction, metres):
        x, z = place[0] + direction[0] * metres, place[1] + direction[1] * metres
        return (x, z) if room.is_free(x, z) else None

    return stroll(rng, start, rng.uniform(-math.pi, math.pi), free_step, 0.25, FRAMES)


def draw(room: PaperRoom, panorama: np.ndarray, pose: np.ndarray, fov_y: float) -> np.ndarray:
    """The view (HEIGHT, WIDTH, 3) uint8 of a room from a pose."""
    rays = pixel_rays(HEIGHT * SUPERSAMPLING, WIDTH * SUPERSAMPLING, fov_y) @ pose[:3, :3].T
    rays, eye = rays.astype(np.float32), pose[:3, 3].astype(np.float32)
    hit = room.cast(eye, rays)
    points = eye + hit.distance[..., None] * rays
    picture = look_up(panorama, points - np.float32((0.0, EYE_HEIGHT, 0.0))).astype(np.float32)
    picture *= room.contact_shadow(points)[..., None]
    draw_solids(picture, room.solids, hit, points)
    return _shrunk(np.clip(picture, 0, 255).astype(np.uint8))


def _shrunk(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def random_room(rng: np.random.Generator, others: list[np.ndarray], indoors: bool) -> PaperRoom:
    """A shell of a random kind and size with up to ten solids standing in it."""
    kind = str(rng.choice(INDOOR_SHELLS if indoors else OUTDOOR_SHELLS))
    half_sides = tuple(rng.uniform(2.0, 6.0, 2))
    shell = Shell(
        kind=kind,
        half_sides=half_sides,
        height=EYE_HEIGHT + rng.uniform(0.8, 3.0),
        radius=rng.uniform(*((12, 50) if kind == "dome" else (3.0, 12.0))),
        centre_height=EYE_HEIGHT,
    )
    room = PaperRoom(shell, ())
    for _ in range(int(rng.integers(3, 11))):
        solid = random_solid(rng, shell, others)
        if not any(solid.gap(*other.centre) < 0.9 for other in room.solids):
            room = replace(room, solids=(*room.solids, solid))
    return room


def random_solid(rng: np.random.Generator, shell: Shell, others: list[np.ndarray]) -> Solid:
    """A box, pillar or ball standing on the floor, papered with a crop of another photograph."""
    kind = str(rng.choice(("box", "box", "pillar", "ball")))
    reach = min(shell.reach * 0.85, 6.0)
    distance, angle = reach * math.sqrt(rng.uniform(0.02, 1)), rng.uniform(0, 2 * math.pi)
    x, z = distance * math.cos(angle), distance * math.sin(angle)
    size = rng.uniform(0.15, 0.55, 2) if kind != "pillar" else np.full(2, rng.uniform(0.1, 0.35))
    size = np.full(2, size[0]) if kind == "ball" else size
    tall = {"box": rng.uniform(0.3, 2.2), "pillar": shell.height + 20, "ball": 2 * size[0]}[kind]
    if kind == "pillar" and rng.random() < 0.5:
        tall = rng.uniform(0.6, 2.5)
    return Solid(
        kind=kind,
        centre=(x, z),
        half_sides=(float(size[0]), float(size[1])),
        height=float(tall),
        yaw=rng.uniform(0, math.pi),
        paper=random_crop(rng, others[int(rng.integers(len(others)))]),
        texels_per_metre=rng.uniform(70, 220),
        light=rng.uniform(0, 2 * math.pi),
    )


def make_clip(family: str, seed: int) -> Clip | None:
    """The clip of a family (FAMILIES) with a seed made by `clip_seed`; None if the photograph has
    no layout and the family needs one."""
    paths = photographs()
    number = photograph_of(seed, len(paths))
    name = paths[number].stem
    rng = np.random.default_rng([seed, FAMILIES.index(family)])
    if family == "pano_place":
        if name not in layouts():
            return None
        with Image.open(paths[number]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        return place_clip(tinted(pixels, rng, log_gamma=0.1, spread=0.2), name, seed)
    panorama = open_photograph(paths[number], rng)
    if family == "pano_turn":
        return turn_clip(panorama, seed)
    same_split = [i for i in range(len(paths)) if split_of(i) == split_of(seed)]
    chosen = rng.permutation([i for i in same_split if i != number])[:3]
    indoors = name not in OUTDOORS
    return box_clip(panorama, [open_photograph(paths[i], rng) for i in chosen], indoors, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write clips of the 360-degree photographs.")
    parser.add_argument("--out", type=Path, required=True, help="folder of clips")
    parser.add_argument("--clips", type=int, default=150, help="clips of each family")
    parser.add_argument("--first", type=int, default=0, help="number of the first clip")
    parser.add_argument("--family", choices=FAMILIES, action="append", help="only this (repeat)")
    arguments = parser.parse_args()
    count = len(photographs())
    families, written = arguments.family or FAMILIES, 0
    for number in range(arguments.first, arguments.first + arguments.clips):
        for family in families:
            if (clip := make_clip(family, clip_seed(number, count))) is not None:
                save_clip(clip, arguments.out)
                written += 1
    print(f"{written} clips of {', '.join(families)} in {arguments.out}")


if __name__ == "__main__":
    main()
