"""JSON as worlds keep it: finite numbers only, of a bounded size, and nothing that surprises."""

from __future__ import annotations

import json
import math

from .schema import MAX_JSON_BYTES


def to_json(value, where: str) -> str:
    """Compact JSON. ValueError: not JSON, not finite, or over 1 MB."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{where}: cannot be stored as JSON ({error})") from None
    if len(text.encode()) > MAX_JSON_BYTES:
        raise ValueError(f"{where}: is over {MAX_JSON_BYTES} bytes")
    return text


def parse_json(text, where: str):
    """The value of a stored JSON text. ValueError: damaged, not finite, or not text."""
    if not isinstance(text, str) or len(text) > MAX_JSON_BYTES:
        raise ValueError(f"{where}: is not text of a sane size")
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: is not JSON ({error})") from None


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value
