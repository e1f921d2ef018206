"""Off-line films: every picture is the mean of many model frames over a lens and a shutter.

Depth of field. A thin lens of diameter `aperture_m` is sampled at points of its disc. From each
point the model draws the view, parallel to the film's, a little wider than needed; shifting it by
the parallax of the focus distance makes all of them agree there (the off-axis view of a lens,
Haeberli and Akeley 1990), so what is at that distance stays sharp over the whole picture and
everything else spreads. Motion blur. Each sample also has its own moment while the shutter is open
(Cook 1984: one set of samples for both). The mean is taken in linear light, as on film.

Nothing is committed to the world unless asked: then the path is walked once before, so that what
nobody has seen yet is imagined once, kept, and the same from every sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from .config import GenerationSettings
from .film_path import FOCUS_RANGE_M, FilmPath
from .geometry import tangents

if TYPE_CHECKING:
    from .frame import Frame

GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
GOLDEN_RATIO = (math.sqrt(5) - 1) / 2
WALK_EVERY_S = 0.1
FALLBACK_FOCUS_M = 3.0
FOCUS_EVERY_S = 0.2
FOCUS_SMOOTHING_S = 0.5
# A pixel for the interpolation's reach beyond the shift itself.
BORDER_PIXELS = 2


@dataclass(frozen=True)
class FilmSettings:
    """How a film is taken.

    Attributes:
        seconds: length; None = as long as walking the path takes.
        fps: pictures a second.
        height: of the pictures (16:9), a multiple of 18.
        even: constant speed along the path; else equal time between keys.
        aperture_m: diameter of the lens in metres; 0 = everything sharp.
        focus_m: distance of what is sharp; None = the keys' own, else what stands in the middle.
        shutter_degrees: 0 to 360; the share of a picture's time that the shutter is open.
        samples: model frames a picture, where there is a lens or a shutter.
        steps: flow steps of each model frame.
        commit: keep what is imagined along the path in the world.
    """

    seconds: float | None = None
    fps: int = 24
    height: int = 288
    even: bool = True
    aperture_m: float = 0.0
    focus_m: float | None = None
    shutter_degrees: float = 0.0
    samples: int = 16
    steps: int = 1
    commit: bool = False

    def __post_init__(self):
        _check("seconds", self.seconds, 0.1, 36_000, optional=True)
        _check("fps", self.fps, 1, 240)
        _check("height", self.height, 72, 2160)
        _check("aperture", self.aperture_m, 0.0, 1.0)
        _check("focus", self.focus_m, *FOCUS_RANGE_M, optional=True)
        _check("shutter", self.shutter_degrees, 0.0, 360.0)
        _check("samples", self.samples, 1, 1024)
        _check("steps", self.steps, 1, 64)
        if self.height % 18:
            raise ValueError(
                f"film: the height must be a multiple of 18 (even, 16:9), got {self.height}"
            )

    @property
    def width(self) -> int:
        return self.height * 16 // 9

    @property
    def frames_a_picture(self) -> int:
        return self.samples if self.aperture_m or self.shutter_degrees else 1

    def seconds_of(self, path: FilmPath) -> float:
        return path.natural_seconds if self.seconds is None else self.seconds

    def picture_count(self, path: FilmPath) -> int:
        return max(round(self.seconds_of(path) * self.fps), 2)


def _check(name: str, value, low, high, optional: bool = False) -> None:
    if optional and value is None:
        return
    if not (isinstance(value, (int, float)) and low <= value <= high):
        raise ValueError(f"film: {name} must be between {low:g} and {high:g}, got {value!r}")


def film_settings_from_json(value) -> FilmSettings:
    """Settings saved in a world; a field that is unknown or bad keeps its default."""
    settings = FilmSettings()
    for name in asdict(settings):
        if isinstance(value, dict) and name in value:
            try:
                settings = replace(settings, **{name: value[name]})
            except (ValueError, TypeError):
                continue
    return settings


class Draws(Protocol):
    """What a film needs of `FrameEngine`."""

    world: object

    def step(self, camera_to_world, settings, **options) -> Frame: ...

    def advance(self, camera_to_world, settings, **options) -> Frame: ...


@dataclass(frozen=True)
class FilmStep:
    """One model frame further. `picture` (H, W, 3) uint8 when it completed one."""

    done: int
    total: int
    picture: np.ndarray | None = None


def lens_points(count: int) -> np.ndarray:
    """Points (count, 2) spread evenly over the unit disc (Vogel's spiral), their mean zero."""
    number = np.arange(count)
    radius = np.sqrt((number + 0.5) / count)
    points = radius[:, None] * np.stack(
        [np.cos(number * GOLDEN_ANGLE), np.sin(number * GOLDEN_ANGLE)], 1
    )
    return points - points.mean(0)


def shutter_moments(count: int) -> np.ndarray:
    """Moments (count,) in -0.5..0.5 of the opening, one in each of `count` equal parts, in an
    order unrelated to `lens_points`."""
    order = np.argsort((np.arange(count) * GOLDEN_RATIO) % 1.0, kind="stable")
    return (order + 0.5) / count - 0.5


def overscan_height(settings: FilmSettings, fov_y_radians: float, focus_m: float) -> int:
    """Rows of a model frame whose shifted crop fills the picture: a multiple of 9."""
    if not settings.aperture_m:
        return settings.height
    shift = _pixels_per_tangent(settings, fov_y_radians) * settings.aperture_m / 2 / focus_m
    needed = settings.height + 2 * (math.ceil(shift) + BORDER_PIXELS)
    return math.ceil(needed / 9) * 9


def _pixels_per_tangent(settings: FilmSettings, fov_y_radians: float) -> float:
    return settings.height / 2 / tangents(fov_y_radians)[1]


def shifted_crop(image: np.ndarray, height: int, shift: tuple[float, float]) -> np.ndarray:
    """The middle (height, width) of `image`, its content moved by `shift` pixels (right, down),
    fractions of a pixel included."""
    width = height * 16 // 9
    x = (image.shape[1] - width) / 2 - shift[0]
    y = (image.shape[0] - height) / 2 - shift[1]
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
    )


# ---- linear light ----

_CODES = np.arange(256) / 255.0
_TO_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
_TO_LINEAR = _TO_LINEAR.astype(np.float32)


def to_linear(image: np.ndarray) -> np.ndarray:
    """uint8 sRGB to float32 linear light in 0..1."""
    return _TO_LINEAR[image]


def from_linear(light: np.ndarray) -> np.ndarray:
    """Linear light in 0..1 to uint8 sRGB."""
    light = np.clip(light, 0.0, 1.0)
    codes = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return (codes * 255 + 0.5).astype(np.uint8)


# ---- rendering ----


def draw_film(
    engine: Draws,
    path: FilmPath,
    settings: FilmSettings,
    generation: GenerationSettings,
    first: int = 0,
) -> Iterator[FilmStep]:
    """Draw a film, one model frame between two yields, so that other work can go on meanwhile and
    the film can be given up at any moment.

    Args:
        first: begin with this picture; those before were drawn by an earlier run.
    Yields:
        `FilmStep`, the last one with the last picture.
    """
    generation = replace(generation, inter_steps=settings.steps)
    walk = _walk_shares(path, settings) if settings.commit else []
    looks = _focus_shares(path, settings)
    pictures, each = settings.picture_count(path), settings.frames_a_picture
    total = len(walk) + len(looks) + (pictures - first) * each
    done = 0
    for share in walk:
        engine.advance(path.pose_at(share), generation)
        done += 1
        yield FilmStep(done, total)
    inverse = []
    for share in looks:
        inverse.append(_look(engine, path.pose_at(share), generation))
        done += 1
        yield FilmStep(done, total)
    focus_of = _focus_puller(path, settings, looks, inverse)
    for number in range(first, pictures):
        share = number / (pictures - 1)
        light = np.zeros((settings.height, settings.width, 3), np.float32)
        samples = _samples(engine, path, settings, generation, share, focus_of(share))
        for count, sample in enumerate(samples, start=1):
            light += sample
            done += 1
            yield FilmStep(done, total, from_linear(light / each) if count == each else None)


def _walk_shares(path: FilmPath, settings: FilmSettings) -> list[float]:
    count = max(math.ceil(path.natural_seconds / WALK_EVERY_S), 1)
    return [i / count for i in range(count + 1)]


def _samples(
    engine, path, settings: FilmSettings, generation, share: float, focus_m: float
) -> Iterator[np.ndarray]:
    """The samples (H, W, 3) of one picture in linear light."""
    count = settings.frames_a_picture
    open_share = settings.shutter_degrees / 360 / (settings.picture_count(path) - 1)
    fov = engine.world.fov_y_radians
    rows = overscan_height(settings, fov, focus_m)
    generation = replace(generation, height=rows)
    pixels = _pixels_per_tangent(settings, fov) / focus_m
    for point, moment in zip(lens_points(count), shutter_moments(count), strict=True):
        right, up = point * settings.aperture_m / 2
        pose = path.pose_at(share + moment * open_share)
        pose[:3, 3] += pose[:3, 0] * right + pose[:3, 1] * up
        frame = engine.step(pose, generation, overscan=rows / settings.height, follow=False)
        # Content at the focus distance went the other way by this much: bring it back.
        yield to_linear(shifted_crop(frame.image, settings.height, (right * pixels, -up * pixels)))


# ---- focus ----


def _focus_shares(path: FilmPath, settings: FilmSettings) -> list[float]:
    """Where to look for what stands in the middle; nowhere if that is known or does not matter."""
    if not settings.aperture_m or settings.focus_m is not None or path.focus_at(0) is not None:
        return []
    count = max(math.ceil(settings.seconds_of(path) / FOCUS_EVERY_S), 1)
    return [i / count for i in range(count + 1)]


def _look(engine, pose: np.ndarray, generation: GenerationSettings) -> float:
    """1 / metres to what stands in the middle."""
    frame = engine.step(pose, replace(generation, height=144), follow=False)
    return 1.0 / (middle_distance(frame) or FALLBACK_FOCUS_M)


def _focus_puller(path: FilmPath, settings: FilmSettings, looks: list[float], inverse: list[float]):
    """Metres of focus by share of the film: given, the keys', or what was seen in the middle,
    smoothed over time as by the hand of a focus puller who knows what comes."""
    if settings.focus_m is not None:
        return lambda share: settings.focus_m
    if not looks:
        return lambda share: path.focus_at(share) or FALLBACK_FOCUS_M
    times = np.array(looks) * settings.seconds_of(path)
    weights = np.exp(-0.5 * ((times[:, None] - times) / FOCUS_SMOOTHING_S) ** 2)
    smooth = weights @ np.array(inverse) / weights.sum(1)
    return lambda share: 1.0 / float(np.interp(share, looks, smooth))


def middle_distance(frame: Frame) -> float | None:
    """Metres to what stands in the middle of a frame by the model's own guess; None where it is
    not sure of any. Used for the frame at hand and forgotten."""
    rows, columns = frame.inverse_depth.shape
    part = np.s_[rows * 4 // 9 : rows * 5 // 9 + 1, columns * 4 // 9 : columns * 5 // 9 + 1]
    inverse, sure = frame.inverse_depth[part], frame.confidence[part] > 0.35
    if not sure.any():
        return None
    median = float(np.median(inverse[sure]))
    return float(np.clip(1.0 / max(median, 1e-3), *FOCUS_RANGE_M))
