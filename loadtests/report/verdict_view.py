"""The stored verdict (`run.json["verdict"]`) as the report uses it; absent parts stay absent.

The form is `judge/verdict.py`'s. It is read with care rather than trusted: a run folder may come
from elsewhere, from another version, or half-written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.measure.results import Run
from loadtests.report.rounding import clean
from loadtests.report.series import Subject

NOT_JUDGED: Final = "NOT JUDGED"
VERDICTS: Final = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
# The worst first: what a row of several limits is called by.
_WORST: Final = ("INVALID", "FAIL", "INCONCLUSIVE", "PASS")
RATIO: Final = "_ratio"
_HEADLINE: Final = 120
_COUNTED: Final = re.compile(r"(\d+ of \d+ limits \w+): ")


@dataclass(frozen=True, slots=True)
class Limit:
    """One judged limit; `unit` is `ms`, `share` (of calls) or `ratio` (to the baseline).

    `decides`: left open, it leaves the run open too.
    """

    backend: str
    driver: str
    pattern: str
    metric: str
    statistic: str
    unit: str
    limit: float | None
    estimate: float | None
    low: float | None
    high: float | None
    needed_calls: int | None
    status: str
    sentence: str
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """A percentile's two-sided interval; an end the sample cannot carry is None."""

    backend: str
    driver: str
    pattern: str
    metric: str
    percentile: str
    low_ms: float | None
    high_ms: float | None
    needed_calls: int | None


@dataclass(frozen=True, slots=True)
class Judged:
    """The run's verdict and everything behind it."""

    status: str
    sentence: str
    details: str = ""
    confidence: float = 0.95
    reasons: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    baseline: str = ""

    def limits_of(self, subject: Subject, pattern: str) -> tuple[Limit, ...]:
        """The limits on one access pattern of one subject."""
        return tuple(x for x in self.limits if _of(x, subject, pattern))

    def estimate(
        self, subject: Subject, pattern: str, metric: str, percentile: str
    ) -> Estimate | None:
        """The interval of one percentile, if it was judged."""
        for x in self.estimates:
            if _of(x, subject, pattern) and (x.metric, x.percentile) == (metric, percentile):
                return x
        return None

    def status_of(self, subject: Subject, pattern: str) -> str:
        """The worst status among a row's limits that decide; INVALID where the whole run is."""
        if self.status == "INVALID":
            return self.status
        limits = self.limits_of(subject, pattern)
        found = {x.status for x in limits if x.decides or x.status != "INCONCLUSIVE"}
        return next((v for v in _WORST if v in found), NOT_JUDGED)


def _of(found: Limit | Estimate, subject: Subject, pattern: str) -> bool:
    place = (found.backend, found.driver, found.pattern)
    return place == (subject.backend, subject.driver, pattern)


def read_judged(run: Run) -> Judged:
    """Read the stored verdict; what it lacks is said, never invented."""
    stored = run.info.verdict
    if not isinstance(stored, Mapping):
        return Judged(NOT_JUDGED, "This run has not been judged.")
    status = _status(stored.get("status"))
    sentence, details = _split(clean(stored.get("sentence") or "", longest=1500), status)
    return Judged(
        status=status,
        sentence=sentence,
        details=details,
        confidence=_number(stored.get("confidence")) or 0.95,
        reasons=tuple(clean(r, longest=400) for r in _list(stored.get("reasons"))),
        limits=tuple(_limit(one) for one in _parts(stored.get("limits"))),
        estimates=tuple(_estimate(one) for one in _parts(stored.get("estimates"))),
        baseline=_baseline(stored.get("baseline")),
    )


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


def _limit(one: Mapping[str, Any]) -> Limit:
    low = _number(one.get("low"))
    if one.get("unit") == "ratio" and low is not None and low <= 0:
        low = None  # nothing rules out that it became infinitely faster: there is no bound
    return Limit(
        **_series(one),
        statistic=clean(one.get("statistic", "")),
        unit=clean(one.get("unit", "")),
        limit=_number(one.get("limit")),
        estimate=_number(one.get("estimate")),
        low=low,
        high=_number(one.get("high")),
        needed_calls=_whole(one.get("needed_calls")),
        status=_status(one.get("status")),
        sentence=clean(one.get("sentence") or "", longest=600),
        decides=one.get("decides") is not False,
    )


def _estimate(one: Mapping[str, Any]) -> Estimate:
    return Estimate(
        **_series(one),
        percentile=clean(one.get("percentile", "")),
        low_ms=_number(one.get("low_ms")),
        high_ms=_number(one.get("high_ms")),
        needed_calls=_whole(one.get("needed_calls")),
    )


def _series(one: Mapping[str, Any]) -> dict[str, str]:
    return {
        "backend": str(one.get("backend", "")),
        "driver": str(one.get("driver", "")),
        "pattern": clean(one.get("pattern", "")),
        "metric": str(one.get("metric", "")),
    }


def _baseline(stored: Any) -> str:
    if not isinstance(stored, Mapping):
        return ""
    name = clean(stored.get("name", "")) or "the baseline"
    runs = [clean(r) for r in _list(stored.get("runs"))]
    if not runs:
        return name
    return f"{name} ({len(runs)} {'run' if len(runs) == 1 else 'runs'})"


def _status(word: Any) -> str:
    return word if word in VERDICTS else NOT_JUDGED


def _list(stored: Any) -> Sequence[Any]:
    return stored if isinstance(stored, list | tuple) else ()


def _parts(stored: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in _list(stored) if isinstance(one, Mapping))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None else None
