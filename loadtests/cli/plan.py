"""`loadtests plan`: how long a run must be to decide its limits, by the statistics of the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from loadtests.cli.options import (
    SCENARIOS,
    config_option,
    scenarios_option,
    setting_options,
    with_default,
)
from loadtests.cli.runs.scenarios import read_scenarios
from loadtests.config import Config, load_config
from loadtests.errors import ConfigError, UsageError
from loadtests.judge.interim import planned_analyses
from loadtests.judge.stats.planning import PlannedLimit
from loadtests.load.declared_stores import ScenarioClass, declared_patterns, subjects_of_class
from loadtests.load.subjects import run_subjects
from loadtests.measure.results import PERCENTILES
from loadtests.patterns import in_order

ERRORS: Final = "errors"
DESIGN_EFFECT: Final = 2.0
CHANCE: Final = 0.9
_UNITS_MS: Final = {"ms": 1.0, "us": 1e-3, "µs": 1e-3, "s": 1e3}


class Milliseconds(click.ParamType[float]):
    """A time: `10ms`, `0.01s`, or a number of milliseconds."""

    name = "TIME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The time in milliseconds, above 0."""
        text = str(value).strip()
        unit = next((unit for unit in _UNITS_MS if text.endswith(unit)), "")
        try:
            limit_ms = float(text.removesuffix(unit)) * _UNITS_MS.get(unit, 1.0)
        except ValueError:
            limit_ms = 0.0
        if not 0 < limit_ms < 1e9:
            self.fail(f"{text!r} is no time above 0, such as 10ms.", param, ctx)
        return limit_ms


@click.command()
@config_option
@setting_options("rate", "warm_up", "run_time", "max_extension")
@click.option("--limit", type=Milliseconds(), help="A limit for all, in place of those set.")
@click.option(
    "--exceedance",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="SHARE",
    help="True share of calls beyond the limit. [default: half of what each percentile allows]",
)
@click.option(
    "--error-rate",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="SHARE",
    default=0.0,
    help=with_default("True share of failed calls.", "0"),
)
@click.option(
    "--design-effect",
    type=click.FloatRange(min=1),
    metavar="FACTOR",
    default=DESIGN_EFFECT,
    help=with_default("Correlated calls that are worth one independent call.", DESIGN_EFFECT),
)
@click.option(
    "--chance",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    metavar="SHARE",
    default=CHANCE,
    help=with_default("Chance with which each limit is to be decided.", CHANCE),
)
@scenarios_option
def command(
    limit: float | None,
    exceedance: float | None,
    error_rate: float,
    design_effect: float,
    chance: float,
    scenarios: tuple[str, ...],
    **flags: object,
) -> None:
    """Show how long a run must be: for each access pattern and limit, and for the whole run.

    The scenario gives each access pattern's share of the arrivals. docs/RUN_LENGTH.md explains the
    assumptions. Nothing is measured.
    """
    config = load_config(flags)
    measured_s = config.load.run_time - config.load.warm_up
    if measured_s <= 0:
        raise ConfigError(
            "The configuration",
            [f"run_time ({config.load.run_time:g} s) is not longer than warm_up"],
        )
    shares = shares_of(read_scenarios(scenarios or SCENARIOS), config)
    alpha = planned_analyses(config.gate, measured_s)[0].alpha
    planned = {
        (pattern, statistic): PlannedLimit(
            allowed=allowed,
            true_share=_true_share(statistic, allowed, exceedance, error_rate),
            rate_per_s=config.load.rate * share,
            alpha=alpha,
            design_effect=1.0 if statistic == ERRORS else design_effect,
            failures=statistic == ERRORS,
        )
        for pattern, share in shares.items()
        for statistic, allowed in _limits(config, pattern, limit).items()
    }
    if not planned:
        raise UsageError("No limit is set.", hint="Give one: --limit 10ms.")
    console = Console()
    console.print(_table(shares, planned, config, measured_s, chance))
    for line in _conclusion(planned, config, measured_s, chance):
        click.echo(line)
    beyond = (
        f"{exceedance:.3g} of the calls"
        if exceedance is not None
        else ("half of the calls that each percentile allows")
    )
    click.echo(
        f"Assumed: {beyond} take longer than the limit, {error_rate:.3g} fail, design effect"
        f" {design_effect:g}; error probability {alpha:.3g} of each bound"
        f" ({config.gate.confidence:.0%} confidence"
        + (", of which the first analysis has half)." if config.gate.max_extension >= 1 else ").")
    )


def shares_of(classes: Sequence[ScenarioClass], config: Config) -> dict[str, float]:
    """Each access pattern's share of the arrivals of a backend; the least where they differ.

    On each backend they add up to 1. Raises UsageError.
    """
    least: dict[str, float] = {}
    called = {each.name: subjects_of_class(each, config) for each in classes}
    for subject in run_subjects(config):
        its_classes = [each for each in classes if subject in called[each.name]]
        weights: dict[str, float] = {}
        for each in its_classes:
            for pattern, weight in each.shares.items():
                weights[pattern] = weights.get(pattern, 0.0) + weight
        total = sum(weights.values())
        for pattern, weight in weights.items():
            least[pattern] = min(weight / total, least.get(pattern, 1.0))
    return {pattern: least[pattern] for pattern in in_order(least, declared_patterns(classes))}


def _limits(config: Config, pattern: str, limit_ms: float | None) -> dict[str, float]:
    """The statistics to decide, and the share of calls that each allows.

    Of both backends: a limit on either counts. With `limit_ms`, p50, p99 and p99.9 are shown.
    """
    named: dict[str, float] = {}
    for backend in ("dynamodb", "postgres"):
        limits = config.slo.limits_for(backend, pattern)
        by_name = {
            "p50": limits.p50_ms,
            "p90": limits.p90_ms,
            "p99": limits.p99_ms,
            "p99.9": limits.p999_ms,
        }
        wanted = by_name if limit_ms is None else dict.fromkeys(("p50", "p99", "p99.9"), limit_ms)
        named |= {name: 1.0 - PERCENTILES[name] for name, each in wanted.items() if each}
        if limits.error_rate is not None and limits.error_rate < 1:
            named[ERRORS] = min(limits.error_rate, named.get(ERRORS, 1.0))
    return named


def _true_share(
    statistic: str, allowed: float, exceedance: float | None, error_rate: float
) -> float:
    if statistic == ERRORS:
        return error_rate
    return allowed / 2.0 if exceedance is None else exceedance


Planned = Mapping[tuple[str, str], PlannedLimit]


def _table(
    shares: Mapping[str, float],
    planned: Planned,
    config: Config,
    measured_s: float,
    chance: float,
) -> Table:
    table = Table(
        title=f"Measured seconds for a chance of {chance:.0%}, and the chance after"
        f" {measured_s:g} s, at {config.load.rate:g} arrivals/s",
        title_justify="left",
        box=SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("access pattern", no_wrap=True)
    table.add_column("calls/s", justify="right", no_wrap=True)
    statistics = [name for name in (*PERCENTILES, ERRORS) if any(key[1] == name for key in planned)]
    for name in statistics:
        table.add_column(name, justify="right", no_wrap=True)
    for pattern, share in shares.items():
        cells = []
        for name in statistics:
            limit = planned.get((pattern, name))
            if limit is None:
                cells.append("–")
                continue
            needed_s = limit.seconds_for(chance)
            time = f"{needed_s:,} s" if needed_s else "never"
            cells.append(f"{time}, {limit.chance(measured_s):.0%}")
        table.add_row(pattern, f"{config.load.rate * share:.1f}", *cells)
    return table


def _conclusion(planned: Planned, config: Config, measured_s: float, chance: float) -> list[str]:
    needed = {key: limit.seconds_for(chance) for key, limit in planned.items()}
    calls = {
        name: max(limit.least_calls for (_, each), limit in planned.items() if each == name)
        for name in dict.fromkeys(name for _, name in planned)
    }
    listed = ", ".join(f"{name} {count:,}" for name, count in calls.items())
    lines = [f"Calls of each pattern before any upper bound is finite: {listed}."]
    never = [f"{pattern} {name}" for (pattern, name), seconds in needed.items() if seconds is None]
    if never:
        lines.append(
            f"Never decided with that chance: {', '.join(never[:3])}"
            + (f" and {len(never) - 3} more." if len(never) > 3 else ".")
        )
        return lines
    (pattern, name), longest_s = max(needed.items(), key=lambda item: item[1] or 0)
    total_s = (longest_s or 0) + config.load.warm_up
    lines.append(f"{pattern} {name} takes longest.")
    if (longest_s or 0) <= measured_s:
        lines.append(f"A run of {config.load.run_time:g} s is long enough.")
        return lines
    extended = longest_s is not None and longest_s <= measured_s + config.gate.max_extension
    lines.append(
        f"Run time: {total_s:,.0f} s (--run-time {total_s:.0f})"
        + (f"; {config.load.run_time:g} s and an extension suffice." if extended else ".")
    )
    return lines
