"""`loadtests gate`: set up, run, judge, report; the exit code is the verdict's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import click

from loadtests.cli.options import (
    SCENARIOS,
    TARGET_SETTINGS,
    config_option,
    micro_option,
    processes_option,
    python_option,
    scenarios_option,
    setting_options,
    users_option,
)
from loadtests.cli.runs.children import Children, children_of
from loadtests.cli.runs.closing import Ended, finish, finish_stored, refuse_flags, show_closing
from loadtests.cli.runs.factories import settled
from loadtests.cli.runs.interim import InterimJudge, InterimVerdict, judge_so_far
from loadtests.cli.runs.interleave import against_config, probe_of, refuse_processes
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.locust_run import POLL_S, LocustRun
from loadtests.cli.screen.gate import Screen
from loadtests.cli.subjects.settling import SubjectProcess
from loadtests.config import Config, load_config
from loadtests.errors import LoadtestsError, UsageError
from loadtests.judge.interim import next_analysis, planned_analyses
from loadtests.judge.stats.distributions import TailProbability
from loadtests.load.child_environment import new_run_id
from loadtests.load.preconditions import check_before_start
from loadtests.measure.results import RunInfo
from loadtests.measure.run_folder import point_latest
from loadtests.microbench.folder import SCENARIO
from loadtests.patterns import selected_backends
from loadtests.targets.endpoints import Endpoints


@click.command()
@config_option
@click.argument("runs", nargs=-1, metavar="[RUN…]", type=click.Path(path_type=Path))
@setting_options(
    "backend",
    "driver",
    "rate",
    "arrivals",
    "warm_up",
    "run_time",
    "max_extension",
    "seed",
    "zipf_exponent",
    *TARGET_SETTINGS,
)
@click.option(
    "--against",
    metavar="FOLDER",
    help="Also compare with the code in FOLDER: the factory that --driver names is called from "
    "there (base) and from here (head), in turns. The limits are head's.",
)
@python_option
@users_option
@processes_option
@micro_option
@setting_options("results")
@scenarios_option
@click.pass_context
def command(
    context: click.Context,
    /,
    runs: tuple[Path, ...],
    against: str | None,
    pythons: tuple[str, ...],
    users: int | None,
    processes: int | None,
    scenarios: tuple[str, ...],
    **flags: object,
) -> int:
    """Set up, run cart and session load on both backends, judge, report.

    With --micro, the micro-benchmarks follow on the same databases, and both are judged. With
    RUN…, judge and report those finished run folders instead. Ends with the verdict's exit code: 0
    PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID (2 is an error); of several runs, the gravest verdict's:
    FAIL, INVALID, INCONCLUSIVE, PASS.
    """
    config = load_config(flags)
    if runs:
        if flags["micro"]:
            raise UsageError(
                "--micro runs benchmarks; RUN… judges what has run.", hint="Leave one of them out."
            )
        refuse_flags(
            context,
            flags,
            against=against,
            pythons=pythons,
            users=users,
            processes=processes,
            scenarios=scenarios,
        )
        return show_closing([finish_stored(path, config) for path in runs])
    subjects: tuple[SubjectProcess, ...] = ()
    if against is not None:
        config, subjects = against_config(against, pythons=pythons, flags=flags)
        _refuse_beside_against(config, processes)
    elif pythons:
        raise UsageError("--python needs --against.", hint="Leave it out.")
    else:
        config = settled(config)
    plan = LoadPlan(
        scenarios=scenarios or SCENARIOS, users=users, processes=processes, subjects=subjects
    )
    children = children_of(context)
    children.check_run(config, plan, micro=config.gate.micro != "off")
    return _gate(config, plan, children)


def _refuse_beside_against(config: Config, processes: int | None) -> None:
    """Raise UsageError for what a gate against a base cannot do."""
    if config.gate.micro != "off":
        raise UsageError(
            "--micro measures the drivers of the harness, and --against your own stores.",
            hint="Leave one of them out.",
        )
    refuse_processes(processes)


def _gate(config: Config, plan: LoadPlan, children: Children) -> int:
    """Run the load, then the micro-benchmarks where the settings ask for them; the exit code.

    What was measured is judged and reported, even if the micro-benchmarks fail or are interrupted
    afterwards.
    """
    check_before_start(config, plan.users)
    backends = selected_backends(config.load.backend)
    broken: LoadtestsError | KeyboardInterrupt | None = None
    micro: Path | None = None
    with (
        Screen() as screen,
        children.open_endpoints(
            config, backends, on_progress=screen.progress, probe=probe_of(config, plan)
        ) as endpoints,
    ):
        run = LocustRun(config, endpoints, plan, screen=screen, children=children)
        with _Extensions(config, run.path, screen, judge_so_far) as extensions:
            load = run.follow(extensions.is_enough)
        if config.gate.micro != "off" and not run.interrupted:
            try:
                micro = _run_micro(config, endpoints, screen, children)
            except (LoadtestsError, KeyboardInterrupt) as error:
                broken = error
    point_latest(load)
    ended: Sequence[Ended] = [finish(load, config, extensions.alpha)]
    if micro:
        ended = [*ended, finish(micro, _own_baseline(config), None)]
    if broken:
        raise broken
    return show_closing(ended)


def _run_micro(config: Config, endpoints: Endpoints, screen: Screen, children: Children) -> Path:
    """The finished run folder of the micro-benchmarks, made on the same databases.

    They follow the load, so that what it measures is the same with them and without.
    """
    screen.notice("Load measured; micro-benchmarks next, on carts and sessions as seeded")
    children.seed_again(config, endpoints, on_progress=screen.progress)
    run_id = new_run_id(SCENARIO)
    path = Path(config.results).absolute() / run_id
    quick = config.gate.micro == "quick"
    with children.micro(config, endpoints, run_id, quick=quick) as micro:
        running = True
        while running:
            children.pause(POLL_S)
            running = micro.running()
            for step in micro.progress():
                screen.progress(step)
        micro.finish(path)
    return path


def _own_baseline(config: Config) -> Config:
    """`gate.baseline` names the load run's; the micro-benchmarks look for one made as they were."""
    if config.gate.baseline == "none":
        return config
    return config.model_copy(update={"gate": config.gate.model_copy(update={"baseline": "auto"})})


class _Extensions:
    """Decides when the run ends: it is extended while it is INCONCLUSIVE and that may help.

    `start` begins an interim analysis of a run folder.
    """

    def __init__(
        self,
        config: Config,
        path: Path,
        screen: Screen,
        start: Callable[[Path, Config, TailProbability], InterimJudge[InterimVerdict]],
    ) -> None:
        self._config = config
        self._path = path
        self._screen = screen
        self._start = start
        self._warm_up_s = config.load.warm_up
        self._analyses = planned_analyses(config.gate, config.load.run_time - self._warm_up_s)
        self._done = 0
        self._next = self._analyses[0]
        self._judge: InterimJudge[InterimVerdict] | None = None
        self._plan()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._judge:
            self._judge.close()

    @property
    def alpha(self) -> TailProbability:
        """The probability of a wrong decision that the last analysis may spend."""
        return self._next.alpha

    def is_enough(self, info: RunInfo) -> bool:
        """Whether the run may end; has it judged whenever the next analysis is due.

        The last analysis is that of the finished run: nothing it could say would extend the run.
        """
        if info.duration_s < self._warm_up_s + self._next.measured_s:
            return False
        if self._done + 1 >= len(self._analyses):
            return True
        if self._judge is None:
            self._judge = self._start(self._path, self._config, self._next.alpha)
        try:
            verdict = self._judge.answer()
        except LoadtestsError as error:
            self._screen.notice(f"{error.message} The run ends without an extension.")
            return True
        if verdict is None:
            return False
        self._judge.close()
        self._judge = None
        self._done += 1
        further = next_analysis(verdict.status, verdict.needed_s, self._analyses, self._done)
        if further is None or not verdict.open:
            return True
        self._screen.notice(f"{verdict.sentence} Extending the run to {further.measured_s:.0f} s.")
        self._next = further
        self._plan()
        return False

    def _plan(self) -> None:
        self._screen.plan(self._warm_up_s + self._next.measured_s, self._warm_up_s)
