"""Long straight walks with the truth at both ends, as files, so that evaluating draws no worlds.

assets/drift/<family>-<seed>/ holds walk.json (every pose) and NNN.jpg (512x288): the first picture
and the truth at poses of the first and of the last tenth. Seeds are of the test split.
Written by `make_drift_set`.
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


@dataclass(frozen=True)
class LongWalk:
    """A straight walk: poses (F, 4, 4) `stride_metres` apart, and the truth by its pose's number;
    the picture of pose 0 is the only one that the walker is given."""

    family: str
    seed: int
    stride_metres: float
    poses: np.ndarray
    truth: dict[int, Posed]

    @property
    def metres(self) -> float:
        return (len(self.poses) - 1) * self.stride_metres

    def shortened(self, metres: float) -> LongWalk:
        """Its first `metres`."""
        count = round(metres / self.stride_metres) + 1
        truth = {index: posed for index, posed in self.truth.items() if index < count}
        return LongWalk(self.family, self.seed, self.stride_metres, self.poses[:count], truth)


def load_walks(folder: Path | None = None) -> Iterator[LongWalk]:
    """The walks of the set in order of name.

    Raises:
        ValueError: the set is missing or damaged.
    """
    folder = folder or asset("drift")
    described = sorted(folder.glob("*/walk.json"))
    if not described:
        raise ValueError(f"{folder} holds no long walks; write them with "
                         "`python -m rtfm_app.training.make_drift_set`")  # fmt: skip
    for path in described:
        yield _load(path.parent)


def _load(folder: Path) -> LongWalk:
    try:
        described = json.loads((folder / "walk.json").read_text(encoding="utf-8"))
        poses = np.stack([check_pose(pose) for pose in described["poses"]])
        fov, truth = float(described["fov_y_radians"]), {}
        for index in described["truth"]:
            with Image.open(folder / f"{index:03d}.jpg") as picture:
                truth[index] = Posed(np.array(picture.convert("RGB")), poses[index], fov)
        family, seed = described["family"], described["seed"]
        return LongWalk(family, seed, float(described["stride_metres"]), poses, truth)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{folder} is not a long walk: {error}") from error


def save_walk(walk: LongWalk, folder: Path) -> None:
    """Write a walk; JPEG at quality 92 as in the evaluation set."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, posed in walk.truth.items():
        picture = Image.fromarray(posed.image)
        picture.save(folder / f"{index:03d}.jpg", quality=92, subsampling=0, optimize=True)
    described = {
        "family": walk.family, "seed": walk.seed, "stride_metres": walk.stride_metres,
        "fov_y_radians": walk.truth[0].fov_y_radians, "truth": sorted(walk.truth),
        "poses": np.round(walk.poses, 6).tolist(),
    }  # fmt: skip
    (folder / "walk.json").write_text(json.dumps(described), encoding="utf-8")
