"""What the terminal shows at the end."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from loadtests.measure.results import (
    LimitVerdict,
    ResultRow,
    Run,
    RunInfo,
    SeriesInfo,
    Status,
    Times,
    Verdict,
)
from loadtests.microbench.tables import details, summary


def printed(shown: Iterable[RenderableType], *, colour: bool = False) -> str:
    console = Console(width=120, record=True, force_terminal=colour, file=io.StringIO())
    for renderable in shown:
        console.print(renderable)
    return console.export_text(styles=colour)


def series(
    driver: str, backend: str = "dynamodb", count: int = 2_000, pattern: str = "cart.get"
) -> SeriesInfo:
    times = Times.model_validate({"p50": 1.234, "p90": 3, "p99": 12.34, "p99.9": 20, "max": 30})
    return SeriesInfo(
        backend=backend, driver=driver, pattern=pattern, count=count, response_time_ms=times
    )


def run_of(*measured: SeriesInfo, verdict: Verdict | None = None) -> Run:
    info = RunInfo(
        id="x",
        scenario="micro",
        state="complete",
        started_at="",
        series=list(measured),
        verdict=verdict,
    )
    return Run(Path(), info, {}, {})


def limit(driver: str, status: Status) -> LimitVerdict:
    return LimitVerdict(
        backend="dynamodb",
        driver=driver,
        pattern="cart.get",
        metric="response_time",
        kind="absolute",
        percentile="p99",
        limit=10.0,
        estimate=12.3,
        low=12.0,
        high=13.0,
        calls=2_000,
        needed_calls=None,
        status=status,
        sentence="",
    )


def test_one_row_per_pattern_and_one_column_per_driver() -> None:
    text = printed(summary(run_of(series("boto3"), series("asyncpg", "postgres"))))
    header = next(line for line in text.splitlines() if "boto3" in line)
    assert header.index("boto3") < header.index("asyncpg")
    assert "wire" not in header
    row = next(line for line in text.splitlines() if "cart.get" in line)
    assert row.split() == ["cart.get", "1.23", "/", "12.3", "1.23", "/", "12.3"]
    assert "cart.add" not in text


def test_a_pattern_that_a_driver_did_not_measure_is_a_dash() -> None:
    text = printed(summary(run_of(series("boto3"), series("wire", pattern="cart.add"))))
    row = next(line for line in text.splitlines() if "cart.add" in line)
    assert row.split() == ["cart.add", "1.23", "/", "12.3", "–"]


def test_too_few_calls_show_no_p99() -> None:
    assert "1.23 / too few" in printed(summary(run_of(series("boto3", count=298))))


@pytest.mark.parametrize(
    ("status", "code"), [("PASS", "32"), ("FAIL", "1;31"), ("INCONCLUSIVE", "33")]
)
def test_colours_are_the_verdicts(status: Status, code: str) -> None:
    verdict = Verdict(
        status=status,
        sentence=f"{status}: in one sentence.",
        confidence=0.95,
        level=0.05,
        limits=(limit("boto3", status),),
    )
    text = printed(summary(run_of(series("boto3"), verdict=verdict)), colour=True)
    assert f"\x1b[{code}m12.3" in text
    assert "target p99 10 ms" in text
    assert "in one sentence." in text


def row(**changes: object) -> ResultRow:
    figures: dict[str, object] = {
        "suite": "clients",
        "group": "boto3 cart.get_item",
        "name": "client API",
        "backend": "dynamodb",
        "driver": "boto3",
        "pattern": "",
        "iterations": 1_000,
        "errors": {},
        "p50_ms": 1.5,
        "p99_ms": 4.0,
        "p99_low_ms": 3.5,
        "p99_high_ms": 4.5,
        "mean_ms": 1.6,
        "cpu_ms": 1.1,
        "wire_ms": 0.4,
        "sdk_share": 0.75,
    }
    return ResultRow.model_validate(figures | changes)


def test_a_row_states_interval_cpu_and_sdk_share() -> None:
    text = printed(details([row(), row(name="resource API", wire_ms=None, sdk_share=None)]))
    lines = text.splitlines()
    assert "Clients, ms per call" in lines[0]
    assert sum("boto3 cart.get_item" in line for line in lines) == 1
    first = next(line for line in lines if "client API" in line)
    assert first.split()[2:] == ["1,000", "1.50", "4.00", "3.50–4.50", "1.10", "75%"]
    assert next(line for line in lines if "resource API" in line).split()[-1] == "–"


def test_what_a_small_sample_cannot_show_is_a_dash() -> None:
    text = printed(details([row(p99_ms=None, p99_low_ms=1.0, p99_high_ms=None)]))
    line = next(line for line in text.splitlines() if "client API" in line)
    assert line.split()[2:] == ["1,000", "1.50", "–", "1.10", "75%"]
    assert "≥ 3.50" in printed(details([row(p99_high_ms=None)]))


def test_failed_calls_are_stated() -> None:
    assert "(7 failed)" in printed(details([row(errors={"CallTimeout": 7})]))


def test_a_suite_of_short_times_is_in_microseconds() -> None:
    text = printed(details([row(suite="harness", p50_ms=0.0021, p99_ms=0.003, cpu_ms=None)]))
    assert "Harness, µs per call" in text
    assert "2.10" in text


def test_the_harness_own_limits_are_shown_and_coloured() -> None:
    rows = [
        row(suite="harness", name="record a call", p50_ms=0.0004, limit_ms=0.001),
        row(suite="harness", name="flush", p50_ms=0.25, limit_ms=0.2),
        row(suite="harness", name="draw", p50_ms=0.1),
    ]
    text = printed(details(rows))
    assert "limit of p50" in text
    lines = {name: next(x for x in text.splitlines() if name in x) for name in ("record", "flush")}
    assert lines["record"].rstrip().endswith("≤ 1.00 ✓")
    assert lines["flush"].rstrip().endswith("≤ 200 ✗")
    assert "limit of p50" not in printed(details([row()]))
