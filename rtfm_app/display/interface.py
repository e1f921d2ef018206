"""The ImGui side of one display frame (`Interface`): start screen or overlay, then the notices."""

from __future__ import annotations

from imgui_bundle import imgui

from ..preferences import Preferences
from . import theme
from .measurements import Moment
from .overlay import OverlayView, draw_notices, draw_overlay, visible_pixels
from .start_screen import StartView, draw_quit_hint, draw_start_screen
from .state import AppState
from .textures import TextureCache
from .window import Window


class Interface:
    """After `draw`, `clicked_world` tells whether the user clicked past every panel into the
    world, `laying_out` how long the interface took, without GL, `visible` the part of the window
    (x, y, width, height in pixels) that docked panels leave free, None = all."""

    def __init__(self, window: Window, preferences: Preferences, layout: str):
        self._window = window
        self._style: tuple | None = None
        self._wanted = preferences
        self.textures = TextureCache(window.gl)
        self.overlay = OverlayView()
        self.start = StartView()
        self.clicked_world = False
        self.laying_out = Moment()
        self.visible: tuple[int, int, int, int] | None = None
        if layout:
            imgui.load_ini_settings_from_memory(layout)
        theme.load_fonts()
        self._apply_style()

    def draw(self, state: AppState) -> list:
        """Draw everything over the world; returns the user's requests."""
        self._apply_style()
        self._window.begin_interface()
        started, self.textures.uploading = Moment.now(), Moment()
        if state.world is None:
            self.overlay.keys.waiting = None
            requests = draw_start_screen(state, self.start, self.textures)
            if state.progress is not None and state.worker_ready:
                requests = []  # a world is being opened
        else:
            requests = draw_overlay(state, self.overlay, self.textures)
        covering = state.world is not None and state.show_overlay
        requests += draw_notices(state, self.overlay.area if covering else None)
        requests += draw_quit_hint()
        io = imgui.get_io()
        painting = state.show_overlay and self.overlay.paint.active
        clicked = imgui.is_mouse_clicked(0) and not io.want_capture_mouse
        self.clicked_world = clicked and not painting
        self.laying_out = Moment.now() - started - self.textures.uploading
        self.visible = None
        if covering:
            self.visible = visible_pixels(self.overlay.area, self._window.framebuffer_size)
        self._window.end_interface()
        return requests

    def follow(self, preferences: Preferences) -> None:
        """Change size and colours of the interface from the next frame on."""
        self._wanted = preferences

    def _apply_style(self) -> None:
        """Also when the window was moved to a monitor of another density."""
        scale = self._window.content_scale * self._wanted.interface_scale
        if self._style != (scale, self._wanted.high_contrast):
            self._style = (scale, self._wanted.high_contrast)
            theme.apply_style(scale, high_contrast=self._wanted.high_contrast)

    def copy_text(self, text: str) -> None:
        imgui.set_clipboard_text(text)

    def layout(self) -> str:
        """Where the panels are, for the next time."""
        return imgui.save_ini_settings_to_memory()

    def release(self) -> None:
        self.textures.release()
