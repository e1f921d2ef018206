"""`rtfm eval`: quality on held-out places and the held-out part of a real walk.

    run_eval(quick=True, only="office", json_path=Path("eval.json"))

Reads assets/eval, assets/office_walk and assets/taef2 only; draws no training worlds. The protocol
is in the modules `evaluate_*`; the metrics are explained in the README.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from ..config import GenerationSettings
from .eval_set import ROLES, Place, load_places
from .evaluate_dream import evaluate_dream
from .evaluate_drift import evaluate_drift
from .evaluate_office import evaluate_office, evaluate_office_single
from .evaluate_paint import evaluate_paint
from .evaluate_persistence import DEFAULT_FRAMES, evaluate_persistence
from .evaluate_places import Novel, Scores, evaluate_single, evaluate_walk
from .evaluate_revisit import evaluate_revisit
from .evaluate_sheets import Sheet
from .evaluate_worlds import Subject
from .machine import describe_machine

PARTS = ("office", "covered", "single", "novel", "revisit", "paint", "drift", "dream")
PLACE_PARTS = ("covered", "single", "novel", "revisit")  # of the stored test places
SLOW_PARTS = ("dream",)  # left out of the quick run unless asked for
SHEETLESS_PARTS = ("revisit", "paint", "drift", "dream")  # none, or columns of their own
ONE_STEP_PARTS = ("novel", "paint", "drift", "dream")  # not measured again with more steps
PERSISTENCE = "persistence"  # by itself, and only when asked for: it walks for minutes or an hour
MANY_STEPS = 4
QUICK_REVISIT = ("gallery", "village", "lake")  # a walk of 18 keyframes each is the slowest part
Say = Callable[[str], None]


def run_eval(
    quick: bool = False,
    only: str | None = None,
    json_path: Path | None = None,
    *,
    weights: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    sheets: Path | None = None,
    frames: int = DEFAULT_FRAMES,
    work: Path | None = None,
    say: Say = lambda _: None,
) -> dict:
    """Measure the shipped (or given) weights.

    Args:
        quick: one step only, fewer targets and places, `drift` over 20 instead of 200 m, no
            `dream` unless asked for; a minute on two cores.
        only: one of PARTS, or a comma list, or "persistence" (see `evaluate_persistence`).
        json_path: where the flat result is written ("-" prints it).
        sheets: a folder for contact sheets, and for the plot and series of `persistence`, which
            go to the current folder without it.
        frames: length of the walk of `persistence`; work: where it is kept, so that it can go on.
    Returns:
        {"metric": number, …, "machine": {…}, "model": {…}, "settings": {…}}.
    Raises:
        ValueError: unknown part, unreadable weights or evaluation files.
    """
    parts = _parts(only, quick)
    if threads is not None:
        torch.set_num_threads(threads)
    started = time.perf_counter()
    subject = Subject.load(weights, device)
    settings = GenerationSettings()
    if parts == [PERSISTENCE]:
        folder = Path(sheets or ".")
        result: dict = evaluate_persistence(
            frames, folder, settings, weights=weights, device=device, say=say, work=work
        )
    else:
        result = _round(subject, parts, settings, quick, sheets, say)
    if not quick and parts != [PERSISTENCE]:
        more = replace(settings, inter_steps=MANY_STEPS)
        again = _round(
            subject, [p for p in parts if p not in ONE_STEP_PARTS], more, False, None, say
        )
        result |= {f"{name}_{MANY_STEPS}step": value for name, value in again.items()}
    result = {name: round(float(value), 4) for name, value in result.items()}
    result["seconds"] = round(time.perf_counter() - started, 1)
    result |= {
        "machine": describe_machine(), "model": subject.describe(),
        "settings": asdict(settings) | {"quick": quick, "parts": list(parts), "frames": frames},
    }  # fmt: skip
    write_result(result, json_path)
    return result


def write_result(result: dict, path: Path | None) -> None:
    """Write a flat result as JSON; "-" is standard output."""
    if path is None:
        return
    text = json.dumps(result, indent=1)
    if str(path) == "-":
        print(text)
    else:
        Path(path).write_text(text + "\n", encoding="utf-8")


def _parts(only: str | None, quick: bool = False) -> list[str]:
    if only is None:
        return [part for part in PARTS if not (quick and part in SLOW_PARTS)]
    chosen = only.split(",")
    if chosen == [PERSISTENCE]:
        return chosen
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise ValueError(f"there is no evaluation {unknown[0]!r}; choose from {', '.join(PARTS)} "
                         f"or, by itself, {PERSISTENCE}")  # fmt: skip
    return chosen


def _round(
    subject: Subject, parts, settings: GenerationSettings, quick: bool, folder, say: Say
) -> dict:
    """All chosen parts with one group of settings."""
    result: dict[str, float] = {}
    sheets: dict[str, Sheet] = {}
    if folder:
        sheets = {n: Sheet(folder, n) for n in parts if n not in SHEETLESS_PARTS}
        if "drift" in parts:
            sheets["drift"] = Sheet(folder, "drift", ("first picture", "truth", "model"), limit=99)
    if "office" in parts:
        result |= _office(subject, settings, quick, sheets.get("office"), say)
    if "paint" in parts:
        result |= evaluate_paint(subject, settings, quick=quick, say=say)
    if "drift" in parts:
        result |= evaluate_drift(subject, settings, quick=quick, sheet=sheets.get("drift"), say=say)
    if "dream" in parts:
        keyframe = replace(settings, key_steps=MANY_STEPS)
        sheet = Sheet(folder, "dream", ("not shown", "dreamt")) if folder else None
        if sheet is not None:
            sheets["dream"] = sheet
        result |= evaluate_dream(subject, keyframe, quick=quick, sheet=sheet, say=say)
    wanted = [part for part in parts if part in PLACE_PARTS]
    if wanted:
        result |= _places(subject, wanted, settings, quick, sheets, say)
    for sheet in sheets.values():
        sheet.write()
    return result


def _office(subject, settings, quick: bool, sheet, say: Say) -> dict[str, float]:
    say("office walk")
    result = {}
    for every, suffix in ((3, ""), (4, "_every4")):
        share = 2 if quick else 1
        found = evaluate_office(subject, every, settings, sheet, share)
        result |= {f"office_{name}{suffix}": value for name, value in found.items()}
        sheet = None
    return result | evaluate_office_single(subject, settings, 4 if quick else 1)


def _places(subject, parts, settings, quick: bool, sheets, say: Say) -> dict[str, float]:
    scores = Scores()
    novel = Novel() if "novel" in parts else None
    for place in load_places(limit_per_family=1 if quick else None):
        say(f"{place.family} {place.seed}")
        place = _shortened(place) if quick else place
        if "covered" in parts:
            evaluate_walk(subject, place, settings, scores, sheets.get("covered"))
        if "single" in parts:
            evaluate_single(subject, place, settings, scores, sheets.get("single"))
        if novel is not None:
            keyframe = replace(settings, key_steps=MANY_STEPS)
            novel.add(subject, place, keyframe, sheets.get("novel"))
        if "revisit" in parts and not (quick and place.family not in QUICK_REVISIT):
            evaluate_revisit(subject, place, settings, scores)
    return scores.flat() | (novel.finish() if novel else {})


def _shortened(place: Place) -> Place:
    """Fewer targets of each role, the strong and the weak ones alternately."""
    kept = []
    for role in ROLES:
        kept += place.of_role(role)[::2]
    return replace(place, targets=tuple(kept))
