"""Soft footsteps and wind, made of filtered noise when the first world opens (`Sound`).

`wind` and `footstep` are pure: numbers in, samples out. `StepCounter` turns motion into steps.
`Sound` plays them through pygame's mixer; the mixer is opened and the sounds are made in a thread,
so that nothing waits for them, and where there is no sound device the program stays silent.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .camera import CameraState

log = logging.getLogger(__name__)

RATE = 22050
WIND_S = 9.0
WIND_RMS = 0.035
STEP_S = 0.26
STEP_PEAK = 0.22
VARIANTS = 5
PACES = (0.0, 1.0)
FULL_PACE = 3.75
STILL_SPEED = 0.25
LONGEST_MOVE = 0.5
FADE_MS = 1500


def wind(seed: int = 0) -> np.ndarray:
    """One loop of wind: (N, 2) float32 in [-1, 1], without a seam because it is made of whole
    periods."""
    count = _samples(WIND_S)
    rng = np.random.default_rng(seed)
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    body = _band(frequency, 90, 420) + 0.12 * _band(frequency, 420, 1600)
    air = _band(frequency, 300, 1100)
    steady, gusty = _noise(rng, body), _noise(rng, air)
    steady, gusty = steady / steady.std(), gusty / gusty.std() * _periodic(rng, count)
    # the other ear hears the same noise from another time, which is as good as another noise
    other = np.roll(steady, count // 2)
    loop = np.stack([steady + 0.5 * gusty, other + 0.5 * gusty], axis=1)
    return (loop * (WIND_RMS / loop.std())).astype(np.float32)


def footstep(seed: int, pace: float) -> np.ndarray:
    """One step: (N,) float32 in [-1, 1], silent at both ends.

    Args:
        pace: 0 = a slow walk: heel, then sole; 1 = running: one short, brighter contact.
    """
    count = _samples(STEP_S)
    rng = np.random.default_rng(1000 + seed)
    t = np.arange(count) / RATE
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    varied = rng.uniform(0.88, 1.12)
    heel = _noise(rng, _band(frequency, 55 * varied, 190 * varied))
    sole = _noise(rng, _band(frequency, 350 * varied, (1100 + 900 * pace) * varied))
    later = (0.075 - 0.055 * pace) * varied
    sound = heel / np.abs(heel).max() * _struck(t, 0.0, 0.030)
    sound += (0.22 + 0.2 * pace) * sole / np.abs(sole).max() * _struck(t, later, 0.028)
    sound *= np.clip((STEP_S - t) / 0.06, 0.0, 1.0)
    loudness = (0.6 + 0.4 * pace) * rng.uniform(0.8, 1.0)
    return (sound * (STEP_PEAK * loudness / np.abs(sound).max())).astype(np.float32)


def _samples(seconds: float) -> int:
    return 2 * round(RATE * seconds / 2)


def _band(frequency: np.ndarray, low: float, high: float) -> np.ndarray:
    """A soft band pass: rises with f^2 below `low`, falls with f^-2 above `high`."""
    f = np.maximum(frequency, 1e-3)
    return 1 / (1 + (low / f) ** 2) / (1 + (f / high) ** 2)


def _noise(rng: np.random.Generator, spectrum: np.ndarray) -> np.ndarray:
    """Periodic noise with these amplitudes (for 0 Hz to half the rate)."""
    phases = rng.uniform(0, 2 * math.pi, len(spectrum))
    shaped = spectrum * np.exp(1j * phases)
    shaped[0] = 0.0
    return np.fft.irfft(shaped)


def _periodic(rng: np.random.Generator, count: int) -> np.ndarray:
    """Gusts: a slow curve between 0.25 and 1 that ends as it begins."""
    t = np.arange(count) * (2 * math.pi / count)
    waves = [rng.uniform(0.3, 1) * np.sin(k * t + rng.uniform(0, 6.3)) / k for k in (1, 2, 3, 5)]
    curve = np.sum(waves, axis=0)
    return 0.25 + 0.75 * (curve - curve.min()) / (curve.max() - curve.min())


def _struck(t: np.ndarray, start: float, decay_s: float) -> np.ndarray:
    """Envelope of a soft blow at `start` seconds."""
    since = np.maximum(t - start, 0.0)
    return (1 - np.exp(-since / 0.004)) * np.exp(-since / decay_s)


def may_have_device() -> bool:
    """False where trying could only fail: ALSA would fill standard error with complaints."""
    if not sys.platform.startswith("linux") or os.environ.get("SDL_AUDIODRIVER"):
        return True
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    places = (Path("/dev/snd"), runtime / "pulse" / "native", runtime / "pipewire-0")
    return "PULSE_SERVER" in os.environ or any(place.exists() for place in places)


@dataclass(frozen=True)
class Step:
    """A foot touches the ground: -1 left or 1 right, and how fast the walker goes (0..1)."""

    side: int
    pace: float


class StepCounter:
    """Feet from motion: a step every stride, left and right in turn."""

    def __init__(self):
        self._since = 0.0
        self._side = 1
        self._last: np.ndarray | None = None

    def moved(self, camera: CameraState) -> Step | None:
        """Call once per display frame; the step that falls into it, if one does."""
        before, self._last = self._last, camera.position
        speed = float(np.hypot(camera.velocity[0], camera.velocity[2]))
        if before is None or camera.flying or speed < STILL_SPEED:
            self._since = 0.0
            return None
        moved = float(np.hypot(*(camera.position - before)[[0, 2]]))
        if moved > LONGEST_MOVE:  # the walker was put somewhere else
            return None
        self._since += moved
        stride = 0.45 + 0.2 * speed
        if self._since < stride:
            return None
        self._since -= stride
        self._side = -self._side
        return Step(self._side, min(speed / FULL_PACE, 1.0))


class Sound:
    """Plays wind while a world is open, and steps while it is walked in."""

    def __init__(self, *, enabled: bool = True):
        self._steps = StepCounter()
        self._thread: threading.Thread | None = None
        self._enabled = enabled
        self._ready = False
        self._mixer: Any = None  # pygame's, once it is open
        self._wind: Any = None
        self._feet: dict[float, list] = {}
        self._number = 0
        self._volume = 0.0

    def update(self, camera: CameraState | None, volume: float, muted: bool) -> None:
        """Once per display frame. `camera` None: no world is open. Never waits."""
        step = self._steps.moved(camera) if camera is not None else None
        wanted = 0.0 if camera is None or muted else volume
        if not self._ready:
            if wanted and self._enabled and self._thread is None:
                self._thread = threading.Thread(target=self._prepare, name="rtfm-sound")
                self._thread.start()
            return
        self._blow(wanted)
        if step is not None and wanted:
            self._tread(step, wanted)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.join()
        if self._ready:
            self._ready = False
            self._mixer.quit()

    def _prepare(self) -> None:
        """Open the device and make the sounds (in a thread)."""
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame

        if not may_have_device():
            log.warning("no sound: there is no sound device here")
            return
        try:
            pygame.mixer.init(RATE, -16, 2, 1024, allowedchanges=0)
        except pygame.error as error:
            log.warning("no sound: %s", error)
            return
        self._mixer = pygame.mixer
        self._wind = self._sound(wind())
        for pace in PACES:
            steps = [np.repeat(footstep(i, pace)[:, None], 2, axis=1) for i in range(VARIANTS)]
            self._feet[pace] = [self._sound(step) for step in steps]
        self._ready = True

    def _sound(self, samples: np.ndarray):
        """A mixer sound of (N, 2) float samples."""
        return self._mixer.Sound(buffer=(samples * 32767).astype("<i2").tobytes())

    def _blow(self, volume: float) -> None:
        if volume == self._volume:
            return
        if self._volume == 0.0:
            self._wind.play(loops=-1, fade_ms=FADE_MS)
        if volume == 0.0:
            self._wind.fadeout(FADE_MS // 4)
        else:
            self._wind.set_volume(volume)
        self._volume = volume

    def _tread(self, step: Step, volume: float) -> None:
        self._number = (self._number + 1 + self._number % 2) % VARIANTS
        pace = min(PACES, key=lambda p: abs(p - step.pace))
        channel = self._feet[pace][self._number].play()
        if channel is not None:  # None: every channel is busy
            near, far = volume, volume * 0.75
            channel.set_volume(*((near, far) if step.side < 0 else (far, near)))
