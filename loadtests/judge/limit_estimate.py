"""Each limit with the estimate that it applies to, and bounds at any error probability."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loadtests.errors import ResultsError
from loadtests.judge.baseline import Baseline
from loadtests.judge.fingerprint import refuse_differences
from loadtests.judge.run_samples import RunSamples, comparable_samples
from loadtests.judge.slo import Limit
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.overall import OverallRatio
from loadtests.judge.stats.proportions import FailureRate
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import (
    BetweenRunVariance,
    Ratio,
    UnpairedRatio,
    between_run_variance,
)
from loadtests.measure.histogram import bucket_index
from loadtests.measure.results import PERCENTILES, Basis, Key, Run
from loadtests.order_statistics import min_calls
from loadtests.patterns import ALL_PATTERNS

Bound = Callable[[TailProbability], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitEstimate:
    """A limit and the estimate that it applies to, in the limit's unit.

    `low` and `high` take a one-sided error probability; `calls_needed` too, and returns how many
    calls give a finite upper bound, None if there are enough. `ratio` belongs to a relative limit.
    `decides`: while it is undecided, so is the run. `basis` says which calls it is of; an absolute
    limit on a percentile has the same estimate of the `undisturbed` calls where the run has any.
    `beyond` is the rate of calls that took longer than such a limit.
    """

    limit: Limit
    estimate: float
    low: Bound
    high: Bound
    calls: int
    calls_needed: Callable[[TailProbability], int | None]
    ratio: Ratio | None = None
    decides: bool = True
    basis: Basis = "all"
    undisturbed: LimitEstimate | None = None
    beyond: FailureRate | None = None


class BaselineQuantiles:
    """The quantiles of a baseline and their variance between its runs.

    `samples` are those of the run that is compared with it, on the same basis.
    Raises ResultsError when its runs were measured under other conditions than `run`.
    """

    def __init__(self, baseline: Baseline, run: Run) -> None:
        self.baseline = baseline
        for baseline_run in baseline.runs:
            name = f"baseline {baseline.name} ({baseline_run.info.id})"
            refuse_differences(run.info, baseline_run.info, name)
        self.samples, *self._runs = comparable_samples([run, *baseline.runs])
        self._quantiles: dict[tuple[Key, float], tuple[Quantile, ...]] = {}
        self._variances: dict[tuple[str, str, str, float], BetweenRunVariance | None] = {}

    def quantiles(self, key: Key, q: float) -> tuple[Quantile, ...]:
        """One quantile per run of the baseline. Raises ResultsError where one has no calls."""
        if (key, q) not in self._quantiles:
            self._quantiles[key, q] = tuple(self._quantile(run, key, q) for run in self._runs)
        return self._quantiles[key, q]

    def _quantile(self, run: RunSamples, key: Key, q: float) -> Quantile:
        if not run.samples(key).calls:
            raise ResultsError(
                f"{run.run.path / 'latency.hlog'} (baseline {self.baseline.name}) has no calls of "
                f"{key.tag}.",
                hint="Promote a baseline of this scenario: loadtests baseline promote.",
            )
        return run.quantile(key, q)

    def between_runs(self, key: Key, q: float) -> BetweenRunVariance | None:
        """Variance between the runs, pooled over the backend's patterns; None for a single run."""
        group = (key.backend, key.driver, key.metric, q)
        if group not in self._variances:
            keys = [
                series.key(key.metric)
                for series in self._runs[0].series()
                if (series.backend, series.driver) == (key.backend, key.driver)
            ]
            self._variances[group] = between_run_variance([self.quantiles(k, q) for k in keys])
        return self._variances[group]


def estimate_limit(
    limit: Limit,
    samples: RunSamples,
    baseline: BaselineQuantiles | None = None,
    undisturbed: RunSamples | None = None,
) -> LimitEstimate | None:
    """The estimate that a limit applies to; None when the run has no data for it.

    `undisturbed` are the samples of the undisturbed calls, where stalls were measured.
    """
    if limit.percentile is None:
        return _error_rate(limit, samples)
    if limit.kind == "absolute":
        of_all = _absolute(limit, samples)
        if of_all is None or undisturbed is None:
            return of_all
        return replace(of_all, undisturbed=_absolute(limit, undisturbed))
    if baseline is None:
        raise ValueError("a relative limit without a baseline")
    key, q = _key(limit), PERCENTILES[limit.percentile]
    if not baseline.samples.samples(key).calls:
        return None
    quantile = baseline.samples.quantile(key, q)
    ratio = UnpairedRatio((quantile,), baseline.quantiles(key, q), baseline.between_runs(key, q))
    return LimitEstimate(
        limit=limit,
        estimate=ratio.estimate,
        low=ratio.low,
        high=ratio.high,
        calls=quantile.calls,
        calls_needed=quantile.calls_needed,
        ratio=ratio,
        basis=baseline.samples.basis,
    )


def _absolute(limit: Limit, samples: RunSamples) -> LimitEstimate | None:
    """The estimate of an absolute limit on a percentile; None without calls."""
    if limit.percentile is None or not samples.samples(_key(limit)).calls:
        return None
    quantile = samples.quantile(_key(limit), PERCENTILES[limit.percentile])
    return absolute_estimate(limit, quantile, samples.basis)


def absolute_estimate(limit: Limit, quantile: Quantile, basis: Basis) -> LimitEstimate:
    """The estimate of an absolute limit on a percentile, of these calls."""
    limit_bucket = int(bucket_index(np.array([round(limit.limit * 1e6)]))[0])
    above = int(quantile.samples.calls_above(limit_bucket).sum())
    return LimitEstimate(
        limit=limit,
        estimate=quantile.estimate_ms,
        low=quantile.low_ms,
        high=quantile.high_ms,
        calls=quantile.calls,
        calls_needed=quantile.calls_needed,
        basis=basis,
        beyond=FailureRate(above, quantile.calls),
    )


def _key(limit: Limit) -> Key:
    return Key(limit.backend, limit.driver, limit.pattern, limit.metric)


def with_overall(estimates: Sequence[LimitEstimate]) -> list[LimitEstimate]:
    """Add the overall relative limits of each backend with several access patterns.

    They decide whether the run is within its baseline. A single pattern rarely has enough calls: it
    can still exceed its limit, but while it is undecided the run need not be.
    """
    groups: dict[tuple[str, str, str, str, float], list[LimitEstimate]] = defaultdict(list)
    for estimate in estimates:
        if estimate.ratio is not None:
            limit = estimate.limit
            group = (limit.backend, limit.driver, limit.metric, limit.statistic, limit.limit)
            groups[group].append(estimate)
    several = [group for group in groups.values() if len(group) > 1]
    covered = {id(estimate) for group in several for estimate in group}
    singles = [
        replace(estimate, decides=False) if id(estimate) in covered else estimate
        for estimate in estimates
    ]
    return [*singles, *(_overall(group) for group in several)]


def _overall(group: Sequence[LimitEstimate]) -> LimitEstimate:
    ratio = OverallRatio([estimate.ratio for estimate in group if estimate.ratio is not None])
    return LimitEstimate(
        limit=replace(group[0].limit, pattern=ALL_PATTERNS),
        estimate=ratio.estimate,
        low=ratio.low,
        high=ratio.high,
        calls=sum(estimate.calls for estimate in group),
        basis=group[0].basis,
        calls_needed=lambda _: None,  # no single number of calls applies to several patterns
    )


def _error_rate(limit: Limit, samples: RunSamples) -> LimitEstimate:
    series = next(
        series
        for series in samples.series()
        if (series.backend, series.driver, series.pattern)
        == (limit.backend, limit.driver, limit.pattern)
    )
    failed = min(series.count, sum(series.errors.values()) + series.unfinished)
    return error_rate_estimate(limit, FailureRate(failed, series.count))


def error_rate_estimate(limit: Limit, rate: FailureRate) -> LimitEstimate:
    """The estimate of a limit on the error rate."""

    def calls_needed(alpha: TailProbability) -> int | None:
        # without an error, an upper bound equals that of the quantile 1 - limit
        needed = min_calls(1.0 - limit.limit, alpha) if limit.limit < 1 else 0
        return needed if rate.calls < needed else None

    return LimitEstimate(
        limit=limit,
        estimate=rate.estimate,
        low=rate.low,
        high=rate.high,
        calls=rate.calls,
        calls_needed=calls_needed,
    )
