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
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from ..config import WALK_SPEED, GenerationSettings
from ..engine import FrameEngine
from ..geometry import pose_from_yaw_pitch, yaw_pitch_of
from ..imports.source import WorldSource, build_world
from ..starters import list_starters, starter_source
from .evaluate_revisit import LEAST_IMAGINED, SAME_DB, is_far_from_stored
from .metrics import gradient_energy, psnr
from .persistence_plot import plot_series

DEFAULT_FRAMES = 2000
CHECKPOINTS = (100, 1_000, 10_000, 36_000)
STARTER = "winter_village"
FRAMES_A_SECOND, TURN_A_FRAME = 10, math.radians(6)
STRIDE_METRES = WALK_SPEED / FRAMES_A_SECOND
PLACES, FIRST_PLACE_METRES, PLACE_EVERY_METRES = 10, 1.0, 0.9
PLACE_ASIDE_METRES, PLACE_PITCH = 0.35, math.radians(12)
PASSED_METRES = 0.5
FIRST_WAY_METRES, LONGER_EACH_WAY_METRES, LONGEST_METRES = 10.5, 2.0, 60.0
GOLDEN = (math.sqrt(5) - 1) / 2
SERIES_POINTS = 400


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
) -> dict[str, float]:
    """Walk, measure, and write `persistence.png` and `persistence_series.json` to `folder`.

    Returns:
        `revisit_psnr_N` and `revisit_sharpness_N` (N = 100, 1000, …, `end`, `reloaded`) against
        the first visit and over the given picture; `*_growth`, see `Series`;
        `same_bits_after_reload`, 1 if all views are equal bit for bit; counts and sizes.
    Raises:
        ValueError: fewer than 200 frames, or weights that cannot be read.
    """
    if frames < 200:
        raise ValueError(f"--frames must be at least 200 for a walk out and back, got {frames}")
    with tempfile.TemporaryDirectory(prefix="rtfm-persistence-") as temporary:
        path = Path(temporary) / "walk.rtfm"
        build_world(path, "walk", one_picture())
        options = {"weights": weights, "device": device, "threads": torch.get_num_threads()}
        with _deterministic(), FrameEngine.open(path, deterministic=True, **options) as engine:
            walk = _Walk(engine, settings)
            result = walk.run(frames, say)
            views, first = walk.far_places(), walk.first
            true_energy, before = walk.true_energy, walk.draw(views)
        say("opening the world again in a new process")
        after = _drawn_by_new_process(path, [first[i].pose for i in views], settings, options)
    result |= _compared("reloaded", [first[i].image for i in views], after, true_energy)
    same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    result["same_bits_after_reload"] = float(same)
    folder.mkdir(parents=True, exist_ok=True)
    series = walk.series.thinned()
    (folder / "persistence_series.json").write_text(json.dumps(series) + "\n", encoding="utf-8")
    plot_series(series, folder / "persistence.png")
    return result


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


@dataclass
class Place:
    """A remembered view: its pose, how far along the first way it lies, its first picture."""

    pose: np.ndarray
    metres: float
    image: np.ndarray | None = None


class _Walk:
    """One walk through an engine's world, and what was noted on it."""

    def __init__(self, engine: FrameEngine, settings: GenerationSettings):
        self.engine = engine
        self.settings = settings
        self.series = Series()
        world = engine.world
        given = world.frame_table().ids.tolist()
        self.true_energy = float(
            np.mean([gradient_energy(world.read_frame(frame_id).image) for frame_id in given])
        )
        self.start = world.start_pose[:3, 3]
        self._yaw, _ = yaw_pitch_of(world.start_pose)
        self.way = self._most_unknown_way()
        self.first = places_beside(self.start, self.way)

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

    def run(self, frames: int, say: Callable[[str], None]) -> dict[str, float]:
        """Walk so many frames; the numbers of this process."""
        result: dict[str, float] = {}
        imagined = [self._imagined_share(place.pose) >= LEAST_IMAGINED for place in self.first]
        way = scripted_walk(self.start, self._yaw, self.way)
        for number, (pose, velocity, metres) in enumerate(itertools.islice(way, frames), 1):
            self._frame(pose, velocity)
            if number <= CHECKPOINTS[0]:
                self._first_visits(metres)
            if number in CHECKPOINTS:
                result |= self._revisit(str(number))
            if number % 50 == 0:
                say(f"frame {number:,} of {frames:,}")
        stats = self.engine.world.stats()
        return result | self._revisit("end") | {
            "frames_walked": frames,
            "places_compared": len(self.far_places()),
            "places_imagined": sum(imagined),
            "frame_ms_p50": float(np.median(self.series.milliseconds)),
            "frame_ms_p99": float(np.percentile(self.series.milliseconds, 99)),
            "resident_mb_first": self.series.megabytes[0],
            "resident_mb_last": self.series.megabytes[-1],
            "frames_stored": stats["frames"],
            "world_mb": stats["size_bytes"] / 1e6,
        } | self.series.growth()  # fmt: skip

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


def places_beside(start: np.ndarray, yaw: float) -> list[Place]:
    """Views beside the way that leads from `start` (3,) into `yaw`, up and down by turns; the
    walker stays level and on the way, so that he stores none from near there."""
    forward, right = _axes(yaw)
    places = []
    for number in range(PLACES):
        metres = FIRST_PLACE_METRES + number * PLACE_EVERY_METRES
        aside = PLACE_ASIDE_METRES * (1, -1)[number % 2]
        position = start + forward * metres + right * aside
        pitch = PLACE_PITCH * (-1, -1, 1)[number % 3]
        places.append(Place(pose_from_yaw_pitch(position, yaw, pitch), metres))
    return places


def _axes(yaw: float) -> tuple[np.ndarray, np.ndarray]:
    forward = np.array([-math.sin(yaw), 0.0, -math.cos(yaw)])
    return forward, np.array([math.cos(yaw), 0.0, -math.sin(yaw)])


def scripted_walk(
    start: np.ndarray, yaw: float, way: float
) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Poses without end, ten a second: out and back, every third time along `way`, else into a
    direction at least 60 degrees off it, farther each time.

    Yields:
        camera_to_world (4, 4), velocity (3,) in m/s, metres from the start.
    """
    for leg in itertools.count():
        known = leg % 3 == 0
        heading = way if known else way + math.radians(60 + 240 * (GOLDEN * leg % 1))
        reach = min(FIRST_WAY_METRES + LONGER_EACH_WAY_METRES * (leg // 3), LONGEST_METRES)
        forward, _ = _axes(heading)
        strides = round((FIRST_WAY_METRES if known else reach) / STRIDE_METRES)
        for turned in _turn(yaw, heading):
            yield pose_from_yaw_pitch(start, turned, 0.0), np.zeros(3), 0.0
        out = [stride * STRIDE_METRES for stride in range(1, strides + 1)]
        for metres in out:
            pose = pose_from_yaw_pitch(start + forward * metres, heading, 0.0)
            yield pose, forward * WALK_SPEED, metres
        yaw = heading + math.pi
        for turned in _turn(heading, yaw):
            yield pose_from_yaw_pitch(start + forward * out[-1], turned, 0.0), np.zeros(3), out[-1]
        for metres in reversed(out):
            pose = pose_from_yaw_pitch(start + forward * metres, yaw, 0.0)
            yield pose, -forward * WALK_SPEED, metres


def _turn(before: float, after: float) -> np.ndarray:
    """Yaws of the frames of a turn, the shorter way."""
    angle = (after - before + math.pi) % (2 * math.pi) - math.pi
    return before + np.linspace(0, angle, max(1, math.ceil(abs(angle) / TURN_A_FRAME)) + 1)[1:]


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
