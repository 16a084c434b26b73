"""Long steps in the terminal: a bar each where there is one, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from loadtests.targets.progress import OnProgress, Progress


@contextmanager
def show_steps() -> Iterator[OnProgress]:
    """Give a callable that shows progress on standard error until the block ends."""
    if sys.stderr.isatty():
        with _bars() as bars:
            yield _BarSteps(bars)
    else:
        yield _LineSteps()


def _bars() -> Bars:
    return Bars(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


class _BarSteps:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.total == 0:
            self._bars.console.print(progress.step)
            return
        if progress.step not in self._tasks:
            self._tasks[progress.step] = self._bars.add_task(progress.step, total=None)
        self._bars.update(self._tasks[progress.step], completed=progress.done, total=progress.total)


class _LineSteps:
    """One line when a step begins and one when it is over."""

    def __init__(self) -> None:
        self._begun: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        if progress.total == 0:
            click.echo(progress.step, err=True)
            return
        if progress.step not in self._begun:
            self._begun[progress.step] = time.monotonic()
            click.echo(f"{progress.step} …", err=True)
        if progress.done == progress.total:
            took_s = time.monotonic() - self._begun[progress.step]
            counted = f" {progress.total:,}" if (progress.total or 0) > 1 else ""
            click.echo(f"{progress.step}:{counted} done in {took_s:.1f} s", err=True)
