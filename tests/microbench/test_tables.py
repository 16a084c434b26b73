"""What the terminal shows at the end."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.measure.results import Run, RunInfo, SeriesInfo, Times
from loadtests.microbench.rows import ResultRow
from loadtests.microbench.tables import details, summary


def printed(shown, *, colour=False):
    console = Console(width=120, record=True, force_terminal=colour, file=io.StringIO())
    for one in shown:
        console.print(one)
    return console.export_text(styles=colour)


def series(driver, backend="dynamodb", count=2_000, pattern="cart.get"):
    times = Times.model_validate({"p50": 1.234, "p90": 3, "p99": 12.34, "p99.9": 20, "max": 30})
    return SeriesInfo(
        backend=backend, driver=driver, pattern=pattern, count=count, response_time_ms=times
    )


def run_of(*found, verdict=None):
    info = RunInfo(
        id="x",
        scenario="micro",
        state="complete",
        started_at="",
        series=list(found),
        verdict=verdict,
    )
    return Run(Path(), info, {}, {})


def limit(driver, status, statistic="p99"):
    return {
        "backend": "dynamodb",
        "driver": driver,
        "pattern": "cart.get",
        "statistic": statistic,
        "limit": 10.0,
        "status": status,
    }


def test_one_row_a_pattern_and_one_column_a_driver():
    text = printed(summary(run_of(series("boto3"), series("asyncpg", "postgres"))))
    header = next(line for line in text.splitlines() if "boto3" in line)
    assert header.index("boto3") < header.index("asyncpg")
    assert "wire" not in header
    row = next(line for line in text.splitlines() if "cart.get" in line)
    assert row.split() == ["cart.get", "1.23", "/", "12.3", "1.23", "/", "12.3"]
    assert "cart.add" not in text


def test_a_pattern_that_a_driver_did_not_measure_is_a_dash():
    text = printed(summary(run_of(series("boto3"), series("wire", pattern="cart.add"))))
    row = next(line for line in text.splitlines() if "cart.add" in line)
    assert row.split() == ["cart.add", "1.23", "/", "12.3", "–"]


def test_too_few_calls_show_no_p99():
    assert "1.23 / too few" in printed(summary(run_of(series("boto3", count=298))))


@pytest.mark.parametrize(
    ("status", "code"), [("PASS", "32"), ("FAIL", "1;31"), ("INCONCLUSIVE", "33")]
)
def test_colours_are_the_verdicts(status, code):
    verdict = {
        "status": status,
        "sentence": f"{status}: so it is.",
        "limits": [limit("boto3", status)],
    }
    text = printed(summary(run_of(series("boto3"), verdict=verdict)), colour=True)
    assert f"\x1b[{code}m12.3" in text
    assert "target p99 10 ms" in text
    assert "so it is." in text


def row(**changes):
    plain = {
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
    return ResultRow(**(plain | changes))


def test_a_row_tells_interval_cpu_and_sdk_share():
    text = printed(details([row(), row(name="resource API", wire_ms=None, sdk_share=None)]))
    lines = text.splitlines()
    assert "Clients, ms a call" in lines[0]
    assert sum("boto3 cart.get_item" in line for line in lines) == 1
    first = next(line for line in lines if "client API" in line)
    assert first.split()[2:] == ["1,000", "1.50", "4.00", "3.50–4.50", "1.10", "75%"]
    assert next(line for line in lines if "resource API" in line).split()[-1] == "–"


def test_what_the_sample_does_not_carry_is_not_shown():
    text = printed(details([row(p99_ms=None, p99_low_ms=1.0, p99_high_ms=None)]))
    line = next(line for line in text.splitlines() if "client API" in line)
    assert line.split()[2:] == ["1,000", "1.50", "–", "1.10", "75%"]
    assert "≥ 3.50" in printed(details([row(p99_high_ms=None)]))


def test_failed_calls_are_said():
    assert "(7 failed)" in printed(details([row(errors={"CallTimeout": 7})]))


def test_a_part_of_short_times_is_in_microseconds():
    text = printed(details([row(suite="harness", p50_ms=0.0021, p99_ms=0.003, cpu_ms=None)]))
    assert "Harness, µs a call" in text
    assert "2.10" in text


def test_the_harness_own_limits_are_shown_and_coloured():
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
