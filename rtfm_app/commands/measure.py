"""`rtfm eval` and `rtfm bench`: quality and speed, printed and as JSON."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command("eval")(eval_command)
    app.command("bench")(bench_command)


def eval_command(
    quick: bool = typer.Option(False, help="About a minute on two cores."),
    only: str | None = typer.Option(
        None, help="Comma list of office, covered, single, novel, revisit; or persistence."
    ),
    json: Path | None = typer.Option(None, help="Write the result here; - prints it."),
    weights: Path | None = typer.Option(None, help="Other weights than those shipped."),
    sheets: Path | None = typer.Option(None, help="A folder for contact sheets and plots."),
    frames: int = typer.Option(2000, help="Length of the walk of --only persistence."),
    work: Path | None = typer.Option(
        None, help="A folder that keeps the walk of --only persistence: run again, it goes on."
    ),
    device: str = typer.Option("auto", help="auto, cpu, cuda, mps."),
) -> None:
    """Measure quality on held-out places and a held-out walk."""
    from ..training.evaluate import run_eval

    console = Console(stderr=True)
    with console.status("evaluating") as status:
        result = run_eval(
            quick, only, json, weights=weights, device=device, sheets=sheets, frames=frames,
            work=work, say=lambda text: _show(console, status, f"evaluating: {text}"),
        )  # fmt: skip
    if str(json) != "-":
        print_numbers(result)


def _show(console: Console, status, text: str) -> None:
    """In a terminal in place, else line by line."""
    if console.is_terminal:
        status.update(text)
    else:
        console.print(text, highlight=False)


def bench_command(
    quick: bool = typer.Option(False, help="About a minute on two cores."),
    json: Path | None = typer.Option(None, help="Write the result here; - prints it."),
    compare: tuple[Path, Path] | None = typer.Option(
        None, help="Two results A.json B.json: print how many times larger B's numbers are."
    ),
    threads: int | None = typer.Option(None, help="Threads of the model (default: all cores)."),
    device: str = typer.Option("auto", help="auto, cpu, cuda, mps."),
    window: bool = typer.Option(True, help="Also run the program under a headless window."),
    plot: Path | None = typer.Option(None, help="A PNG of the cost over the size of the world."),
    preset: str | None = typer.Option(None, help="With --dry-run: embedded, small, base, large."),
    dry_run: bool = typer.Option(False, help="Predict the preset's speed on an H100."),
) -> None:
    """Measure speed: model, retrieval, the whole engine, the whole program."""
    if dry_run != (preset is not None):
        raise ValueError("--preset NAME and --dry-run belong together: nothing else is predicted")
    if preset is not None:
        from ..bench_roofline import roofline
        from ..training.evaluate import write_result

        result = roofline(preset)
        write_result(result, json)
        if str(json) != "-":
            print_numbers(result)
        return
    from ..bench import run_bench

    console = Console(stderr=True)
    with console.status("measuring") as status:
        result = run_bench(
            quick, json, compare, threads=threads, device=device, window=window, plot=plot,
            say=lambda text: status.update(f"measuring: {text}"),
        )  # fmt: skip
    if str(json) != "-":
        print_numbers(result)


def print_numbers(result: dict) -> None:
    """A table of the plain numbers, then what they were measured on."""
    table = Table(box=None, show_header=False)
    for name, value in result.items():
        if isinstance(value, int | float) and "/" not in name:
            table.add_row(name, f"{value:,.3f}")
    console = Console()
    console.print(table)
    for name in ("machine", "model"):
        if name in result:
            facts = ", ".join(f"{key} {value}" for key, value in result[name].items())
            console.print(f"{name}: {facts}", highlight=False)
