"""Is B slower than A? Ratios with intervals for every access pattern and percentile.

A comparison asks less than the gate: not whether a limit is exceeded, but whether something got
slower. A percentile is WITHIN when its growth is shown to be within what is allowed; otherwise
SLOWER when it is significantly slower, and UNDECIDED when neither is shown.

Each percentile is also compared over all access patterns of a backend (`stats/overall.py`). Where
those are WITHIN, single patterns that are UNDECIDED because of too few calls do not leave the
comparison undecided.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.config import Relative
from loadtests.errors import ResultsError
from loadtests.judge.fingerprint import refuse_differences
from loadtests.judge.run_samples import (
    MAX_LEFT_OUT,
    RunSamples,
    comparable_samples,
    left_out,
)
from loadtests.judge.sentences import stalled_too_often, undisturbed_words
from loadtests.judge.slo import allowed_growth
from loadtests.judge.stats.distributions import TailProbability, one_sided, two_sided
from loadtests.judge.stats.holm import holm, overall_first_weights
from loadtests.judge.stats.overall import ComparedSeries, overall_comparisons
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import UnpairedRatio, between_run_variance
from loadtests.measure.results import (
    EXIT_CODES,
    PERCENTILES,
    Basis,
    Direction,
    Key,
    Outcome,
    PercentileRatio,
    Run,
    SeriesInfo,
    Status,
)
from loadtests.patterns import ALL_PATTERNS, in_order

# The part of the error probability that significant changes may spend over all ratios, in each
# direction: 1% at 95% confidence. A false alarm costs more trust than a slowdown that is found one
# run later.
FALSE_ALARM_PART: Final = 0.2


@dataclass(frozen=True, slots=True)
class ComparedSubject:
    """One side of a comparison: a backend through a driver."""

    backend: str
    driver: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.driver}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """All ratios of a comparison; `reasons` say why it is invalid.

    `basis` says which calls were compared, the same of every run. `left_out` is the largest share
    of a run's calls that a stall of the machine may have touched, None where no run measured it.
    """

    rows: tuple[PercentileRatio, ...]
    reasons: tuple[str, ...] = ()
    basis: Basis = "all"
    left_out: float | None = None

    @property
    def calls_compared(self) -> str:
        """Which calls were compared, as a sentence; empty where no calls were left out."""
        if self.basis == "undisturbed":
            return f"{undisturbed_words(1.0 - (self.left_out or 0.0))}.".capitalize()
        if not self.left_out:
            return ""
        why = "the undisturbed ones are not known of every run."
        if self.left_out > MAX_LEFT_OUT:
            why = stalled_too_often(self.left_out)
        return f"On all calls, disturbed ones included: {why}"

    @property
    def status(self) -> Status:
        """PASS, FAIL (something is slower), INCONCLUSIVE or INVALID."""
        if self.reasons:
            return "INVALID"
        outcomes = {row.outcome for row in self.rows}
        if "SLOWER" in outcomes:
            return "FAIL"
        overall = {row.outcome for row in self.rows if row.pattern == ALL_PATTERNS}
        return "PASS" if (overall or outcomes) - {""} == {"WITHIN"} else "INCONCLUSIVE"

    @property
    def undecided_rows(self) -> tuple[PercentileRatio, ...]:
        """Single patterns that are undecided, whatever the overall outcome."""
        return tuple(
            row for row in self.rows if row.outcome == "UNDECIDED" and row.pattern != ALL_PATTERNS
        )

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID."""
        return EXIT_CODES[self.status]


def compare_runs(
    reference: Sequence[Run],
    subject: Sequence[Run],
    allowed: Relative,
    confidence: float,
    *,
    metric: str = "response_time",
    allow_differences: bool = False,
) -> Comparison:
    """Compare one set of runs (`subject`) with another.

    Raises ResultsError when runs differ in more than their seed (unless `allow_differences`), or
    have no access pattern in common.
    """
    if not allow_differences:
        for run in [*reference[1:], *subject]:
            refuse_differences(run.info, reference[0].info, f"run {reference[0].info.id}")
    runs = [*reference, *subject]
    samples = comparable_samples(runs)
    old, new = samples[: len(reference)], samples[len(reference) :]
    comparisons = list(_comparisons(old, new, metric))
    if not comparisons:
        raise ResultsError(
            f"{_names(reference)} and {_names(subject)} have no access pattern of one backend "
            f"with calls ({metric}) in common.",
            hint="Compare runs of one scenario and backend.",
        )
    reasons = tuple(
        f"{run.info.id}: the run is invalid."
        for run in runs
        if run.info.validity is None or not run.info.validity.valid
    )
    return Comparison(
        decide(comparisons, allowed, confidence), reasons, samples[0].basis, most_left_out(runs)
    )


def most_left_out(runs: Iterable[Run]) -> float | None:
    """The largest share of a run's calls left out; None where no run measured it."""
    return max((share for run in runs if (share := left_out(run)) is not None), default=None)


def decide(
    comparisons: Sequence[ComparedSeries], allowed: Relative, confidence: float
) -> tuple[PercentileRatio, ...]:
    """Interval, outcome and direction of each ratio, overall ratios first.

    What is slower is decided by Holm; what is faster by Bonferroni, with the same weights.
    """
    growth = allowed_growth(allowed)
    alpha = one_sided(confidence)
    limited = [c for c in comparisons if growth.get(c.percentile) is not None]
    overall = overall_comparisons(limited)
    judged = [*overall, *limited]
    spent = TailProbability(alpha * FALSE_ALARM_PART)
    weights = overall_first_weights([compared.is_overall for compared in judged])
    total = sum(weights)
    decisions = holm(
        [compared.ratio.low for compared in judged], [1.0] * len(judged), spent, weights
    )
    outcomes: dict[int, Outcome] = {}
    directions: dict[int, Direction] = {}
    for compared, decision, weight in zip(judged, decisions, weights, strict=True):
        high = compared.ratio.high(alpha)
        within = high <= 1.0 + (growth[compared.percentile] or 0.0)
        otherwise: Outcome = "SLOWER" if decision.exceeded else "UNDECIDED"
        outcomes[id(compared)] = "WITHIN" if within else otherwise
        if decision.exceeded:
            directions[id(compared)] = "slower"
        elif high < 1.0 and compared.ratio.high(TailProbability(spent * weight / total)) < 1.0:
            directions[id(compared)] = "faster"
    return tuple(
        _percentile_ratio(
            compared,
            two_sided(confidence),
            outcomes.get(id(compared), ""),
            directions.get(id(compared), ""),
        )
        for compared in [*overall, *comparisons]
    )


def _percentile_ratio(
    compared: ComparedSeries, alpha: TailProbability, outcome: Outcome, direction: Direction
) -> PercentileRatio:
    ratio = compared.ratio
    high = ratio.high(alpha)
    return PercentileRatio(
        subject=compared.subject,
        reference=compared.reference,
        pattern=compared.pattern,
        metric=compared.metric,
        percentile=compared.percentile,
        subject_ms=_geometric_mean(ratio.subjects),
        reference_ms=_geometric_mean(ratio.references),
        ratio=ratio.estimate,
        low=ratio.low(alpha) or None,
        high=high if math.isfinite(high) else None,
        subject_calls=sum(quantile.calls for quantile in ratio.subjects),
        reference_calls=sum(quantile.calls for quantile in ratio.references),
        outcome=outcome,
        direction=direction,
    )


def _geometric_mean(runs: Sequence[Quantile]) -> float:
    return math.exp(sum(math.log(max(run.estimate_ms, 1e-6)) for run in runs) / len(runs))


def _comparisons(
    old: Sequence[RunSamples], new: Sequence[RunSamples], metric: str
) -> Iterable[ComparedSeries]:
    """Every pattern that all runs of both sides measured, by backend."""
    subjects = _sides(new)
    declared = new[0].run.info.config.patterns
    for backend, reference in _sides(old).items():
        subject = subjects.get(backend)
        if subject is None:
            continue
        patterns = in_order(reference.patterns & subject.patterns, declared)
        for percentile, q in PERCENTILES.items():
            before = {p: _quantiles(old, reference.key(p, metric), q) for p in patterns}
            after = {p: _quantiles(new, subject.key(p, metric), q) for p in patterns}
            measured = [p for p in patterns if before[p] and after[p]]
            between_runs = between_run_variance(
                [before[p] for p in measured], [after[p] for p in measured]
            )
            for pattern in measured:
                yield ComparedSeries(
                    subject=f"{backend}/{subject.driver}",
                    reference=f"{backend}/{reference.driver}",
                    pattern=pattern,
                    metric=metric,
                    percentile=percentile,
                    ratio=UnpairedRatio(after[pattern], before[pattern], between_runs),
                )


@dataclass(frozen=True, slots=True)
class _Side:
    backend: str
    driver: str
    patterns: frozenset[str]

    def key(self, pattern: str, metric: str) -> Key:
        return Key(self.backend, self.driver, pattern, metric)


def _sides(runs: Sequence[RunSamples]) -> Mapping[str, _Side]:
    """What every run of a side measured, by backend; of several drivers, the first."""
    sides: dict[str, _Side] = {}
    for subject in sorted({_subject(series) for series in runs[0].series()}, key=str):
        patterns = [
            {series.pattern for series in run.series() if _subject(series) == subject}
            for run in runs
        ]
        shared = frozenset(set.intersection(*patterns))
        if shared:
            side = _Side(subject.backend, subject.driver, shared)
            sides.setdefault(subject.backend, side)
    return sides


def _subject(series: SeriesInfo) -> ComparedSubject:
    return ComparedSubject(series.backend, series.driver)


def _quantiles(runs: Sequence[RunSamples], key: Key, q: float) -> tuple[Quantile, ...]:
    if not all(run.samples(key).calls for run in runs):
        return ()
    return tuple(run.quantile(key, q) for run in runs)


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(run.info.id for run in runs)
