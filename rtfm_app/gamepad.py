"""Gamepads through SDL (pygame-ce), with hot plug: `Gamepad.read` gives the newest `PadState`.

SDL's video driver is the dummy one, because the window is glfw's. Without pygame or without a
gamepad, `read` gives None.
"""

from __future__ import annotations

import os

from .input import PadState

AXIS_RANGE = 32767.0


class Gamepad:
    """The first gamepad that is plugged in."""

    def __init__(self):
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
        os.environ.setdefault("SDL_NO_SIGNAL_HANDLERS", "1")  # else SIGTERM would be swallowed
        os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        import pygame
        from pygame._sdl2 import controller

        self._pygame = pygame
        self._controllers = controller
        pygame.display.init()
        pygame.joystick.init()
        controller.init()
        self._pad = None
        self._events = (
            pygame.JOYDEVICEADDED,
            pygame.JOYDEVICEREMOVED,
            pygame.CONTROLLERDEVICEADDED,
            pygame.CONTROLLERDEVICEREMOVED,
        )
        self._buttons = _button_names(pygame)
        self._find()

    @property
    def name(self) -> str | None:
        return self._pad.name if self._pad is not None else None

    def read(self) -> PadState | None:
        """The gamepad now; an all-zero state right after it was unplugged; None without one."""
        had_one = self._pad is not None
        if any(event.type in self._events for event in self._pygame.event.get()):
            self._find()
        if self._pad is None:
            return PadState() if had_one else None
        axis = self._pad.get_axis
        pg = self._pygame
        return PadState(
            left=(_unit(axis(pg.CONTROLLER_AXIS_LEFTX)), _unit(axis(pg.CONTROLLER_AXIS_LEFTY))),
            right=(_unit(axis(pg.CONTROLLER_AXIS_RIGHTX)), _unit(axis(pg.CONTROLLER_AXIS_RIGHTY))),
            triggers=(
                max(0.0, _unit(axis(pg.CONTROLLER_AXIS_TRIGGERLEFT))),
                max(0.0, _unit(axis(pg.CONTROLLER_AXIS_TRIGGERRIGHT))),
            ),
            buttons=frozenset(
                name for code, name in self._buttons.items() if self._pad.get_button(code)
            ),
        )

    def close(self) -> None:
        self._pad = None
        self._controllers.quit()
        self._pygame.quit()

    def _find(self) -> None:
        self._pad = None
        for index in range(self._pygame.joystick.get_count()):
            if self._controllers.is_controller(index):
                self._pad = self._controllers.Controller(index)
                return


def _unit(value: float) -> float:
    return max(-1.0, min(1.0, value / AXIS_RANGE))


def _button_names(pygame) -> dict[int, str]:
    return {
        pygame.CONTROLLER_BUTTON_A: "A",
        pygame.CONTROLLER_BUTTON_B: "B",
        pygame.CONTROLLER_BUTTON_X: "X",
        pygame.CONTROLLER_BUTTON_Y: "Y",
        pygame.CONTROLLER_BUTTON_BACK: "BACK",
        pygame.CONTROLLER_BUTTON_START: "START",
        pygame.CONTROLLER_BUTTON_LEFTSTICK: "LEFT_STICK",
        pygame.CONTROLLER_BUTTON_RIGHTSTICK: "RIGHT_STICK",
        pygame.CONTROLLER_BUTTON_LEFTSHOULDER: "LEFT_SHOULDER",
        pygame.CONTROLLER_BUTTON_RIGHTSHOULDER: "RIGHT_SHOULDER",
        pygame.CONTROLLER_BUTTON_DPAD_UP: "DPAD_UP",
        pygame.CONTROLLER_BUTTON_DPAD_DOWN: "DPAD_DOWN",
        pygame.CONTROLLER_BUTTON_DPAD_LEFT: "DPAD_LEFT",
        pygame.CONTROLLER_BUTTON_DPAD_RIGHT: "DPAD_RIGHT",
    }
