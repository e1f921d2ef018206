"""The evaluation set: posed pictures of test places, as files, so that evaluating draws no worlds.

assets/eval/<family>-<seed>/ holds place.json and NNN.jpg (512x288), masks NNN.png. A place has 16
memory frames of a walk and, with a role each, target frames whose truth is known:
    between   between two memory frames, half of them with median parallax over 8 pixels
    forward   1 m ahead of memory frame `source`
    turn      20 degrees and 0.5 m aside of memory frame `source`
    novel     turned far away from memory frame `source`, so that most of it was never seen
Mask bits: 1 mirror, 2 glass, 4 water, 8 shadow (as in clips), 16 seen by the memory (by frame
`source` alone for the roles other than between). Seeds are of the test split (seed % 10 == 9).
Written by `make_eval_set`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..geometry import check_pose
from ..resources import asset
from .evaluate_worlds import Posed

MASK_REFLECTIVE = 1 | 2 | 4
MASK_SEEN = 16
PARALLAX_PIXELS = 8.0
ROLES = ("between", "forward", "turn", "novel")


@dataclass(frozen=True)
class Target:
    """A truth picture: its role, the memory frame it belongs to, mask bits (H, W) uint8, and the
    median parallax in pixels to the nearest memory frame."""

    posed: Posed
    role: str
    source: int
    mask: np.ndarray
    parallax: float


@dataclass(frozen=True)
class Place:
    family: str
    seed: int
    memory: tuple[Posed, ...]
    targets: tuple[Target, ...]

    def of_role(self, role: str) -> list[Target]:
        return [target for target in self.targets if target.role == role]


def load_places(folder: Path | None = None, limit_per_family: int | None = None) -> Iterator[Place]:
    """The places of the set in order of name, at most `limit_per_family` of each family.

    Raises:
        ValueError: the set is missing or damaged.
    """
    folder = folder or asset("eval")
    described = sorted(folder.glob("*/place.json"))
    if not described:
        raise ValueError(f"{folder} holds no evaluation places; write them with "
                         "`python -m rtfm_app.training.make_eval_set`")  # fmt: skip
    taken: dict[str, int] = {}
    for path in described:
        family = path.parent.name.rsplit("-", 1)[0]
        taken[family] = taken.get(family, 0) + 1
        if limit_per_family is None or taken[family] <= limit_per_family:
            yield load_place(path.parent)


def load_place(folder: Path) -> Place:
    try:
        described = json.loads((folder / "place.json").read_text(encoding="utf-8"))
        fov = float(described["fov_y_radians"])
        memory = [_posed(folder, entry, fov) for entry in described["memory"]]
        targets = [_target(folder, entry, fov) for entry in described["targets"]]
        return Place(described["family"], described["seed"], tuple(memory), tuple(targets))
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} is not an evaluation place: {error}") from error


def _posed(folder: Path, entry: dict, fov: float) -> Posed:
    with Image.open(folder / entry["file"]) as picture:
        image = np.array(picture.convert("RGB"))
    return Posed(image, check_pose(entry["camera_to_world"]), fov)


def _target(folder: Path, entry: dict, fov: float) -> Target:
    with Image.open(folder / entry["mask"]) as picture:
        mask = np.array(picture)
    return Target(
        _posed(folder, entry, fov), entry["role"], entry["source"], mask, entry["parallax"]
    )


def save_place(place: Place, folder: Path) -> None:
    """Write a place; JPEG at quality 92 keeps it about 40 dB from what was drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    memory = [_write(folder, index, posed) for index, posed in enumerate(place.memory)]
    targets = []
    for index, target in enumerate(place.targets, len(place.memory)):
        entry = _write(folder, index, target.posed)
        entry |= {"mask": f"{index:03d}.png", "role": target.role, "source": target.source,
                  "parallax": round(target.parallax, 2)}  # fmt: skip
        Image.fromarray(target.mask).save(folder / entry["mask"], optimize=True)
        targets.append(entry)
    described = {
        "family": place.family, "seed": place.seed,
        "fov_y_radians": place.memory[0].fov_y_radians, "memory": memory, "targets": targets,
    }  # fmt: skip
    (folder / "place.json").write_text(json.dumps(described), encoding="utf-8")


def _write(folder: Path, index: int, posed: Posed) -> dict:
    name = f"{index:03d}.jpg"
    Image.fromarray(posed.image).save(folder / name, quality=92, subsampling=0, optimize=True)
    return {"file": name, "camera_to_world": posed.camera_to_world.tolist()}
