"""What the gate shows while it works: phases, a progress bar, running figures, warnings.

In a terminal the picture is redrawn; elsewhere it is plain lines, one every ten seconds.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from loadtests.cli.screen.console import is_redrawn, open_console, print_whole
from loadtests.measure.results import RunInfo, SeriesInfo
from loadtests.targets.progress import Progress as Step

_PLAIN_EVERY_S: Final = 10.0


class Screen:
    """Shows phases and running figures until it is closed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or open_console()
        self._redrawn = is_redrawn(self._console.file)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
        )
        self._steps: dict[str, TaskID] = {}
        self._table: RenderableType = Text("")
        self._live: Live | None = None
        self._run_step: TaskID | None = None
        self._planned_s = self._warm_up_s = 0.0
        self._shown_s = -_PLAIN_EVERY_S
        self._step_shown_s = 0.0
        self._warned: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.update(Group(self._bars))
            self._live.stop()
            self._live = None

    def print(self, what: RenderableType) -> None:
        """Print above whatever is live."""
        print_whole(self._console, what)

    def notice(self, text: str) -> None:
        """A line of its own."""
        self._console.print(Text(text), highlight=False, crop=False)

    def progress(self, step: Step) -> None:
        """A set-up step moved on (an `OnProgress`)."""
        if step.total == 0:
            self.notice(step.step)
            return
        if step.step not in self._steps:
            self._steps[step.step] = self._bars.add_task(step.step, total=step.total)
            self._step_shown_s = time.monotonic()
            if not self._redrawn:
                self.notice(step.step)
        self._show_plain_line(step)
        self._bars.update(self._steps[step.step], completed=step.done, total=step.total)
        self._draw()

    def _show_plain_line(self, step: Step) -> None:
        """Where nothing is redrawn, a long step says how far it is every ten seconds."""
        now = time.monotonic()
        if self._redrawn or not step.total or now - self._step_shown_s < _PLAIN_EVERY_S:
            return
        self._step_shown_s = now
        self.notice(f"{step.step} {step.done / step.total:.0%}")

    def plan(self, planned_s: float, warm_up_s: float) -> None:
        """The run begins; it will take that long."""
        self._planned_s, self._warm_up_s = planned_s, warm_up_s
        if self._run_step is None:
            self._run_step = self._bars.add_task("Starting Locust", total=planned_s)
        self._bars.update(self._run_step, total=planned_s)
        self._draw()

    def show(self, info: RunInfo) -> None:
        """The run's figures so far."""
        warming = info.duration_s < self._warm_up_s
        phase = "Warming up" if warming else "Measuring"
        if self._run_step is not None:
            self._bars.update(self._run_step, description=phase, completed=info.duration_s)
        for signal in info.health.signals:
            if not signal.ok and signal.name not in self._warned:
                self._warned.add(signal.name)
                self._console.print(Text(f"Warning: {signal.text}", style="yellow"))
        if self._redrawn:
            self._table = _figures(info)
            self._draw()
        elif info.duration_s - self._shown_s >= _PLAIN_EVERY_S:
            self._shown_s = info.duration_s
            self.notice(f"{phase} {info.duration_s:.0f}/{self._planned_s:.0f} s  {_in_short(info)}")

    def _draw(self) -> None:
        if not self._redrawn:
            return
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=8)
            self._live.start()
        self._live.update(Group(self._bars, self._table))


def _figures(info: RunInfo) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("access pattern")
    for name in ("backend", "calls", "p50 ms", "p99 ms", "errors"):
        table.add_column(name, justify="left" if name == "backend" else "right")
    for series in sorted(info.series, key=lambda s: (s.pattern, s.backend, s.driver)):
        times = series.response_time_ms
        table.add_row(
            series.pattern,
            _called(series, info),
            f"{series.count:,}",
            f"{times.p50:.2f}" if times else "–",
            f"{times.p99:.2f}" if times else "–",
            str(sum(series.errors.values()) or ""),
        )
    return table


def _in_short(info: RunInfo) -> str:
    parts = []
    measured = [s for s in info.series if s.response_time_ms]
    for called in sorted({_called(series, info) for series in measured}):
        mine = [s for s in measured if _called(s, info) == called]
        slowest = max(mine, key=lambda s: s.response_time_ms.p99 if s.response_time_ms else 0.0)
        assert slowest.response_time_ms
        calls = sum(s.count for s in mine)
        parts.append(
            f"{called}: {calls:,} calls, highest p99 {slowest.response_time_ms.p99:.2f} ms"
            f" ({slowest.pattern})"
        )
    return "; ".join(parts)


def _called(series: SeriesInfo, info: RunInfo) -> str:
    """The backend, with its driver where it is called through several."""
    drivers = {other.driver for other in info.series if other.backend == series.backend}
    return f"{series.backend}/{series.driver}" if len(drivers) > 1 else series.backend
