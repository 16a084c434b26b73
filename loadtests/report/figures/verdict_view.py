"""The stored verdict as a report shows it: made printable, with the status of each row.

Texts may come from another machine, so control characters are taken out of them here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from loadtests.config import Slo
from loadtests.measure.results import (
    BaselineReference,
    LimitVerdict,
    PercentileEstimate,
    Run,
    Status,
)
from loadtests.report.figures.rounding import clean
from loadtests.report.figures.series import ReportSubject

ShownStatus = Status | Literal["NOT JUDGED", "REFERENCE"]
NOT_JUDGED: Final = "NOT JUDGED"
REFERENCE: Final = "REFERENCE"  # a row of the subject that the other one was compared with
VERDICTS: Final[tuple[Status, ...]] = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
# What a row of several limits is called by.
_WORST_FIRST: Final[tuple[Status, ...]] = ("INVALID", "FAIL", "INCONCLUSIVE", "PASS")
_HEADLINE: Final = 120
_COUNTED: Final = re.compile(r"(\d+ of \d+ limits \w+): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictView:
    """The verdict on a run, its headline apart from the details."""

    status: ShownStatus
    sentence: str
    details: str = ""
    confidence: float = 0.95
    reasons: tuple[str, ...] = ()
    limits: tuple[LimitVerdict, ...] = ()
    estimates: tuple[PercentileEstimate, ...] = ()
    baseline: str = ""
    slo: Slo | None = None
    metric: str = "response_time"

    def limits_of(self, subject: ReportSubject, pattern: str) -> tuple[LimitVerdict, ...]:
        """The limits on one access pattern of one subject."""
        return tuple(limit for limit in self.limits if _is_of(limit, subject, pattern))

    def estimate(
        self, subject: ReportSubject, pattern: str, metric: str, percentile: str
    ) -> PercentileEstimate | None:
        """The interval of one percentile, if it was judged."""
        for estimate in self.estimates:
            if _is_of(estimate, subject, pattern) and (estimate.metric, estimate.percentile) == (
                metric,
                percentile,
            ):
                return estimate
        return None

    def status_of(self, subject: ReportSubject, pattern: str) -> ShownStatus:
        """The worst status among a row's limits that decide; INVALID where the whole run is."""
        if self.status == "INVALID":
            return self.status
        limits = self.limits_of(subject, pattern)
        statuses = {x.status for x in limits if x.decides or x.status != "INCONCLUSIVE"}
        return next((status for status in _WORST_FIRST if status in statuses), NOT_JUDGED)


def _is_of(stored: LimitVerdict | PercentileEstimate, subject: ReportSubject, pattern: str) -> bool:
    named = (stored.backend, stored.driver, stored.pattern)
    return named == (subject.backend, subject.driver, pattern)


def view_verdict(run: Run) -> VerdictView:
    """The run's stored verdict, or that it has none."""
    verdict = run.info.verdict
    if verdict is None:
        return VerdictView(
            status=NOT_JUDGED, sentence="This run has not been judged.", slo=run.info.config.slo
        )
    sentence, details = _split(clean(verdict.sentence, longest=1500), verdict.status)
    if verdict.status == "INVALID":
        sentence, details = _invalid(run, sentence), ""
    return VerdictView(
        status=verdict.status,
        sentence=sentence,
        details=details,
        confidence=verdict.confidence,
        reasons=tuple(clean(reason, longest=400) for reason in verdict.reasons),
        limits=tuple(_printable_limit(limit) for limit in verdict.limits),
        estimates=tuple(
            estimate.model_copy(update={"pattern": clean(estimate.pattern)})
            for estimate in verdict.estimates
        ),
        baseline=_baseline(verdict.baseline, run.info.id),
        slo=verdict.slo or run.info.config.slo,
        metric=verdict.metric,
    )


def _invalid(run: Run, sentence: str) -> str:
    """The rules that the run broke; what was found and the remedies are notes of their own."""
    validity = run.info.validity
    if validity is None or not validity.reasons or run.info.steps:
        return sentence
    rules = ", ".join(clean(reason.rule) for reason in validity.reasons)
    return f"This run does not count: {rules}."


def _split(text: str, status: str) -> tuple[str, str]:
    """One sentence for the headline, and what follows it: `3 of 36 limits broken.` and which."""
    text = text.removeprefix(f"{status}: ")
    text = text[:1].upper() + text[1:]
    if len(text) <= _HEADLINE:
        return text, ""
    if counted := _COUNTED.match(text):
        return f"{counted[1]}.", text[counted.end() :]
    first, dot, rest = text.partition(". ")
    return first + dot.strip(), rest


def _printable_limit(limit: LimitVerdict) -> LimitVerdict:
    texts = {
        "pattern": clean(limit.pattern),
        "sentence": clean(limit.sentence, longest=600),
    }
    if limit.kind == "relative" and limit.low is not None and limit.low <= 0:
        return limit.model_copy(update={**texts, "low": None})  # 0 is no bound of a ratio
    return limit.model_copy(update=texts)


def _baseline(baseline: BaselineReference | None, run_id: str) -> str:
    if baseline is None:
        return ""
    name = clean(baseline.name) or "the baseline"
    if baseline.runs in ((), (run_id,)):
        return name
    return f"{name} ({len(baseline.runs)} {'run' if len(baseline.runs) == 1 else 'runs'})"
