"""Progress in the terminal: a bar for each step, or plain lines where standard error is a file."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from loadtests.cli.screen.console import is_redrawn, open_console
from loadtests.targets.progress import OnProgress, Progress

_EVERY_S: Final = 0.25
_PLAIN_EVERY_S: Final = 10.0


@contextmanager
def show_steps() -> Iterator[OnProgress]:
    """Give a callable that shows progress on standard error until the block ends."""
    if is_redrawn(sys.stderr):
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
        console=open_console(stderr=True),
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


@contextmanager
def show_benchmark_progress(relay: OnProgress | None) -> Iterator[OnProgress]:
    """Set-up steps as anywhere; measuring as a bar, or as a line every ten seconds.

    Where a gate has started this it gets all of it instead, and shows it.
    """
    if relay:
        yield relay
        return
    with show_steps() as on_step, _measuring_bars() as bars:
        measuring = _BarMeasuring(bars) if bars else _LineMeasuring()

        def show(step: Progress) -> None:
            (measuring if step.step.startswith(("Measuring", "Warming")) else on_step)(step)

        yield show


@contextmanager
def _measuring_bars() -> Iterator[Bars | None]:
    if not is_redrawn(sys.stderr):
        yield None
        return
    with Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=open_console(stderr=True),
        auto_refresh=False,
    ) as bars:
        yield bars


class _BarMeasuring:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._drawn_s = 0.0

    def __call__(self, step: Progress) -> None:
        if step.step not in self._tasks:
            self._tasks[step.step] = self._bars.add_task(step.step, total=step.total)
        now = time.monotonic()
        if now - self._drawn_s > _EVERY_S or step.done == step.total:
            self._drawn_s = now
            self._bars.update(self._tasks[step.step], completed=step.done, refresh=True)


class _LineMeasuring:
    def __init__(self) -> None:
        self._begun_s = self._shown_s = time.monotonic()

    def __call__(self, step: Progress) -> None:
        now = time.monotonic()
        total = step.total or 1
        if step.done == total:
            took_s = now - self._begun_s
            click.echo(f"{step.step}: {total:,} calls in {took_s:.0f} s", err=True)
        elif now - self._shown_s > _PLAIN_EVERY_S:
            self._shown_s = now
            click.echo(f"{step.step}: {step.done / total:.0%}", err=True)
