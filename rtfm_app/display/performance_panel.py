"""The Performance panel: rates, time for each stage, latencies, memory; copy as JSON."""

from __future__ import annotations

import json

import numpy as np
from imgui_bundle import imgui, implot

from ..memory.pages import PoolStatistics
from . import theme
from .catalogue import size_text
from .measurements import Series
from .state import AppState, CopyText
from .theme import em


def draw_performance(state: AppState) -> list:
    measured = state.measured
    display, model = measured.display, measured.model
    theme.value_row("Display", _rate(display))
    theme.value_row("Model", _rate(model))
    _graph("##display", display, 50.0, theme.ACCENT)
    theme.heading("Milliseconds")
    _latency_table(
        {
            "Display frame": display,
            "\u2026 outside GL": measured.outside_gl,
            "Mouse to view": measured.warp,
            "Move to picture": measured.generated,
        }
    )
    theme.heading("Stages of the model")
    _stages(state)
    theme.heading("Resources")
    theme.value_row("Worker memory", size_text(state.worker_memory_mb * 1e6))
    if state.pages is not None:
        _pages(state.pages)
    if state.world_stats:
        theme.value_row("World on disk", size_text(state.world_stats.get("size_bytes", 0)))
        theme.value_row("Frames", str(state.world_stats.get("frames", 0)))
    room = imgui.get_content_region_avail().x - em(9.0)
    theme.value_row("Renderer", theme.fit_text(state.renderer, room))
    theme.tooltip(state.renderer)
    imgui.dummy((0, em(0.2)))
    if imgui.button("Copy as JSON"):
        return [CopyText(json.dumps(report(state), indent=1))]
    return []


def report(state: AppState) -> dict:
    """All numbers of the panel, flat."""
    timings = state.taken.frame.timings_ms if state.taken else {}
    return (
        state.measured.summary()
        | {f"stage_{name}_ms": round(value, 2) for name, value in timings.items()}
        | {"worker_memory_mb": round(state.worker_memory_mb, 1), "renderer": state.renderer}
        | ({"kv_hit_rate": round(state.pages.hit_rate, 4)} if state.pages is not None else {})
        | {f"world_{name}": value for name, value in state.world_stats.items()}
    )


def _pages(pages: PoolStatistics) -> None:
    held = f"{pages.hit_rate * 100:.1f} % found, {pages.pages} of {pages.capacity} held"
    theme.value_row("Encoded frames", held)
    theme.tooltip("How often a memory frame was still encoded (a KV page) when it was needed.")


def _rate(series: Series) -> str:
    mean = series.mean()
    return f"{1000 / mean:.1f} frames a second ({mean:.1f} ms)" if mean else "\u2013"


def _latency_table(rows: dict[str, Series]) -> None:
    flags = imgui.TableFlags_.sizing_stretch_prop
    if not imgui.begin_table("##latency", 4, flags):
        return
    imgui.table_setup_column("##what", imgui.TableColumnFlags_.width_stretch, 2.2)
    for name in ("p50", "p90", "max"):
        imgui.table_setup_column(name, imgui.TableColumnFlags_.width_stretch, 1.0)
    imgui.table_next_row()
    for column, title in enumerate(("", "p50", "p90", "max")):
        imgui.table_set_column_index(column)
        theme.text(title, theme.FAINT)
    for label, series in rows.items():
        imgui.table_next_row()
        imgui.table_next_column()
        theme.text(label, theme.DIM)
        values = (series.percentile(50), series.percentile(90), series.highest())
        for value in values:
            imgui.table_next_column()
            imgui.text(f"{value:.1f}" if len(series) else "\u2013")
    imgui.end_table()


def _stages(state: AppState) -> None:
    timings = dict(state.taken.frame.timings_ms) if state.taken else {}
    total = timings.pop("total", sum(timings.values()))
    if not timings:
        theme.text("no picture yet", theme.FAINT)
        return
    for name, value in [*timings.items(), ("total", total)]:
        theme.text(name, theme.DIM)
        imgui.same_line(em(6))
        imgui.text(f"{value:6.1f}")
        imgui.same_line(em(9.5))
        width = max(imgui.get_content_region_avail().x, 1.0)
        corner = imgui.get_cursor_screen_pos()
        y = corner.y + em(0.35)
        share = min(value / total, 1.0) if total > 0 else 0.0
        draw = imgui.get_window_draw_list()
        end = (corner.x + max(width * share, em(0.1)), y + em(0.3))
        tint = theme.color(theme.FAINT if name == "total" else theme.ACCENT)
        draw.add_rect_filled((corner.x, y), end, tint, em(0.15))
        imgui.dummy((width, em(1)))


def _graph(name: str, series: Series, least: float, tint) -> None:
    values = series.array()
    implot.push_style_var(implot.StyleVar_.plot_padding, (0, em(0.2)))
    implot.push_style_color(implot.Col_.plot_bg, (1, 1, 1, 0.03))
    implot.push_style_color(implot.Col_.frame_bg, (0, 0, 0, 0))
    implot.push_style_color(implot.Col_.plot_border, (0, 0, 0, 0))
    if implot.begin_plot(name, (-1, em(5)), implot.Flags_.canvas_only):
        axis = implot.AxisFlags_
        implot.setup_axes(
            "", "", axis.no_decorations, axis.no_label | axis.no_grid_lines | axis.no_tick_marks
        )
        top = max(least, 1.3 * series.percentile(98))  # one long wait must not flatten the rest
        implot.setup_axes_limits(0, max(len(values) - 1, 1), 0, top, imgui.Cond_.always)
        if len(values) > 1:
            implot.plot_line("ms", np.ascontiguousarray(values))
        implot.end_plot()
    implot.pop_style_color(3)
    implot.pop_style_var()
    theme.tooltip("Time of each display frame in milliseconds")
