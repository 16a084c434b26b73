"""The verdict on a run: a status, an interval and a sentence for each limit, and one for the run.

The stored form (`Verdict.as_data`, run.json's `verdict`)::

    status       PASS | FAIL | INCONCLUSIVE | INVALID
    exit_code    0 | 1 | 3 | 4
    sentence     the verdict in words
    confidence   0.95: what the intervals are held to
    level        share of calls to be wrong that this look may spend (0.05, less when extended)
    needed_s     measured seconds in all that would decide an INCONCLUSIVE run, or null
    reasons      [text], why a run is INVALID
    counts       {status: number of limits}
    baseline     {name, runs, refused}: what the relative limits were held against, or null;
                 refused lists the fields in which it differs, where it was not
    limits       [{backend, driver, pattern, metric, statistic, unit, limit, estimate, low, high,
                   calls, needed_calls, status, sentence}]
    estimates    [{backend, driver, pattern, metric, percentile, estimate_ms, low_ms, high_ms,
                   calls, needed_calls}]

`statistic` is p50, p90, p99, p99.9 (unit ms), error_rate (unit share), p50_ratio … (unit ratio, to
the baseline). `low` and `high` are the bounds decided on: PASS when `high` is within the limit
(each at the level: a run passes only when all do, so no limit needs correcting), FAIL when `low`
is beyond it (Holm over all limits of the run, so that any false FAIL has that level together).
`estimates` holds plain two-sided intervals for tables and charts. A bound that the sample cannot
carry is null, and `needed_calls` then says how many calls it takes; it is null otherwise.
docs/decisions/verdict.md has the reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from loadtests.errors import EXIT_FAIL, EXIT_INCONCLUSIVE, EXIT_INVALID, EXIT_PASS

Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]
EXIT_CODES: Final[dict[Status, int]] = {
    "PASS": EXIT_PASS,
    "FAIL": EXIT_FAIL,
    "INCONCLUSIVE": EXIT_INCONCLUSIVE,
    "INVALID": EXIT_INVALID,
}

# A broken limit stays broken whatever another run shows; a run that did not count says nothing.
_GRAVEST_FIRST: Final[tuple[Status, ...]] = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")


def of_several(statuses: Iterable[Status]) -> Status:
    """The one status of several runs judged together: the gravest. Raises ValueError for none."""
    return min(statuses, key=_GRAVEST_FIRST.index)


@dataclass(frozen=True, slots=True)
class LimitVerdict:
    """One limit of one series, decided. `low`, `high`, `limit` and `estimate` are in `unit`.

    `decides` is false for a relative limit of a single pattern where one over all patterns is
    judged: INCONCLUSIVE, it does not leave the run so.
    """

    backend: str
    driver: str
    pattern: str
    metric: str
    statistic: str
    unit: str
    limit: float
    estimate: float
    low: float | None
    high: float | None
    calls: int
    needed_calls: int | None
    status: Status
    sentence: str
    decides: bool = True


@dataclass(frozen=True, slots=True)
class Estimate:
    """One percentile of one series with its two-sided interval, in milliseconds."""

    backend: str
    driver: str
    pattern: str
    metric: str
    percentile: str
    estimate_ms: float
    low_ms: float | None
    high_ms: float | None
    calls: int
    needed_calls: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run means."""

    status: Status
    sentence: str
    confidence: float
    level: float
    needed_s: float | None
    reasons: tuple[str, ...]
    baseline: dict[str, Any] | None
    limits: tuple[LimitVerdict, ...]
    estimates: tuple[Estimate, ...]

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID."""
        return EXIT_CODES[self.status]

    def as_data(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "status": self.status,
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "confidence": self.confidence,
            "level": self.level,
            "needed_s": self.needed_s,
            "reasons": list(self.reasons),
            "counts": dict(Counter(one.status for one in self.limits)),
            "baseline": self.baseline,
            "limits": [asdict(one) for one in self.limits],
            "estimates": [asdict(one) for one in self.estimates],
        }
