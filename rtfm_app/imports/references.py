"""The choice of what lies around a single photograph: `AUTO`, `NONE`, or a panorama's name."""

from __future__ import annotations

import re
from pathlib import Path

from ..resources import asset

AUTO, NONE = "auto", "none"


def references() -> list[Path]:
    """The program's own 360-degree photographs."""
    return sorted(asset("panoramas").glob("*.jpg"))


def choices() -> list[str]:
    """All that `with_surroundings` takes."""
    return [AUTO, NONE, *(path.stem for path in references())]


def readable(choice: str) -> str:
    """A choice in words: "autoshop_01" is "Autoshop"."""
    words = {AUTO: "Automatic", NONE: "None"}
    name = re.sub(r"_\d+\b", "", choice).replace("_", " ")
    return words.get(choice, name[:1].upper() + name[1:])
