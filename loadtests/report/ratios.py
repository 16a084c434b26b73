"""DynamoDB against PostgreSQL, and the run against its baseline, as ratios with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.errors import ResultsError
from loadtests.judge.comparison import Compared
from loadtests.judge.interleaved import compare_backends
from loadtests.measure.results import Run
from loadtests.order_statistics import min_calls
from loadtests.report.charts.forest import Ratio, RatioGroup
from loadtests.report.rounding import clean, times
from loadtests.report.series import Subject
from loadtests.report.verdict_view import RATIO, Judged

SHOWN: Final = ("p50", "p99")


@dataclass(frozen=True, slots=True)
class HeadToHead:
    """The headline in one sentence, and a group of ratios for each percentile."""

    sentence: str
    groups: tuple[RatioGroup, ...] = ()


def head_to_head(run: Run, metric: str, confidence: float) -> HeadToHead:
    """Compare the backends of one run; empty where it does not hold both."""
    try:
        compared = compare_backends(run, metric=metric, confidence=confidence, percentiles=SHOWN)
    except ResultsError as error:
        return HeadToHead(f"DynamoDB and PostgreSQL cannot be compared: {clean(error.message)}")
    shown = [c for c in compared if carried(c)]
    if not shown:
        return HeadToHead("")
    groups = tuple(
        RatioGroup(
            f"{name}: DynamoDB ÷ PostgreSQL",
            tuple(
                Ratio(clean(c.pattern), c.ratio, c.low, c.high)
                for c in shown
                if c.percentile == name
            ),
        )
        for name in SHOWN
    )
    return HeadToHead(_sentence(shown), groups)


def carried(row: Compared) -> bool:
    """Whether both sides have the calls that the percentile takes."""
    needed = min_calls(float(row.percentile.removeprefix("p")) / 100)
    return min(row.subject_calls, row.reference_calls) >= needed


def _sentence(shown: Sequence[Compared]) -> str:
    means: list[str] = []
    for name in SHOWN:
        logs = [math.log(c.ratio) for c in shown if c.percentile == name]
        if logs:
            compared = "" if means else " as long as PostgreSQL"
            means.append(f"{times(math.exp(sum(logs) / len(logs))).text}{compared} at {name}")
    tails = [c for c in shown if c.percentile == "p99"] or list(shown)
    longer = sum(c.low is not None and c.low > 1 for c in tails)
    shorter = sum(c.high is not None and c.high < 1 for c in tails)
    undecided = len(tails) - longer - shorter
    name = tails[0].percentile
    return (
        f"DynamoDB takes {' and '.join(means)} (geometric mean over access patterns); "
        f"of {len(tails)} {name}s, {_many(longer)} longer, {shorter or 'none'} shorter and "
        f"{undecided or 'none'} undecided."
    )


def _many(part: int) -> str:
    return f"{part or 'none'} {'is' if part == 1 else 'are'}"


def against_baseline(judged: Judged, subjects: Sequence[Subject]) -> tuple[RatioGroup, ...]:
    """The relative limits: each series' percentile over the baseline's, with the limit."""
    groups = []
    for name in ("p50", "p90", "p99"):
        ratios = [
            Ratio(x.pattern, x.estimate, x.low, x.high, subject.role, x.limit)
            for x in judged.limits
            for subject in subjects
            if x.statistic == name + RATIO
            and x.estimate is not None
            and (x.backend, x.driver) == (subject.backend, subject.driver)
        ]
        order = list(dict.fromkeys(r.label for r in ratios))
        ratios.sort(key=lambda r: order.index(r.label))
        groups.append(RatioGroup(f"{name}: this run ÷ baseline", tuple(ratios)))
    return tuple(group for group in groups if group.ratios)
