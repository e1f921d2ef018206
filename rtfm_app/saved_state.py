"""What a world remembers of its last visit, read with care: a bad value never stops a visit."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from .config import GenerationSettings
from .geometry import check_pose

CONTEXT_STATE = "context"
MOST_HELD = 1024


def settings_from_json(value) -> GenerationSettings:
    """Settings saved in a world. A field that is unknown or bad falls back to its default; the
    others are kept."""
    settings = GenerationSettings()
    if not isinstance(value, dict):
        return settings
    for name, default in asdict(settings).items():
        given = value.get(name, default)
        if type(given) is not type(default) and not (
            isinstance(default, float) and type(given) is int
        ):
            continue
        try:
            settings = replace(settings, **{name: given})
        except ValueError:
            continue
    return settings


def sound_camera(value) -> dict | None:
    """A saved camera that can be used, else None."""
    try:
        pose = check_pose(value["camera_to_world"])
        mode = "fly" if value.get("mode") == "fly" else "walk"
    except (ValueError, TypeError, KeyError):
        return None
    return {"camera_to_world": pose.tolist(), "mode": mode}


def sound_context(value) -> tuple[tuple[int, ...], np.ndarray | None]:
    """What a walk was last drawn from, as `context_to_json` saved it: the ids of the frames, and
    the pose from which looking ahead was in vain. What is bad is left out."""
    if not isinstance(value, dict):
        return (), None
    ids = value.get("ids")
    if not isinstance(ids, list) or len(ids) > MOST_HELD:
        ids = []
    ids = tuple(ids) if all(type(i) is int and 0 < i < 1 << 62 for i in ids) else ()
    try:
        vain = None if value.get("vain") is None else np.array(value["vain"], np.float64)
        if vain is not None:
            check_pose(vain)
    except (ValueError, TypeError):
        vain = None
    return ids, vain


def context_to_json(ids: tuple[int, ...], vain: np.ndarray | None) -> dict:
    """See `sound_context`; floats keep every bit."""
    return {"ids": list(ids), "vain": None if vain is None else vain.tolist()}
