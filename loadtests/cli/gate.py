"""`loadtests gate`: set up, run, judge, report; the exit code is the verdict's."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from loadtests.cli.locust_process import LocustProcess
from loadtests.cli.look import judge, look_at
from loadtests.cli.screen import Screen
from loadtests.config import Config, load_config
from loadtests.errors import ConfigError, ResultsError
from loadtests.judge.extension import next_look, planned_looks
from loadtests.judge.judging import store_verdict
from loadtests.measure.results import read_info, read_run
from loadtests.patterns import BACKENDS
from loadtests.report.build import build_reports
from loadtests.report.terminal import terminal_table
from loadtests.targets.lifetime import open_endpoints

SCENARIOS: Final = ("scenarios/cart.py", "scenarios/session.py")
_POLL_S: Final = 0.25


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN…]", type=click.Path(path_type=Path))
@click.option("--backend", type=click.Choice(["both", *BACKENDS]), help="Which databases run.")
@click.option("--driver", type=click.Choice(["wire", "boto3"]), help="How DynamoDB is called.")
@click.option("--rate", type=float, help="Arrivals per second on each backend.")
@click.option("--arrivals", type=click.Choice(["poisson", "constant"]), help="Arrival process.")
@click.option("--warm-up", type=float, help="Seconds at the start that are not judged.")
@click.option("--run-time", type=float, help="Seconds in all, warm-up included.")
@click.option("--seed", type=int, help="For data, keys and arrivals.")
@click.option("--users", type=int, help="Most calls at once, over all lanes.")
@click.option("--processes", type=int, help="Load processes; more than one makes a cluster.")
@click.option("--dynamodb-endpoint", metavar="embedded|aws|URL", help="Where DynamoDB is.")
@click.option("--postgres-dsn", metavar="embedded|DSN", help="Where PostgreSQL is.")
@click.option("--region", help="AWS region.")
@click.option("--allow-remote", is_flag=True, default=None, help="Permit targets elsewhere.")
@click.option("--results", metavar="DIR", help="Where run folders go.")
@click.option("--scenario", "scenarios", multiple=True, metavar="FILE",
              help="Locust file to run; may be repeated. Default: cart and session.")  # fmt: skip
def command(
    runs: tuple[Path, ...],
    users: int | None,
    processes: int | None,
    scenarios: tuple[str, ...],
    **flags: Any,
) -> int:
    """Set up, run cart and session load on both backends, judge, report.

    With RUN…, judge and report those finished run folders instead. Ends with the verdict's exit
    code: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID (2 is an error).
    """
    config = load_config(flags)
    if runs:
        return max(finish(path, config, None) for path in runs)
    if config.load.run_time <= config.load.warm_up:
        raise ConfigError(
            "The configuration",
            [f"run_time ({config.load.run_time:g} s) is not longer than warm_up."],
        )
    path, level = _drive(config, scenarios or SCENARIOS, users, processes)
    return finish(path, config, level)


def _drive(
    config: Config, scenarios: tuple[str, ...], users: int | None, processes: int | None
) -> tuple[Path, float]:
    """Start the databases, run Locust on them, take them down.

    Gives the finished run folder and the level its last look may spend.
    """
    names = "+".join(Path(file).stem for file in scenarios)
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{names}-{uuid.uuid4().hex[:6]}"
    path = Path(config.results).absolute() / run_id
    backends = BACKENDS if config.load.backend == "both" else (config.load.backend,)
    with (
        Screen() as screen,
        open_endpoints(config, backends, on_progress=screen.progress) as endpoints,
        LocustProcess(config, endpoints, scenarios, run_id, users, processes) as locust,
    ):
        level = _watch(config, path, locust, screen)
        screen.notice("Ending the run")
        locust.finish()
    if not (path / "run.json").exists():
        raise ResultsError(f"Locust wrote no run folder at {path}.", hint=locust.last_words())
    return path, level


def _watch(config: Config, path: Path, locust: LocustProcess, screen: Screen) -> float:
    """Follow the run to its end, extending it while it is inconclusive and that may help."""
    warm_up_s = config.load.warm_up
    looks = planned_looks(config.gate, config.load.run_time - warm_up_s)
    seen, look = 0, looks[0]
    screen.plan(warm_up_s + look.measured_s, warm_up_s)
    while locust.running():
        screen.wait(_POLL_S)
        if not (path / "run.json").exists():
            continue
        info = read_info(path)
        screen.show(info)
        if info.duration_s < warm_up_s + look.measured_s:
            continue
        status, needed_s, sentence = look_at(path, config, look.level)
        seen += 1
        further = next_look(status, needed_s, looks, seen)
        if further is None:
            break
        screen.notice(f"{sentence} Extending the run to {further.measured_s:.0f} s.")
        look = further
        screen.plan(warm_up_s + look.measured_s, warm_up_s)
    return look.level


def finish(path: Path, config: Config, level: float | None) -> int:
    """Judge a finished run folder, write its reports, print the table; the verdict's exit code."""
    run = read_run(path)
    verdict = judge(run, config, level)
    run = store_verdict(run, verdict)
    written = build_reports(run.path)
    with Screen() as screen:
        screen.print(terminal_table(run))
    click.echo(f"Report: {_shown(written[0])}")
    click.echo(f"Exit code {verdict.exit_code} ({verdict.status})")
    return verdict.exit_code


def _shown(path: Path) -> Path:
    latest = path.parent.parent / "latest"
    if latest.resolve() == path.parent.resolve():
        path = latest / path.name
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
