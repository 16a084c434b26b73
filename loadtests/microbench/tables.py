"""What a session ends with in the terminal: figures of every benchmark, then the one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from loadtests.measure.results import LimitVerdict, ResultRow, Run, SeriesInfo
from loadtests.order_statistics import min_calls
from loadtests.patterns import DRIVERS, PATTERNS
from loadtests.report.rounding import digits, milliseconds, span

STYLES: Final = {
    "PASS": "green",
    "FAIL": "bold red",
    "INCONCLUSIVE": "yellow",
    "INVALID": "magenta",
}
_SMALL_MS: Final = 0.5  # a part of nothing but such times is shown in microseconds
_MISSING: Final = Text("–", style="dim")


def summary(run: Run) -> Iterator[RenderableType]:
    """Access pattern by driver: p50 / p99 in ms, coloured by the verdict on the SLO."""
    verdict = run.info.verdict
    limits = verdict.limits if verdict else ()
    drivers = [d for found in DRIVERS.values() for d in found if _drives(run, d)]
    series = {(one.driver, one.pattern): one for one in run.info.series}
    table = _table()
    table.add_column("access pattern", no_wrap=True)
    for driver in drivers:
        backend = next(b for b, found in DRIVERS.items() if driver in found)
        table.add_column(f"{driver}\n{backend}", justify="right", no_wrap=True)
    for pattern in PATTERNS:
        found = [series.get((driver, pattern)) for driver in drivers]
        if any(found):
            table.add_row(Text(pattern), *(_cell(one, limits) for one in found))
    yield Text(f"p50 / p99 of one call in ms{_target(limits)}", style="italic")
    yield table
    if verdict:
        yield Text(verdict.sentence, style=STYLES[verdict.status])


def details(rows: Sequence[ResultRow]) -> Iterator[RenderableType]:
    """One table a part: every benchmark with its interval, client CPU and SDK share."""
    for suite in dict.fromkeys(row.suite for row in rows):
        mine = [row for row in rows if row.suite == suite]
        small = max(row.p50_ms or 0.0 for row in mine) < _SMALL_MS
        unit, factor = ("µs", 1e3) if small else ("ms", 1.0)
        yield Text(f"{suite[:1].upper()}{suite[1:]}, {unit} a call", style="italic")
        table = _table()
        limited = any(row.limit_ms is not None for row in mine)
        names = ["benchmark", "iterations", "p50", "p99", "95% interval", "client CPU", "SDK"]
        for name in [*names, "limit of p50"] if limited else names:
            table.add_column(name, justify="left" if name == "benchmark" else "right", no_wrap=True)
        group = ""
        for row in mine:
            if row.group != group:
                group = row.group
                table.add_row(Text(group, style="bold"))
            table.add_row(*_figures(row, factor), *_limit(row, factor))
        yield table


def _figures(row: ResultRow, factor: float) -> Iterator[Text]:
    yield Text(f"  {row.name}")
    failed = sum(row.errors.values())
    said = f"{row.iterations:,}" + (f" ({failed:,} failed)" if failed else "")
    yield Text(said, style="red" if failed else "")
    yield _time(row.p50_ms, factor)
    yield _time(row.p99_ms, factor)
    both = row.p99_ms is not None
    yield Text(span(row.p99_low_ms, row.p99_high_ms).removesuffix(" ms") if both else "")
    yield _time(row.cpu_ms, factor)
    yield Text(f"{row.sdk_share:.0%}") if row.sdk_share is not None else _MISSING


def _limit(row: ResultRow, factor: float) -> Iterator[Text]:
    """Nothing where there is no limit: the table then fills the cell."""
    if row.limit_ms is not None and row.p50_ms is not None:
        kept = row.p50_ms <= row.limit_ms
        yield Text(
            f"≤ {digits(row.limit_ms * factor)} {'✓' if kept else '✗'}",
            style=STYLES["PASS" if kept else "FAIL"],
        )


def _table() -> Table:
    return Table(header_style="bold", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))


def _drives(run: Run, driver: str) -> bool:
    return any(one.driver == driver and one.count for one in run.info.series)


def _cell(one: SeriesInfo | None, limits: Sequence[LimitVerdict]) -> Text:
    times = one.response_time_ms if one is not None else None
    if one is None or times is None:
        return _MISSING
    enough = one.count >= min_calls(0.99)
    p99 = milliseconds(times.p99).text.removesuffix(" ms") if enough else "too few"
    p50 = milliseconds(times.p50).text.removesuffix(" ms")
    return Text.assemble(
        (p50, _style(one, "p50", limits)), " / ", (p99, _style(one, "p99", limits))
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
