"""Is B slower than A? Ratios with intervals for every access pattern and percentile.

A comparison asks less than the gate does: not whether a promise is broken, but whether something
got slower. A percentile is SLOWER when it is slower for certain and not shown to be within the
allowed growth; WITHIN when it is shown to be; UNDECIDED otherwise.

Each percentile is also compared over all access patterns of a backend together (`whole.py`). Where
those are WITHIN, single patterns that too few calls leave UNDECIDED do not hold up the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.config import Relative
from loadtests.errors import (
    EXIT_FAIL,
    EXIT_INCONCLUSIVE,
    EXIT_INVALID,
    EXIT_PASS,
    ResultsError,
)
from loadtests.judge.fingerprint import refuse_differences
from loadtests.judge.measured import Measured
from loadtests.judge.stats.holm import broken_limits, wholes_first
from loadtests.judge.stats.pairs import Pair, wholes_of
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import Ratio, spread_of
from loadtests.measure.results import (
    PERCENTILES,
    Key,
    Outcome,
    PercentileRatio,
    Run,
    SeriesInfo,
)
from loadtests.patterns import ALL_PATTERNS, PATTERNS

# Of the error, what SLOWER may spend over the whole family: 1% at 95% confidence. An alarm without
# cause costs more trust than a slowdown found one run later.
ALARM_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class ComparedSubject:
    """One side of a comparison: a backend through a driver."""

    backend: str
    driver: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.driver}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All ratios of a comparison and what they come to; `reasons` say why it does not count."""

    rows: tuple[PercentileRatio, ...]
    reasons: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """PASS, FAIL (something is slower), INCONCLUSIVE or INVALID."""
        outcomes = {one.outcome for one in self.rows}
        if self.reasons:
            return "INVALID"
        if "SLOWER" in outcomes:
            return "FAIL"
        wholes = {one.outcome for one in self.rows if one.pattern == ALL_PATTERNS}
        outcomes = (wholes or outcomes) - {""}
        return "PASS" if outcomes == {"WITHIN"} else "INCONCLUSIVE"

    @property
    def undecided_rows(self) -> tuple[PercentileRatio, ...]:
        """Single patterns that are undecided, whatever all of them come to together."""
        return tuple(
            one for one in self.rows if one.outcome == "UNDECIDED" and one.pattern != ALL_PATTERNS
        )

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID."""
        codes = {"PASS": EXIT_PASS, "FAIL": EXIT_FAIL, "INVALID": EXIT_INVALID}
        return codes.get(self.status, EXIT_INCONCLUSIVE)


def compare_runs(
    reference: Sequence[Run],
    subject: Sequence[Run],
    allowed: Relative,
    confidence: float,
    *,
    metric: str = "response_time",
    allow_differences: bool = False,
) -> Comparison:
    """Hold one set of runs (`subject`) against another.

    Raises ResultsError when runs differ in more than their seed (unless allowed to), or have no
    access pattern in common.
    """
    if not allow_differences:
        for one in [*reference[1:], *subject]:
            refuse_differences(one.info, reference[0].info, f"run {reference[0].info.id}")
    a, b = [Measured(one) for one in reference], [Measured(one) for one in subject]
    pairs = list(_pairs(a, b, metric))
    if not pairs:
        raise ResultsError(
            f"{_names(reference)} and {_names(subject)} have no access pattern of one backend "
            f"with calls ({metric}) in common.",
            hint="Compare runs of one scenario and backend.",
        )
    reasons = tuple(
        f"{one.info.id}: the run does not count."
        for one in [*reference, *subject]
        if one.info.validity is None or not one.info.validity.valid
    )
    return Comparison(decide(pairs, allowed, confidence), reasons)


def decide(
    pairs: Sequence[Pair], allowed: Relative, confidence: float
) -> tuple[PercentileRatio, ...]:
    """Interval and outcome of each pair; being slower is decided for all together (Holm)."""
    growth = {"p50": allowed.p50, "p90": allowed.p90, "p99": allowed.p99}
    level = 1.0 - confidence
    judged = [one for one in pairs if growth.get(one.percentile) is not None]
    wholes = wholes_of(judged)
    judged = [*wholes, *judged]
    lows: list[Callable[[float], float]] = [one.ratio.low for one in judged]
    weights = wholes_first([one.pattern == ALL_PATTERNS for one in judged])
    slower = broken_limits(lows, [1.0] * len(judged), level * ALARM_SHARE, weights)
    outcomes: dict[int, Outcome] = {}
    for one, decision in zip(judged, slower, strict=True):
        within = one.ratio.high(level) <= 1.0 + (growth[one.percentile] or 0.0)
        undecided: Outcome = "SLOWER" if decision.broken else "UNDECIDED"
        outcomes[id(one)] = "WITHIN" if within else undecided
    return tuple(_row(one, level / 2.0, outcomes.get(id(one), "")) for one in [*wholes, *pairs])


def _row(pair: Pair, level: float, outcome: Outcome) -> PercentileRatio:
    ratio = pair.ratio
    high = ratio.high(level)
    return PercentileRatio(
        subject=pair.subject,
        reference=pair.reference,
        pattern=pair.pattern,
        metric=pair.metric,
        percentile=pair.percentile,
        subject_ms=_geometric_mean(ratio.subjects),
        reference_ms=_geometric_mean(ratio.references),
        ratio=ratio.estimate,
        low=ratio.low(level) or None,
        high=high if math.isfinite(high) else None,
        subject_calls=sum(one.calls for one in ratio.subjects),
        reference_calls=sum(one.calls for one in ratio.references),
        outcome=outcome,
    )


def _geometric_mean(runs: Sequence[Quantile]) -> float:
    return math.exp(sum(math.log(max(one.estimate_ms, 1e-6)) for one in runs) / len(runs))


def _pairs(a: Sequence[Measured], b: Sequence[Measured], metric: str) -> Iterable[Pair]:
    """Every pattern that all runs of both sides measured, by backend."""
    subjects = _common(b)
    matched = [
        (backend, old, subjects[backend])
        for backend, old in _common(a).items()
        if backend in subjects
    ]
    for backend, old, new in matched:
        patterns = [p for p in PATTERNS if p in old.patterns and p in new.patterns]
        for percentile, q in PERCENTILES.items():
            before = {p: _quantiles(a, old.key(p, metric), q) for p in patterns}
            after = {p: _quantiles(b, new.key(p, metric), q) for p in patterns}
            held = [p for p in patterns if before[p] and after[p]]
            spread = spread_of([before[p] for p in held], [after[p] for p in held])
            for pattern in held:
                ratio = Ratio(after[pattern], before[pattern], spread=spread)
                yield Pair(
                    f"{backend}/{new.driver}",
                    f"{backend}/{old.driver}",
                    pattern,
                    metric,
                    percentile,
                    ratio,
                )


@dataclass(frozen=True, slots=True)
class _Side:
    backend: str
    driver: str
    patterns: frozenset[str]

    def key(self, pattern: str, metric: str) -> Key:
        return Key(self.backend, self.driver, pattern, metric)


def _common(runs: Sequence[Measured]) -> Mapping[str, _Side]:
    """What every run of a side measured, by backend; of several drivers, the first."""
    sides: dict[str, _Side] = {}
    for subject in sorted({_subject(one) for one in runs[0].series()}, key=str):
        patterns = [
            {one.pattern for one in run.series() if _subject(one) == subject} for run in runs
        ]
        shared = frozenset(set.intersection(*patterns))
        if shared:
            side = _Side(subject.backend, subject.driver, shared)
            sides.setdefault(subject.backend, side)
    return sides


def _subject(one: SeriesInfo) -> ComparedSubject:
    return ComparedSubject(one.backend, one.driver)


def _quantiles(runs: Sequence[Measured], key: Key, q: float) -> tuple[Quantile, ...]:
    if not all(one.samples(key).calls for one in runs):
        return ()
    return tuple(one.quantile(key, q) for one in runs)


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(one.info.id for one in runs)
