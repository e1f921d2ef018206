"""Sounds that do not disturb, and silence where there is no device."""

import logging
import time
from dataclasses import replace

import numpy as np
import pytest

from rtfm_app.camera import CameraState, step
from rtfm_app.input import Controls
from rtfm_app.sound import RATE, Sound, StepCounter, footstep, wind

DT = 1 / 60


def level_db(samples) -> float:
    return 20 * np.log10(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def share_of_energy(samples, low, high) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    frequency = np.fft.rfftfreq(len(samples), 1 / RATE)
    return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())


def test_wind_is_quiet_low_and_loops_without_a_click():
    loop = wind()
    assert loop.shape[1] == 2 and np.abs(loop).max() < 0.3
    assert -34 < level_db(loop) < -26
    for side in loop.T:
        assert share_of_energy(side, 50, 1500) > 0.85
        assert share_of_energy(side, 5000, RATE / 2) < 0.01
        seam = abs(float(side[0] - side[-1]))
        assert seam <= np.percentile(np.abs(np.diff(side)), 99.5)
        curve = abs(float(side[1] - 2 * side[0] + side[-1]))
        assert curve <= np.abs(np.diff(side, 2)).max(), "the slope goes on over the seam"


def test_steps_are_soft_short_varied_and_end_in_silence():
    steps = [footstep(i, 0.0) for i in range(5)]
    for sound in steps:
        assert np.abs(sound).max() < 0.25 and len(sound) < 0.3 * RATE
        assert abs(sound[0]) < 0.01 and np.abs(sound[-20:]).max() < 2e-3
        assert share_of_energy(sound, 0, 2500) > 0.9
    for i, one in enumerate(steps):
        for other in steps[:i]:
            assert np.corrcoef(one, other)[0, 1] < 0.9


def test_running_is_brighter_and_louder_than_walking():
    def centroid(sound):
        power = np.abs(np.fft.rfft(sound)) ** 2
        return float(np.fft.rfftfreq(len(sound), 1 / RATE) @ power / power.sum())

    for seed in range(5):
        slow, fast = footstep(seed, 0.0), footstep(seed, 1.0)
        assert centroid(fast) > centroid(slow) and level_db(fast) > level_db(slow)


def test_making_all_sounds_takes_a_moment_only():
    started = time.process_time()
    wind()
    for pace in (0.0, 1.0):
        for seed in range(5):
            footstep(seed, pace)
    assert time.process_time() - started < 0.25


def walked(controls, seconds, **fields):
    state = CameraState(position=np.array([0.0, 1.6, 0.0]), **fields)
    counter, steps = StepCounter(), []
    for _ in range(round(seconds / DT)):
        state = step(state, controls, DT)
        steps.append(counter.moved(state))
    return [s for s in steps if s is not None]


def test_feet_take_turns_at_the_rate_of_the_pace():
    walking = walked(Controls(forward=1.0), 5.0)
    assert 8 <= len(walking) <= 11, "two steps a second at 1.5 m/s"
    assert [s.side for s in walking[:4]] == [-1, 1, -1, 1]
    running = walked(Controls(forward=1.0, run=True), 5.0)
    assert len(running) > 1.3 * len(walking) and running[-1].pace > 2 * walking[-1].pace


def test_nobody_steps_while_flying_standing_or_being_put_elsewhere():
    assert walked(Controls(forward=1.0), 3.0, flying=True) == []
    assert walked(Controls(yaw_radians=0.05), 3.0) == []
    counter = StepCounter()
    state = CameraState(position=np.zeros(3), velocity=np.array([1.5, 0.0, 0.0]))
    counter.moved(state)
    assert counter.moved(replace(state, position=np.array([40.0, 0.0, 0.0]))) is None


@pytest.fixture
def mixer(monkeypatch):
    monkeypatch.setenv("SDL_AUDIODRIVER", "dummy")
    import pygame

    yield pygame.mixer
    pygame.mixer.quit()


def ready(sound, camera, volume=0.5):
    sound.update(camera, volume, False)
    sound._thread.join(10)
    sound.update(camera, volume, False)


def test_wind_and_steps_are_played_and_mute_stops_them(mixer):
    sound = Sound()
    camera = CameraState(position=np.zeros(3), velocity=np.array([0.0, 0.0, -1.5]))
    ready(sound, camera)
    assert sound._wind.get_num_channels() == 1
    feet = sum(s.get_num_channels() for steps in sound._feet.values() for s in steps)
    for number in range(1, 40):
        moved = replace(camera, position=np.array([0.0, 0.0, -0.03 * number]))
        sound.update(moved, 0.5, False)
    assert sum(s.get_num_channels() for steps in sound._feet.values() for s in steps) == feet + 1
    sound.update(camera, 0.5, True)
    deadline = time.monotonic() + 5
    while sound._wind.get_num_channels():
        assert time.monotonic() < deadline, "mute must silence the wind"
        time.sleep(0.02)
    sound.update(camera, 0.8, False)
    assert sound._wind.get_num_channels() == 1 and sound._wind.get_volume() == pytest.approx(
        0.8, abs=0.01
    )
    sound.update(None, 0.8, False)
    sound.close()
    assert mixer.get_init() is None


@pytest.mark.parametrize("driver", ["there_is_no_such_driver", ""])
def test_without_a_device_it_is_silent_and_says_so_once(monkeypatch, caplog, capfd, driver):
    monkeypatch.setenv("SDL_AUDIODRIVER", driver)
    monkeypatch.setattr("rtfm_app.sound.Path.exists", lambda path: False)
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    sound = Sound()
    camera = CameraState(position=np.zeros(3))
    with caplog.at_level(logging.WARNING):
        sound.update(camera, 0.5, False)
        sound._thread.join(10)
        for _ in range(5):
            sound.update(camera, 0.5, False)
        sound.close()
    assert [r.message[:8] for r in caplog.records] == ["no sound"]
    assert "ALSA" not in capfd.readouterr().err


def test_nothing_is_opened_while_muted_or_without_a_world(mixer):
    sound = Sound()
    sound.update(None, 0.5, False)
    sound.update(CameraState(position=np.zeros(3)), 0.5, True)
    assert sound._thread is None and mixer.get_init() is None
