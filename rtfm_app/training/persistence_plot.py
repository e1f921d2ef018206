"""The plot of a long walk: milliseconds a frame and resident memory. Pillow only."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, PANEL_HEIGHT, MARGIN = 1000, 260, (84, 40, 24, 44)  # left, top, right, bottom
SCALE = 2  # drawn larger, then reduced: smooth lines
PAPER, INK, FAINT = (255, 255, 255), (40, 40, 48), (222, 222, 228)
PANELS = (
    ("milliseconds", "milliseconds a frame (median of neighbours)", (31, 102, 173)),
    ("megabytes", "resident memory, MB", (196, 78, 42)),
)


def plot_series(series: dict[str, list[float]], path: Path) -> None:
    """Write a PNG; `series` has `frame` and, for each of PANELS, as many values."""
    image = Image.new("RGB", (WIDTH * SCALE, len(PANELS) * PANEL_HEIGHT * SCALE), PAPER)
    draw = ImageDraw.Draw(image)
    for index, (name, title, colour) in enumerate(PANELS):
        top = index * PANEL_HEIGHT
        _panel(draw, top, series["frame"], series[name], title, colour)
    image.resize((WIDTH, len(PANELS) * PANEL_HEIGHT), Image.Resampling.LANCZOS).save(path)


def _panel(draw, top: int, frames, values, title: str, colour) -> None:
    left, above, right, below = MARGIN
    box = (left, top + above, WIDTH - right, top + PANEL_HEIGHT - below)
    highest, step = _ticks(max(values))
    last, frame_step = _ticks(frames[-1])
    last = frames[-1]
    _text(draw, (left, top + above / 2), title, "lm")

    def at(frame: float, value: float) -> tuple[float, float]:
        x = box[0] + (box[2] - box[0]) * frame / last
        return x, box[3] - (box[3] - box[1]) * value / highest

    for number in range(round(highest / step) + 1):
        y = at(0, number * step)[1]
        _line(draw, [(box[0], y), (box[2], y)], FAINT, 1)
        _text(draw, (box[0] - 8, y), f"{number * step:,g}", "rm")
    for number in range(int(last / frame_step) + 1):
        x = at(number * frame_step, 0)[0]
        _line(draw, [(x, box[3]), (x, box[3] + 5)], INK, 1)
        _text(draw, (x, box[3] + 16), f"{number * frame_step:,g}", "mm")
    _line(draw, [(box[0], box[3]), (box[2], box[3])], INK, 1)
    _line(draw, [at(f, v) for f, v in zip(frames, values, strict=True)], colour, 2)
    _text(draw, (box[2], top + above / 2), "over frames walked", "rm")


def _ticks(highest: float) -> tuple[float, float]:
    """The end of an axis from 0, and the distance of its four to eight marks."""
    size = 10.0 ** (len(f"{max(highest, 1):.0f}") - 1)
    step = next(s for s in (size / 5, size / 2, size, 2 * size) if highest / s <= 8)
    return -(-highest // step) * step, step


def _line(draw, points, colour, width: int) -> None:
    draw.line([(x * SCALE, y * SCALE) for x, y in points], colour, width * SCALE, joint="curve")


def _text(draw, at, text: str, anchor: str) -> None:
    font = ImageFont.load_default(13 * SCALE)
    draw.text((at[0] * SCALE, at[1] * SCALE), text, INK, font, anchor)
