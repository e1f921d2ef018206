"""The film that is being planned in the window (`FilmPlan`). Pure; kept in its world."""

from __future__ import annotations

import base64
import binascii
import io
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
from PIL import Image

from .film_path import FilmKey, FilmPath, keys_from_json
from .film_render import FilmSettings, film_settings_from_json

THUMBNAIL = (128, 72)


@dataclass(frozen=True)
class FilmPlan:
    """Key poses in their order, and how the film is taken."""

    keys: tuple[FilmKey, ...] = ()
    settings: FilmSettings = field(default_factory=FilmSettings)

    @cached_property
    def path(self) -> FilmPath | None:
        """The path through the keys; None while there are too few, or they are all one."""
        try:
            return FilmPath(self.keys, self.settings.even)
        except ValueError:
            return None

    @cached_property
    def outline(self) -> np.ndarray:
        """Positions (N, 3) along the path, to draw it; none without a path."""
        return self.path.points(24 * len(self.keys)) if self.path else np.zeros((0, 3))

    @cached_property
    def metres(self) -> float:
        return self.path.metres if self.path else 0.0

    @property
    def seconds(self) -> float:
        return self.settings.seconds_of(self.path) if self.path else 0.0

    @property
    def model_frames(self) -> int:
        """How many model frames rendering takes."""
        if self.path is None:
            return 0
        return self.settings.picture_count(self.path) * self.settings.frames_a_picture

    def with_settings(self, **changes) -> FilmPlan:
        return replace(self, settings=replace(self.settings, **changes))

    def with_key(self, index: int, key: FilmKey) -> FilmPlan:
        return replace(self, keys=(*self.keys[:index], key, *self.keys[index + 1 :]))

    def without_key(self, index: int) -> FilmPlan:
        return replace(self, keys=self.keys[:index] + self.keys[index + 1 :])

    def moved_key(self, index: int, by: int) -> FilmPlan:
        """The key exchanged with its neighbour `by` (-1 or 1) further."""
        other = index + by
        if not 0 <= other < len(self.keys):
            return self
        keys = list(self.keys)
        keys[index], keys[other] = keys[other], keys[index]
        return replace(self, keys=tuple(keys))

    def to_json(self) -> dict:
        return {"keys": [k.to_json() for k in self.keys], "settings": asdict(self.settings)}


def plan_from_json(value) -> FilmPlan:
    """A saved plan; what cannot be used of it is left out."""
    if not isinstance(value, dict):
        return FilmPlan()
    keys: list[FilmKey] = []
    saved = value.get("keys")
    for entry in saved if isinstance(saved, list) else []:
        try:
            keys += keys_from_json([entry])
        except ValueError:
            continue  # one bad key is no reason to lose the others
    return FilmPlan(tuple(keys), film_settings_from_json(value.get("settings")))


def thumbnail_text(image: np.ndarray) -> str:
    """A small JPEG of a picture (H, W, 3) uint8 as base64, to be kept in JSON."""
    small = Image.fromarray(image).resize(THUMBNAIL, Image.Resampling.BOX, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def thumbnail_image(text) -> np.ndarray | None:
    """The picture (72, 128, 3) of `thumbnail_text`; None where there is none."""
    if not isinstance(text, str) or not text:
        return None
    try:
        with Image.open(io.BytesIO(base64.b64decode(text)), formats=("JPEG",)) as image:
            return np.asarray(image.convert("RGB").resize(THUMBNAIL))
    except (OSError, ValueError, SyntaxError, binascii.Error):
        return None
