"""The brush over the picture: what the mouse draws is shown at once, and kept on release.

A stroke belongs to the model frame that was shown when it began; its points are kept as shares of
that picture, so the preview stays on it while one looks round.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from imgui_bundle import imgui

from .. import messages as m
from ..frame import Frame
from ..geometry import tangents
from ..marks import BOARD, Mark, Sign, Stroke
from . import theme
from .frame_view import view_tangents
from .state import AppState
from .theme import em

LEAST_STEP = 0.004  # share of the picture's height between two points of a stroke
GHOST = 0.75


@dataclass
class PaintView:
    """The brush as it is set, the stroke being drawn, and strokes that are sent but not shown yet:
    (number, mark, frame painted on)."""

    active: bool = False
    tool: str = "brush"
    radius: float = 0.03
    softness: float = 0.3
    colour: tuple[float, float, float] = (0.86, 0.12, 0.10)
    sign_height: float = 0.12
    text: str = "RTFM"
    world: str = ""
    footprints: bool = False
    strokes: int = 0
    frame: Frame | None = None
    path: list[tuple[float, float]] = field(default_factory=list)
    waiting: list[tuple[int, Mark, Frame]] = field(default_factory=list)

    def follow_world(self, state: AppState) -> None:
        """Nothing of another world's strokes is shown in this one."""
        world = state.world
        if self.world != str(world.path):
            self.world, self.footprints = str(world.path), world.footprints
            self.waiting.clear()
            self.path.clear()

    @property
    def rgb(self) -> tuple[int, int, int]:
        r, g, b = (round(c * 255) for c in self.colour)
        return r, g, b


@dataclass(frozen=True)
class Sight:
    """How a frame's picture lies in the window: shares of the picture to window pixels and back.

    Attributes:
        turn: (3, 3) directions in the camera's axes to the frame's.
    """

    turn: np.ndarray
    tan_view: tuple[float, float]
    tan_frame: tuple[float, float]
    corner: tuple[float, float]
    size: tuple[float, float]

    @classmethod
    def of(cls, state: AppState, frame: Frame) -> Sight:
        viewport = imgui.get_main_viewport()
        size = (viewport.size.x, viewport.size.y)
        return cls(
            frame.camera_to_world[:3, :3].T @ state.camera.camera_to_world[:3, :3],
            view_tangents(state.world.fov_y_radians, size[0] / max(size[1], 1)),
            tangents(frame.fov_y_radians),
            (viewport.pos.x, viewport.pos.y),
            size,
        )

    def to_picture(self, x: float, y: float) -> tuple[float, float] | None:
        """Share of the picture at a window position; None beside it."""
        across = ((x - self.corner[0]) / self.size[0] * 2 - 1) * self.tan_view[0]
        up = (1 - (y - self.corner[1]) / self.size[1] * 2) * self.tan_view[1]
        ray = self.turn @ (across, up, -1.0)
        if ray[2] > -0.05:
            return None
        share = (
            float(ray[0] / -ray[2] / self.tan_frame[0] + 1) / 2,
            float(1 - ray[1] / -ray[2] / self.tan_frame[1]) / 2,
        )
        return share if min(share) >= 0 and max(share) <= 1 else None

    def to_window(self, share: tuple[float, float]) -> tuple[float, float] | None:
        """Window position of a share of the picture; None when it is behind."""
        across = (share[0] * 2 - 1) * self.tan_frame[0]
        up = (1 - share[1] * 2) * self.tan_frame[1]
        ray = self.turn.T @ (across, up, -1.0)
        if ray[2] > -0.05:
            return None
        return (
            self.corner[0] + float(ray[0] / -ray[2] / self.tan_view[0] + 1) / 2 * self.size[0],
            self.corner[1] + float(1 - ray[1] / -ray[2] / self.tan_view[1]) / 2 * self.size[1],
        )

    @property
    def height(self) -> float:
        """Height of the whole picture in window pixels (in the middle of the window)."""
        return self.size[1] * self.tan_frame[1] / self.tan_view[1]


def draw_brush(state: AppState, view: PaintView) -> list:
    """Preview and mouse, over the world and behind the panels."""
    view.follow_world(state)
    draw = imgui.get_background_draw_list()
    _drop_shown(state, view)
    for _, mark, frame in view.waiting:
        _draw_mark(draw, Sight.of(state, frame), mark)
    if not view.active or state.captured or state.taken is None or state.world.read_only:
        view.path.clear()
        return []
    if view.path:
        return _go_on(state, view, draw)
    if imgui.get_io().want_capture_mouse:
        return []
    frame = state.taken.frame
    sight = Sight.of(state, frame)
    mouse = imgui.get_mouse_pos()
    share = sight.to_picture(mouse.x, mouse.y)
    if share is None:
        return []
    _draw_cursor(draw, sight, view, share)
    if not imgui.is_mouse_clicked(0):
        return []
    if view.tool == "sign":
        return _send(view, Sign(share, view.sign_height, view.text, view.rgb), frame)
    view.frame, view.path = frame, [share]
    return []


def _go_on(state: AppState, view: PaintView, draw) -> list:
    """A stroke is being drawn."""
    sight = Sight.of(state, view.frame)
    mouse = imgui.get_mouse_pos()
    share = sight.to_picture(mouse.x, mouse.y)
    if share is not None and _far(view.path[-1], share):
        view.path.append(share)
    mark = Stroke(tuple(view.path), view.radius, view.rgb, view.softness)
    _draw_mark(draw, sight, mark)
    if imgui.is_mouse_down(0):
        return []
    view.path = []
    return _send(view, mark, view.frame)


def _far(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return max(abs(a[0] - b[0]) * 16 / 9, abs(a[1] - b[1])) > LEAST_STEP


def _send(view: PaintView, mark: Mark, frame: Frame) -> list:
    view.strokes += 1
    view.waiting.append((view.strokes, mark, frame))
    return [m.Paint(mark, frame.camera_to_world, frame.fov_y_radians, view.strokes)]


def _drop_shown(state: AppState, view: PaintView) -> None:
    """The preview of a stroke goes when a frame drawn with it has come, however long a busy
    machine takes; every stroke is answered, unless the model's process has ended."""
    if state.failure is not None:
        view.waiting.clear()
    number, when = state.painted
    newest = state.taken.started if state.taken is not None else 0.0
    view.waiting = [w for w in view.waiting if w[0] > number or newest <= when]


def _draw_mark(draw, sight: Sight, mark: Mark) -> None:
    if isinstance(mark, Sign):
        _draw_sign(draw, sight, mark, 1.0)
        return
    radius = mark.radius * sight.height * (1 - mark.softness / 2)
    tint = theme.color((*(c / 255 for c in mark.colour), 1.0))
    before = None
    for share in mark.path:
        place = sight.to_window(share)
        if place is not None:
            draw.add_circle_filled(place, radius, tint)
            if before is not None:
                draw.add_line(before, place, tint, 2 * radius)
        before = place


def _draw_sign(draw, sight: Sight, mark: Sign, alpha: float) -> None:
    place = sight.to_window(mark.centre)
    if place is None:
        return
    height = mark.height * sight.height
    size = max(height * 0.6, 6.0)
    width = imgui.calc_text_size(mark.text).x * size / imgui.get_font_size()
    half = (width / 2 + height * 0.3, height / 2)
    low = (place[0] - half[0], place[1] - half[1])
    high = (place[0] + half[0], place[1] + half[1])
    tint = theme.color((*(c / 255 for c in mark.colour), 1.0), alpha)
    board = theme.color(tuple(c / 255 for c in BOARD), alpha)
    draw.add_rect_filled(low, high, board, height / 6)
    draw.add_rect(low, high, tint, height / 6, max(1.0, height / 12))
    corner = (place[0] - width / 2, place[1] - size / 2)
    draw.add_text(imgui.get_font(), size, corner, tint, mark.text)


def _draw_cursor(draw, sight: Sight, view: PaintView, share: tuple[float, float]) -> None:
    if view.tool == "sign":
        _draw_sign(draw, sight, Sign(share, view.sign_height, view.text, view.rgb), GHOST)
        return
    place = sight.to_window(share)
    radius = max(view.radius * sight.height, 2.0)
    draw.add_circle(place, radius, theme.color((0, 0, 0, 0.6)), 0, em(0.16))
    draw.add_circle(place, radius, theme.color((1, 1, 1, 0.95)), 0, em(0.08))
