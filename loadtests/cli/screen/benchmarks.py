"""What `pytest --benchmark` shows: set-up, progress, figures, the table, the verdict.

pytest captures what tests print, so all of it is shown with its capture lifted. Progress is drawn
between turns of calls and never from a thread of its own, which would run within them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from rich.console import RenderableType

from loadtests.cli.screen.console import open_console, print_whole
from loadtests.cli.screen.progress import show_benchmark_progress
from loadtests.config import load_config
from loadtests.measure.results import ResultRow
from loadtests.measure.run_folder import shown_path
from loadtests.microbench.progress_pipe import open_progress_pipe
from loadtests.microbench.rows import row_of_times
from loadtests.microbench.session import BenchmarkSession, MeasuredCase, conclude
from loadtests.microbench.suites.cases import Spec
from loadtests.microbench.suites.plans import FULL, ONCE, QUICK
from loadtests.microbench.tables import details as figures
from loadtests.microbench.tables import summary
from loadtests.targets.progress import OnProgress, Progress


class BenchmarkScreen:
    """A session of benchmarks as the terminal sees it.

    `once` makes each call a single time; `at_least` asks for more rounds than a part's plan has;
    without `judged` the run folder is left as it was measured.
    """

    def __init__(
        self,
        specs: Sequence[Spec],
        *,
        quick: bool,
        once: bool,
        at_least: int,
        judged: bool,
        capture: Any,
    ) -> None:
        self._relay = open_progress_pipe(os.environ)
        self._config = load_config()
        self._judged = judged
        self._capture = capture
        self._once = once
        self._scratch = TemporaryDirectory() if once else None
        self._others: list[ResultRow] = []
        plans = (QUICK if quick else FULL).with_at_least(at_least)
        if self._scratch is not None:  # nothing of it is a result
            plans = ONCE
            self._config = self._config.model_copy(update={"results": self._scratch.name})
        self._on_progress: OnProgress = lambda _: None
        self._session = BenchmarkSession(self._config, specs, plans, on_progress=self._tell)

    @property
    def has_measured(self) -> bool:
        """Whether any benchmark was called."""
        return bool(self._session.rows)

    @property
    def path(self) -> Path | None:
        """The run folder, once there is one that counts."""
        return None if self._once else self._session.path

    def open(self) -> None:
        """Start or reach the databases, once. Raises LoadtestsError."""
        if not self._session.is_open:
            with self._shown_progress():
                self._session.open()

    def measure(self, spec: Spec) -> MeasuredCase:
        """The benchmark's rounds. Raises LoadtestsError."""
        if self._session.has(spec):
            return self._session.measure(spec)
        with self._shown_progress():
            return self._session.measure(spec)

    @contextmanager
    def _shown_progress(self) -> Iterator[None]:
        with self._uncaptured():
            click.echo("", err=True)
            with show_benchmark_progress(self._relay) as self._on_progress:
                yield

    def call_once(self, spec: Spec) -> None:
        """Make one more call, for a profiler."""
        self._session.call_once(spec)

    def add_other(
        self, group: str, name: str, rounds_s: Sequence[float], limit_ms: float | None
    ) -> None:
        """Take in a benchmark that pytest-benchmark made by itself; `limit_ms` is its p50's."""
        words = name.removeprefix("test_").replace("_", " ")
        self._others.append(row_of_times(group, words, rounds_s, limit_ms))

    def finish(self, state: str) -> None:
        """Close everything. `state` is `complete` or `interrupted`."""
        self._session.finish(state, self._others)
        if self._scratch is not None:
            self._scratch.cleanup()

    def show(self, *, details: bool) -> None:
        """Judge, write the reports, show the tables. Raises LoadtestsError."""
        with self._uncaptured():
            print_whole(open_console(), *self._shown(details=details))

    def _shown(self, *, details: bool) -> Iterator[RenderableType]:
        if not self.has_measured and self._session.state != "interrupted":
            yield "Nothing was measured, so nothing is judged."
            return
        if details:
            yield from figures([*self._session.rows, *self._others])
        if self._once or self.path is None:
            yield "Each benchmark was called once; nothing was measured or judged."
            return
        if self._session.state == "interrupted":
            yield f"Interrupted and not judged; what was measured is in {shown_path(self.path)}"
            return
        if not self._judged:
            yield f"Measured and not judged: {shown_path(self.path / 'run.json')}"
            return
        run = conclude(self.path, self._config)
        if run is None:
            yield f"No access pattern was measured, so nothing is judged: {shown_path(self.path)}"
            return
        yield from summary(run)
        yield f"Report: {shown_path(self.path / 'report.html')}"

    def _tell(self, step: Progress) -> None:
        self._on_progress(step)

    @contextmanager
    def _uncaptured(self) -> Iterator[None]:
        with self._capture.global_and_fixture_disabled() if self._capture else nullcontext():
            yield
