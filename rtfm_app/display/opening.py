"""Gets the window libraries, a window and OpenGL 3.3, or says in words why there are none
(`DisplayUnavailable`). The libraries are imported here, in the one order that works.
"""

from __future__ import annotations

import os

from .errors import DisplayUnavailable

PACKAGES = "on Debian or Ubuntu: sudo apt install libgl1 libegl1 libglx-mesa0 libgl1-mesa-dri"

try:  # imgui_bundle first: it ships the libglfw that both then share
    from imgui_bundle import imgui, implot  # isort: skip
    import glfw  # isort: skip
    import moderngl  # isort: skip
except ImportError as error:
    raise DisplayUnavailable(
        f"the window libraries cannot be loaded ({error}); {PACKAGES}"
    ) from error

__all__ = ["create_context", "glfw", "imgui", "implot", "open_window", "prepare_software_gl"]

MIN_SIZE = (640, 360)


def prepare_software_gl() -> None:
    """Mesa's software renderer takes one thread for each core, and then fights with the model for
    them; on a small machine one is smoother. On two cores it draws in our own thread: the model's
    core is then never taken from it (8.1 model frames a second with one thread more, 10.4 without,
    and a display frame less late at worst). Without effect on a graphics card."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if (cores or 1) <= 4:
        os.environ.setdefault("LP_NUM_THREADS", "0" if (cores or 1) <= 2 else "1")


def open_window(width: int, height: int, title: str, headless: bool):
    """glfw's handle of a new window with a current OpenGL context."""
    errors: list[str] = []
    glfw.set_error_callback(lambda code, text: errors.append(text.decode(errors="replace")))
    glfw.init_hint(glfw.PLATFORM, glfw.PLATFORM_NULL if headless else glfw.ANY_PLATFORM)
    if not glfw.init():
        raise DisplayUnavailable(f"no window can be opened here: {_last(errors)}")
    hints = {
        glfw.CONTEXT_VERSION_MAJOR: 3,
        glfw.CONTEXT_VERSION_MINOR: 3,
        glfw.OPENGL_PROFILE: glfw.OPENGL_CORE_PROFILE,
        glfw.OPENGL_FORWARD_COMPAT: True,
        glfw.SCALE_TO_MONITOR: True,
    }
    if headless:
        hints[glfw.CONTEXT_CREATION_API] = glfw.EGL_CONTEXT_API
    for hint, value in hints.items():
        glfw.window_hint(hint, value)
    handle = glfw.create_window(width, height, title, None, None)
    if not handle:
        glfw.terminate()
        raise DisplayUnavailable(
            f"no OpenGL window can be opened here: {_last(errors)}; {PACKAGES}"
        )
    glfw.make_context_current(handle)
    if not headless:
        glfw.set_window_size_limits(handle, *MIN_SIZE, glfw.DONT_CARE, glfw.DONT_CARE)
    return handle


def create_context():
    """moderngl's context of the window that `open_window` made current."""
    try:
        return moderngl.create_context(require=330)
    except Exception as error:
        glfw.terminate()
        raise DisplayUnavailable(f"OpenGL 3.3 is not available ({error}); {PACKAGES}") from error


def _last(errors: list[str]) -> str:
    return errors[-1] if errors else "glfw gives no reason"
