"""Does a world stay what it was on a long walk, and does walking stay as fast and as small?

    evaluate_persistence(frames=36_000, folder=Path("report"))

A walker sets out from one picture of a starter world, ten steps a second, 1.5 m/s: to places that
nobody gave, back, into new directions, and along the first way again, for as many frames as are
asked for. Ten views beside his first way, looking up or down, are drawn for comparison only: as
soon as he has passed, after 100, 1,000, 10,000 and 36,000 frames, at the end, and by a new process
that opens the world again. Meanwhile every frame's time and the memory in use are noted.
"""

from __future__ import annotations

import itertools
import json
import math
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..config import GenerationSettings
from ..engine import FrameEngine
from ..geometry import yaw_pitch_of
from ..imports.source import WorldSource, build_world
from ..starters import list_starters, starter_source
from .evaluate_revisit import LEAST_IMAGINED, SAME_DB, is_far_from_stored
from .metrics import gradient_energy, psnr
from .persistence_plot import plot_series
from .persistence_walk import PASSED_METRES, places_beside, scripted_walk

DEFAULT_FRAMES = 2000
CHECKPOINTS = (100, 1_000, 10_000, 36_000)
STARTER = "winter_village"
SERIES_POINTS = 400
SAVE_EVERY = 500  # frames


@dataclass
class Series:
    """What each frame took.

    Attributes:
        milliseconds: wall time of a frame, what was encoded ahead included. processor: the same in
            processor time. megabytes: resident memory after it.
    """

    milliseconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)

    def add(self, milliseconds: float, processor: float) -> None:
        self.milliseconds.append(milliseconds)
        self.processor.append(processor)
        self.megabytes.append(resident_megabytes())

    def of_this_process(self, start: int) -> Series:
        """What was noted from frame `start` on: memory begins anew with a process."""
        return Series(*(values[start:] for values in vars(self).values()))

    def thinned(self) -> dict[str, list[float]]:
        """Medians of neighbouring frames, SERIES_POINTS at most, by the last frame of each."""
        count = len(self.milliseconds)
        groups = np.array_split(np.arange(count), min(count, SERIES_POINTS))
        thinned: dict[str, list[float]] = {"frame": [int(group[-1]) + 1 for group in groups]}
        for name, values in vars(self).items():
            array = np.array(values)
            thinned[name] = [round(float(np.median(array[group])), 2) for group in groups]
        return thinned

    def growth(self) -> dict[str, float]:
        """Median of the last tenth over that of the first, 1 is flat: of all frames, and of the
        second half of them alone, in which a short walk too has filled its page pool."""
        grown = {}
        for name, values in vars(self).items():
            tenth = max(1, len(values) // 10)
            last, middle = np.median(values[-tenth:]), len(values) // 2
            grown[f"{name}_growth"] = float(last / np.median(values[:tenth]))
            late = np.median(values[middle : middle + tenth])
            grown[f"{name}_growth_second_half"] = float(last / late)
        return grown


def evaluate_persistence(
    frames: int = DEFAULT_FRAMES,
    folder: Path = Path("."),
    settings: GenerationSettings = GenerationSettings(),  # noqa: B008 (frozen)
    *,
    weights: Path | None = None,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
    work: Path | None = None,
) -> dict[str, float]:
    """Walk, measure, and write `persistence.png` and `persistence_series.json` to `folder`.

    Args:
        work: a folder where the world and what was noted are kept: a walk that was stopped, by
            whatever, goes on from its last 500 frames. None = nothing is kept.

    Returns:
        `revisit_psnr_N` and `revisit_sharpness_N` (N = 100, 1000, …, `end`, `reloaded`) against
        the first visit and over the given picture; `*_growth`, see `Series`;
        `same_bits_after_reload`, 1 if all views are equal bit for bit; counts and sizes.
    Raises:
        ValueError: fewer than 200 frames, or weights that cannot be read.
    """
    if frames < 200:
        raise ValueError(f"--frames must be at least 200 for a walk out and back, got {frames}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rtfm-persistence-") as temporary:
        kept = Path(work or temporary)
        kept.mkdir(parents=True, exist_ok=True)
        path = kept / "walk.rtfm"
        if not path.exists():
            build_world(path, "walk", one_picture())
        options = {"weights": weights, "device": device, "threads": torch.get_num_threads()}
        with _deterministic(), FrameEngine.open(path, deterministic=True, **options) as engine:
            walk = _Walk(engine, settings, Notes(kept))
            result = walk.run(frames, say, folder)
            views, first = walk.far_places(), walk.first
            true_energy, before = walk.true_energy, walk.draw(views)
        say("opening the world again in a new process")
        after = _drawn_by_new_process(path, [first[i].pose for i in views], settings, options)
    result |= _compared("reloaded", [first[i].image for i in views], after, true_energy)
    same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    return result | {"same_bits_after_reload": float(same)}


@dataclass
class Notes:
    """What was noted so far, in `notes.json` and `first.npz` of a folder."""

    folder: Path

    def read(self) -> dict:
        """Empty before the first `write`."""
        path = self.folder / "notes.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def first_pictures(self) -> dict[int, np.ndarray]:
        path = self.folder / "first.npz"
        if not path.exists():
            return {}
        with np.load(path) as pictures:
            return {int(name): pictures[name] for name in pictures.files}

    def write(self, notes: dict, first: dict[int, np.ndarray]) -> None:
        """Pictures first: a stop between the two leaves too little in the notes, not too much."""
        part = self.folder / "first.part.npz"
        np.savez(part, **{str(number): picture for number, picture in first.items()})
        os.replace(part, self.folder / "first.npz")
        part = self.folder / "notes.json.part"
        part.write_text(json.dumps(notes), encoding="utf-8")
        os.replace(part, self.folder / "notes.json")


def one_picture() -> WorldSource:
    """The first picture of a starter world alone: all the rest is imagined."""
    starter = next(starter for starter in list_starters() if starter.name == STARTER)
    source = starter_source(starter)
    first = next(iter(source.frames))
    return replace(source, frames=[first], count=1, start_pose=first.camera_to_world)


class _deterministic:  # noqa: N801 (reads as a statement)
    """Puts torch back as it was when the walk is over."""

    def __enter__(self):
        self._before = torch.are_deterministic_algorithms_enabled()

    def __exit__(self, *_):
        torch.use_deterministic_algorithms(self._before)


class _Walk:
    """One walk through an engine's world, and what was noted on it."""

    def __init__(self, engine: FrameEngine, settings: GenerationSettings, notes: Notes):
        self.engine = engine
        self.settings = settings
        self.notes = notes
        world = engine.world
        given = [i for i in world.frame_table().ids.tolist() if engine.index.is_seed(i)]
        self.true_energy = float(
            np.mean([gradient_energy(world.read_frame(frame_id).image) for frame_id in given])
        )
        self.start = world.start_pose[:3, 3]
        self._yaw, _ = yaw_pitch_of(world.start_pose)
        known = notes.read()
        self._made_by = {"settings": asdict(settings), **engine.run_info()}
        if known and known["made_by"] != self._made_by:
            raise ValueError(
                f"{notes.folder} holds a walk with other weights, settings or threads; "
                "give the same, or another folder"
            )
        self.series = Series(**known.get("series", {}))
        self.resumed_at = len(self.series.milliseconds)
        self.result: dict[str, float] = known.get("result", {})
        self.way = known.get("way", self._most_unknown_way())
        self.first = places_beside(self.start, self.way)
        imagined = [self._imagined_share(p.pose) >= LEAST_IMAGINED for p in self.first]
        self.result.setdefault("places_imagined", sum(imagined))
        for number, picture in notes.first_pictures().items():
            self.first[number].image = picture

    def _most_unknown_way(self) -> float:
        """Of twelve directions the one along which the given pictures show least."""
        ways = [self._yaw + math.radians(degrees) for degrees in range(0, 360, 30)]
        return max(ways, key=self._unknown_places)

    def _unknown_places(self, way: float) -> tuple[int, float]:
        shares = [self._imagined_share(p.pose) for p in places_beside(self.start, way)]
        return sum(share >= LEAST_IMAGINED for share in shares), float(np.mean(shares))

    def _imagined_share(self, pose: np.ndarray) -> float:
        fov = self.engine.world.fov_y_radians
        found = self.engine.index.retrieve(pose, fov, self.settings.memory_frames)
        return 1 - found.coverage

    def run(self, frames: int, say: Callable[[str], None], folder: Path) -> dict[str, float]:
        """Walk up to so many frames; the numbers so far."""
        way = scripted_walk(self.start, self._yaw, self.way)
        steps = enumerate(itertools.islice(way, self.resumed_at, frames), self.resumed_at + 1)
        for number, (pose, velocity, metres) in steps:
            self._frame(pose, velocity)
            if number <= CHECKPOINTS[0]:
                self._first_visits(metres)
            if number in CHECKPOINTS:
                self.result |= self._revisit(str(number))
            if number in CHECKPOINTS or number % SAVE_EVERY == 0 or number == frames:
                self._save(folder)
            if number % 50 == 0:
                stored = len(self.engine.index)
                say(
                    f"frame {number:,} of {frames:,}: {stored} stored, "
                    f"{np.median(self.series.milliseconds[-50:]):.0f} ms a frame"
                )
        stats = self.engine.world.stats()
        held = self.series.of_this_process(self.resumed_at).megabytes or [resident_megabytes()]
        return self.result | self._revisit("end") | self.series.growth() | {
            "frames_walked": frames,
            "frames_since_start": frames - self.resumed_at,
            "places_compared": len(self.far_places()),
            "frame_ms_p50": float(np.median(self.series.milliseconds)),
            "frame_ms_p99": float(np.percentile(self.series.milliseconds, 99)),
            "resident_mb_first": held[0],
            "resident_mb_last": held[-1],
            "frames_stored": stats["frames"],
            "world_mb": stats["size_bytes"] / 1e6,
        } | self._memory_growth()  # fmt: skip

    def _memory_growth(self) -> dict[str, float]:
        """Of this process alone."""
        series = self.series.of_this_process(self.resumed_at)
        if not series.megabytes:
            return {}
        return {k: v for k, v in series.growth().items() if k.startswith("megabytes")}

    def _save(self, folder: Path) -> None:
        """Keep what is known so far, and show it."""
        first = {i: p.image for i, p in enumerate(self.first) if p.image is not None}
        known = {"made_by": self._made_by, "way": self.way, "result": self.result}
        self.notes.write(known | {"series": vars(self.series)}, first)
        series = self.series.thinned()
        (folder / "persistence_series.json").write_text(json.dumps(series) + "\n", encoding="utf-8")
        plot_series(series, folder / "persistence.png")

    def _frame(self, pose: np.ndarray, velocity: np.ndarray) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        self.engine.advance(pose, self.settings, velocity=velocity)
        self.engine.prefetch(self.settings)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        self.series.add(wall * 1e3, processor * 1e3)

    def _first_visits(self, metres: float) -> None:
        for place in self.first:
            if place.image is None and metres > place.metres + PASSED_METRES:
                place.image = self.engine.step(place.pose, self.settings, follow=False).image

    def _revisit(self, name: str) -> dict[str, float]:
        views = self.far_places()
        return _compared(
            name, [self.first[i].image for i in views], self.draw(views), self.true_energy
        )

    def far_places(self) -> list[int]:
        """Places that no stored frame was seen from, by their number."""
        return [
            i for i, place in enumerate(self.first) if is_far_from_stored(self.engine, place.pose)
        ]

    def draw(self, views: list[int]) -> list[np.ndarray]:
        return [
            self.engine.step(self.first[i].pose, self.settings, follow=False).image for i in views
        ]


def _compared(name: str, first, again, true_energy: float) -> dict[str, float]:
    scores = [min(psnr(b, a), SAME_DB) for a, b in zip(first, again, strict=True)]
    sharpness = [gradient_energy(picture) / true_energy for picture in again]
    return {
        f"revisit_psnr_{name}": float(np.mean(scores)),
        f"revisit_sharpness_{name}": float(np.mean(sharpness)),
    }


def _drawn_by_new_process(
    path: Path, poses: list[np.ndarray], settings: GenerationSettings, options: dict
) -> list[np.ndarray]:
    """The same views from a world that was closed, by a program that was started anew."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(draw_views, path, poses, settings, options).result()


def draw_views(
    path: Path, poses: list[np.ndarray], settings: GenerationSettings, options: dict
) -> list[np.ndarray]:
    """Pictures of a world at poses, each by itself; nothing is committed."""
    with FrameEngine.open(path, deterministic=True, **options) as engine:
        return [engine.step(pose, settings, follow=False).image for pose in poses]


def resident_megabytes() -> float:
    """Memory that this process uses now (where the system does not tell: has used at most)."""
    status = Path("/proc/self/statm")
    if status.exists():
        pages = int(status.read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
