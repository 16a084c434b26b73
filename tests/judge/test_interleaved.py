"""Two subjects of one run: who is paired with whom, and what it comes to."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.comparison import decide
from loadtests.judge.interleaved import compare_interleaved, compare_series, subjects_of
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import Contributions, Ratio, Side
from loadtests.judge.subject_verdict import verdict_of
from loadtests.measure.histogram import Sparse
from loadtests.measure.hlog import Interval
from loadtests.measure.results import Key, PercentileRatio, Run, read_info
from loadtests.patterns import ALL_PATTERNS
from tests.known import known
from tests.run_folders import MadeSeries, made_series, write_run

STEADY: dict[str, Any] = {"drift": 0.02, "rate_per_s": 200.0, "tail_share": 0.0}
ALLOWED = Relative()


def in_turns(seconds: int, subjects: tuple[str, str], start: int = 3) -> list[dict[str, int | str]]:
    return [
        {"subject": subjects[second % 2], "start_s": start + second, "end_s": start + second + 1}
        for second in range(seconds)
    ]


def only_in_turns(run: Run, blocks: list[dict[str, int | str]]) -> Run:
    """What a run in turns holds: nobody is called in the other's second."""
    own = {(block["subject"], block["start_s"]) for block in blocks}
    intervals = {
        key: [one for one in held if (f"{key.backend}/{key.driver}", round(one.start_s)) in own]
        for key, held in run.intervals.items()
    }
    series = [
        one.model_copy(
            update={
                "count": sum(
                    part.counts.total
                    for key, held in intervals.items()
                    if (key.driver, key.pattern, key.metric)
                    == (one.driver, one.pattern, "response_time")
                    for part in held
                )
            }
        )
        for one in run.info.series
    ]
    info = run.info.model_copy(update={"series": series})
    return replace(run, intervals=intervals, info=info)


DRIFTING: dict[str, Any] = {"drift": 0.1, "correlation": 0.97, "rate_per_s": 100.0}
TURN_TAKERS = [
    MadeSeries(driver="wire", **DRIFTING),
    MadeSeries(driver="boto3", median_ms=2.6, **DRIFTING),
]


def taken_in_turns(
    path: Path,
    *,
    seconds: int = 80,
    planned: int | None = None,
    subjects: tuple[str, str] = ("dynamodb/wire", "dynamodb/boto3"),
) -> Run:
    blocks = in_turns(planned or seconds, subjects)
    run = write_run(path, series=TURN_TAKERS, seconds=seconds, config={"blocks": blocks})
    return only_in_turns(run, blocks)


def calls_of(run: Run, driver: str, seconds: range) -> int:
    key = Key("dynamodb", driver, "cart.get", "response_time")
    return sum(one.counts.total for one in run.intervals[key] if round(one.start_s) in seconds)


def first_row(run: Run) -> PercentileRatio | None:
    boto3, wire = subjects_of(run)
    rows = compare_interleaved(run, boto3, wire, ALLOWED, 0.95).rows
    return next(row for row in rows if row.pattern == "cart.get")


def test_blocks_in_turns_are_paired(tmp_path: Path) -> None:
    run = taken_in_turns(tmp_path / "run")
    row = first_row(run)
    assert known(row).subject_calls == calls_of(run, "boto3", range(100))
    assert known(known(row).low) < 1.3 < known(known(row).high)


def test_a_call_that_ends_in_the_others_turn_belongs_to_the_block_it_began_in(
    tmp_path: Path,
) -> None:
    run = taken_in_turns(tmp_path / "run")
    key = Key("dynamodb", "wire", "cart.get", "response_time")
    late = Sparse.of(np.full(40, 900_000_000, np.int64))
    held = [Interval(one.start_s + 1.0, 1.0, late) for one in run.intervals[key]]
    spilt = replace(run, intervals=run.intervals | {key: run.intervals[key] + held})
    info = run.info.model_copy(
        update={
            "series": [
                one.model_copy(
                    update={"count": one.count + 40 * len(held) * (one.driver == "wire")}
                )
                for one in run.info.series
            ]
        }
    )
    before, row = first_row(run), first_row(replace(spilt, info=info))
    assert known(row).reference_calls == known(before).reference_calls + 40 * len(held)
    assert known(row).subject_calls == known(before).subject_calls
    subjects = subjects_of(run)
    rows = compare_interleaved(
        replace(spilt, info=info), subjects[0], subjects[1], ALLOWED, 0.95
    ).rows
    p90 = next(one for one in rows if (one.pattern, one.percentile) == ("cart.get", "p90"))
    assert p90.reference_ms > 800


def test_pairs_that_the_run_did_not_finish_are_left_out(tmp_path: Path) -> None:
    run = taken_in_turns(tmp_path / "run", seconds=81, planned=200)
    row = first_row(run)
    # 81 seconds are 40 pairs and a block of one subject, which began last
    assert known(row).subject_calls == calls_of(run, "boto3", range(83))
    assert known(row).reference_calls == calls_of(run, "wire", range(83))
    assert calls_of(run, "wire", range(84)) > known(row).reference_calls


def test_a_run_without_a_whole_pair_is_refused(tmp_path: Path) -> None:
    run = taken_in_turns(tmp_path / "run", seconds=20)
    ended = replace(run, info=run.info.model_copy(update={"duration_s": 4.0}))
    with pytest.raises(ResultsError, match="before each subject had a complete block"):
        first_row(ended)


def test_a_subject_whose_calls_fail_is_not_comparable(tmp_path: Path) -> None:
    series = [
        MadeSeries(driver="wire", **STEADY),
        MadeSeries(driver="boto3", median_ms=0.2, error_share=0.3, **STEADY),
    ]
    run = write_run(tmp_path / "run", series=series, seconds=40)
    boto3, wire = subjects_of(run)
    found = compare_interleaved(run, boto3, wire, ALLOWED, 0.95)
    assert (found.status, found.exit_code) == ("INVALID", 4)
    assert "dynamodb/boto3: " in found.reasons[0]
    assert "calls of cart.get failed (CallTimeout)" in found.reasons[0]


def test_the_verdict_on_a_run_of_two_subjects(tmp_path: Path) -> None:
    series = [
        MadeSeries(driver="wire", **STEADY),
        MadeSeries(driver="boto3", median_ms=2.6, **STEADY),
    ]
    run = write_run(tmp_path / "run", series=series, seconds=40)
    boto3, wire = subjects_of(run)
    for subject, reference, status in ((boto3, wire, "FAIL"), (wire, boto3, "PASS")):
        found = compare_interleaved(run, subject, reference, ALLOWED, 0.95)
        verdict = verdict_of(run, found, ALLOWED, 0.95)
        assert (verdict.status, verdict.exit_code) == (found.status, found.exit_code)
        assert verdict.status == status
        assert verdict.sentence.startswith(f"{status}: {subject} over {reference}: ")
        assert known(verdict.baseline).name == f"{reference} in the same run"
        limits = {x.statistic: x for x in verdict.limits if x.pattern == "cart.get"}
        assert limits["p50_ratio"].status == status
        assert limits["p50_ratio"].limit == pytest.approx(1 + known(ALLOWED.p50))
        assert (limits["p50_ratio"].driver, limits["p50_ratio"].unit) == (subject.driver, "ratio")
        assert {x.driver for x in verdict.estimates} == {"wire", "boto3"}
    invalid = replace(found, reasons=("it was distorted.",))
    verdict = verdict_of(run, invalid, ALLOWED, 0.95)
    assert verdict.sentence == "INVALID: it was distorted."
    assert {x.status for x in verdict.limits} == {"INVALID"}


@dataclass(frozen=True, slots=True)
class NormalRatio(Ratio):
    """A ratio that is this many standard deviations from 1, of quantiles that were measured."""

    deviations: float
    measured: Ratio

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        return self.measured.subjects

    @property
    def references(self) -> tuple[Quantile, ...]:
        return self.measured.references

    @property
    def estimate(self) -> float:
        return math.exp(0.01 * self.deviations)

    def contributions(self, side: Side, alpha: TailProbability) -> tuple[Contributions, ...]:
        raise NotImplementedError

    def half_width(self, side: Side, alpha: TailProbability) -> float:
        return 0.01 * float(norm.isf(alpha))


@pytest.mark.parametrize(
    ("deviations", "direction"),
    # 1% over both limited percentiles: 2.58 standard deviations, and not the 1.96 of the interval
    [(-2.7, "faster"), (-2.5, ""), (0.0, ""), (2.5, ""), (2.7, "slower")],
)
def test_a_change_is_significant_beyond_the_chance_of_all_percentiles(
    tmp_path: Path, deviations: float, direction: str
) -> None:
    series = [MadeSeries(driver=driver, **STEADY) for driver in ("wire", "boto3")]
    run = write_run(tmp_path / "run", series=series, seconds=4)
    boto3, wire = subjects_of(run)
    compared = [
        replace(
            each, ratio=NormalRatio(deviations if each.percentile == "p50" else 0.0, each.ratio)
        )
        for each in compare_series(run, boto3, wire, metric="response_time")
    ]
    directions = {row.percentile: row.direction for row in decide(compared, ALLOWED, 0.95)}
    assert directions == {"p50": direction, "p90": "", "p99": "", "p99.9": ""}


def test_directions_reach_the_verdict_and_overall_limits_decide(tmp_path: Path) -> None:
    series = [
        MadeSeries(driver=driver, pattern=pattern, median_ms=median_ms, **STEADY)
        for driver, pattern, median_ms in (
            *(("wire", "cart.get", 2.0), ("boto3", "cart.get", 1.4)),
            *(("wire", "cart.add", 2.0), ("boto3", "cart.add", 2.1)),
        )
    ]
    run = write_run(tmp_path / "run", series=series, seconds=40)
    boto3, wire = subjects_of(run)
    comparison = compare_interleaved(run, boto3, wire, ALLOWED, 0.95)
    limits = {
        limit.pattern: limit
        for limit in verdict_of(run, comparison, ALLOWED, 0.95).limits
        if limit.percentile == "p50"
    }
    assert {name: limit.direction for name, limit in limits.items()} == {
        "cart.get": "faster",
        "cart.add": "slower",  # and within the limit
        ALL_PATTERNS: "faster",
    }
    assert {limit.status for limit in limits.values()} == {"PASS"}
    assert [name for name, limit in limits.items() if limit.decides] == [ALL_PATTERNS]


@pytest.mark.parametrize(
    "blocks",
    [
        "all",
        [{"subject": "dynamodb/wire", "start_s": 3}],
        [{"subject": "dynamodb/wire", "start_s": 9, "end_s": 3}],
        [{"subject": "dynamodb/wire", "start_s": float("inf"), "end_s": 3}],
        [7],
    ],
)
def test_a_block_map_that_cannot_be_meant_is_refused(
    tmp_path: Path, blocks: list[dict[str, float | str] | int] | str
) -> None:
    run = write_run(tmp_path / "run", series=made_series(["cart.get"]), seconds=12)
    stored = json.loads((run.path / "run.json").read_text())
    stored["config"]["blocks"] = blocks
    (run.path / "run.json").write_text(json.dumps(stored))
    with pytest.raises(ResultsError, match=r"run\.json: field config\.blocks"):
        read_info(run.path)
