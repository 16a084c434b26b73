"""The table of gates under injected stalls (`experiments/noise/__main__.py`)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path

import numpy as np
import pytest

from experiments.noise.__main__ import GateOutcome, GateSeries, right, slower_by, table
from experiments.noise.windows import JudgedWindows, windows_table
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.judge.calibration.absolute import SLOWED as SLOWED_FACTOR
from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import Decisions
from loadtests.judge.calibration.percentiles import WindowPercentiles, merged_percentiles_ms
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.judge.calibration.table import CalibrationResults
from loadtests.measure.results import Run
from tests.judge.stalled import stalled
from tests.run_folders import made_series, write_run

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


def judged(run: Run, *, level: float = 0.05, **limits: Counter[str]) -> JudgedWindows:
    """Windows of a recording under stalls, with the decisions as given."""
    recording = RecordedRun(run)
    healthy = limits.get("healthy", Counter(PASS=98, INCONCLUSIVE=2))
    slowed = limits.get("slowed", Counter(FAIL=100))
    calm = merged_percentiles_ms(recording.calls_of("undisturbed"))
    results = CalibrationResults(
        runs=[run],
        recordings=[recording],
        plan=CalibrationPlan(),
        coverage={},
        interleaved={},
        separate={},
        limits={None: Decisions(healthy, Counter(), 9_500.0), SLOWED_FACTOR: Decisions(slowed)},
        percentiles={
            (backend, name, "undisturbed"): WindowPercentiles((value_ms + 0.1,))
            for (backend, name), value_ms in calm.items()
        },
        judging_s=0.1,
        calibration_s=1.0,
    )
    return JudgedWindows(level, results)


@pytest.fixture(scope="module")
def stalled_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    series = made_series(["cart.get"], rate_per_s=20.0)
    return stalled(write_run(tmp_path_factory.mktemp("noise") / "run", series=series), share=0.2)


def test_windows_that_reach_every_target_have_no_misses(stalled_run: Run) -> None:
    windows = judged(stalled_run)
    assert windows.right
    line = windows_table([windows]).splitlines()[-1]
    assert "| 100 | 98.0% | 98.0% | 0.0% | 2.0% | 95 | 100.0% | 0.0% | +0.10, +0.10 |" in line


@pytest.mark.parametrize(
    ("level", "healthy", "slowed", "miss"),
    [
        (0.05, Counter(PASS=94, INCONCLUSIVE=6), Counter(FAIL=100), "too few windows decided"),
        (0.08, Counter(PASS=94, INCONCLUSIVE=6), Counter(FAIL=100), ""),
        (0.05, Counter(PASS=99, FAIL=1), Counter(FAIL=100), "false FAIL"),
        (0.05, Counter(PASS=100), Counter(FAIL=94, INCONCLUSIVE=6), "slowed database not found"),
        (0.05, Counter(PASS=100), Counter(FAIL=99, PASS=1), "slowed database passed"),
    ],
)
def test_each_target_that_is_missed_is_named(
    stalled_run: Run, level: float, healthy: Counter[str], slowed: Counter[str], miss: str
) -> None:
    windows = judged(stalled_run, level=level, healthy=healthy, slowed=slowed)
    assert windows.misses == ([miss] if miss else [])


def test_undisturbed_percentiles_beyond_tolerance_are_a_miss(stalled_run: Run) -> None:
    windows = judged(stalled_run)
    off = dict(windows.results.percentiles)
    off["postgres", "p99", "undisturbed"] = WindowPercentiles((999.0,))
    windows = replace(windows, results=replace(windows.results, percentiles=off))
    (miss,) = windows.misses
    assert miss.startswith("postgres p99 off by +")
