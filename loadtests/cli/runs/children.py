"""What a verb starts for a run: databases, Locust, micro-benchmarks, and the pauses in between.

The verbs take it from click's context object, so that a test can hand in children of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import click

from loadtests.cli.runs.locust_process import LoadPlan, start_locust
from loadtests.cli.runs.micro_process import MicroProcess
from loadtests.cli.runs.preflight import check_run
from loadtests.config import Config
from loadtests.load.subjects import probe_subjects
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import OnProgress, Progress
from loadtests.targets.supervisor.client import open_endpoints, seed_again


class LoadChild(Protocol):
    """A Locust process that makes load until `finish`."""

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""

    def running(self) -> bool:
        """Whether it has not ended."""

    def finish(self) -> None:
        """End the run and wait for its folder."""

    def end_of_output(self) -> str:
        """The last lines that it wrote."""


class MicroChild(Protocol):
    """Micro-benchmarks that run to their end."""

    def __enter__(self) -> Self:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End them."""

    def running(self) -> bool:
        """Whether they have not ended."""

    def progress(self) -> Iterator[Progress]:
        """The steps since the last call."""

    def finish(self, path: Path) -> None:
        """Wait for the run folder at `path`."""


class CheckRun(Protocol):
    """Finds before a run what would end it in an error."""

    def __call__(self, config: Config, plan: LoadPlan, /, *, micro: bool = False) -> None:
        """Raise LoadtestsError."""


class OpenEndpoints(Protocol):
    """Starts or reaches the databases."""

    def __call__(
        self,
        config: Config,
        backends: tuple[str, ...],
        /,
        *,
        on_progress: OnProgress,
        probe: Callable[[Endpoints], None] | None = None,
    ) -> AbstractContextManager[Endpoints]:
        """The databases, for as long as the context lasts; `probe` calls them before seeding."""


class SeedAgain(Protocol):
    """Brings carts and sessions back to what they were."""

    def __call__(
        self, config: Config, endpoints: Endpoints, /, *, on_progress: OnProgress
    ) -> object:
        """Seed once more."""


class StartMicro(Protocol):
    """Starts the micro-benchmarks."""

    def __call__(
        self, config: Config, endpoints: Endpoints, run_id: str, *, quick: bool
    ) -> MicroChild:
        """The benchmarks, running."""


def open_probed(
    config: Config,
    backends: tuple[str, ...],
    /,
    *,
    on_progress: OnProgress,
    probe: Callable[[Endpoints], None] | None = None,
) -> AbstractContextManager[Endpoints]:
    """Start or reach the databases; every store that the load will use is called before seeding.

    By `probe`, where the stores are of other processes.
    """
    return open_endpoints(
        config, backends, on_progress=on_progress, probe=probe or partial(probe_subjects, config)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Children:
    """What a verb starts."""

    check_run: CheckRun = check_run
    open_endpoints: OpenEndpoints = open_probed
    seed_again: SeedAgain = seed_again
    load: Callable[[Config, Endpoints, LoadPlan, str], LoadChild] = start_locust
    micro: StartMicro = MicroProcess
    pause: Callable[[float], None] = time.sleep


def children_of(context: click.Context) -> Children:
    """The children that the caller of the command line handed in, or the real ones."""
    return context.obj if isinstance(context.obj, Children) else Children()
