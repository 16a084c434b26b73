"""`loadtests capacity`: raise the rate until the promise breaks; report the rate and the cause."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import click

from loadtests.cli.options import (
    TARGET_SETTINGS,
    capacity_scenario_option,
    config_option,
    processes_option,
    setting_options,
    users_option,
)
from loadtests.cli.runs.children import children_of
from loadtests.cli.runs.closing import Ended, finish_stored, refuse_flags, show_closing, show_run
from loadtests.cli.runs.factories import settled
from loadtests.cli.runs.interim import CapacityProgress, InterimJudge, judge_steps_so_far
from loadtests.cli.runs.locust_process import LoadPlan
from loadtests.cli.runs.locust_run import LocustRun
from loadtests.cli.screen.gate import Screen
from loadtests.config import SETTINGS, Config, load_config, value_of
from loadtests.errors import LoadtestsError, ResultsError, UsageError
from loadtests.judge.capacity.answer import capacity_of, measured_in, store_capacity_run
from loadtests.load.preconditions import check_before_start
from loadtests.load.schedule.steps import lead_s, length_s, rates_of
from loadtests.measure.results import RunInfo, read_info, read_run
from loadtests.patterns import selected_backends

_END_TOLERANCE_S: Final = 0.05  # a step counts as over this much before its planned end


@click.command()
@config_option
@click.argument("runs", nargs=-1, metavar="[RUN…]", type=click.Path(path_type=Path))
@setting_options(
    "backend",
    "from",
    "to",
    "growth",
    "step_time",
    "settle",
    "driver",
    "arrivals",
    "warm_up",
    "seed",
    "zipf_exponent",
    *TARGET_SETTINGS,
    "results",
)
@users_option
@processes_option
@capacity_scenario_option
@click.pass_context
def command(
    context: click.Context,
    /,
    runs: tuple[Path, ...],
    scenario: str,
    users: int | None,
    processes: int | None,
    **flags: object,
) -> int:
    """Find the highest rate that keeps the promise, and the bottleneck beyond it.

    The load has the mix of the storefront. Its rate rises in steps, on one database after the
    other. Each step is judged separately: it keeps the promise if its p99 is significantly within
    the limit and the offered load was sustained. A step in which the load generator was the
    bottleneck says so. The run ends after two consecutive steps in which the database was
    overloaded or the generator was the bottleneck. With RUN…, judge and report finished capacity
    runs.

    \b
    Exit codes
      0  the promise holds at some rate
      1  the first step breaks the promise
      2  usage, configuration, target or internal error
      3  no step could be decided; use longer steps (--step-time)
      4  the generator was the bottleneck at the first step, or the run is invalid
    """  # noqa: D301 (click's mark for text kept as it is)
    config = load_config(flags)
    if runs:
        refuse_flags(context, flags, users=users, processes=processes)
        return show_closing([finish_stored(_capacity_run_at(path), config) for path in runs])
    config = settled(config)
    load = config.load.model_copy(update={"rate": config.capacity.to})
    config = config.model_copy(update={"load": load})
    rates_of(config)  # refused before anything is started
    if config.load.subjects:
        raise UsageError(
            "A capacity run calls one subject at a time.",
            hint="Remove `subjects` from loadtests.toml, and unset LOADTESTS_SUBJECTS.",
        )
    backends = selected_backends(load.backend)
    plan = LoadPlan(
        scenarios=(scenario,), users=users, processes=processes, variables=_variables(config)
    )
    check_before_start(config, users)
    children = children_of(context)
    for backend in backends:
        children.check_run(_alone(config, backend), plan)
    paths: list[Path] = []
    with (
        Screen() as screen,
        children.open_endpoints(config, backends, on_progress=screen.progress) as endpoints,
    ):
        for backend in backends:
            alone = _alone(config, backend)
            run = LocustRun(alone, endpoints, plan, screen=screen, children=children)
            with _Steps(alone, run.path, screen) as steps:
                paths.append(run.follow(steps.is_enough))
            if run.interrupted:
                break
    return _close(paths, config)


def _alone(config: Config, backend: str) -> Config:
    """The settings of one backend's run, which lasts as long as its steps."""
    load = {"backend": backend, "run_time": float(length_s(config, [backend]))}
    return config.model_copy(update={"load": config.load.model_copy(update=load)})


def _variables(config: Config) -> dict[str, str]:
    """The steps, as variables: a scenario without steps has no such flags."""
    names = ("from", "growth", "step_time", "settle")
    settings = [SETTINGS[name] for name in names]
    return {setting.variable: str(value_of(config, setting)) for setting in settings}


class _Steps:
    """Decides when the run ends: after its last step, or when further steps would tell nothing."""

    def __init__(self, config: Config, path: Path, screen: Screen) -> None:
        self._config = config
        self._path = path
        self._screen = screen
        self._judged = 0
        self._judge: InterimJudge[CapacityProgress] | None = None
        self._asked = 0
        steps = len(rates_of(config))
        screen.notice(f"Capacity run on {config.load.backend}, {steps} steps at most")
        screen.plan(config.load.run_time, lead_s(config))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._judge:
            self._judge.close()

    def is_enough(self, info: RunInfo) -> bool:
        """Whether the run may end; has it judged whenever a step has ended."""
        if info.duration_s and not info.steps:
            raise UsageError(
                f"The scenario {info.scenario} has no steps.",
                hint="Put CapacityRamp before its user class, as scenarios/capacity.py does.",
            )
        ended = sum(info.duration_s + _END_TOLERANCE_S >= step.end_s for step in info.steps)
        if info.steps and ended >= len(info.steps):
            return True
        if self._judge is None:
            if ended == self._asked:
                return False
            self._asked = ended
            self._judge = judge_steps_so_far(self._path, self._config)
        try:
            progress = self._judge.answer()
        except LoadtestsError as error:
            # the run goes on: the step is judged with the next one, or at the end
            self._screen.notice(error.message)
            progress = CapacityProgress([], over=False)
        if progress is None:
            return False
        self._judge.close()
        self._judge = None
        for sentence in progress.sentences[self._judged :]:
            self._screen.notice(sentence)
        self._judged = max(self._judged, len(progress.sentences))
        return progress.over


def _close(paths: Sequence[Path], config: Config) -> int:
    """Judge all, show each run the others' steps beside its own, report; the exit code."""
    capacity_runs = [
        capacity_of(read_run(path), config.slo, config.gate.confidence) for path in paths
    ]
    ended: list[Ended] = []
    for path in paths:
        others = [
            measured_in(capacity_run, other.name)
            for other, capacity_run in zip(paths, capacity_runs, strict=True)
            if other != path
        ]
        run, verdict = store_capacity_run(
            read_run(path), config.slo, config.gate.confidence, others, config.limits_from
        )
        ended.append(show_run(run, verdict))
    return show_closing(ended)


def _capacity_run_at(path: Path) -> Path:
    if not read_info(path).steps:
        raise ResultsError(
            f"{path} is no capacity run: its run.json has no steps.",
            hint="`loadtests gate RUN` judges other runs.",
        )
    return path
