"""How the gate decides absolute p99 limits, measured on recorded runs.

The limit of every series is set to a multiple of the p99 of its recording, and resampled runs are
judged as the gate judges them, with its interim analyses. At a multiple of 1 a PASS of any limit is
as wrong as a FAIL; far from 1 the limit should be decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Final

from loadtests.judge.calibration.bootstrap import RecordedRun, pooled_series
from loadtests.judge.calibration.counters import Decisions
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.judge.interim import InterimAnalysis
from loadtests.judge.stats.distributions import TailProbability
from loadtests.judge.stats.holm import holm
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.samples import Samples
from loadtests.measure.results import Key, Status

P99: Final = 0.99
LIMIT_FACTORS: Final = (0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)  # times the true p99


def measure_limits(
    recordings: Sequence[RecordedRun],
    analyses: Sequence[InterimAnalysis],
    plan: CalibrationPlan,
    numbers: Iterable[int],
) -> dict[float, Decisions]:
    """Judge the resampled runs of these numbers by limits at each multiple of the true p99."""
    decisions = {factor: Decisions() for factor in LIMIT_FACTORS}
    true_p99s = [
        {key: estimate_quantile(samples, P99).estimate_ms for key, samples in run.series.items()}
        for run in recordings
    ]
    longest = round(analyses[-1].measured_s)
    for number in numbers:
        which = number % len(recordings)
        recording = recordings[which]
        seconds = recording.draw_seconds(plan.generator("limits", number), longest, plan.block)
        resampled = recording.resample(seconds)
        quantiles = cache(lambda seconds, series=resampled: _quantiles(series, seconds))
        for factor in LIMIT_FACTORS:
            limits = {key: factor * p99 for key, p99 in true_p99s[which].items()}
            _judge(decisions[factor], limits, analyses, quantiles)
    return decisions


def _judge(
    decisions: Decisions,
    limits: Mapping[Key, float],
    analyses: Sequence[InterimAnalysis],
    quantiles: Callable[[int], dict[Key, Quantile]],
) -> None:
    statuses: list[Status] = []
    seconds = 0.0
    for analysis in analyses:
        seconds = analysis.measured_s
        statuses = limit_statuses(quantiles(round(seconds)), limits, analysis.alpha)
        if "FAIL" in statuses or "INCONCLUSIVE" not in statuses:
            break
    decisions.limits.update(statuses)
    decisions.seconds += seconds
    worst = next((status for status in ("FAIL", "INCONCLUSIVE") if status in statuses), "PASS")
    decisions.runs[worst] += 1


def limit_statuses(
    quantiles: Mapping[Key, Quantile], limits: Mapping[Key, float], alpha: TailProbability
) -> list[Status]:
    """The status of each limit in one analysis."""
    keys = list(quantiles)
    lows = [quantiles[key].low_ms for key in keys]
    decisions = holm(lows, [limits[key] for key in keys], alpha)
    statuses: list[Status] = []
    for key, decision in zip(keys, decisions, strict=True):
        if decision.exceeded:
            statuses.append("FAIL")
        elif quantiles[key].high_ms(alpha) <= limits[key]:
            statuses.append("PASS")
        else:
            statuses.append("INCONCLUSIVE")
    return statuses


def _quantiles(series: Mapping[Key, Samples], seconds: int) -> dict[Key, Quantile]:
    """The p99 of every series after so many seconds."""
    begun = {key: samples.between(0, seconds) for key, samples in series.items()}
    pooled = pooled_series(begun)
    return {
        key: estimate_quantile(samples, P99, pooled[key.backend, key.driver])
        for key, samples in begun.items()
        if samples.calls
    }
