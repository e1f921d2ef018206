"""The window: glfw, an OpenGL 3.3 context and the native Dear ImGui backends.

Knows nothing of worlds or models. `headless=True` gives the same thing without a display server
(glfw's null platform and EGL), for tests, screenshots and scripted runs.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import numpy as np

from ..input import InputState
from .opening import create_context, glfw, imgui, implot, open_window, prepare_software_gl

SOFTWARE_RENDERERS = ("llvmpipe", "softpipe", "swrast", "software")
NAVIGATION_KEYS = (
    *("UP", "DOWN", "LEFT", "RIGHT", "SPACE", "ENTER", "KP_ENTER"),
    *("HOME", "END", "PAGE_UP", "PAGE_DOWN"),
)
CONTROL_KEYS = ("LEFT_CONTROL", "RIGHT_CONTROL")
KEY_NAMES = {
    code: name[4:]
    for name, code in vars(glfw).items()
    if name.startswith("KEY_") and isinstance(code, int) and code >= 0 and name != "KEY_LAST"
}


class Window:
    """See the module docstring. Events go to `inputs` while the world has the mouse (captured);
    key releases always do, so that nothing sticks."""

    def __init__(
        self,
        inputs: InputState,
        *,
        width: int = 1280,
        height: int = 720,
        title: str = "RTFM",
        headless: bool = False,
        vsync: bool = True,
        scale: float | None = None,
    ):
        self.inputs = inputs
        self.headless = headless
        self.captured = False
        self.dropped: list[Path] = []
        self.pressed_key: str | None = None
        self._lone_control: str | None = None
        self.touched_at = time.perf_counter()
        self._fixed_scale = scale
        self._cursor = (0.0, 0.0)
        self._windowed: tuple[int, int, int, int] | None = None
        prepare_software_gl()
        self._handle = open_window(width, height, title, headless)
        glfw.swap_interval(1 if vsync and not headless else 0)
        self.gl = create_context()
        self.renderer = str(self.gl.info["GL_RENDERER"])
        self.software = any(s in self.renderer.lower() for s in SOFTWARE_RENDERERS)
        self.on_content_scale(glfw.get_window_content_scale(self._handle)[0])
        self._install_callbacks()
        self._start_imgui()

    # ---- state ----

    @property
    def should_close(self) -> bool:
        return bool(glfw.window_should_close(self._handle))

    def request_close(self) -> None:
        glfw.set_window_should_close(self._handle, True)

    @property
    def framebuffer_size(self) -> tuple[int, int]:
        return glfw.get_framebuffer_size(self._handle)

    @property
    def window_size(self) -> tuple[int, int]:
        """The size to restore later: that of the window when it is not full screen."""
        return self._windowed[2:] if self._windowed else glfw.get_window_size(self._handle)

    @property
    def full_screen(self) -> bool:
        return self._windowed is not None

    @property
    def iconified(self) -> bool:
        return bool(glfw.get_window_attrib(self._handle, glfw.ICONIFIED))

    def set_title(self, title: str) -> None:
        glfw.set_window_title(self._handle, title)

    def set_vsync(self, on: bool) -> None:
        glfw.swap_interval(1 if on and not self.headless else 0)

    # ---- one display frame ----

    def poll(self) -> None:
        glfw.poll_events()

    def begin(self, visible: tuple[int, int, int, int] | None = None) -> None:
        """Ready for drawing the world, before `begin_interface`. `visible` (x, y, width, height in
        pixels from the top left) leaves out what panels will cover."""
        width, height = self.framebuffer_size
        self.gl.screen.use()
        self.gl.viewport = (0, 0, width, height)
        if visible is not None:
            x, y, w, h = visible
            self.gl.scissor = (x, height - y - h, w, h)

    def end_world(self) -> None:
        self.gl.scissor = None

    def begin_interface(self) -> None:
        imgui.backends.opengl3_new_frame()
        imgui.backends.glfw_new_frame()
        imgui.new_frame()

    def end_interface(self) -> None:
        imgui.render()
        imgui.backends.opengl3_render_draw_data(imgui.get_draw_data())

    def swap(self) -> None:
        """Show what was drawn. A software renderer works behind our back and would let drawn
        frames queue up until some call waits for all of them: so wait for each."""
        glfw.swap_buffers(self._handle)
        if self.software:
            self.gl.finish()

    def read_pixels(self) -> np.ndarray:
        """What has been drawn: (H, W, 3) uint8, row 0 at the top."""
        width, height = self.framebuffer_size
        data = self.gl.screen.read(viewport=(0, 0, width, height), components=3, alignment=1)
        return np.frombuffer(data, np.uint8).reshape(height, width, 3)[::-1].copy()

    def close(self) -> None:
        imgui.backends.opengl3_shutdown()
        imgui.backends.glfw_shutdown()
        implot.destroy_context()
        imgui.destroy_context()
        self.gl.release()
        glfw.destroy_window(self._handle)
        glfw.terminate()

    # ---- mouse and full screen ----

    def capture(self, on: bool) -> None:
        """Give the mouse and the keyboard to the world, or back to the interface."""
        if on == self.captured:
            return
        self.captured = on
        mode = glfw.CURSOR_DISABLED if on else glfw.CURSOR_NORMAL
        glfw.set_input_mode(self._handle, glfw.CURSOR, mode)
        if glfw.raw_mouse_motion_supported():
            glfw.set_input_mode(self._handle, glfw.RAW_MOUSE_MOTION, on)
        self._cursor = glfw.get_cursor_pos(self._handle)
        io = imgui.get_io()
        flags = imgui.ConfigFlags_.no_mouse | imgui.ConfigFlags_.no_keyboard
        if on:
            io.config_flags |= flags
            imgui.set_window_focus(None)
        else:
            io.config_flags &= ~flags
            self.inputs.released_all()

    def toggle_full_screen(self) -> None:
        if self._windowed:
            x, y, width, height = self._windowed
            glfw.set_window_monitor(self._handle, None, x, y, width, height, glfw.DONT_CARE)
            self._windowed = None
            return
        monitor = self._monitor_below()
        if monitor is None:
            return
        mode = glfw.get_video_mode(monitor)
        self._windowed = (
            *glfw.get_window_pos(self._handle),
            *glfw.get_window_size(self._handle),
        )
        glfw.set_window_monitor(
            self._handle, monitor, 0, 0, mode.size.width, mode.size.height, mode.refresh_rate
        )

    def _monitor_below(self):
        """The monitor that holds the window's centre."""
        x, y = glfw.get_window_pos(self._handle)
        width, height = glfw.get_window_size(self._handle)
        centre = (x + width / 2, y + height / 2)
        for monitor in glfw.get_monitors():
            left, top = glfw.get_monitor_pos(monitor)
            size = glfw.get_video_mode(monitor).size
            if left <= centre[0] < left + size.width and top <= centre[1] < top + size.height:
                return monitor
        return glfw.get_primary_monitor()

    # ---- events ----

    def _install_callbacks(self) -> None:
        """Ours first: ImGui's backend chains to what it finds."""
        glfw.set_key_callback(self._handle, lambda w, k, s, a, mods: self.on_key(k, a, mods))
        glfw.set_cursor_pos_callback(self._handle, lambda w, x, y: self.on_cursor(x, y))
        glfw.set_scroll_callback(self._handle, lambda w, dx, dy: self.on_scroll(dy))
        glfw.set_window_focus_callback(self._handle, lambda w, on: self.on_focus(bool(on)))
        glfw.set_window_content_scale_callback(
            self._handle, lambda w, x, y: self.on_content_scale(x)
        )
        glfw.set_drop_callback(self._handle, lambda w, paths: self.on_drop(paths))
        for register in (
            glfw.set_mouse_button_callback,
            glfw.set_char_callback,
            glfw.set_framebuffer_size_callback,
            glfw.set_window_refresh_callback,
            glfw.set_cursor_enter_callback,
        ):
            register(self._handle, self._touched)

    def _touched(self, *_event) -> None:
        """Something happened that the interface may have to show."""
        self.touched_at = time.perf_counter()

    def on_key(self, code: int, action: int, mods: int = 0) -> None:
        self._touched()
        name = KEY_NAMES.get(code)
        if name is None or action == glfw.REPEAT:
            return
        pressed = action == glfw.PRESS
        ctrl = bool(mods & glfw.MOD_CONTROL) and name not in CONTROL_KEYS
        self._note_pressed(name, pressed, ctrl)
        if pressed:
            if name == "ESCAPE":
                self.capture(False)
                return
            obeyed = ctrl and self.inputs.obeys(f"CTRL+{name}")
            if not self.captured and _belongs_to_interface(name, obeyed):
                return
        self.inputs.key(name, pressed, time.perf_counter(), ctrl=ctrl)

    def _note_pressed(self, name: str, pressed: bool, ctrl: bool) -> None:
        """For the panel that remaps keys: a control key counts when it is released alone."""
        if name in CONTROL_KEYS:
            if not pressed and self._lone_control == name:
                self.pressed_key = name
            self._lone_control = name if pressed else None
        elif pressed:
            self.pressed_key = f"CTRL+{name}" if ctrl else name
            self._lone_control = None

    def on_cursor(self, x: float, y: float) -> None:
        self._touched()
        if self.captured:
            dx, dy = x - self._cursor[0], y - self._cursor[1]
            self.inputs.mouse_moved(dx, dy, time.perf_counter())
        self._cursor = (x, y)

    def on_scroll(self, notches: float) -> None:
        self._touched()
        if self.captured or not imgui.get_io().want_capture_mouse:
            self.inputs.wheel(notches, time.perf_counter())

    def on_focus(self, focused: bool) -> None:
        self._touched()
        if not focused:
            self.inputs.released_all()
            self.capture(False)

    def on_content_scale(self, scale: float) -> None:
        """The window is on a monitor of this density now."""
        self.content_scale = self._fixed_scale or scale or 1.0

    def on_drop(self, paths) -> None:
        self._touched()
        self.dropped += [Path(p) for p in paths]

    def take_pressed_key(self) -> str | None:
        """The key that went down since the last call, for the panel that remaps keys."""
        name, self.pressed_key = self.pressed_key, None
        return name

    def _start_imgui(self) -> None:
        imgui.create_context()
        implot.create_context()
        io = imgui.get_io()
        io.set_ini_filename("")
        io.config_flags |= imgui.ConfigFlags_.docking_enable
        io.config_flags |= imgui.ConfigFlags_.nav_enable_keyboard
        io.config_nav_escape_clear_focus_window = True
        io.config_windows_move_from_title_bar_only = True
        address = ctypes.cast(self._handle, ctypes.c_void_p).value
        imgui.backends.glfw_init_for_opengl(address, True)
        imgui.backends.opengl3_init("#version 330")


def _belongs_to_interface(name: str, obeyed: bool) -> bool:
    """Whether a key that goes down is for the interface: text that is typed, shortcuts that the
    world does not know (`obeyed`), and what moves from widget to widget while a panel has the
    keyboard."""
    io = imgui.get_io()
    if io.want_text_input:
        return True
    if obeyed:
        return False
    if imgui.is_key_down(imgui.Key.mod_ctrl):
        return True
    if name in NAVIGATION_KEYS:
        return io.want_capture_keyboard
    return name == "TAB" and io.nav_visible
