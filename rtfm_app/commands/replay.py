"""`rtfm replay`: the journal of a world, walked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import typer

from ..film import FilmWriter
from ..memory.world_file import WorldFile
from ..render import write_png
from ..replay import Drawn, Report, read_journal
from ..replay import replay as replay_world
from ..worlds_folder import resolve_world
from .progress import progress_bar

LONGEST_PAUSE_S = 1.0


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("replay")(replay)


def replay(
    world: str = typer.Argument(..., help="A world's name, or its file. It is only read."),
    deterministic: bool = typer.Option(False, help="The same frames bit for bit each time."),
    out: Path | None = typer.Option(None, help="A folder for 000001.png …, or FILE.mp4."),
    first: int = typer.Option(1, "--from", help="The first step to replay."),
    last: int | None = typer.Option(None, "--to", help="The last step to replay."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, mps."),
    json_file: str | None = typer.Option(None, "--json", help="Write numbers to FILE, or - ."),
) -> None:
    """Play back every step that was walked in a world, and compare with what it remembered."""
    path = resolve_world(world)
    film = out is not None and out.suffix.lower() == ".mp4"
    if out is not None and not film and out.suffix and not out.is_dir():
        raise ValueError(f"--out must be a folder or end in .mp4, got {out}")
    with WorldFile.open(path, read_only=True) as opened:
        entries = read_journal(opened, first, last)
    threads = next((e.payload["threads"] for e in entries if "threads" in e.payload), None)
    steps = sum(entry.kind == "step" for entry in entries)
    writer = None if out is None else _Film(out) if film else _Pictures(out)
    try:
        with progress_bar("steps", steps) as advance:
            report = replay_world(
                path,
                _engine_factory(device, deterministic, threads),
                first=first,
                last=last,
                on_frame=_both(advance, writer),
            )
    finally:
        if writer is not None:
            writer.close()
    _show(report, json_file)


def _engine_factory(device: str, deterministic: bool, threads: int | None) -> Callable:
    """Opens engines that share one model."""
    from ..engine import FrameEngine  # loads torch

    opened: list[FrameEngine] = []

    def open_engine(world: WorldFile) -> FrameEngine:
        if opened:
            one = opened[0]
            return FrameEngine(world, one.model, one.weights_path, one.device)
        opened.append(
            FrameEngine.open(world, device=device, deterministic=deterministic, threads=threads)
        )
        return opened[0]

    return open_engine


def _both(advance: Callable, writer) -> Callable[[Drawn], None]:
    def on_frame(drawn: Drawn) -> None:
        advance()
        if writer is not None:
            writer.add(drawn)

    return on_frame


class _Pictures:
    """One PNG a step, named by its number."""

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, drawn: Drawn) -> None:
        write_png(self._folder / f"{drawn.number:06d}.png", drawn.frame.image)

    def close(self) -> None:
        """Every picture is written already."""


class _Film:
    """An MP4 in the time of the walk, pauses shortened."""

    def __init__(self, path: Path):
        self._writer = FilmWriter(path)
        self._last = self._at = 0.0

    def add(self, drawn: Drawn) -> None:
        if self._last:
            self._at += min(max(drawn.time - self._last, 0.0), LONGEST_PAUSE_S)
        self._last = drawn.time
        self._writer.add(drawn.frame.image, self._at)

    def close(self) -> None:
        self._writer.close()


def _show(report: Report, json_file: str | None) -> None:
    rate = report.steps / max(report.seconds, 1e-9)
    facts = {
        "steps": report.steps,
        "seconds": round(report.seconds, 3),
        "steps_per_second": round(rate, 2),
        "committed": len(report.committed),
        "identical": report.identical,
        "made": report.made,
        "frames_sha256": report.sha256,
        "remarks": report.remarks,
    }
    if json_file is not None:
        text = json.dumps(facts, indent=2)
        if json_file == "-":
            print(text)
            return
        Path(json_file).write_text(text + "\n", encoding="utf-8")
    print(f"{report.steps} step{'s' * (report.steps != 1)} drawn, {rate:.1f} a second")
    print(
        f"{report.made} frames committed; of the {len(report.committed)} committed in the walk "
        f"{report.identical} came out identical, bit for bit"
    )
    print(f"pixels of all steps: sha256 {report.sha256}")
    for remark in report.remarks:
        print(f"note: {remark}")
