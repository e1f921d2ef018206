"""Colours that everybody can tell apart, size, and the interface by keyboard alone."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from test_display import draw, full_state, interface, window  # noqa: F401 (fixtures)

from rtfm_app import messages as m
from rtfm_app.display import state as ui
from rtfm_app.display import theme
from rtfm_app.display.overlay import PANELS
from rtfm_app.display.window import imgui
from rtfm_app.preferences import Preferences

pytestmark = pytest.mark.gl

# How the three kinds of colour blindness see linear RGB (Machado, Oliveira and Fernandes 2009).
KINDS_OF_SIGHT = {
    "everybody": np.eye(3),
    "protanopia": np.array(
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    ),
    "deuteranopia": np.array(
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    ),
    "tritanopia": np.array(
        [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]
    ),
}


def linear(rgba):
    c = np.array(rgba[:3])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.maximum(to_xyz @ rgb / (0.9505, 1.0, 1.089), 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(a, b) -> float:
    """WCAG contrast ratio."""
    one, other = sorted(float(linear(c) @ (0.2126, 0.7152, 0.0722)) + 0.05 for c in (a, b))
    return other / one


@pytest.mark.parametrize("sight", KINDS_OF_SIGHT)
def test_colours_with_a_meaning_differ_for_every_kind_of_sight(sight):
    def seen(color):
        return lab(np.clip(KINDS_OF_SIGHT[sight] @ linear(color), 0, 1))

    for group in (theme.KIND_COLORS, (theme.ACCENT, theme.WARNING, theme.ERROR)):
        for a, b in combinations(group, 2):
            assert np.linalg.norm(seen(a) - seen(b)) > 24


def test_text_can_be_read_and_more_so_with_high_contrast():
    for color in (theme.TEXT, theme.DIM, theme.FAINT, theme.WARNING, theme.ERROR):
        assert contrast(color, theme.PANEL) >= 4.5
        strong = theme.STRONGER.get(color, color)
        assert contrast(strong, theme.STRONGER[theme.PANEL]) >= 8


def test_high_contrast_and_size_act_on_the_next_frame(window, interface):  # noqa: F811
    state = full_state()
    plain, _ = draw(window, interface, state)
    interface.follow(replace(Preferences(), high_contrast=True))
    strong, _ = draw(window, interface, state)
    assert (strong.max(-1) > 200).sum() > (plain.max(-1) > 200).sum() * 1.5
    interface.follow(replace(Preferences(), interface_scale=1.5))
    large, _ = draw(window, interface, state)
    assert np.abs(large.astype(int) - plain).mean() > 1
    assert imgui.get_style().font_scale_dpi == 1.5


def test_going_back_to_a_size_or_contrast_gives_the_same_style(window, interface):  # noqa: F811
    def look():
        style = imgui.get_style()
        names = [n for n in dir(style) if not n.startswith("_") and not callable(getattr(style, n))]
        values = {n: getattr(style, n) for n in names}
        return {n: (v.x, v.y) if hasattr(v, "x") else v for n, v in values.items()}

    theme.apply_style(2.0)
    before = look()
    for contrast_now, scale in ((True, 2.0), (False, 1.5), (False, 2.0)):
        theme.apply_style(scale, high_contrast=contrast_now)
    assert look() == before
    theme.apply_style(1.0)


def press(window, interface, state, *keys):  # noqa: F811
    """Press and release keys as ImGui sees them; returns what was asked for."""
    requests = []
    for key in keys:
        for down in (True, False):
            imgui.get_io().add_key_event(key, down)
            requests += draw(window, interface, state, frames=2)[1]
    return requests


def test_the_start_screen_is_worked_with_arrows_and_enter(window, interface):  # noqa: F811
    state = full_state()
    state.world = None
    draw(window, interface, state)
    requests = []
    for _ in range(4):
        requests += press(window, interface, state, imgui.Key.down_arrow, imgui.Key.enter)
    asked = {type(request) for request in requests}
    assert ui.OpenStarter in asked and ui.OpenPath in asked


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_is_reached_and_changed_by_keyboard_alone(
    window,  # noqa: F811
    interface,  # noqa: F811
    panel,
):
    state = full_state()
    draw(window, interface, state)
    for _ in range(PANELS.index(panel) + 1):
        interface.overlay.next_panel()
        draw(window, interface, state)
    assert interface.overlay.focused == panel and imgui.get_io().want_capture_keyboard
    requests = []
    for _ in range(12):
        requests += press(window, interface, state, imgui.Key.down_arrow, imgui.Key.space)
        if any(not isinstance(r, (m.RequestMap, m.RequestPicture)) for r in requests):
            break
    assert requests, f"nothing in {panel} can be pressed"
    press(window, interface, state, imgui.Key.escape, imgui.Key.escape)
    assert not imgui.get_io().want_capture_keyboard, "Esc gives the keyboard back to the world"
