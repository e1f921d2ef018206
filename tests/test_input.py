"""Events to controls."""

import pytest

from rtfm_app.input import (
    DEFAULT_KEYS,
    MOUSE_RADIANS_PER_COUNT,
    STICK_DEAD_ZONE,
    InputState,
    PadState,
    Sensitivity,
)


def test_held_keys_move_until_released_and_opposites_cancel():
    inputs = InputState()
    inputs.key("W", True, 1.0)
    assert inputs.take(0.02).forward == 1.0
    assert inputs.take(0.02).forward == 1.0
    inputs.key("S", True, 1.1)
    assert inputs.take(0.02).forward == 0.0
    inputs.key("W", False, 1.2)
    assert inputs.take(0.02).forward == -1.0


def test_focus_loss_releases_everything():
    inputs = InputState()
    inputs.key("W", True, 1.0)
    inputs.mouse_moved(50, 0, 1.0)
    inputs.released_all()
    assert inputs.take(0.02).idle


def test_mouse_turns_left_and_up_positive_and_only_once():
    inputs = InputState()
    inputs.mouse_moved(10, 20, 3.0)
    controls = inputs.take(0.02)
    assert controls.yaw_radians == pytest.approx(-10 * MOUSE_RADIANS_PER_COUNT)
    assert controls.pitch_radians == pytest.approx(-20 * MOUSE_RADIANS_PER_COUNT)
    assert controls.newest_event == 3.0
    assert inputs.take(0.02).idle


def test_sensitivity_and_inversion():
    inputs = InputState(sensitivity=Sensitivity(mouse=2.0, invert_y=True))
    inputs.mouse_moved(0, 5, 1.0)
    assert inputs.take(0.02).pitch_radians == pytest.approx(10 * MOUSE_RADIANS_PER_COUNT)


def test_one_shot_actions_fire_once_for_each_press():
    inputs = InputState()
    inputs.key("F", True, 1.0)
    inputs.key("F", True, 1.0)
    assert inputs.take(0.02).actions == ("toggle_fly",)
    assert inputs.take(0.02).actions == ()
    inputs.key("F", False, 1.1)
    inputs.key("F", True, 1.2)
    assert inputs.take(0.02).actions == ("toggle_fly",)


def test_remapped_key_replaces_the_default():
    inputs = InputState(keys={**DEFAULT_KEYS, "forward": ("I",)})
    inputs.key("W", True, 1.0)
    assert inputs.take(0.02).forward == 0.0
    inputs.key("I", True, 1.0)
    assert inputs.take(0.02).forward == 1.0


def test_a_chord_acts_alone_and_an_unknown_one_is_the_plain_key():
    inputs = InputState()
    inputs.key("LEFT_CONTROL", True, 1.0)
    inputs.key("Z", True, 1.0, ctrl=True)
    inputs.key("W", True, 1.0, ctrl=True)
    controls = inputs.take(0.02)
    assert controls.actions == ("undo_paint",)
    assert controls.forward == 1.0 and controls.up == -1.0, "down and forward together"
    inputs.key("Z", False, 1.1)
    inputs.key("Z", True, 1.2)
    assert inputs.take(0.02).actions == ()
    assert inputs.obeys("CTRL+Z") and not inputs.obeys("Z")


def test_every_default_key_has_one_meaning():
    names = [name for keys in DEFAULT_KEYS.values() for name in keys]
    assert len(names) == len(set(names))


def test_stick_dead_zone_is_radial_and_rim_is_full():
    inputs = InputState()
    inputs.pad(PadState(left=(STICK_DEAD_ZONE * 0.7, STICK_DEAD_ZONE * 0.7)), 1.0)
    assert inputs.take(0.02).idle
    inputs.pad(PadState(left=(0.0, -1.0), buttons=frozenset({"LEFT_STICK"})), 1.0)
    controls = inputs.take(0.02)
    assert controls.forward == 1.0 and controls.run


def test_right_stick_turns_at_a_rate():
    inputs = InputState()
    inputs.pad(PadState(right=(1.0, 0.0)), 1.0)
    short, long = inputs.take(0.01).yaw_radians, inputs.take(0.03).yaw_radians
    assert short < 0 and long == pytest.approx(3 * short)


def test_pad_button_acts_once_while_held():
    inputs = InputState()
    inputs.pad(PadState(buttons=frozenset({"Y"})), 1.0)
    inputs.pad(PadState(left=(0.5, 0), buttons=frozenset({"Y"})), 1.1)
    assert inputs.take(0.02).actions == ("toggle_fly",)
