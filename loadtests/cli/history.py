"""`loadtests history`: every run's figures over time, with change points."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from loadtests.cli.options import config_option, metric_option, pattern_option, setting_options
from loadtests.cli.screen.console import open_console, print_whole
from loadtests.config import load_config
from loadtests.errors import UsageError
from loadtests.judge.history import (
    CHANGE_POINTS_HINT,
    can_find_change_points,
    change_points,
    comparable_runs,
    figures_of,
    read_history,
)
from loadtests.judge.sentences import three_digits
from loadtests.measure.results import Key, RunInfo
from loadtests.patterns import in_order
from loadtests.report.formats.whole_table import WholeTable

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 30  # runs in a sparkline


@click.command()
@config_option
@setting_options("results")
@click.option("--scenario", help="Only runs of this scenario; by default the newest run's.")
@pattern_option
@metric_option
@click.option("--all", "every", is_flag=True, help="Also runs made under other conditions.")
def command(
    results: str | None, scenario: str | None, pattern: str | None, metric: str, every: bool
) -> None:
    """Show every run's figures over time, oldest first, and where they changed for good.

    Runs that do not count, and runs under other conditions than the newest, are left out.
    """
    folder = Path(load_config({"results": results}).results)
    runs, unreadable = read_history(folder, scenario)
    for problem in unreadable:
        click.echo(f"Left out: {problem}", err=True)
    counted = [run for run in runs if run.validity is not None and run.validity.valid]
    shown = counted if every else comparable_runs(counted)
    click.echo(_summary(folder, len(runs), len(runs) - len(counted), len(counted) - len(shown)))
    if not shown:
        return
    if pattern:
        _refuse_unknown(pattern, shown, metric)
        print_whole(
            open_console(),
            WholeTable(
                _by_run(shown, pattern, metric), _by_run(shown, pattern, metric, narrow=True)
            ),
        )
        return
    print_whole(
        open_console(),
        WholeTable(*(partial(_over_time, shown, metric, bars=bars) for bars in (_SHOWN, 12, 0))),
    )
    if not can_find_change_points():
        click.echo(f"Change points need Apache Otava: {CHANGE_POINTS_HINT}")


def _refuse_unknown(pattern: str, runs: Sequence[RunInfo], metric: str) -> None:
    """Raise UsageError for an access pattern that none of the runs measured."""
    measured = {key.pattern for run in runs for key in figures_of(run, metric)}
    if pattern not in measured:
        known = ", ".join(in_order(measured, runs[-1].config.patterns))
        raise UsageError(f"None of these runs measured {pattern}.", hint=f"They measured {known}.")


def _summary(folder: Path, count: int, invalid: int, unlike: int) -> str:
    text = f"{count} runs in {folder}"
    if invalid:
        text += f"; {invalid} do not count"
    if unlike:
        text += f"; {unlike} made under other conditions than the newest (--all shows them)"
    return text + "."


def _over_time(runs: Sequence[RunInfo], metric: str, *, bars: int) -> Table:
    """A row for every percentile; with `bars` of a sparkline, where there are any."""
    first, last = runs[0].started_at, runs[-1].started_at
    title = f"{metric.replace('_', ' ')}, ms: {len(runs)} runs from {first} to {last}"
    table = _table(title)
    for heading in ("access pattern", "backend", ""):
        table.add_column(heading, no_wrap=True)
    if bars:
        table.add_column("over time", no_wrap=True)
    for heading in ("least", "newest", "most"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("changed for good")
    figures = [figures_of(run, metric) for run in runs]
    declared = runs[-1].config.patterns
    for key in _ordered({key for run_figures in figures for key in run_figures}, declared):
        for name in ("p50", "p99"):
            dated = [
                (info.started_at, run_figures[key][name])
                for info, run_figures in zip(runs, figures, strict=True)
                if key in run_figures
            ]
            subject = Text(f"{key.backend}/{key.driver}")
            table.add_row(Text(key.pattern), subject, name, *_cells(dated, bars))
    return table


def _cells(dated: Sequence[tuple[str, float]], bars: int) -> list[RenderableType]:
    values = [value for _, value in dated]
    changes = change_points(values) if can_find_change_points() else []
    words = [f"{dated[change.index][0]}: {change.change:+.0%}" for change in changes]
    spread = [three_digits(v) for v in (min(values), values[-1], max(values))]
    over_time = [_sparkline(values[-bars:])] if bars else []
    return [*over_time, *spread, Text(", ".join(words))]


def _sparkline(values: Sequence[float]) -> str:
    top = max(values)
    return "".join(_BARS[min(7, int(8 * value / top)) if top else 0] for value in values)


def _by_run(runs: Sequence[RunInfo], pattern: str, metric: str, *, narrow: bool = False) -> Table:
    """A row for every run and subject; a narrow one has neither the run's name nor the p90."""
    table = _table(f"{pattern}, {metric.replace('_', ' ')}, ms")
    percentiles = ("p50", "p99", "p99.9") if narrow else ("p50", "p90", "p99", "p99.9")
    for heading in ("started", *(() if narrow else ("run",)), "verdict", "backend"):
        table.add_column(heading, no_wrap=True)
    for heading in percentiles:
        table.add_column(heading, justify="right", no_wrap=True)
    for info in runs:
        status = str(info.verdict.status if info.verdict else "not judged")
        figures = figures_of(info, metric)
        for key in _ordered({key for key in figures if key.pattern == pattern}, None):
            values = [three_digits(figures[key][name]) for name in percentiles]
            subject = Text(f"{key.backend}/{key.driver}")
            names = [Text(info.started_at), *([] if narrow else [Text(info.id)])]
            table.add_row(*names, status, subject, *values)
    return table


def _table(title: str) -> Table:
    return Table(
        title=Text(title),
        title_justify="left",
        box=SIMPLE_HEAD,
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )


def _ordered(keys: Collection[Key], declared: Sequence[str] | None) -> list[Key]:
    patterns = in_order({key.pattern for key in keys}, declared)
    return sorted(keys, key=lambda key: (patterns.index(key.pattern), key))
