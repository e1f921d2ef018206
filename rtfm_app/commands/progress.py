"""Progress bars on standard error that are only drawn for a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """Yields `advance(done=None)`: one step further, or to `done` steps in all."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=total < 2 or not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)

        def advance(done: int | None = None) -> None:
            if done is None:
                bar.advance(task)
            else:
                bar.update(task, completed=done)

        yield advance


@contextmanager
def report_bar() -> Iterator[Callable[[str, float | None], None]]:
    """Yields `report(text, share)`: what is being done, and how much of it (None = unknown)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = None

        def report(text: str, share: float | None) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task(text, total=None)
            bar.update(task, description=text, total=share and 1.0, completed=share or 0.0)

        yield report
