"""`loadtests gate`: set up, run, judge, report; the exit code is the verdict's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from loadtests.cli.options import (
    SCENARIOS,
    TARGET_SETTINGS,
    micro_option,
    processes_option,
    scenarios_option,
    setting_options,
    users_option,
)
from loadtests.cli.runs.closing import Ended, finish, show_closing
from loadtests.cli.runs.interim import look_at
from loadtests.cli.runs.locust_process import LocustProcess
from loadtests.cli.runs.micro_process import MicroProcess, refuse_without_benchmarks
from loadtests.cli.screen.gate import Screen
from loadtests.config import Config, load_config
from loadtests.errors import ConfigError, LoadtestsError, ResultsError, UsageError
from loadtests.judge.interim import next_analysis, planned_analyses
from loadtests.judge.stats.distributions import TailProbability
from loadtests.load.child_environment import new_run_id
from loadtests.measure.results import read_info
from loadtests.measure.run_folder import point_latest
from loadtests.microbench.folder import SCENARIO
from loadtests.patterns import selected_backends
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.client import open_endpoints, seed_again

_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What Locust is told beyond the configuration; None leaves it to the harness."""

    scenarios: tuple[str, ...]
    users: int | None
    processes: int | None


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN…]", type=click.Path(path_type=Path))
@setting_options(
    "backend", "driver", "rate", "arrivals", "warm_up", "run_time", "seed", *TARGET_SETTINGS
)
@users_option
@processes_option
@micro_option
@setting_options("results")
@scenarios_option
def command(
    runs: tuple[Path, ...],
    users: int | None,
    processes: int | None,
    scenarios: tuple[str, ...],
    **flags: Any,
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
            raise UsageError("--micro runs benchmarks; RUN… judges what has run.",
                             hint="Leave one of them out.")  # fmt: skip
        return show_closing([finish(path, config, None) for path in runs])
    if config.load.run_time <= config.load.warm_up:
        raise ConfigError(
            "The configuration",
            [f"run_time ({config.load.run_time:g} s) is not longer than warm_up."],
        )
    if config.gate.micro != "off":
        refuse_without_benchmarks()
    return _gate(config, LoadPlan(scenarios or SCENARIOS, users, processes))


def _gate(config: Config, plan: LoadPlan) -> int:
    """Run all that is asked for, one after the other, then judge it; the exit code.

    What was measured is judged and reported also where the micro-benchmarks then break down.
    """
    backends = selected_backends(config.load.backend)
    broken: LoadtestsError | None = None
    micro: Path | None = None
    with (
        Screen() as screen,
        open_endpoints(config, backends, on_progress=screen.progress) as endpoints,
    ):
        load, alpha = _run_load(config, endpoints, plan, screen)
        if config.gate.micro != "off":
            try:
                micro = _run_micro(config, endpoints, screen)
            except LoadtestsError as error:
                broken = error
    point_latest(load)
    ended: Sequence[Ended] = [finish(load, config, alpha)]
    if micro:
        ended = [*ended, finish(micro, _own_baseline(config), None)]
    if broken:
        raise broken
    return show_closing(ended)


def _run_load(
    config: Config, endpoints: Endpoints, plan: LoadPlan, screen: Screen
) -> tuple[Path, TailProbability]:
    """The finished run folder, and the error probability that its last analysis may spend."""
    run_id = new_run_id("+".join(Path(file).stem for file in plan.scenarios))
    path = Path(config.results).absolute() / run_id
    with LocustProcess(
        config, endpoints, plan.scenarios, run_id, plan.users, plan.processes
    ) as locust:
        alpha = _watch(config, path, locust, screen)
        screen.notice("Ending the run")
        locust.finish()
    if not (path / "run.json").exists():
        raise ResultsError(f"Locust wrote no run folder at {path}.", hint=locust.last_words())
    return path, alpha


def _run_micro(config: Config, endpoints: Endpoints, screen: Screen) -> Path:
    """The finished run folder of the micro-benchmarks, made on the same databases.

    They follow the load, so that what it measures is the same with them and without.
    """
    screen.notice("Load measured; micro-benchmarks next, on carts and sessions as seeded")
    seed_again(config, endpoints, on_progress=screen.progress)
    run_id = new_run_id(SCENARIO)
    path = Path(config.results).absolute() / run_id
    with MicroProcess(config, endpoints, run_id, quick=config.gate.micro == "quick") as micro:
        running = True
        while running:
            screen.wait(_POLL_S)
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


def _watch(config: Config, path: Path, locust: LocustProcess, screen: Screen) -> TailProbability:
    """Follow the run to its end, extending it while it is inconclusive and that may help."""
    warm_up_s = config.load.warm_up
    analyses = planned_analyses(config.gate, config.load.run_time - warm_up_s)
    done, analysis = 0, analyses[0]
    screen.plan(warm_up_s + analysis.measured_s, warm_up_s)
    while locust.running():
        screen.wait(_POLL_S)
        if not (path / "run.json").exists():
            continue
        info = read_info(path)
        screen.show(info)
        if info.duration_s < warm_up_s + analysis.measured_s:
            continue
        status, needed_s, sentence = look_at(path, config, analysis.alpha)
        done += 1
        following = next_analysis(status, needed_s, analyses, done)
        if following is None:
            break
        screen.notice(f"{sentence} Extending the run to {following.measured_s:.0f} s.")
        analysis = following
        screen.plan(warm_up_s + analysis.measured_s, warm_up_s)
    return analysis.alpha
