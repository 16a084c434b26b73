"""The table of gates under injected stalls (`experiments/noise/__main__.py`)."""

from __future__ import annotations

from dataclasses import asdict, replace
from json import dumps
from pathlib import Path

import numpy as np
import pytest

from experiments.noise.__main__ import GateOutcome, GateSeries, right, slower_by, table
from loadtests.calibrate.server.scripts import SCRIPTS

HEALTHY = GateOutcome(
    level=0.05,
    slowed=False,
    number=0,
    status="PASS",
    seconds=100.0,
    left_out=0.3,
    all_p99_ms=9.0,
    undisturbed_p99_ms=6.0,
)
SLOWED = replace(HEALTHY, slowed=True, status="FAIL")


def test_gates_are_counted_by_level_and_database() -> None:
    timed_out = GateOutcome(level=0.05, slowed=False, number=1, status="TIMEOUT", seconds=600.0)
    quiet = replace(HEALTHY, level=0.0, undisturbed_p99_ms=5.5)
    lines = table([HEALTHY, timed_out, SLOWED, quiet], [0.0, 0.05]).splitlines()
    assert lines[0].startswith("Quiet p99: 5.50 ms")
    assert lines[5] == "| 5% | healthy | 2 | 50% | 1 | 0 | 0 | 0 | 30% | 9.00 | 6.00 | 350 |"
    assert lines[6] == "| 5% | slowed | 1 | 100% | 0 | 1 | 0 | 0 | 30% | 9.00 | 6.00 | 100 |"
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (HEALTHY, True),
        (replace(HEALTHY, status="FAIL"), False),
        (replace(HEALTHY, status="INVALID"), True),
        (SLOWED, True),
        (replace(SLOWED, status="PASS"), False),
    ],
)
def test_a_false_fail_and_a_false_pass_are_wrong(outcome: GateOutcome, expected: bool) -> None:
    assert right([SLOWED, outcome]) is expected


def test_a_second_start_continues(tmp_path: Path) -> None:
    (tmp_path / "noise.jsonl").write_text(dumps(asdict(HEALTHY)) + "\n")
    series = GateSeries(tmp_path, [], 1.0)
    assert series.outcomes == [HEALTHY]
    assert series.made(0.05, 0, slowed=False)
    assert not series.made(0.05, 0, slowed=True)
    assert not series.made(0.05, 1, slowed=False)
    assert not series.made(0.02, 0, slowed=False)


def test_the_slowed_server_has_a_p99_of_one_and_a_half_limits() -> None:
    delays = SCRIPTS["lognormal"].delays_ns(1)
    times_ms = np.array([next(delays) for _ in range(50_000)]) / 1e6
    assert np.quantile(times_ms, 0.99) * (1 + slower_by()) == pytest.approx(15.0, rel=0.05)
