"""DynamoDB against PostgreSQL, and the run against its baseline, as ratios with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.measure.results import PercentileRatio, Run
from loadtests.order_statistics import min_calls
from loadtests.report.figures.rounding import clean, digits, span, times
from loadtests.report.figures.series import ReportSubject
from loadtests.report.figures.verdict_view import VerdictView

SHOWN: Final = ("p50", "p99")
NOT_STORED: Final = (
    "How DynamoDB compares with PostgreSQL is not stored in this run, which an older version "
    "judged. `loadtests gate RUN` judges it again and stores the comparison."
)

_UNDISTURBED: Final = "Compared are the calls that no stall of the machine can have touched."


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One ratio and its interval (an open end is None), to be drawn in a role's colour."""

    label: str
    ratio: float
    low: float | None
    high: float | None
    role: str = "ink"
    limit: float | None = None

    @property
    def text(self) -> str:
        """`1.42× (1.31–1.55)`."""
        interval = span(self.low, self.high, "")
        return f"{digits(self.ratio)}×" + (f" ({interval})" if interval else "")


@dataclass(frozen=True, slots=True)
class RatioGroup:
    """Ratios of one percentile; `title` says what is divided by what."""

    title: str
    ratios: tuple[ForestRow, ...]


@dataclass(frozen=True, slots=True)
class BackendsView:
    """How the backends compare: one sentence, and a group of ratios for each percentile."""

    sentence: str
    groups: tuple[RatioGroup, ...] = ()


def backends_view(run: Run) -> BackendsView:
    """The stored comparison of the backends; nothing where it does not apply to the run."""
    head_to_head = run.info.head_to_head
    if head_to_head is None:
        return BackendsView(NOT_STORED if _could_be_compared(run) else "")
    if head_to_head.problem:
        problem = clean(head_to_head.problem)
        return BackendsView(f"DynamoDB and PostgreSQL cannot be compared: {problem}")
    shown = [ratio for ratio in head_to_head.ratios if has_enough_calls(ratio)]
    if not shown:
        return BackendsView("")
    groups = tuple(
        RatioGroup(
            f"{name}: DynamoDB ÷ PostgreSQL",
            tuple(
                ForestRow(clean(c.pattern), c.ratio, c.low, c.high)
                for c in shown
                if c.percentile == name
            ),
        )
        for name in SHOWN
    )
    basis = "" if head_to_head.basis == "all" else f" {_UNDISTURBED}"
    return BackendsView(_sentence(shown) + basis, groups)


def _could_be_compared(run: Run) -> bool:
    """Whether a verdict of this version would hold a comparison."""
    backends = {series.backend for series in run.info.series if series.count}
    verdict = run.info.verdict
    return (
        verdict is not None
        and verdict.status != "INVALID"
        and not run.info.steps
        and {"dynamodb", "postgres"} <= backends
    )


def has_enough_calls(row: PercentileRatio) -> bool:
    """Whether both sides have the calls that the percentile takes."""
    needed = min_calls(float(row.percentile.removeprefix("p")) / 100)
    return min(row.subject_calls, row.reference_calls) >= needed


def _sentence(shown: Sequence[PercentileRatio]) -> str:
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


def against_baseline(
    judged: VerdictView, subjects: Sequence[ReportSubject], divided: str
) -> tuple[RatioGroup, ...]:
    """The relative limits: each ratio of percentiles with its limit; `divided` says of what."""
    groups = []
    for name in ("p50", "p90", "p99"):
        ratios = [
            ForestRow(x.pattern, x.estimate, x.low, x.high, subject.role, x.limit)
            for x in judged.limits
            for subject in subjects
            if (x.kind, x.percentile) == ("relative", name)
            and (x.backend, x.driver) == (subject.backend, subject.driver)
        ]
        order = list(dict.fromkeys(r.label for r in ratios))
        ratios.sort(key=lambda r: order.index(r.label))
        groups.append(RatioGroup(f"{name}: {divided}", tuple(ratios)))
    return tuple(group for group in groups if group.ratios)
