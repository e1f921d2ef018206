"""The whole program under a headless window with injected input: `python -m rtfm_app.bench_app
WORLD SECONDS` prints one line of JSON. A process of its own, so that nothing but the program runs
in it; part of `rtfm bench`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

from .app import App, run_app

SETTLE_S = 3.0
SIZE = (1280, 720)


def measure_app(world: Path, seconds: float) -> dict[str, float]:
    """Walk forward and look round for `seconds`; latencies, display and model frame times."""
    found: dict[str, float] = {}
    state = {"begun": 0.0, "measuring": False}

    def on_frame(app: App) -> None:
        now = time.perf_counter()
        if app.state.taken is None:
            return
        if not state["begun"]:
            state["begun"] = now
            app.window.capture(True)
            app.inputs.key("W", True, now)
        since = now - state["begun"]
        app.window.touched_at = now
        app.inputs.mouse_moved(3.0 * math.cos(since), 0.0, now)
        if not state["measuring"] and since > SETTLE_S:
            state["measuring"] = True
            app.state.measured = type(app.state.measured)()
        if since > SETTLE_S + seconds:
            found.update(_numbers(app))
            app.window.request_close()

    code = run_app(world, headless=True, size=SIZE, on_frame=on_frame)
    if code or not found:
        raise ValueError("the program ended before it could be measured")
    return found


def _numbers(app: App) -> dict[str, float]:
    measured = app.state.measured
    return {
        "model_fps_in_app": 1e3 / max(measured.model.mean(), 1e-6) if len(measured.model) else 0.0,
        "display_ms_p50": measured.display.percentile(50),
        "display_ms_p99": measured.display.percentile(99),
        "outside_gl_ms_p99": measured.outside_gl.percentile(99),
        "outside_gl_cpu_ms_p99": measured.outside_gl_cpu.percentile(99),
        "latency_warped_ms_p50": measured.warp.percentile(50),
        "latency_warped_ms_p90": measured.warp.percentile(90),
        "latency_warped_ms_max": measured.warp.highest(),
        "latency_generated_ms_p50": measured.generated.percentile(50),
        "latency_generated_ms_p90": measured.generated.percentile(90),
        "latency_generated_ms_max": measured.generated.highest(),
    }


if __name__ == "__main__":
    print(json.dumps(measure_app(Path(sys.argv[1]), float(sys.argv[2]))))
