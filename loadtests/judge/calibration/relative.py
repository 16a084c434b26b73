"""The error rates of the gate's statistics, measured on recorded runs.

- Coverage: how often a 95% interval of a resampled run contains the recording's own quantile.
- False alarms: how often two resamples of the same recording are called different, over all
  patterns, backends and percentiles at once.
- Power: how often a slowdown that was added to some series is detected, by its size.

Each resample has a number and a random generator of its own, so the figures do not depend on how
many processes share the work.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final, Literal

import numpy as np

from loadtests.config import Relative
from loadtests.judge.calibration.bootstrap import (
    RecordedRun,
    comparable_basis,
    pooled_series,
    split_randomly,
)
from loadtests.judge.calibration.counters import Coverage, Outcomes
from loadtests.judge.comparison import Comparison, decide
from loadtests.judge.stats.distributions import TailProbability, one_sided, two_sided
from loadtests.judge.stats.holm import holm, overall_first_weights
from loadtests.judge.stats.overall import ComparedSeries, overall_comparisons
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.ratios import (
    BetweenRunVariance,
    Contributions,
    PairedRatio,
    Ratio,
    Side,
    UnpairedRatio,
)
from loadtests.judge.stats.samples import Samples
from loadtests.measure.results import PERCENTILES, Basis, Key
from loadtests.patterns import ALL_PATTERNS

SlowedCalls = Literal["all", "tail"]
Scope = Literal["series", "backend"]
GROWTHS: Final = (0.05, 0.10, 0.20, 0.50)
ALLOWED_GROWTH: Final = {"p50": 0.10, "p99": 0.20}  # the defaults of [slo.relative]
SLOWED_CALLS: Final[tuple[SlowedCalls, ...]] = ("all", "tail")
SCOPES: Final[tuple[Scope, ...]] = ("series", "backend")
TAIL_QUANTILE: Final = 0.95  # a slowdown of the tail affects the calls above it


@dataclass(frozen=True, slots=True)
class Slowdown:
    """Calls that are made slower: which calls, of one series or its whole backend, by how much."""

    calls: SlowedCalls
    scope: Scope
    growth: float


SLOWDOWNS: Final = tuple(Slowdown(*case) for case in product(SLOWED_CALLS, SCOPES, GROWTHS))
SeriesPairs = Mapping[Key, tuple[Samples, Samples]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationPlan:
    """Number of resamples for coverage and comparisons; seconds of a run and of a block."""

    runs: int = 300
    comparisons: int = 300
    seconds: int = 180
    block: int = 15
    confidence: float = 0.95
    seed: int = 1

    def generator(self, purpose: str, number: int) -> np.random.Generator:
        """The random generator of one resample for one purpose."""
        return np.random.default_rng([self.seed, number, *purpose.encode()])


@dataclass(frozen=True, slots=True)
class Ruling:
    """The result of a comparison; `slower` lists (subject, pattern, percentile)."""

    status: str
    slower: tuple[tuple[str, str, str], ...]


def measure_coverage(
    recordings: Sequence[RecordedRun],
    plan: CalibrationPlan,
    numbers: Iterable[int],
    basis: Basis = "all",
) -> dict[str, Coverage]:
    """Coverage of two-sided intervals by percentile, in the resamples of these numbers."""
    by_percentile = {name: Coverage() for name in PERCENTILES}
    truths = [_true_quantiles(recording, basis) for recording in recordings]
    alpha = two_sided(plan.confidence)
    for number in numbers:
        which = number % len(recordings)
        rng = plan.generator("coverage", number)
        resampled = _resample(recordings[which], plan, rng, basis)
        pooled = pooled_series(resampled)
        filled = [(key, samples) for key, samples in resampled.items() if samples.calls]
        for (key, samples), (name, q) in product(filled, PERCENTILES.items()):
            quantile = estimate_quantile(samples, q, pooled[key.backend, key.driver])
            _count_interval(by_percentile[name], quantile, alpha, key, truths[which][key, name])
    return by_percentile


def _count_interval(
    coverage: Coverage, quantile: Quantile, alpha: TailProbability, key: Key, truth_ms: float
) -> None:
    high_ms = quantile.high_ms(alpha)
    if not math.isfinite(high_ms):
        coverage.unresolvable += 1
        return
    coverage.intervals += 1
    if quantile.low_ms(alpha) <= truth_ms <= high_ms:
        coverage.covering += 1
        coverage.by_series[key] += 1


def _true_quantiles(recording: RecordedRun, basis: Basis) -> dict[tuple[Key, str], float]:
    return {
        (key, name): estimate_quantile(samples, q).estimate_ms
        for key, samples in recording.calls_of(basis).items()
        for name, q in PERCENTILES.items()
    }


def _resample(
    recording: RecordedRun, plan: CalibrationPlan, rng: np.random.Generator, basis: Basis
) -> dict[Key, Samples]:
    return recording.resample(recording.draw_seconds(rng, plan.seconds, plan.block), basis)


def interleaved_equals(
    recordings: Sequence[RecordedRun], plan: CalibrationPlan, rng: np.random.Generator
) -> SeriesPairs:
    """Two equal subjects of one resampled run: every call is assigned to one at random."""
    recording = recordings[int(rng.integers(len(recordings)))]
    resampled = _resample(recording, plan, rng, comparable_basis(recordings))
    return {key: split_randomly(samples, rng) for key, samples in resampled.items()}


def separate_equals(
    recordings: Sequence[RecordedRun], plan: CalibrationPlan, rng: np.random.Generator
) -> SeriesPairs:
    """Two independently resampled runs, from two recordings where there are several."""
    count = len(recordings)
    chosen = rng.choice(count, 2, replace=False) if count > 1 else [0, 0]
    basis = comparable_basis(recordings)
    first, second = (_resample(recordings[which], plan, rng, basis) for which in chosen)
    return {key: (first[key], second[key]) for key in first.keys() & second.keys()}


def slowed(samples: Samples, growth: float, calls: SlowedCalls) -> Samples:
    """The same calls; all of them, or those above p95, take `growth` longer."""
    if calls == "all":
        return samples.scaled(1.0 + growth)
    tail_rank = max(1, int(TAIL_QUANTILE * samples.calls))
    return samples.scaled(1.0 + growth, above=samples.bucket_at_rank(tail_rank))


class CachedRatio(Ratio):
    """A ratio that computes each bound once: most are needed again for every slowdown."""

    def __init__(self, ratio: Ratio) -> None:
        self._ratio = ratio
        self._estimate = ratio.estimate
        self._half_width = cache(ratio.half_width)

    @property
    def subjects(self) -> tuple[Quantile, ...]:
        """Those of the ratio."""
        return self._ratio.subjects

    @property
    def references(self) -> tuple[Quantile, ...]:
        """Those of the ratio."""
        return self._ratio.references

    @property
    def estimate(self) -> float:
        """That of the ratio."""
        return self._estimate

    @property
    def between_runs(self) -> BetweenRunVariance | None:
        """That of the ratio."""
        return self._ratio.between_runs

    def contributions(self, side: Side, alpha: TailProbability) -> tuple[Contributions, ...]:
        """Those of the ratio."""
        return self._ratio.contributions(side, alpha)

    def half_width(self, side: Side, alpha: TailProbability) -> float:
        """That of the ratio, computed once for each side and error probability."""
        return self._half_width(side, alpha)


def _comparisons(
    key: Key, old: Samples, new: Samples, *, interleaved: bool
) -> list[ComparedSeries]:
    """p50 and p99 of the second subject of one series over those of the first."""
    if not (old.calls and new.calls):
        return []
    side = f"{key.backend}/{key.driver}"
    comparisons = []
    for name in ALLOWED_GROWTH:
        reference = estimate_quantile(old, PERCENTILES[name])
        subject = estimate_quantile(new, PERCENTILES[name])
        ratio = (
            PairedRatio(subject, reference)
            if interleaved
            else UnpairedRatio((subject,), (reference,))
        )
        comparisons.append(
            ComparedSeries(
                subject=side,
                reference=side,
                pattern=key.pattern,
                metric=key.metric,
                percentile=name,
                ratio=CachedRatio(ratio),
            )
        )
    return comparisons


def compare_rule(comparisons: Sequence[ComparedSeries], confidence: float) -> Ruling:
    """The result of `loadtests compare`."""
    ratios = decide(comparisons, Relative(), confidence)
    slower = tuple(
        (ratio.subject, ratio.pattern, ratio.percentile)
        for ratio in ratios
        if ratio.outcome == "SLOWER"
    )
    return Ruling(Comparison(ratios).status, slower)


def gate_rule(comparisons: Sequence[ComparedSeries], confidence: float) -> Ruling:
    """The result of the gate, with the allowed growth as its limits."""
    overall = overall_comparisons(comparisons)
    judged = [*overall, *comparisons]
    limits = [1.0 + ALLOWED_GROWTH[compared.percentile] for compared in judged]
    alpha = one_sided(confidence)
    weights = overall_first_weights([compared.is_overall for compared in judged])
    decisions = holm([compared.ratio.low for compared in judged], limits, alpha, weights)
    slower = tuple(
        (compared.subject, compared.pattern, compared.percentile)
        for compared, decision in zip(judged, decisions, strict=True)
        if decision.exceeded
    )
    if slower:
        return Ruling("FAIL", slower)
    within = all(
        compared.ratio.high(alpha) <= 1.0 + ALLOWED_GROWTH[compared.percentile]
        for compared in overall or comparisons
    )
    return Ruling("PASS" if within else "INCONCLUSIVE", ())


def measure_outcomes(
    recordings: Sequence[RecordedRun],
    plan: CalibrationPlan,
    numbers: Iterable[int],
    *,
    interleaved: bool,
) -> dict[Slowdown | None, Outcomes]:
    """Outcomes without change (None) and with each slowdown, in a series chosen at random.

    A slowdown affects one series or its whole backend. One of all calls is detected when p50 or p99
    of an affected series fails, one of the tail when p99 does. Interleaved subjects are decided by
    `loadtests compare`, two runs by the relative limits of the gate.
    """
    purpose = "interleaved" if interleaved else "apart"
    draw, rule = (interleaved_equals, compare_rule) if interleaved else (separate_equals, gate_rule)
    outcomes: dict[Slowdown | None, Outcomes] = {None: Outcomes()}
    outcomes |= {slowdown: Outcomes() for slowdown in SLOWDOWNS}
    for number in numbers:
        rng = plan.generator(purpose, number)
        pairs = draw(recordings, plan, rng)
        keys = sorted(pairs)
        unchanged = {key: _comparisons(key, *pairs[key], interleaved=interleaved) for key in keys}
        chosen = keys[int(rng.integers(len(keys)))]
        for slowdown in outcomes:
            affected = _affected(keys, chosen, slowdown)
            comparisons = unchanged | {
                key: _comparisons(
                    key, pairs[key][0], _slowed(pairs[key][1], slowdown), interleaved=interleaved
                )
                for key in affected
            }
            ruling = rule([c for group in comparisons.values() for c in group], plan.confidence)
            _count(outcomes[slowdown], ruling, affected, slowdown)
    return outcomes


def _affected(keys: Sequence[Key], chosen: Key, slowdown: Slowdown | None) -> list[Key]:
    if slowdown is None:
        return []
    if slowdown.scope == "series":
        return [chosen]
    return [key for key in keys if key.backend == chosen.backend]


def _slowed(samples: Samples, slowdown: Slowdown | None) -> Samples:
    return samples if slowdown is None else slowed(samples, slowdown.growth, slowdown.calls)


def _count(
    outcomes: Outcomes, ruling: Ruling, affected: Sequence[Key], slowdown: Slowdown | None
) -> None:
    outcomes.statuses[ruling.status] += 1
    percentiles = ("p50", "p99") if slowdown and slowdown.calls == "all" else ("p99",)
    expected = {(f"{key.backend}/{key.driver}", key.pattern) for key in affected}
    if len(affected) > 1:
        expected |= {(side, ALL_PATTERNS) for side, _ in expected}
    outcomes.detected += any(
        (side, pattern) in expected and percentile in percentiles
        for side, pattern, percentile in ruling.slower
    )
