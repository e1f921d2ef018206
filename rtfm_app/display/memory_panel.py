"""The Memory panel: a map from above of all remembered frames, and what can be done with one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from imgui_bundle import imgui

from .. import messages as m
from ..camera import MAX_PITCH
from ..geometry import pose_from_yaw_pitch
from . import theme
from .state import AppState, ChangePreferences, GoTo
from .textures import TextureCache
from .theme import ICONS, em

MOST_DRAWN = 4000


@dataclass
class MapView:
    """How the map is looked at: centre in metres (x, z), pixels per metre, chosen frame."""

    centre: tuple[float, float] = (0.0, 0.0)
    zoom: float = 24.0
    follow: bool = True
    chosen: int | None = None
    large: int | None = None
    asked_at: float = -10.0
    asked_frames: int = -1


def draw_memory(state: AppState, view: MapView, textures: TextureCache) -> list:
    requests: list = []
    frames = state.world_stats.get("frames", 0)
    now = imgui.get_time()
    if frames != view.asked_frames and now - view.asked_at > 0.5:
        view.asked_at, view.asked_frames = now, frames
        requests.append(m.RequestMap())
    _legend(state, view)
    width = imgui.get_content_region_avail().x
    requests += _draw_map(state, view, (width, min(width * 0.9, em(19))))
    requests += _coverage(state)
    requests += _attended_row(state, view, textures)
    requests += _chosen_frame(state, view, textures)
    requests += _large(state, view, textures)
    return requests


def _coverage(state: AppState) -> list:
    preferences = state.preferences
    changed, shown = imgui.checkbox("Show what is imagined", preferences.show_coverage)
    theme.tooltip("Over the picture: blue is remembered, orange is imagined.")
    return [ChangePreferences(replace(preferences, show_coverage=shown))] if changed else []


def _attended_row(state: AppState, view: MapView, textures: TextureCache) -> list:
    """The frames that this view is drawn from, heaviest first; a click chooses one."""
    attended = _attended(state)[:6]
    if not attended:
        return []
    requests: list = []
    missing = tuple(a.frame_id for a in attended if a.frame_id not in state.thumbnails)
    if missing:
        requests.append(m.RequestThumbnails(missing))
    gap = em(0.35)
    width = (imgui.get_content_region_avail().x - gap * 3) / 4
    size = (width, width * 9 / 16)
    for number, frame in enumerate(attended):
        if number % 4:
            imgui.same_line(0, gap)
        imgui.push_id(frame.frame_id)
        imgui.begin_group()
        picture = state.thumbnails.get(frame.frame_id)
        if picture is None:
            clicked = imgui.button("##frame", size)
        else:
            texture = textures.get(("frame", frame.frame_id), picture)
            clicked = theme.picture_button("##frame", texture, size)
        tint = theme.TEXT if frame.frame_id == view.chosen else theme.DIM
        theme.text(f"{frame.weight * 100:.0f} %", tint)
        imgui.end_group()
        imgui.pop_id()
        if clicked:
            view.chosen = frame.frame_id
    return requests


def _large(state: AppState, view: MapView, textures: TextureCache) -> list:
    """The chosen frame over everything, as large as fits; any click or Escape closes it."""
    if view.large is None:
        return []
    requests: list = []
    viewport = imgui.get_main_viewport()
    share = min(viewport.size.x / 16, (viewport.size.y - em(3)) / 9) * 0.92
    imgui.set_next_window_pos(viewport.get_center(), imgui.Cond_.always, (0.5, 0.5))
    flags = imgui.WindowFlags_
    imgui.begin(
        "##large",
        None,
        flags.no_decoration | flags.no_docking | flags.always_auto_resize | flags.no_saved_settings,
    )
    appearing = imgui.is_window_appearing()
    if appearing:
        imgui.set_window_focus()
    picture = state.picture
    if picture is not None and picture.of(view.large):
        imgui.image(textures.get("large", picture.image), (16 * share, 9 * share))
        height, width = picture.image.shape[:2]
        theme.text(
            f"Frame {view.large} \u00b7 {width} \u00d7 {height} \u00b7 click to close", theme.DIM
        )
    else:
        imgui.dummy((16 * share, 9 * share))
        requests.append(m.RequestPicture(view.large))
    imgui.end()
    if imgui.is_key_pressed(imgui.Key.escape) or (imgui.is_mouse_clicked(0) and not appearing):
        view.large = None
    return requests


def _legend(state: AppState, view: MapView) -> None:
    names = {"seed": 0, "surroundings": 3, "generated": 1, "edits": 2}
    if not state.world_stats.get("surroundings"):
        del names["surroundings"]
    for name, number in names.items():
        if number:
            imgui.same_line(0, em(0.9))
        theme.text(ICONS.ICON_FA_LOCATION_ARROW, theme.KIND_COLORS[number])
        imgui.same_line(0, em(0.3))
        theme.text(f"{state.world_stats.get(name, 0)} {name}", theme.DIM)
    _, view.follow = imgui.checkbox("Follow me", view.follow)
    theme.tooltip(
        "Drag the map to move it, turn the wheel to zoom, click a frame to choose it. A double "
        "click takes you there."
    )


def _draw_map(state: AppState, view: MapView, size: tuple[float, float]) -> list:
    """Returns a flight to where it was double-clicked: to a frame, or to that place."""
    corner = imgui.get_cursor_screen_pos()
    imgui.invisible_button("##map", size)
    _move_map(state, view)
    draw = imgui.get_window_draw_list()
    end = (corner.x + size[0], corner.y + size[1])
    draw.push_clip_rect(corner, end, True)
    draw.add_rect_filled(corner, end, theme.color((0.03, 0.036, 0.045, 1.0)), em(0.4))
    middle = np.array([corner.x + size[0] / 2, corner.y + size[1] / 2])

    def place(xz: np.ndarray) -> np.ndarray:
        return middle + (xz - view.centre) * view.zoom

    _draw_grid(draw, corner, end, view, place)
    _draw_film(state, draw, place)
    below_mouse = None
    if state.frame_map is not None:
        below_mouse = _draw_frames(state, view, draw, place, size, middle)
    _draw_walker(state, draw, place)
    draw.pop_clip_rect()
    if not (imgui.is_item_hovered() and imgui.is_mouse_double_clicked(0)):
        return []
    row = _row_of(state, below_mouse)
    if row is not None:
        frames = state.frame_map
        return [GoTo(level_pose(frames.positions[row], frames.forwards[row]))]
    mouse = np.array([imgui.get_mouse_pos().x, imgui.get_mouse_pos().y])
    x, z = (mouse - middle) / view.zoom + view.centre
    forward = -state.camera.rotation[:, 2]
    return [GoTo(level_pose(np.array([x, state.camera.position[1], z]), forward))]


def _move_map(state: AppState, view: MapView) -> None:
    io = imgui.get_io()
    if imgui.is_item_active() and imgui.is_mouse_dragging(0, em(0.3)):
        view.follow = False
        view.centre = (
            view.centre[0] - io.mouse_delta.x / view.zoom,
            view.centre[1] - io.mouse_delta.y / view.zoom,
        )
    if imgui.is_item_hovered() and io.mouse_wheel:
        view.zoom = min(max(view.zoom * 1.2**io.mouse_wheel, 0.5), 400.0)
    if view.follow:
        x, _, z = state.camera.position
        view.centre = (float(x), float(z))


def _draw_grid(draw, corner, end, view: MapView, place) -> None:
    """Lines every metre, or every 10 or 100 when they would be too close."""
    step = 1.0
    while step * view.zoom < em(1.6):
        step *= 10
    tint = theme.color((1, 1, 1, 0.05))
    half = ((end[0] - corner.x) / 2 / view.zoom, (end[1] - corner.y) / 2 / view.zoom)
    for axis in (0, 1):
        first = math.ceil((view.centre[axis] - half[axis]) / step)
        for number in range(first, first + int(2 * half[axis] / step) + 1):
            if axis == 0:
                x = place(np.array([number * step, 0.0]))[0]
                draw.add_line((x, corner.y), (x, end[1]), tint)
            else:
                y = place(np.array([0.0, number * step]))[1]
                draw.add_line((corner.x, y), (end[0], y), tint)
    label = f"{step:.0f} m"
    draw.add_text((corner.x + em(0.5), end[1] - em(1.4)), theme.color(theme.FAINT), label)


def _draw_film(state: AppState, draw, place) -> None:
    """The path of the film that is planned, and its keys."""
    outline = state.film.outline
    if not len(outline):
        return
    spots = [imgui.ImVec2(*map(float, spot)) for spot in place(outline[:, [0, 2]])]
    draw.add_polyline(spots, theme.color(theme.ACCENT, 0.8), em(0.12), 0)
    for key in state.film.keys:
        spot = place(np.asarray(key.camera_to_world)[[0, 2], 3])
        draw.add_circle_filled(tuple(map(float, spot)), em(0.2), theme.color(theme.ACCENT))


def _draw_frames(state: AppState, view: MapView, draw, place, size, middle) -> int | None:
    """Returns the frame below the mouse."""
    frames = state.frame_map
    spots = place(frames.positions[:, [0, 2]])
    visible = (np.abs(spots - middle) < np.array(size) / 2 + em(1)).all(1)
    shown = np.flatnonzero(visible)[-MOST_DRAWN:]
    weights = {a.frame_id: a.weight for a in _attended(state)}
    walker = tuple(float(v) for v in place(state.camera.position[[0, 2]]))
    mouse = imgui.get_mouse_pos()
    nearest, nearest_distance = None, em(0.9)
    for row in shown:
        frame_id = int(frames.ids[row])
        x, y = float(spots[row, 0]), float(spots[row, 1])
        tint = theme.KIND_COLORS[int(frames.kinds[row])]
        weight = weights.get(frame_id)
        if weight is not None:
            strength = 0.25 + 0.75 * min(weight * 2, 1.0)
            draw.add_line(walker, (x, y), theme.color(theme.TEXT, strength * 0.7), em(0.1))
        _draw_cone(draw, x, y, frames.forwards[row], tint, 1.0 if weight is not None else 0.55)
        if frame_id == view.chosen:
            draw.add_circle((x, y), em(0.55), theme.color(theme.TEXT), 20, em(0.1))
        if frames.pinned[row]:
            draw.add_circle_filled((x, y), em(0.14), theme.color(theme.TEXT))
        distance = math.hypot(mouse.x - x, mouse.y - y)
        if distance < nearest_distance:
            nearest, nearest_distance = frame_id, distance
    clicked = imgui.is_item_hovered() and imgui.is_mouse_released(0)
    if clicked and not imgui.is_mouse_dragging(0, em(0.3)):
        view.chosen = nearest
    return nearest


def _draw_cone(draw, x: float, y: float, forward, tint, strength: float) -> None:
    """A dart that points where the frame looks."""
    length = math.hypot(forward[0], forward[2]) or 1.0
    dx, dy = float(forward[0] / length), float(forward[2] / length)
    size = em(0.55)
    tip = (x + dx * size, y + dy * size)
    left = (x - dx * size * 0.5 - dy * size * 0.45, y - dy * size * 0.5 + dx * size * 0.45)
    right = (x - dx * size * 0.5 + dy * size * 0.45, y - dy * size * 0.5 - dx * size * 0.45)
    draw.add_triangle_filled(tip, left, right, theme.color(tint, strength))


def _draw_walker(state: AppState, draw, place) -> None:
    x, y = (float(v) for v in place(state.camera.position[[0, 2]]))
    forward = -state.camera.rotation[:, 2]
    heading = math.atan2(forward[2], forward[0])
    fov = state.world.fov_y_radians if state.world else 1.0
    half = math.atan(math.tan(fov / 2) * 16 / 9)
    reach = em(2.6)
    draw.path_line_to((x, y))
    draw.path_arc_to((x, y), reach, heading - half, heading + half, 16)
    draw.path_fill_convex(theme.color(theme.TEXT, 0.10))
    draw.add_circle_filled((x, y), em(0.28), theme.color(theme.TEXT))


def _attended(state: AppState) -> tuple:
    return state.taken.frame.attended if state.taken is not None else ()


def _chosen_frame(state: AppState, view: MapView, textures: TextureCache) -> list:
    """The frame chosen on the map, or the heaviest of those attended to."""
    attended = _attended(state)
    frame_id = view.chosen if view.chosen is not None else _first_id(attended)
    row = _row_of(state, frame_id)
    if row is None:
        view.chosen = None
        theme.text("Nothing remembered here yet.", theme.FAINT)
        return []
    requests: list = []
    frames = state.frame_map
    weight = {a.frame_id: a.weight for a in attended}.get(frame_id)
    kind = theme.KIND_NAMES[int(frames.kinds[row])]
    theme.heading(f"Frame {frame_id} \u00b7 {kind}")
    width = imgui.get_content_region_avail().x
    if state.picture is not None and state.picture.of(frame_id):
        imgui.image(textures.get("large", state.picture.image), (width, width * 9 / 16))
    elif frame_id in state.thumbnails:
        texture = textures.get(("frame", frame_id), state.thumbnails[frame_id])
        imgui.image(texture, (width, width * 9 / 16))
        requests.append(m.RequestPicture(frame_id))
    else:
        imgui.dummy((width, width * 9 / 16))
        requests.append(m.RequestThumbnails((frame_id,)))
    used = f"{weight * 100:.0f}% of this view" if weight is not None else "not used in this view"
    theme.text(used, theme.DIM)
    requests += _frame_buttons(view, frame_id, bool(frames.pinned[row]), frames, row)
    return requests


def _frame_buttons(
    view: MapView, frame_id: int, pinned: bool, frames: m.FrameMap, row: int
) -> list:
    requests: list = []
    if imgui.button(f"{ICONS.ICON_FA_EXPAND}  Open"):
        view.large = frame_id
    imgui.same_line()
    if imgui.button(f"{ICONS.ICON_FA_LOCATION_ARROW}  Go"):
        requests.append(GoTo(level_pose(frames.positions[row], frames.forwards[row])))
    theme.tooltip("Fly to where this frame was seen from, with a level horizon.")
    imgui.same_line()
    if imgui.button(f"{ICONS.ICON_FA_THUMBTACK}  {'Unpin' if pinned else 'Pin'}"):
        requests.append(m.ChangeFrame(frame_id, "unpin" if pinned else "pin"))
    theme.tooltip("A pinned frame is always kept in mind.")
    imgui.same_line()
    if imgui.button(f"{ICONS.ICON_FA_TRASH}  Forget"):
        requests.append(m.ChangeFrame(frame_id, "delete"))
    theme.tooltip("Hide this frame from memory. It can be brought back from the World panel.")
    return requests


def level_pose(position: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """A pose (4, 4) that looks along `forward` without roll, not further up or down than a walker
    can."""
    pitch = math.asin(float(np.clip(forward[1] / np.linalg.norm(forward), -1.0, 1.0)))
    yaw = math.atan2(-forward[0], -forward[2])
    return pose_from_yaw_pitch(position, yaw, max(min(pitch, MAX_PITCH), -MAX_PITCH))


def _first_id(attended) -> int | None:
    return attended[0].frame_id if attended else None


def _row_of(state: AppState, frame_id: int | None) -> int | None:
    if frame_id is None or state.frame_map is None:
        return None
    rows = np.flatnonzero(state.frame_map.ids == frame_id)
    return int(rows[0]) if len(rows) else None
