"""What is changed in the Options panel, or by its keys, acts and is kept."""

import numpy as np
import pytest
from test_app import SIZE, opened, own_folders, play, until, world  # noqa: F401 (fixtures)

from rtfm_app.display import state as ui
from rtfm_app.display.bindings_panel import LABELS, axis_label, rebind_axis, rebind_pad
from rtfm_app.display.overlay import PANEL_WIDTH, PANELS
from rtfm_app.display.window import glfw, imgui
from rtfm_app.input import HELD, PRESSED, PadState
from rtfm_app.preferences import LAYOUT_NAME, Preferences, config_folder, load_preferences

pytestmark = pytest.mark.gl


def test_f2_takes_the_keyboard_and_arrows_then_do_not_walk(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        app.window.on_key(glfw.KEY_F2, glfw.PRESS)
        app.window.on_key(glfw.KEY_F2, glfw.RELEASE)
        yield from until(lambda: app.interface.overlay.focused == "Picture")
        app.window.on_key(glfw.KEY_UP, glfw.PRESS)
        yield
        assert app.inputs.take(0.01).forward == 0.0
        app.window.on_key(glfw.KEY_UP, glfw.RELEASE)
        app.window.on_key(glfw.KEY_W, glfw.PRESS)
        yield from until(lambda: app.state.camera.velocity.any())

    assert play(script, world) == 0


def test_every_action_can_be_bound_in_the_panel():
    assert set(LABELS) == {*HELD, *PRESSED}


def test_a_key_and_a_stick_chosen_in_the_panel_act_and_are_kept(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        app.interface.overlay.front = "Options"
        for _ in range(3):
            yield
        keys = app.interface.overlay.keys
        keys.waiting = ("keys", "toggle_fly")
        yield
        app.window.on_key(glfw.KEY_B, glfw.PRESS)  # B keeps a place, but not now
        yield from until(lambda: keys.waiting is None)
        assert app.state.preferences.keys["toggle_fly"] == ("B",)
        assert app.state.preferences.keys["bookmark"] == () and not app.state.bookmarks
        app.window.on_key(glfw.KEY_B, glfw.RELEASE)
        app.window.on_key(glfw.KEY_B, glfw.PRESS)
        yield from until(lambda: app.state.camera.flying)
        keys.waiting = ("keys", "undo_paint")
        yield
        app.window.on_key(glfw.KEY_LEFT_CONTROL, glfw.PRESS)
        yield
        assert keys.waiting is not None, "Ctrl may be the beginning of a chord"
        app.window.on_key(glfw.KEY_U, glfw.PRESS, glfw.MOD_CONTROL)
        yield from until(lambda: keys.waiting is None)
        app.window.on_key(glfw.KEY_U, glfw.RELEASE, glfw.MOD_CONTROL)
        app.window.on_key(glfw.KEY_LEFT_CONTROL, glfw.RELEASE)
        keys.waiting = ("keys", "down")
        yield
        app.window.on_key(glfw.KEY_RIGHT_CONTROL, glfw.PRESS)
        app.window.on_key(glfw.KEY_RIGHT_CONTROL, glfw.RELEASE)
        yield from until(lambda: keys.waiting is None)
        keys.waiting = ("axes", "move_forward")
        app.gamepad.read = lambda: PadState(right=(0.0, 0.9))
        yield from until(lambda: keys.waiting is None)
        assert app.state.preferences.axes["move_forward"] == "RIGHT_Y"
        yield from until(lambda: app.state.camera.velocity[2] < 0)
        keys.waiting = ("pad", "run")
        app.interface.overlay.front = "World"
        yield from until(lambda: keys.waiting is None)

    assert play(script, world) == 0
    kept, complaints = load_preferences()
    assert complaints == [] and kept.keys["toggle_fly"] == ("B",)
    assert kept.keys["undo_paint"] == ("CTRL+U",) and kept.keys["down"] == ("RIGHT_CONTROL",)
    assert kept.axes["move_forward"] == "RIGHT_Y" and kept.axes["look_up"] == ""


def test_a_button_or_an_axis_has_one_meaning():
    preferences = rebind_pad(Preferences(), "mute", "A")
    assert preferences.pad["mute"] == "A" and preferences.pad["up"] == ""
    preferences = rebind_axis(preferences, "look_up", "-LEFT_Y")
    assert preferences.axes["look_up"] == "-LEFT_Y" and preferences.axes["move_forward"] == ""
    assert axis_label("-LEFT_Y") == "Left stick up" and axis_label("RIGHT_X") == "Right stick right"
    assert axis_label("LEFT_TRIGGER") == "Left trigger" and axis_label("") == ""


def test_one_key_switches_solid_ground(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        assert app.state.camera.solid
        app.inputs.key("G", True, 1.0)
        yield
        yield
        assert not app.state.camera.solid and not app.state.preferences.solid_walking
        app.inputs.key("G", False, 1.1)
        app.inputs.key("G", True, 1.2)
        yield
        yield
        assert app.state.camera.solid

    assert play(script, world) == 0


def test_with_less_motion_a_place_is_reached_at_once(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        app.desk.change_preferences(reduced_motion=True)
        pose = app.state.world.start_pose.copy()
        pose[:3, 3] += (3.0, 0.0, 1.0)
        app.desk.carry_out([ui.GoTo(pose)])
        yield
        yield
        assert np.allclose(app.state.camera.position, pose[:3, 3])

    assert play(script, world) == 0


def test_m_silences_and_it_is_kept(world):  # noqa: F811
    def script(app):
        yield from opened(app)
        app.inputs.key("M", True, 1.0)
        yield
        assert app.state.preferences.muted

    assert play(script, world) == 0
    assert load_preferences()[0].muted


def test_a_layout_saved_for_smaller_text_gets_room_for_every_row(world):  # noqa: F811
    widths = []

    def script(app):
        yield from opened(app)
        for _ in range(5):
            yield
        panel = imgui.internal.find_window_by_name("Picture")
        widths.append((panel.size.x, imgui.get_font_size()))
        if len(widths) == 1:
            write_layout(app.interface.layout())

    def write_layout(text):
        config_folder().mkdir(parents=True, exist_ok=True)
        (config_folder() / LAYOUT_NAME).write_text(text)

    for scale in (0.5, 1.0):
        assert play(script, world, scale=scale) == 0
    (small, _), (large, font) = widths
    room = min(PANEL_WIDTH * font, 0.45 * SIZE[0])
    assert small < room and large == pytest.approx(room, abs=4)


def test_a_panel_that_a_saved_layout_does_not_know_joins_the_others(world, tmp_path):  # noqa: F811
    layouts = []

    def first(app):
        yield from opened(app)
        for _ in range(5):
            yield
        layouts.append(app.interface.layout())

    def second(app):
        yield from opened(app)
        for _ in range(5):
            yield
        docks = {imgui.internal.find_window_by_name(name).dock_id for name in PANELS}
        assert len(docks) == 1 and 0 not in docks

    assert play(first, world) == 0
    sections = layouts[0].split("\n\n")
    older = [section for section in sections if "[Options]" not in section]
    assert len(older) == len(sections) - 1
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config" / LAYOUT_NAME).write_text("\n\n".join(older))
    assert play(second, world) == 0
