"""Runs in which two subjects, `head` and `base`, were compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from loadtests.config import Relative
from loadtests.judge.comparison import ComparedSubject
from loadtests.judge.interleaved import compare_interleaved
from loadtests.judge.judging import worst_status
from loadtests.judge.storing import store_verdict
from loadtests.judge.subject_verdict import verdict_of
from loadtests.measure.results import (
    BaselineReference,
    LimitVerdict,
    Run,
    SeriesInfo,
    Status,
    Verdict,
)
from tests.run_folders import MadeSeries, write_run

BASE, HEAD = ComparedSubject("dynamodb", "base"), ComparedSubject("dynamodb", "head")
ALLOWED = {"p50": 1.1, "p99": 1.2}


def compared_run(
    path: Path, ratios: Mapping[str, float], *, seconds: int = 40, **changes: Any
) -> Run:
    """A run of both, judged: for each access pattern, how much longer head takes."""
    steady: dict[str, Any] = {"drift": 0.02, "tail_share": 0.0, "rate_per_s": 60.0}
    series = [
        MadeSeries(
            driver=driver,
            pattern=pattern,
            median_ms=1.2 * (ratio if driver == "head" else 1.0),
            **(steady | changes),
        )
        for driver in ("base", "head")
        for pattern, ratio in ratios.items()
    ]
    run = write_run(path, series=series, seconds=seconds, warm_up_s=1)
    comparison = compare_interleaved(run, HEAD, BASE, Relative(), 0.95)
    return store_verdict(run, verdict_of(run, comparison, Relative(), 0.95))


def growth(
    pattern: str,
    percentile: str,
    estimate: float,
    *,
    low: float | None = 0.8,
    high: float | None = 1.05,
    status: Status = "PASS",
    **changes: Any,
) -> LimitVerdict:
    """A limit on the growth of one percentile from base to head."""
    return LimitVerdict(
        backend="dynamodb",
        driver="head",
        pattern=pattern,
        metric="response_time",
        kind="relative",
        percentile=percentile,
        limit=ALLOWED[percentile],
        estimate=estimate,
        low=low,
        high=high,
        calls=4_000,
        needed_calls=None,
        status=status,
        sentence="",
        **changes,
    )


def judged_by(
    run: Run,
    limits: Sequence[LimitVerdict],
    *,
    status: Status | None = None,
    baseline: Sequence[str] | None = None,
    series: Sequence[SeriesInfo] | None = None,
    **changes: Any,
) -> Run:
    """The run with these limits as its verdict, which is PASS unless one of them is not."""
    verdict = Verdict(
        status=status or worst_status([limit.status for limit in limits] or ["PASS"]),
        sentence="The verdict.",
        confidence=0.95,
        level=0.05,
        baseline=BaselineReference(
            name="dynamodb/base in the same run", runs=tuple(baseline or [run.info.id])
        ),
        limits=tuple(limits),
        **changes,
    )
    update = {"verdict": verdict, "series": list(series or run.info.series)}
    return replace(run, info=run.info.model_copy(update=update))
