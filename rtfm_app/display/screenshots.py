"""Pictures of every screen and panel, without a display server:

    python -m rtfm_app.display.screenshots OUT_DIR [--world FILE] [--engine MODULE:FACTORY]

Each is written at 1280x720, and at twice the scale as `*-2x.png`. Look at them after a change.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .. import messages as m
from ..app import App, run_app
from ..imports.recognise import ImportRequest
from ..marks import Sign, Stroke
from ..snapshots import write_png
from ..worker import DEFAULT_ENGINE, WorkerOptions
from .overlay import PANELS
from .state import AddBookmark, AddFilmKey, ChangeFilm, Choice, PathQuestion, StartImport

SETTLE_FRAMES = 12
LONGEST_S = 900.0


class Tour:
    """Goes from scene to scene; called after each display frame."""

    def __init__(self, out: Path, suffix: str, scenes):
        self._out = out
        self._suffix = suffix
        self._scenes: Iterator[str] = scenes
        self._current: str | None = None
        self._frames = 0
        self._begun = time.monotonic()

    def __call__(self, app: App) -> None:
        app.window.touched_at = time.perf_counter()  # never rest: every frame is drawn
        if time.monotonic() - self._begun > LONGEST_S:
            raise TimeoutError(f"the scene after {self._current!r} does not come up")
        self._frames += 1
        if self._frames < SETTLE_FRAMES:
            return
        if self._current:
            write_png(app.window.read_pixels(), self._out / f"{self._current}{self._suffix}.png")
            print(f"{self._current}{self._suffix}.png")
        self._current, self._frames = next(self._scenes, None), 0
        if self._current is None:
            app.window.request_close()


def scenes(app_of, world: Path | None) -> Iterator[str]:
    """Sets up one scene after the other; yields its name when it stands ("" = wait on)."""
    app: App = app_of()
    while app.state.catalogue.loading or not app.state.worker_ready:
        yield ""
    yield "start"
    app.controller.ask_path("picture")
    yield "ask-picture"
    app.state.question = None
    yield from _arrivals(app)
    if world is None:
        return
    app.controller.open_path(world)
    yield "opening"
    while app.state.taken is None or not app.state.world_stats:
        yield ""
    app.state.hint_until = time.monotonic() + 60
    yield "hint"
    app.state.hint_until = 0.0
    for panel in PANELS:
        app.interface.overlay.front = panel
        yield ""
        yield f"panel-{panel.lower()}"
    for section in ("Keys", "Gamepad"):
        app.interface.overlay.front = "Options"
        app.interface.overlay.keys.scroll_to = section
        yield ""
        yield f"panel-options-{section.lower()}"
    app.interface.follow(replace(app.state.preferences, high_contrast=True))
    yield "high-contrast"
    app.interface.follow(app.state.preferences)
    yield from _paint(app)
    yield from _film(app)
    yield from _other_scenes(app)


def _arrivals(app: App) -> Iterator[str]:
    """What may be seen over the start screen while a world is made."""
    state = app.state
    state.importing = m.Progress("Placing the pictures", 0.4)
    yield "importing"
    state.importing = None
    order = ImportRequest("video", (Path("walk.mp4"),), "walk")
    state.choice = Choice(
        "No world from this video",
        "The camera could not be followed: 2 of 40 pictures fit together; walk sideways past "
        "things instead of turning on the spot.",
        (("Use its first sharp picture", StartImport(order)),),
    )
    yield "choice"
    state.choice = None


def _paint(app: App) -> Iterator[str]:
    """A stroke being drawn over the picture, the sign to be put, and the two when they are kept."""
    overlay, state = app.interface.overlay, app.state
    overlay.front = "Paint"
    yield ""
    view, frame = overlay.paint, state.taken.frame
    view.active, view.strokes = True, 2
    stroke = Stroke(((0.2, 0.5), (0.25, 0.44), (0.3, 0.5), (0.35, 0.44)), 0.02, view.rgb)
    board = Sign((0.35, 0.72), 0.12, "RTFM", view.rgb)
    view.waiting = [(1, stroke, frame), (2, board, frame)]
    yield "painting"
    for number, mark in ((1, stroke), (2, board)):
        paint = m.Paint(mark, frame.camera_to_world, frame.fov_y_radians, number)
        app.desk.carry_out([paint])
    while view.waiting:
        yield ""
    yield "painted"
    app.desk.carry_out([m.UndoPaint(), m.UndoPaint()])
    view.active = False


def _film(app: App) -> Iterator[str]:
    """The film panel with keys, and while rendering; bookmarks; a frame opened large."""
    state, camera = app.state, app.state.camera
    for turn in (0.0, 0.5, 1.0):
        state.camera = replace(
            camera, yaw=camera.yaw + turn, position=camera.position + (2 * turn, 0.0, -turn)
        )
        before = state.taken.number
        while state.taken.number == before and turn:
            yield ""
        app.desk.carry_out([AddFilmKey(), AddBookmark()])
    state.toasts.clear()
    app.desk.carry_out(
        [ChangeFilm(state.film.with_settings(aperture_m=0.05, shutter_degrees=180.0))]
    )
    app.interface.overlay.front = "Film"
    yield ""
    yield "panel-film-keys"
    shown = state.taken.frame.image
    state.film_progress = m.FilmProgress(Path("walk.mp4"), 0.37, 95.0, shown)
    yield "panel-film-rendering"
    state.film_progress = m.FilmProgress(None)
    for panel in ("Memory", "World"):
        app.interface.overlay.front = panel
        yield ""
        yield f"panel-{panel.lower()}-film"
    app.interface.overlay.front = "Memory"
    app.interface.overlay.map.large = state.taken.frame.attended[0].frame_id
    for _ in range(3):
        yield ""
    yield "memory-large"
    app.interface.overlay.map.large = None
    state.camera = camera


def _other_scenes(app: App) -> Iterator[str]:
    state = app.state
    state.preferences = replace(state.preferences, show_coverage=True)
    yield "coverage"
    state.preferences = replace(state.preferences, show_coverage=False)
    state.camera = replace(state.camera, yaw=state.camera.yaw + 0.5)
    state.show_overlay = False
    yield "turned-without-panels"
    state.show_overlay = True
    state.toast("A notice: the screenshot was saved.")
    state.toast("A warning: this world is open read-only.", "warning")
    state.toast("An error: the disk is full; what waits is kept and tried again.", "error")
    yield "notices"
    state.toasts.clear()
    state.question = PathQuestion("copy", "/somewhere/copy.rtfm")
    yield "ask-copy"
    state.question = None
    state.failure = m.WorkerFailed("RuntimeError: out of memory", "Traceback \u2026")
    yield "failure"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--world", type=Path, help="a world file or a picture to show")
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--path", action="append", default=[], help="where the engine's module is")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        world = _copy_of(parsed.world, Path(scratch)) if parsed.world else None
        for suffix, scale, size in (("", 1.0, (1280, 720)), ("-2x", 2.0, (2560, 1440))):
            _tour(parsed, world, suffix, scale, size)
    return 0


def _tour(parsed, world: Path | None, suffix: str, scale: float, size: tuple[int, int]) -> None:
    current: list[App] = []
    tour = Tour(parsed.out, suffix, scenes(lambda: current[0], world))

    def on_frame(app: App) -> None:
        current[:] = [app]
        tour(app)

    options = WorkerOptions(engine=parsed.engine, paths=tuple(parsed.path))
    run_app(headless=True, worker_options=options, size=size, scale=scale, on_frame=on_frame)


def _copy_of(world: Path, folder: Path) -> Path:
    """The tour changes nothing of the user's: it looks at a copy."""
    target = folder / world.name
    target.write_bytes(world.read_bytes())
    return target


if __name__ == "__main__":
    sys.exit(main())
