"""What a world remembers of its last visit, read with care: a bad value never stops a visit."""

from __future__ import annotations

from dataclasses import asdict, replace

from .config import GenerationSettings
from .geometry import check_pose


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
