"""The World panel: what this world is, copies of it, bookmarks, films, notes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from imgui_bundle import imgui

from .. import messages as m
from . import theme
from .catalogue import size_text
from .film_panel import decoded
from .state import (
    AddBookmark,
    AppState,
    ChooseCopyTarget,
    GoTo,
    ShowStart,
    TakeScreenshot,
    ToggleRecording,
)
from .textures import TextureCache
from .theme import ICONS, em


@dataclass
class WorldView:
    """What is being typed, and which frames were forgotten since the world was opened."""

    notes: str | None = None
    name: str = ""
    world: str = ""
    forgotten: list[int] = field(default_factory=list)
    pictures: dict = field(default_factory=dict)


def draw_world(state: AppState, view: WorldView, textures: TextureCache) -> list:
    requests: list = []
    world = state.world
    if world is None:
        theme.text("No world is open.", theme.FAINT)
        return requests
    if view.world != str(world.path):
        view.world, view.notes, view.forgotten = str(world.path), world.notes, []
        view.name = world.name
    requests += _name(state, view)
    theme.text(theme.fit_text(str(world.path), imgui.get_content_region_avail().x), theme.FAINT)
    theme.tooltip(str(world.path))
    stats = state.world_stats
    theme.value_row("Frames", str(stats.get("frames", 0)), 7)
    theme.value_row("Size", size_text(stats.get("size_bytes", 0)), 7)
    x, y, z = state.camera.position
    theme.value_row("Position", f"{x:.1f}  {y:.1f}  {z:.1f} m", 7)
    imgui.dummy((0, em(0.2)))
    if imgui.button(f"{ICONS.ICON_FA_HOUSE}  Other worlds"):
        requests.append(ShowStart())
    imgui.same_line()
    if imgui.button(f"{ICONS.ICON_FA_COPY}  Save as"):
        requests.append(ChooseCopyTarget(switch=True))
    theme.tooltip("Copy this world and go on in the copy.")
    imgui.same_line()
    if imgui.button(f"{ICONS.ICON_FA_CODE_BRANCH}  Fork"):
        requests.append(ChooseCopyTarget(switch=False))
    theme.tooltip("Copy this world and go on here.")
    requests += _pictures(state)
    requests += _bookmarks(state, view, textures)
    requests += _notes(view)
    requests += _forgotten(view)
    return requests


def _name(state: AppState, view: WorldView) -> list:
    """The name, to be changed in place."""
    theme.push_heading_font()
    imgui.set_next_item_width(-1)
    imgui.begin_disabled(state.world.read_only)
    flags = imgui.InputTextFlags_.enter_returns_true
    entered, view.name = imgui.input_text("##world", view.name, flags)
    done = entered or imgui.is_item_deactivated_after_edit()
    imgui.end_disabled()
    imgui.pop_font()
    theme.tooltip("Click to rename this world, and its file.")
    name = view.name.strip()
    if not done or name == state.world.name:
        return []
    if not name:
        view.name = state.world.name
        return []
    return [m.RenameWorld(name)]


def _pictures(state: AppState) -> list:
    requests: list = []
    theme.heading("Pictures and films")
    if imgui.button(f"{ICONS.ICON_FA_CAMERA}  Screenshot"):
        requests.append(TakeScreenshot())
    imgui.same_line()
    recording = state.recording.target is not None
    label = (
        f"{ICONS.ICON_FA_STOP}  Stop ({state.recording.frames})"
        if recording
        else f"{ICONS.ICON_FA_VIDEO}  Record film"
    )
    if imgui.button(label):
        requests.append(ToggleRecording())
    theme.tooltip("Record the model's pictures to an MP4, without the panels.")
    return requests


def _bookmarks(state: AppState, view: WorldView, textures: TextureCache) -> list:
    requests: list = []
    theme.heading("Bookmarks")
    if imgui.button(f"{ICONS.ICON_FA_BOOKMARK}  Keep this place"):
        requests.append(AddBookmark())
    theme.tooltip("B. The number keys fly to the first nine.")
    for number, bookmark in enumerate(state.bookmarks):
        imgui.push_id(number)
        requests += _bookmark(state, view, textures, number, bookmark)
        imgui.pop_id()
    return requests


def _bookmark(state: AppState, view: WorldView, textures, number: int, bookmark: dict) -> list:
    requests: list = []
    width = em(4.6)
    size = (width, width * 9 / 16)
    shown = bookmark.get("thumbnail", "")
    picture = decoded(view.pictures, shown)
    if picture is not None:
        texture = textures.get(("bookmark", shown[:64], len(shown)), picture)
        clicked = theme.picture_button("##go", texture, size)
    else:
        clicked = imgui.button(f"{number + 1}", size)
    theme.tooltip(f"Fly there. Key {number + 1}." if number < 9 else "Fly there.")
    if clicked:
        requests.append(GoTo(np.array(bookmark["camera_to_world"], dtype=np.float64)))
    imgui.same_line()
    imgui.begin_group()
    middle = imgui.get_cursor_pos_y() + (size[1] - imgui.get_frame_height()) / 2
    imgui.set_cursor_pos_y(middle)
    imgui.set_next_item_width(imgui.get_content_region_avail().x - em(3))
    renamed, name = imgui.input_text("##name", bookmark["name"])
    imgui.same_line()
    imgui.set_cursor_pos_y(middle)
    removed = imgui.button(ICONS.ICON_FA_XMARK)
    imgui.end_group()
    if removed:
        rest = state.bookmarks[:number] + state.bookmarks[number + 1 :]
        requests.append(m.SetWorldState("bookmarks", rest))
    elif renamed:
        changed = [dict(b) for b in state.bookmarks]
        changed[number]["name"] = name
        requests.append(m.SetWorldState("bookmarks", changed))
    return requests


def _notes(view: WorldView) -> list:
    theme.heading("Notes")
    size = (imgui.get_content_region_avail().x, em(4.5))
    _, view.notes = imgui.input_text_multiline("##notes", view.notes or "", size)
    if imgui.is_item_deactivated_after_edit():
        return [m.SetWorldState("notes", view.notes)]
    return []


def _forgotten(view: WorldView) -> list:
    if not view.forgotten:
        return []
    last = view.forgotten[-1]
    if imgui.button(f"{ICONS.ICON_FA_ROTATE_LEFT}  Bring back frame {last}"):
        view.forgotten.pop()
        return [m.ChangeFrame(last, "restore")]
    return []
