"""User settings survive anything."""

from dataclasses import replace

import pytest

from rtfm_app.preferences import (
    FILE_NAME,
    Preferences,
    config_folder,
    load_preferences,
    save_preferences,
)


def test_round_trip(tmp_path):
    preferences = replace(
        Preferences(),
        mouse_sensitivity=1.7,
        invert_y=True,
        window_width=1920,
        keys={**Preferences().keys, "forward": ("I", "KP_8")},
        pad={**Preferences().pad, "run": "X"},
    )
    save_preferences(preferences, tmp_path)
    assert load_preferences(tmp_path) == (preferences, [])


def test_nothing_saved_yet_gives_defaults_silently(tmp_path):
    assert load_preferences(tmp_path / "none") == (Preferences(), [])


def test_each_bad_value_falls_back_alone_and_is_reported(tmp_path):
    (tmp_path / FILE_NAME).write_text(
        "surroundings = 'the moon'\n"
        "mouse_sensitivity = -3\nvsync = 'yes'\nvolume = 1\nnonsense = 4\nframe_rate_cap = 90\n"
        "[keys]\nforward = ['I']\nfly_to_the_moon = ['Z']\n"
    )
    preferences, complaints = load_preferences(tmp_path)
    assert preferences.frame_rate_cap == 90 and preferences.volume == 1.0
    assert preferences.mouse_sensitivity == 1.0 and preferences.vsync is True
    assert preferences.keys == Preferences().keys
    assert preferences.surroundings == "auto"
    for name in ("surroundings", "mouse_sensitivity", "vsync", "nonsense", "fly_to_the_moon"):
        assert any(name in line for line in complaints), complaints


@pytest.mark.parametrize("content", [b"not toml [", b"\xff\xfe\x00", b"keys = 3\n"])
def test_unreadable_file_gives_defaults_and_is_kept(tmp_path, content):
    (tmp_path / FILE_NAME).write_bytes(content)
    preferences, complaints = load_preferences(tmp_path)
    assert preferences == Preferences() and complaints
    kept = [p for p in tmp_path.iterdir() if p.read_bytes() == content]
    assert kept


def test_folder_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("RTFM_CONFIG_DIR", str(tmp_path / "x"))
    save_preferences(Preferences())
    assert config_folder() == tmp_path / "x"
    assert (tmp_path / "x" / FILE_NAME).is_file()


def test_an_action_newer_than_the_file_does_not_share_a_key_the_user_gave_away(tmp_path):
    (tmp_path / FILE_NAME).write_text('[keys]\nmute = ["P"]\n')
    preferences, complaints = load_preferences(tmp_path)
    assert complaints == [] and preferences.keys["mute"] == ("P",)
    assert preferences.keys["paint"] == () and preferences.keys["forward"] == ("W", "UP")
