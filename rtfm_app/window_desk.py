"""What keys, buttons and panels ask for and needs the window (`WindowDesk`); the rest is done by
the controller."""

from __future__ import annotations

from dataclasses import replace

from . import messages as m
from .controller import Controller
from .display import state as ui
from .display.clipboard import Clipboard
from .display.dialogs import FileDialogs
from .display.interface import Interface
from .display.window import Window
from .input import InputState, Sensitivity
from .preferences import Preferences
from .snapshots import Snapshots, media_path


class WindowDesk:
    """One-shot actions of keys (`act`), requests of panels (`carry_out`), and preferences."""

    def __init__(
        self,
        controller: Controller,
        window: Window,
        inputs: InputState,
        interface: Interface,
        clipboard: Clipboard,
        snapshots: Snapshots,
    ):
        self._state = controller.state
        self._controller = controller
        self._window = window
        self._inputs = inputs
        self._interface = interface
        self._clipboard = clipboard
        self._snapshots = snapshots
        self._dialogs = FileDialogs(window.headless)
        self._captured_before_brush = False

    def chosen(self) -> list:
        """Requests from file dialogs and the clipboard, which answer some time later."""
        return self._dialogs.requests() + self._clipboard.requests(self._state)

    def act(self, action: str) -> None:
        """Do what a key or button is bound to (`input.PRESSED`)."""
        state, controller = self._state, self._controller
        match action:
            case "toggle_overlay":
                state.show_overlay = not state.show_overlay
                self.change_preferences(show_overlay=state.show_overlay)
            case "next_panel":
                self.change_preferences(show_overlay=True)
                state.show_overlay = True
                self._window.capture(False)
                self._interface.overlay.next_panel()
            case "full_screen":
                self.carry_out([ui.ToggleFullScreen()])
            case "screenshot":
                self.carry_out([ui.TakeScreenshot()])
            case "record":
                self.carry_out([ui.ToggleRecording()])
            case "paint":
                self._toggle_brush()
            case "undo_paint":
                if state.world is not None:
                    controller.handle([m.UndoPaint()])
            case "swap_settings":
                controller.handle([ui.SwapSettings()])
            case "bookmark":
                controller.handle([ui.AddBookmark()])
            case "home":
                controller.places.go_home()
            case "toggle_solid":
                solid = not state.preferences.solid_walking
                self.change_preferences(solid_walking=solid)
                state.toast("Solid ground" if solid else "Walking through everything")
            case "mute":
                muted = not state.preferences.muted
                self.change_preferences(muted=muted)
                state.toast("Sound off" if muted else "Sound on")
            case _ if action.startswith("place_"):
                controller.places.go_to_bookmark(int(action.removeprefix("place_")))

    def _toggle_brush(self) -> None:
        """The brush needs a free mouse; without it the walk goes on as it did before."""
        state = self._state
        if state.world is None:
            return
        if state.world.read_only:
            state.toast("This world is open read-only: nothing can be painted.", "warning")
            return
        state.show_overlay = True
        if self._interface.overlay.toggle_brush():
            self._captured_before_brush = self._window.captured
            self._window.capture(False)
        elif self._captured_before_brush:
            self._window.capture(True)

    def carry_out(self, requests: list) -> None:
        """Do what panels have asked for: commands of `messages` and requests of `display.state`."""
        before = self._state.preferences
        for request in self._controller.handle(requests):
            match request:
                case ui.ToggleFullScreen():
                    self._window.toggle_full_screen()
                    self.change_preferences(full_screen=self._window.full_screen)
                case ui.TakeScreenshot():
                    self._snapshots.ask()
                case ui.ToggleRecording():
                    self._toggle_recording()
                case ui.ChooseSource(what):
                    if not self._dialogs.choose_source(what):
                        self._controller.ask_path(what)
                case ui.Paste(text):
                    self._clipboard.paste(text)
                case ui.ChooseCopyTarget(switch):
                    if not self._dialogs.choose_copy(self._controller.default_copy(), switch):
                        self._controller.ask_path("save as" if switch else "copy")
                case m.CopyWorld(target, switch):
                    self._controller.copy_world(target, switch=switch)
                case ui.CopyText(text):
                    self._interface.copy_text(text)
                    self._state.toast("Copied")
                case ui.QuitProgram():
                    self._window.request_close()
                case _:
                    raise AssertionError(f"unknown request {request!r}")
        if self._state.preferences != before:
            self.apply_preferences(before)

    def change_preferences(self, **changes) -> None:
        """Change fields of `Preferences`; they act at once and are saved soon."""
        before = self._state.preferences
        self._controller.change_preferences(replace(before, **changes))
        self.apply_preferences(before)

    def apply_preferences(self, before: Preferences | None) -> None:
        """Make the parts follow the preferences; `before` None = all of them."""
        preferences = self._state.preferences
        self._inputs.keys = preferences.keys
        self._inputs.pad_buttons, self._inputs.pad_axes = preferences.pad, preferences.axes
        self._inputs.sensitivity = Sensitivity(
            mouse=preferences.mouse_sensitivity,
            pad=preferences.pad_sensitivity,
            keys=preferences.key_sensitivity,
            invert_y=preferences.invert_y,
            dead_zone=preferences.pad_dead_zone,
        )
        self._interface.follow(preferences)
        if before is None:
            return
        if before.vsync != preferences.vsync:
            self._window.set_vsync(preferences.vsync)

    def _toggle_recording(self) -> None:
        state = self._state
        if state.world is None:
            return
        if state.recording.target is not None:
            self._controller.worker.send(m.StopRecording())
        else:
            self._controller.worker.send(m.StartRecording(media_path("mp4")))
