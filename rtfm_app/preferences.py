"""What the user prefers, in `preferences.toml` of the platform's configuration folder.

A bad file or value never stops the program: each bad value falls back to its default and is
reported in a line, and a file that is no TOML is set aside, not overwritten. The folder can be
moved with the environment variable RTFM_CONFIG_DIR.
"""

from __future__ import annotations

import json
import logging
import os
import tomllib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import platformdirs

from .imports.references import AUTO, choices
from .input import (
    DEFAULT_AXES,
    DEFAULT_KEYS,
    DEFAULT_PAD,
    HELD,
    PAD_AXES,
    PAD_BUTTONS,
    PRESSED,
    STICK_DEAD_ZONE,
)

log = logging.getLogger(__name__)
FILE_NAME = "preferences.toml"
LAYOUT_NAME = "layout.ini"
_RANGES = {
    "mouse_sensitivity": (0.05, 10.0),
    "pad_sensitivity": (0.05, 10.0),
    "pad_dead_zone": (0.0, 0.8),
    "key_sensitivity": (0.05, 10.0),
    "interface_scale": (0.5, 4.0),
    "frame_rate_cap": (15, 500),
    "window_width": (640, 16384),
    "window_height": (360, 16384),
    "volume": (0.0, 1.0),
}


@dataclass(frozen=True)
class Preferences:
    """User settings. Every field is a TOML value of the same name; `keys`, `pad` and `axes`
    are tables; `surroundings` is one of `references.choices`."""

    mouse_sensitivity: float = 1.0
    pad_sensitivity: float = 1.0
    pad_dead_zone: float = STICK_DEAD_ZONE
    key_sensitivity: float = 1.0
    invert_y: bool = False
    solid_walking: bool = True
    interface_scale: float = 1.0
    vsync: bool = True
    frame_rate_cap: int = 60
    smooth_frames: bool = True
    reduced_motion: bool = False
    high_contrast: bool = False
    show_overlay: bool = True
    show_coverage: bool = False
    seen_hint: bool = False
    full_screen: bool = False
    window_width: int = 1280
    window_height: int = 720
    volume: float = 0.5
    muted: bool = False
    surroundings: str = AUTO
    keys: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(DEFAULT_KEYS))
    pad: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_PAD))
    axes: dict[str, str] = field(default_factory=lambda: dict(DEFAULT_AXES))

    def __post_init__(self):
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be between {low} and {high}, got {value!r}")


def config_folder() -> Path:
    """The folder of the user's settings; it may not exist yet."""
    override = os.environ.get("RTFM_CONFIG_DIR")
    return Path(override) if override else platformdirs.user_config_path("rtfm")


def load_preferences(folder: Path | None = None) -> tuple[Preferences, list[str]]:
    """The saved preferences and a line about each thing in the file that could not be used."""
    path = (folder or config_folder()) / FILE_NAME
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Preferences(), []
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        kept = _set_aside(path)
        where = f"; it was kept as {kept.name}" if kept else ""
        return Preferences(), [f"{path} cannot be read ({error}){where}; defaults are used"]
    return _from_values(values, path)


def save_preferences(preferences: Preferences, folder: Path | None = None) -> None:
    """Write the file through a temporary name.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = folder or config_folder()
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{FILE_NAME}.{os.getpid()}"
    temporary.write_text(_to_toml(preferences), encoding="utf-8")
    os.replace(temporary, folder / FILE_NAME)


def load_layout() -> str:
    """Where the panels were (ImGui's own text); "" the first time or when it is unreadable: they
    stand where they stand by default then."""
    try:
        return (config_folder() / LAYOUT_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def save_layout(text: str) -> None:
    """Keep where the panels are. A full disk is logged, not fatal."""
    folder = config_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LAYOUT_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        log.warning("the panels' layout could not be saved: %s", error)


def _set_aside(path: Path) -> Path | None:
    kept = path.with_suffix(".toml.unreadable")
    try:
        os.replace(path, kept)
    except OSError:
        return None
    return kept


def _from_values(values: dict, path: Path) -> tuple[Preferences, list[str]]:
    preferences, complaints = Preferences(), []
    known = {f.name for f in fields(Preferences)}
    for name, value in values.items():
        if name not in known:
            complaints.append(f"{path}: unknown setting {name!r} is ignored")
            continue
        try:
            preferences = replace(preferences, **{name: _checked(name, value)})
        except ValueError as error:
            complaints.append(f"{path}: {error}; the default is used")
    return preferences, complaints


def _checked(name: str, value):
    """The value in the type that the field has. Raises ValueError."""
    if name == "keys":
        return _checked_keys(value)
    if name == "pad":
        return _checked_names(name, value, DEFAULT_PAD, HELD + PRESSED, ("", *PAD_BUTTONS))
    if name == "axes":
        names = ("", *PAD_AXES, *(f"-{axis}" for axis in PAD_AXES))
        return _checked_names(name, value, DEFAULT_AXES, tuple(DEFAULT_AXES), names)
    default = getattr(Preferences(), name)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"{name} must be like {default!r}, got {value!r}")
    if name == "surroundings" and value not in choices():
        raise ValueError(f"surroundings must be one of {', '.join(choices())}, got {value!r}")
    return value


def _checked_keys(value) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise ValueError(f"keys must be a table, got {value!r}")
    keys: dict[str, tuple[str, ...]] = {}
    for action, names in value.items():
        if action not in HELD + PRESSED:
            raise ValueError(f"keys.{action} is not an action")
        if not (isinstance(names, list) and all(isinstance(n, str) for n in names)):
            raise ValueError(f'keys.{action} must be a list like ["W"], got {names!r}')
        keys[action] = tuple(names)
    taken = {name for names in keys.values() for name in names}
    for action, names in DEFAULT_KEYS.items():  # actions that are newer than the file
        keys.setdefault(action, tuple(name for name in names if name not in taken))
    return keys


def _checked_names(
    table: str, value, default: dict[str, str], meanings: tuple[str, ...], names: tuple[str, ...]
) -> dict[str, str]:
    """A table from what a part of the gamepad does to its name ("" = nothing does it)."""
    if not isinstance(value, dict):
        raise ValueError(f"{table} must be a table, got {value!r}")
    for meaning, name in value.items():
        if meaning not in meanings or name not in names:
            raise ValueError(f"{table}.{meaning} = {name!r} is not a binding")
    return default | value


def _to_toml(preferences: Preferences) -> str:
    lines, tables = [], []
    for entry in fields(Preferences):
        value = getattr(preferences, entry.name)
        if isinstance(value, dict):
            tables.append(f"\n[{entry.name}]")
            tables += [f"{k} = {_toml_value(v)}" for k, v in value.items()]
        else:
            lines.append(f"{entry.name} = {_toml_value(value)}")
    return "\n".join(lines + tables) + "\n"


def _toml_value(value) -> str:
    """TOML of bool, int, float, str or a tuple of str; JSON's forms of these are TOML's."""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
