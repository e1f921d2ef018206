"""The brush in the window: what the mouse draws becomes a command, is previewed, and lets go."""

import time
from dataclasses import replace

import numpy as np
import pytest
from test_display import draw, full_state, interface, window  # noqa: F401 (fixtures)

from rtfm_app import messages as m
from rtfm_app.display.brush import Sight
from rtfm_app.display.window import glfw, imgui
from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.marks import Sign, Stroke

pytestmark = pytest.mark.gl
SPOT = (120, 160)


def mouse(window, interface, state, place, down: bool):  # noqa: F811
    """The mouse there, for two display frames (ImGui takes a move and a press one after the other);
    returns the marks that were asked for."""
    glfw.set_cursor_pos(window._handle, *place)
    io = imgui.get_io()
    io.add_mouse_pos_event(*place)
    io.add_mouse_button_event(0, down)
    clicked = False
    requests = []
    for _ in range(2):
        requests += draw(window, interface, state, frames=1)[1]
        clicked |= interface.clicked_world
    interface.clicked_world = clicked
    return [r for r in requests if isinstance(r, m.Paint)]


@pytest.fixture
def painting(window, interface):  # noqa: F811
    """A state with the brush in hand."""
    state = full_state()
    for _ in range(3):
        draw(window, interface, state)
    interface.overlay.front = "Paint"
    for _ in range(3):
        draw(window, interface, state)
    interface.overlay.paint.active = True
    mouse(window, interface, state, SPOT, False)
    return state


def test_places_in_the_window_and_in_the_picture_agree(window, interface, painting):  # noqa: F811
    frame = painting.taken.frame
    for turn in (0.0, 0.2):
        painting.camera = replace(painting.camera, yaw=painting.camera.yaw + turn)
        sight = Sight.of(painting, frame)
        share = sight.to_picture(*SPOT)
        assert np.allclose(sight.to_window(share), SPOT)
    painting.camera = replace(painting.camera, yaw=painting.camera.yaw + np.pi)
    sight = Sight.of(painting, frame)
    assert sight.to_picture(*SPOT) is None and sight.to_window((0.5, 0.5)) is None


def test_a_drag_is_one_stroke_and_does_not_capture_the_mouse(
    window,  # noqa: F811
    interface,  # noqa: F811
    painting,
):
    before = window.read_pixels()
    asked = mouse(window, interface, painting, SPOT, True)
    assert not interface.clicked_world
    for step in range(1, 9):
        asked += mouse(window, interface, painting, (SPOT[0] + 15 * step, SPOT[1]), True)
    assert not asked, "nothing is sent before release"
    drawn = window.read_pixels().astype(int)[SPOT[1], SPOT[0] + 5 : SPOT[0] + 100]
    assert (drawn[:, 0] - drawn[:, 1]).mean() > 100, "the preview is red at once"
    assert not np.array_equal(window.read_pixels(), before)
    asked += mouse(window, interface, painting, (SPOT[0] + 120, SPOT[1]), False)
    (order,) = asked
    assert isinstance(order.mark, Stroke) and len(order.mark.path) > 5
    frame = painting.taken.frame
    assert np.array_equal(order.camera_to_world, frame.camera_to_world)
    assert np.allclose(order.mark.path[0], Sight.of(painting, frame).to_picture(*SPOT))


def test_the_preview_stays_until_a_frame_shows_the_stroke(
    window,  # noqa: F811
    interface,  # noqa: F811
    painting,
):
    view = interface.overlay.paint
    view.tool, view.text = "sign", "Exit"
    (order,) = mouse(window, interface, painting, SPOT, True)
    mouse(window, interface, painting, SPOT, False)
    assert isinstance(order.mark, Sign) and order.mark.text == "Exit" and len(view.waiting) == 1
    painting.taken = replace(painting.taken, started=time.perf_counter() + 300)
    draw(window, interface, painting)
    assert view.waiting, "minutes later, and not kept yet"
    painting.painted = (order.number, time.perf_counter() + 301)
    draw(window, interface, painting)
    assert view.waiting, "kept, but the frame shown is older"
    painting.taken = replace(painting.taken, started=time.perf_counter() + 302)
    draw(window, interface, painting)
    assert not view.waiting


def test_the_preview_goes_when_the_model_has_stopped(window, interface, painting):  # noqa: F811
    mouse(window, interface, painting, SPOT, True)
    mouse(window, interface, painting, SPOT, False)
    assert interface.overlay.paint.waiting
    painting.failure = m.WorkerFailed("RuntimeError: out of memory")
    draw(window, interface, painting)
    assert not interface.overlay.paint.waiting


def test_the_brush_goes_with_its_panel(window, interface, painting):  # noqa: F811
    interface.overlay.front = "World"
    for _ in range(3):
        draw(window, interface, painting)
    assert not interface.overlay.paint.active
    assert not mouse(window, interface, painting, SPOT, True)
    assert interface.clicked_world


def test_nothing_is_painted_in_a_read_only_world(window, interface, painting):  # noqa: F811
    painting.world = replace(painting.world, read_only=True)
    assert not mouse(window, interface, painting, SPOT, True)
    assert not mouse(window, interface, painting, SPOT, False)


def test_a_mark_pickles_with_its_command():
    import pickle

    pose = pose_from_yaw_pitch((0, 1.6, 0), 0.0, 0.0)
    order = m.Paint(Stroke(((0.1, 0.2), (0.3, 0.4)), 0.02, (1, 2, 3)), pose, 1.0, 7)
    assert pickle.loads(pickle.dumps(order)).mark == order.mark
