"""The time-warp and the interface, drawn without a display server."""

import math
from pathlib import Path

import numpy as np
import pattern_engine
import pytest
from PIL import Image

from rtfm_app import messages as m
from rtfm_app.camera import camera_at
from rtfm_app.config import OVERSCAN, GenerationSettings
from rtfm_app.controller import new_state
from rtfm_app.display import warp_grid
from rtfm_app.display.bindings_panel import rebind
from rtfm_app.display.catalogue import Card, Catalogue, ago_text, size_text, world_card
from rtfm_app.display.frame_view import FrameView, sees_past_border, view_tangents
from rtfm_app.display.hud import key_rows
from rtfm_app.display.interface import Interface
from rtfm_app.display.overlay import PANELS
from rtfm_app.display.state import GoTo
from rtfm_app.display.window import Window, glfw, imgui
from rtfm_app.film_path import FilmKey
from rtfm_app.film_plan import FilmPlan, thumbnail_text
from rtfm_app.frame import Attended, Frame
from rtfm_app.geometry import ASPECT, pixel_rays, pose_from_yaw_pitch, scaled_fov, tangents
from rtfm_app.input import InputState
from rtfm_app.link import TakenFrame
from rtfm_app.preferences import Preferences

pytestmark = pytest.mark.gl
FOV = math.radians(60)
SIZE = (640, 360)


@pytest.fixture(scope="module")
def window():
    window = Window(InputState(), width=SIZE[0], height=SIZE[1], headless=True, scale=1.0)
    yield window
    window.close()


def smooth_picture(pose, fov, height, width):
    """A picture without edges, so that filters do not matter to a comparison."""
    rays = pixel_rays(height, width, fov) @ pose[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return ((np.sin(rays * 6) + 1) * 120).astype(np.uint8)


def frame_at(pose, image=None, **fields) -> Frame:
    fov = scaled_fov(FOV, OVERSCAN)
    values = {
        "image": smooth_picture(pose, fov, 288, 512) if image is None else image,
        "camera_to_world": pose,
        "fov_y_radians": fov,
        "kind": "inter",
        "novelty": 0.1,
        "unseen": np.zeros((18, 32), np.uint8),
        "inverse_depth": np.zeros((18, 32), np.float32),
        "confidence": np.ones((18, 32), np.float32),
        "attended": (Attended(1, 0.8), Attended(2, 0.2)),
        "timings_ms": {"denoise": 30.0, "total": 40.0},
    }
    return Frame(**(values | fields))


def shown(window, view, pose, **options) -> np.ndarray:
    window.begin()
    window.gl.clear(0, 0, 0)
    view.draw(pose, FOV, window.framebuffer_size, **options)
    window.end_world()
    return window.read_pixels().astype(np.int16)


@pytest.fixture(params=[False, True], ids=["card", "software"])
def view(window, request):
    view = FrameView(window.gl, software=request.param)
    yield view
    view.release()


@pytest.mark.parametrize("turn", [(0.0, 0.0), (0.04, 0.0), (-0.03, 0.02), (0.0, -0.03)])
def test_rotation_is_re_projected_exactly(window, view, turn):
    start = pose_from_yaw_pitch((1.0, 1.6, -2.0), 0.5, 0.1)
    now = pose_from_yaw_pitch((1.0, 1.6, -2.0), 0.5 + turn[0], 0.1 + turn[1])
    view.show(frame_at(start))
    truth = smooth_picture(now, FOV, SIZE[1], SIZE[0]).astype(np.int16)
    error = np.abs(shown(window, view, now) - truth)
    assert np.percentile(error, 99.9) <= 4, error.max()


def test_far_turns_show_something_calm_everywhere(window, view):
    start = pose_from_yaw_pitch((0, 1.6, 0), 0.0, 0.0)
    view.show(frame_at(start))
    for yaw in (0.6, 1.5, math.pi):
        picture = shown(window, view, pose_from_yaw_pitch((0, 1.6, 0), yaw, 0.0))
        uncovered = picture[:, :20]
        assert np.abs(np.diff(uncovered, axis=0)).max() < 12, "streaks past the border"
    deep = np.array([14, 16, 19])
    assert np.abs(picture - deep).max() <= 1, "behind the frame there is only the background"


def test_smooth_follows_a_step_by_the_frames_own_distances(window, view):
    """A wall two metres ahead, one step forward: the re-projection must grow as the wall does."""
    start = pose_from_yaw_pitch((0, 0, 0), 0.0, 0.0)
    now = pose_from_yaw_pitch((0, 0, -0.3), 0.0, 0.0)

    def wall(pose, fov, height, width):
        rays = pixel_rays(height, width, fov)
        points = pose[:3, 3] + rays * (2.0 + pose[2, 3])
        return ((np.sin(points * (3, 3, 0) + (0, 0, 1)) + 1) * 120).astype(np.uint8)

    fov = scaled_fov(FOV, OVERSCAN)
    distances = np.full((18, 32), 0.5, np.float32)
    view.show(frame_at(start, wall(start, fov, 288, 512), inverse_depth=distances))
    truth = wall(now, FOV, SIZE[1], SIZE[0]).astype(np.int16)
    still = np.abs(shown(window, view, now, smooth=False) - truth).mean()
    moved = np.abs(shown(window, view, now, smooth=True) - truth).mean()
    assert moved < still / 5


def test_cells_inside_the_frame_are_drawn_without_borders(window, view, monkeypatch):
    """It costs less and shows the same bits."""
    rng = np.random.default_rng(0)
    distances = (0.5 * rng.random((18, 32))).astype(np.float32)
    view.show(frame_at(pose_from_yaw_pitch((0, 1.6, 0), 0, 0), inverse_depth=distances))
    moved = pose_from_yaw_pitch((0.1, 1.6, -0.2), 0.1, 0.03)
    counts, inside_cells = [], warp_grid.inside_cells

    def counted(*arguments):
        counts.append(inside_cells(*arguments))
        return counts[-1]

    monkeypatch.setattr(warp_grid, "inside_cells", counted)
    quick = shown(window, view, moved)
    assert 0.3 < counts[0].mean() < 1
    monkeypatch.setattr(warp_grid, "inside_cells", lambda *_: np.zeros_like(counts[0]))
    assert np.array_equal(quick, shown(window, view, moved))


def test_unsure_distances_are_not_followed(window, view):
    start, now = (pose_from_yaw_pitch((0, 0, z), 0.0, 0.0) for z in (0.0, -0.3))
    near = np.full((18, 32), 0.5, np.float32)
    view.show(frame_at(start, inverse_depth=near, confidence=np.zeros((18, 32), np.float32)))
    assert np.array_equal(
        shown(window, view, now, smooth=True), shown(window, view, now, smooth=False)
    )


def test_coverage_map_marks_what_is_imagined(window, view):
    start = pose_from_yaw_pitch((0, 0, 0), 0.0, 0.0)
    grey = np.full((144, 256, 3), 128, np.uint8)
    half = np.zeros((18, 32), np.uint8)
    half[:, 16:] = 255
    view.show(frame_at(start, grey, unseen=half))
    picture = shown(window, view, start, heat=0.7)
    left, right = picture[180, 160], picture[180, 480]
    assert left[2] > left[0] + 20 and right[0] > right[2] + 20


def test_the_view_fills_any_window_shape():
    tan_x, tan_y = tangents(FOV)
    assert view_tangents(FOV, ASPECT) == pytest.approx((tan_x, tan_y))
    wide, tall = view_tangents(FOV, 2.4), view_tangents(FOV, 1.0)
    assert wide[0] == pytest.approx(tan_x) and wide[1] < tan_y
    assert tall[1] == pytest.approx(tan_y) and tall[0] < tan_x
    assert not sees_past_border(np.eye(3), (tan_x, tan_y), (tan_x * 1.1, tan_y * 1.1), True)
    turned = pose_from_yaw_pitch((0, 0, 0), 0.3, 0.0)[:3, :3]
    assert sees_past_border(turned, (tan_x, tan_y), (tan_x * 1.1, tan_y * 1.1), False)


# ---- interface ----


def full_state():
    """A state in which everything is to be seen."""
    picture = np.full((72, 128, 3), 90, np.uint8)
    catalogue = Catalogue(
        lambda: [Card("starter/a", "A lake", "Starter world", starter="a", thumbnail=picture)],
        lambda: [Card("world/b", "broken", problem="damaged")],
    )
    catalogue.refresh()
    catalogue.wait()
    state = new_state(Preferences(seen_hint=True), catalogue)
    pose = pose_from_yaw_pitch((0.0, 1.6, 0.0), 0.2, 0.0)
    state.camera = camera_at(pose)
    state.taken = TakenFrame(frame_at(pose), 1, 0.0, 0.0, 0.1)
    state.thumbnails = {1: picture, 2: picture}
    state.world = m.WorldOpened(
        "/w.rtfm", "w", False, pose, FOV, None, GenerationSettings(), [], "note", {"frames": 3}
    )
    state.world_stats = {"frames": 3, "seed": 2, "generated": 1, "edits": 0, "size_bytes": 1e6}
    state.frame_map = m.FrameMap(
        np.array([1, 2, 3]),
        np.zeros((3, 3)),
        np.tile([0.0, 0.0, -1.0], (3, 1)),
        np.array([0, 1, 2]),
        np.array([True, False, False]),
    )
    shown = thumbnail_text(picture)
    state.bookmarks = [{"name": "Door", "camera_to_world": pose.tolist(), "thumbnail": shown}]
    there = pose_from_yaw_pitch((2.0, 1.6, -1.0), 0.9, 0.0)
    state.film = FilmPlan((FilmKey(pose, thumbnail=shown), FilmKey(there, focus_m=2.0)))
    return state


@pytest.fixture
def interface(window):
    interface = Interface(window, Preferences(), "")
    yield interface
    interface.release()


def draw(window, interface, state, frames=4) -> tuple[np.ndarray, list]:
    requests = []
    for _ in range(frames):
        window.poll()
        window.begin()
        window.gl.clear(0, 0, 0)
        requests += interface.draw(state)
    return window.read_pixels(), requests


def test_every_panel_draws_and_asks_for_nothing_that_would_change_anything(window, interface):
    state = full_state()
    harmless = (m.RequestMap, m.RequestPicture, m.RequestThumbnails)
    pictures = []
    for panel in PANELS:
        interface.overlay.front = panel
        picture, requests = draw(window, interface, state)
        assert [r for r in requests if not isinstance(r, harmless)] == []
        pictures.append(picture)
    for number, picture in enumerate(pictures):
        for other in pictures[:number]:
            assert np.abs(picture.astype(int) - other).mean() > 0.1, "two panels look the same"


def test_hidden_overlay_leaves_the_world_alone(window, interface):
    state = full_state()
    state.taken_at = 1e12
    assert draw(window, interface, state)[0].any()
    state.show_overlay = False
    assert not draw(window, interface, state)[0].any()


def test_start_screen_shows_both_kinds_of_worlds(window, interface):
    state = full_state()
    state.world = None
    picture, requests = draw(window, interface, state)
    assert requests == [] and (picture == 90).all(-1).sum() > 2000


def test_notices_and_failures_are_drawn_over_everything(window, interface):
    state = full_state()
    plain, _ = draw(window, interface, state)
    state.failure = m.WorkerFailed("RuntimeError: out of memory")
    state.toast("something", "error")
    failed, _ = draw(window, interface, state)
    assert np.abs(failed.astype(int) - plain).mean() > 1.0


def test_rebinding_takes_the_key_from_its_old_action():
    preferences = rebind(Preferences(), "run", "W")
    assert preferences.keys["run"] == ("W",) and preferences.keys["forward"] == ("UP",)


def test_catalogue_of_real_files(tmp_path):
    path = tmp_path / "place.rtfm"
    pattern_engine.make_world(path, name="my place")
    card = world_card(path)
    assert card.title == "my place" and "4 frames" in card.detail and card.problem is None
    assert card.thumbnail.shape == (144, 256, 3), "as sharp as the picture is"
    Image.new("RGB", (4, 4)).save(tmp_path / "bad.rtfm", "PNG")
    assert world_card(tmp_path / "bad.rtfm").problem


def test_words_for_sizes_and_times():
    assert [size_text(s) for s in (5, 1500, 2.5e6, 3e9)] == ["5.0 B", "1.5 kB", "2.5 MB", "3.0 GB"]
    assert [ago_text(s) for s in (5, 120, 7200, 864000)] == [
        "just now",
        "2 minutes ago",
        "2 hours ago",
        "10 days ago",
    ]


def test_a_double_click_on_the_map_flies_there(window, interface):
    state = full_state()
    state.frame_map = None
    interface.overlay.front = "Memory"
    draw(window, interface, state)
    io = imgui.get_io()

    def double_click(x, y):
        found = []
        for down in (None, True, False, True, False):
            glfw.set_cursor_pos(window._handle, x, y)
            io.add_mouse_pos_event(x, y)
            if down is not None:
                io.add_mouse_button_event(0, down)
            found += draw(window, interface, state, frames=1)[1]
        for _ in range(40):  # the next click is another one, not a third
            draw(window, interface, state, frames=1)
        return [r.camera_to_world for r in found if isinstance(r, GoTo)]

    zoom = interface.overlay.map.zoom
    (first,) = double_click(480, 160)
    (second,) = double_click(480 + zoom * 1.5, 160)
    assert np.allclose(second[:3, 3] - first[:3, 3], (1.5, 0.0, 0.0), atol=0.02)
    assert first[1, 3] == state.camera.position[1]
    assert np.allclose(first[:3, :3], state.camera.rotation)


def test_the_first_hint_names_the_keys_as_they_are_bound():
    rows = dict((meaning, keys) for keys, meaning in key_rows(Preferences().keys))
    assert rows["walk"] == "W A S D" and rows["paint"] == "P"
    rebound = rebind(rebind(Preferences(), "back", "X"), "paint", "B")
    rows = dict((meaning, keys) for keys, meaning in key_rows(rebound.keys))
    assert rows["walk"] == "W A X D" and rows["paint"] == "B"


def test_the_world_of_the_last_walk_is_offered_first_and_large(window, interface):
    state = full_state()
    state.world = None
    broken = state.catalogue.worlds[0]
    shown = np.full((72, 128, 3), 200, np.uint8)
    sound = Card("world/s", "Sound", "3 frames", Path("s.rtfm"), thumbnail=shown)
    without, _ = draw(window, interface, state)
    state.catalogue.worlds = [broken, sound]
    large = (draw(window, interface, state)[0] == 200).all(-1)
    assert not (without == 200).all(-1).any()
    assert large.any(1).sum() > 0.2 * len(large) and large.any(0).sum() > 0.3 * large.shape[1]
