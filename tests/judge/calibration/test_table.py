"""The Markdown of a calibration, from counts that need no calibration."""

from __future__ import annotations

from collections import Counter

from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.counters import Coverage, Decisions, Outcomes
from loadtests.judge.calibration.percentiles import WindowPercentiles
from loadtests.judge.calibration.relative import SLOWDOWNS, CalibrationPlan, Slowdown
from loadtests.judge.calibration.table import CalibrationResults, calibration_table
from loadtests.measure.results import Run


def test_the_table_shows_the_counts_and_what_they_were_measured_on(
    run: Run, recording: RecordedRun
) -> None:
    outcomes: dict[Slowdown | None, Outcomes] = {None: Outcomes(Counter(PASS=12), 0)}
    outcomes |= {slowdown: Outcomes(Counter(FAIL=3, PASS=1), 2) for slowdown in SLOWDOWNS}
    results = CalibrationResults(
        runs=[run],
        recordings=[recording],
        plan=CalibrationPlan(runs=4, comparisons=12, seconds=60, block=10),
        coverage={
            ("all", "p99"): Coverage(intervals=1_500, covering=1_440, unresolvable=500),
            ("undisturbed", "p99"): Coverage(intervals=10, covering=9),
        },
        percentiles={("dynamodb", "p99", "all"): WindowPercentiles((8.0, 9.0, 10.0))},
        interleaved=outcomes,
        separate=outcomes,
        limits={1.5: Decisions(Counter(PASS=3, INCONCLUSIVE=1), Counter(PASS=15, FAIL=5), 480.0)},
        judging_s=0.25,
        calibration_s=12.0,
    )
    text = calibration_table(results)
    assert "(4 resampled runs, all series)" in text
    assert "| p99 | 1,500 | 96.0% | 25.0% |" in text
    assert "| p99 of undisturbed calls | 10 | 90.0% | 0.0% |" in text
    assert "| 9.00 [8.10, 9.90] | – |" in text
    assert "| 1.5 × the true p99 | 75.0% | 0.0% | 25.0% | 75.0% | 25.0% | 0.0% | 120 |" in text
    assert "`run`: 80 s, 4 series," in text
    assert "Resampled runs of 60 s in blocks of 10 recorded seconds." in text
    # no failure in 12: an upper bound of 1 - 0.05^(1/12)
    assert "| interleaved | 12 | 0.0% | 22.1% | 0.0% | 100.0% |" in text
    row = "| all calls (p50 and p99) | one pattern | 50.0% | 50.0% | 50.0% | 50.0% |"
    assert text.count(row) == 2
    assert "took 0.25 s" in text
