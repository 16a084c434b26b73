"""How the gate decides its limits, measured on windows drawn from recorded runs.

Windows are judged by the code that judges a run (`judging.decide_limits`): a PASS from all calls or
from the undisturbed ones, a FAIL from the undisturbed ones only, the budget of calls left out, the
rule for a single run, error rates, and the interim analyses. The p99 limit of every series is that
of the configuration, or a multiple of the true p99: of the undisturbed calls of a quiet recording
where one is given, otherwise of the recording itself. At a multiple of 1 a PASS of any limit is as
wrong as a FAIL; at 2/3 the database is slowed to 1.5 times its limits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np

from loadtests.config import Slo
from loadtests.judge.calibration.bootstrap import RecordedRun, pooled_series
from loadtests.judge.calibration.counters import Decisions
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.judge.interim import InterimAnalysis, next_analysis
from loadtests.judge.judging import Circumstances, DecidedLimits, decide_limits
from loadtests.judge.limit_estimate import (
    LimitEstimate,
    absolute_estimate,
    error_rate_estimate,
)
from loadtests.judge.slo import Limit, limits_of
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.proportions import FailureRate
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import Counts
from loadtests.measure.results import PERCENTILES, Basis, Key

P99: Final = "p99"
SLOWED: Final = 1 / 1.5  # limits of which the true p99 is 1.5 times as much
LIMIT_FACTORS: Final = (0.5, SLOWED, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)  # times the true p99


def measure_limits(
    recordings: Sequence[RecordedRun],
    analyses: Sequence[InterimAnalysis],
    plan: CalibrationPlan,
    numbers: Iterable[int],
    *,
    slo: Slo | None = None,
    quiet: RecordedRun | None = None,
) -> dict[float | None, Decisions]:
    """Judge the windows of these numbers by the limits of `slo` (None), and at each multiple.

    `quiet` is a recording of the same load without stalls, for the true p99.
    """
    slo = Slo() if slo is None else slo
    decisions: dict[float | None, Decisions] = {None: Decisions()}
    decisions |= {factor: Decisions() for factor in LIMIT_FACTORS}
    true_p99s = [true_quantiles_ms(quiet or recording, P99) for recording in recordings]
    for number in numbers:
        which = number % len(recordings)
        rng = plan.generator("limits", number)
        window = DrawnRun.draw(recordings[which], rng, round(analyses[-1].measured_s), plan.block)
        limits = limits_of(recordings[which].infos, slo, relative=False)
        for factor, counted in decisions.items():
            scaled = limits
            if factor is not None:
                scaled = _scaled(limits, factor, true_p99s[which])
            _count(counted, window, scaled, analyses)
    return decisions


def true_quantiles_ms(recording: RecordedRun, percentile: str) -> dict[Key, float]:
    """A percentile of each series, of the undisturbed calls where they were measured."""
    basis: Basis = "all" if recording.undisturbed is None else "undisturbed"
    return {
        key: estimate_quantile(samples, PERCENTILES[percentile]).estimate_ms
        for key, samples in recording.calls_of(basis).items()
    }


def _scaled(limits: Sequence[Limit], factor: float, true_ms: Mapping[Key, float]) -> list[Limit]:
    """The same limits with those on the p99 at a multiple of the true one."""
    return [
        replace(limit, limit=factor * true_ms[_key(limit)])
        if limit.percentile == P99 and _key(limit) in true_ms
        else limit
        for limit in limits
    ]


def _key(limit: Limit) -> Key:
    return Key(limit.backend, limit.driver, limit.pattern, limit.metric)


def _count(
    counted: Decisions,
    window: DrawnRun,
    limits: Sequence[Limit],
    analyses: Sequence[InterimAnalysis],
) -> None:
    """Judge a window as the gate judges a run: undecided ones are extended."""
    following: InterimAnalysis | None = analyses[0]
    done = 0
    while following is not None:
        analysis = following
        decided = window.judge(limits, round(analysis.measured_s), analysis.alpha)
        done += 1
        following = next_analysis(decided.status, decided.needed_s, tuple(analyses), done)
    counted.runs[decided.status] += 1
    counted.limits.update(limit.status for limit in decided.limits if limit.percentile == P99)
    counted.seconds += analysis.measured_s


@dataclass(frozen=True, slots=True)
class _Begun:
    """The first seconds of a window: the quantiles of both sets of calls, and the failures.

    `undisturbed` and `left_out` are None where stalls were not measured.
    """

    quantiles: dict[tuple[Key, str], Quantile]
    undisturbed: dict[tuple[Key, str], Quantile] | None
    failures: dict[Key, FailureRate]
    left_out: float | None


class DrawnRun:
    """A run drawn from a recording, which can be judged after any of its seconds.

    `failed` are the failed calls by second, drawn at the error rate of the recording.
    """

    def __init__(
        self,
        series: Mapping[Key, Samples],
        undisturbed: Mapping[Key, Samples] | None,
        failed: Mapping[Key, Counts],
    ) -> None:
        self._series = series
        self._undisturbed = undisturbed
        self._failed = failed
        self._begun = cache(self._first)

    @classmethod
    def draw(
        cls, recording: RecordedRun, rng: np.random.Generator, seconds: int, block: int
    ) -> DrawnRun:
        """Draw a window of that length in seconds, in blocks of recorded ones."""
        drawn = recording.draw_seconds(rng, seconds, block)
        series = recording.resample(drawn)
        undisturbed = None
        if recording.undisturbed is not None:
            undisturbed = recording.resample(drawn, "undisturbed")
        rates = {
            info.key(recording.metric): (sum(info.errors.values()) + info.unfinished) / info.count
            for info in recording.infos
        }
        failed = {
            key: rng.binomial(samples.calls_by_unit(), min(1.0, rates[key])).astype(np.int64)
            for key, samples in series.items()
        }
        return cls(series, undisturbed, failed)

    def judge(self, limits: Sequence[Limit], seconds: int, alpha: TailProbability) -> DecidedLimits:
        """Decide the limits after that number of seconds, as `judge_run` does."""
        begun = self._begun(seconds, frozenset(filter(None, (each.percentile for each in limits))))
        estimates = [
            estimate for limit in limits if (estimate := _estimate(limit, begun)) is not None
        ]
        circumstances = Circumstances(
            alpha=alpha,
            run_alpha=TailProbability(alpha / max(1, len(estimates))),
            invalid=False,
            delayed=False,
            random_arrivals=True,
            left_out=begun.left_out,
        )
        return decide_limits(estimates, circumstances, seconds)

    def _first(self, seconds: int, percentiles: frozenset[str]) -> _Begun:
        series = _between(self._series, seconds)
        undisturbed = None if self._undisturbed is None else _between(self._undisturbed, seconds)
        left_out = None
        if undisturbed is not None:
            left_out = 1.0 - _calls(undisturbed) / max(1, _calls(series))
        return _Begun(
            quantiles=_quantiles(series, percentiles),
            undisturbed=None if undisturbed is None else _quantiles(undisturbed, percentiles),
            failures={
                key: FailureRate(int(self._failed[key][:seconds].sum()), samples.calls)
                for key, samples in series.items()
            },
            left_out=left_out,
        )


def _estimate(limit: Limit, begun: _Begun) -> LimitEstimate | None:
    key = _key(limit)
    if limit.percentile is None:
        rate = begun.failures.get(key)
        return None if rate is None else error_rate_estimate(limit, rate)
    quantile = begun.quantiles.get((key, limit.percentile))
    if quantile is None:
        return None
    estimate = absolute_estimate(limit, quantile, "all")
    undisturbed = (begun.undisturbed or {}).get((key, limit.percentile))
    if undisturbed is None:
        return estimate
    return replace(estimate, undisturbed=absolute_estimate(limit, undisturbed, "undisturbed"))


def _between(series: Mapping[Key, Samples], seconds: int) -> dict[Key, Samples]:
    begun = {key: samples.between(0, seconds) for key, samples in series.items()}
    return {key: samples for key, samples in begun.items() if samples.calls}


def _calls(series: Mapping[Key, Samples]) -> int:
    return sum(samples.calls for samples in series.values())


def _quantiles(
    series: Mapping[Key, Samples], percentiles: frozenset[str]
) -> dict[tuple[Key, str], Quantile]:
    pooled = pooled_series(series)
    return {
        (key, percentile): estimate_quantile(
            samples, PERCENTILES[percentile], pooled[key.backend, key.driver]
        )
        for key, samples in series.items()
        for percentile in percentiles
    }
