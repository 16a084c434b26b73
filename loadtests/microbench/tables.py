"""What the terminal shows at the end: the figures of every benchmark, then the verdict's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from loadtests.measure.results import LimitVerdict, ResultRow, Run, SeriesInfo
from loadtests.order_statistics import min_calls
from loadtests.patterns import DRIVERS, in_order
from loadtests.report.figures.rounding import digits, milliseconds, span
from loadtests.report.formats.whole_table import WholeTable
from loadtests.report.verdict_style import STYLES

_SMALL_MS: Final = 0.5  # a suite with shorter times only is shown in microseconds
_ByName = Mapping[tuple[str, str], SeriesInfo]
_MISSING: Final = Text("–", style="dim")


def summary(run: Run) -> Iterator[RenderableType]:
    """Access pattern by driver: p50 / p99 in ms, coloured by the verdict on the SLO."""
    verdict = run.info.verdict
    limits = verdict.limits if verdict else ()
    by_name = {(series.driver, series.pattern): series for series in run.info.series}
    patterns = in_order({series.pattern for series in run.info.series}, run.info.config.patterns)
    measured = {series.driver for series in run.info.series if series.count}
    backends = {
        driver: backend
        for backend, drivers in DRIVERS.items()
        for driver in drivers
        if driver in measured
    }
    yield Text(f"p50 / p99 of one call in ms{_target(limits)}", style="italic")
    yield WholeTable(
        partial(_beside, by_name, backends, limits, patterns),
        partial(_below, by_name, backends, limits, patterns),
    )
    if verdict:
        yield Text(verdict.sentence, style=STYLES[verdict.status])


def _beside(
    by_name: _ByName,
    backends: Mapping[str, str],
    limits: Sequence[LimitVerdict],
    patterns: Sequence[str],
) -> Table:
    """The drivers beside each other."""
    table = _table()
    table.add_column("access pattern", no_wrap=True)
    for driver, backend in backends.items():
        table.add_column(f"{driver}\n{backend}", justify="right", no_wrap=True)
    for pattern in patterns:
        cells = [by_name.get((driver, pattern)) for driver in backends]
        if any(cells):
            table.add_row(Text(pattern), *(_cell(series, limits) for series in cells))
    return table


def _below(
    by_name: _ByName,
    backends: Mapping[str, str],
    limits: Sequence[LimitVerdict],
    patterns: Sequence[str],
) -> Table:
    """The drivers below each other, where the terminal is narrow."""
    table = _table()
    for name in ("access pattern", "driver"):
        table.add_column(name, no_wrap=True)
    table.add_column("p50 / p99", justify="right", no_wrap=True)
    for pattern in patterns:
        for driver in backends:
            series = by_name.get((driver, pattern))
            if series:
                table.add_row(Text(pattern), Text(driver), _cell(series, limits))
    return table


def details(rows: Sequence[ResultRow]) -> Iterator[RenderableType]:
    """One table per suite: every benchmark with its interval, client CPU and SDK share."""
    for suite in dict.fromkeys(row.suite for row in rows):
        of_suite = [row for row in rows if row.suite == suite]
        small = max(row.p50_ms or 0.0 for row in of_suite) < _SMALL_MS
        unit, factor = ("µs", 1e3) if small else ("ms", 1.0)
        yield Text(f"{suite[:1].upper()}{suite[1:]}, {unit} per call", style="italic")
        table = _table()
        limited = any(row.limit_ms is not None for row in of_suite)
        names = ["benchmark", "iterations", "p50", "p99", "95% interval", "client CPU", "SDK"]
        for name in [*names, "limit of p50"] if limited else names:
            table.add_column(name, justify="left" if name == "benchmark" else "right", no_wrap=True)
        group = ""
        for row in of_suite:
            if row.group != group:
                group = row.group
                table.add_row(Text(group, style="bold"))
            table.add_row(*_figures(row, factor), *_limit(row, factor))
        yield table


def _figures(row: ResultRow, factor: float) -> Iterator[Text]:
    yield Text(f"  {row.name}")
    failed = sum(row.errors.values())
    failures = f" ({failed:,} failed)" if failed else ""
    yield Text(f"{row.iterations:,}{failures}", style="red" if failed else "")
    yield _time(row.p50_ms, factor)
    yield _time(row.p99_ms, factor)
    interval = "" if row.p99_ms is None else span(row.p99_low_ms, row.p99_high_ms)
    yield Text(interval.removesuffix(" ms"))
    yield _time(row.cpu_ms, factor)
    yield Text(f"{row.sdk_share:.0%}") if row.sdk_share is not None else _MISSING


def _limit(row: ResultRow, factor: float) -> Iterator[Text]:
    """Nothing where there is no limit: the table then fills the cell."""
    if row.limit_ms is not None and row.p50_ms is not None:
        met = row.p50_ms <= row.limit_ms
        yield Text(
            f"≤ {digits(row.limit_ms * factor)} {'✓' if met else '✗'}",
            style=STYLES["PASS" if met else "FAIL"],
        )


def _table() -> Table:
    return Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _cell(series: SeriesInfo | None, limits: Sequence[LimitVerdict]) -> Text:
    if series is None or series.response_time_ms is None:
        return _MISSING
    times = series.response_time_ms
    enough = series.count >= min_calls(0.99)
    p99 = milliseconds(times.p99).text.removesuffix(" ms") if enough else "too few"
    p50 = milliseconds(times.p50).text.removesuffix(" ms")
    return Text.assemble(
        (p50, _style(series, "p50", limits)), " / ", (p99, _style(series, "p99", limits))
    )


def _style(series: SeriesInfo, statistic: str, limits: Sequence[LimitVerdict]) -> str:
    for limit in limits:
        if limit.key == series.key(limit.metric) and limit.statistic == statistic:
            return STYLES[limit.status]
    return ""


def _target(limits: Sequence[LimitVerdict]) -> str:
    targets = {limit.limit for limit in limits if limit.statistic == "p99"}
    return f", target p99 {targets.pop():g} ms" if len(targets) == 1 else ""


def _time(value_ms: float | None, factor: float) -> Text:
    return Text(digits(value_ms * factor)) if value_ms is not None else _MISSING
