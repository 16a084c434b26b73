"""Judge each step of a capacity run by itself.

A step is judged on the calls that ended in its measured seconds. Calls that are unfinished when it
ends, or still wait for a user, count as slower than any limit: a backlog cannot hide behind the end
of a step. `docs/METHOD.md` has the rules and their reasons.

    INVALID        the load generator was the bottleneck (the run's health rules, on this step)
    FAIL           significantly more than 1% of the calls exceed their limit, over all access
                   patterns or in one; or the offered load was not sustained; or the error rate is
                   significantly above its limit
    PASS           significantly at most 1% exceed their limit, and the offered load was sustained
    INCONCLUSIVE   neither is significant
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from loadtests.config import Slo
from loadtests.errors import ConfigError, ResultsError
from loadtests.judge.capacity.tail import (
    UNFINISHED_BUCKET,
    StepTail,
    exceedance_rate,
    unfinished_calls,
)
from loadtests.judge.sentences import three_digits
from loadtests.judge.stats.distributions import TailProbability, one_sided, two_sided
from loadtests.judge.stats.exceedance import ExceedanceRate
from loadtests.judge.stats.proportions import FailureRate
from loadtests.judge.stats.samples import Samples, samples_by_unit
from loadtests.measure.histogram import Counts, bucket_index
from loadtests.measure.results import JudgedStep, Key, Run, Status, StepInfo
from loadtests.patterns import ALL_PATTERNS

BEYOND_P99: Final = 0.01  # the proportion of calls above a p99
OVERLOAD_FACTOR: Final = 2.0  # a step that exceeds this many times its limits is overloaded
SUSTAINED: Final = 0.99  # of the offered load
POISSON_DEVIATIONS: Final = 3.0  # standard deviations of the number of arrivals that are chance
_CLOCK_S: Final = 0.05  # by which the end of a second may be recorded early


def judge_steps(run: Run, slo: Slo, confidence: float) -> list[JudgedStep]:
    """Every step that has ended, in the order of time.

    Raises ConfigError when there is no p99 limit, ResultsError for a run without steps.
    """
    if not run.info.steps:
        raise ResultsError(
            f"{run.path} is not a capacity run: its run.json has no steps.",
            hint="Record one with `loadtests capacity`.",
        )
    ended_s = run.info.duration_s + _CLOCK_S
    judged = [
        _judge(run, step, slo, confidence) for step in run.info.steps if ended_s >= step.end_s
    ]
    return [step for step in judged if step is not None]


@dataclass(frozen=True, slots=True)
class _StepSeries:
    """One access pattern in a step."""

    key: Key
    samples: Samples
    limit_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepFindings:
    """What the decision on a step is based on."""

    step: StepInfo
    tail: StepTail
    beyond: ExceedanceRate
    overloaded: bool
    sustained: bool
    worst_pattern: str
    failed: FailureRate | None

    @property
    def p99(self) -> str:
        """The p99 in words."""
        p99_ms = self.tail.quantile_ms(0.99)
        if not math.isfinite(p99_ms):
            return "p99 not reached within the step"
        return f"p99 {three_digits(p99_ms)} ms"


def _judge(run: Run, step: StepInfo, slo: Slo, confidence: float) -> JudgedStep | None:
    seconds = range(round(step.measure_from_s), round(step.end_s))
    series = _series(run, step.backend, seconds, slo)
    calls = sum(part.samples.calls for part in series)
    if not calls and not step.unfinished and not step.offered:
        return None
    alpha = one_sided(confidence)
    findings = _findings(step, series, len(seconds), alpha)
    status, sentence = _decide(findings, slo, alpha)
    limits = {part.limit_ms for part in series}
    tail, bound_alpha = findings.tail, two_sided(confidence)
    return JudgedStep(
        backend=step.backend,
        driver=series[0].key.driver if series else "",
        rate_per_s=step.rate_per_s,
        achieved_per_s=calls / len(seconds),
        seconds=len(seconds),
        calls=calls,
        limit_ms=limits.pop() if len(limits) == 1 else None,
        p50_ms=_finite(tail.quantile_ms(0.5)),
        p99_ms=_finite(tail.quantile_ms(0.99)),
        p99_low_ms=_finite(tail.low_ms(0.99, bound_alpha)) or None,
        p99_high_ms=_finite(tail.high_ms(0.99, bound_alpha)),
        beyond=findings.beyond.estimate,
        queued=step.queued / step.offered if step.offered else 0.0,
        unfinished=step.unfinished,
        errors=sum(step.errors.values()),
        generator_cpu=step.generator_cpu,
        sustained=findings.sustained,
        overloaded=status == "FAIL" and (findings.overloaded or not findings.sustained),
        verdict=status,
        sentence=sentence,
    )


def _findings(
    step: StepInfo, series: Sequence[_StepSeries], seconds: int, alpha: TailProbability
) -> _StepFindings:
    calls = sum(part.samples.calls for part in series)
    unfinished = Samples.of([(seconds - 1, unfinished_calls(step.unfinished))], seconds)
    tail = StepTail(Samples.sum([*(part.samples for part in series), unfinished]))
    beyond = _beyond(series, tail, 1.0)
    return _StepFindings(
        step=step,
        tail=tail,
        beyond=beyond,
        overloaded=_beyond(series, tail, OVERLOAD_FACTOR).is_more_than(BEYOND_P99, alpha),
        sustained=_sustained(step, calls, seconds),
        worst_pattern=_worst_pattern(series, beyond, alpha),
        failed=FailureRate(min(sum(step.errors.values()), calls), calls) if calls else None,
    )


def _decide(findings: _StepFindings, slo: Slo, alpha: TailProbability) -> tuple[Status, str]:
    """The status, and its reason in words."""
    validity = findings.step.validity
    if validity is None:
        return "INVALID", "The generator's health was not judged in this step."
    if not validity.valid:
        reason = next(iter(validity.reasons), None)
        return "INVALID", f"{reason.found} {reason.remedy}" if reason else "No reason was recorded."
    if failure := _failure(findings, slo, alpha):
        return "FAIL", failure
    if findings.beyond.is_at_most(BEYOND_P99, alpha):
        return "PASS", f"{findings.p99}."
    return "INCONCLUSIVE", f"{findings.p99}: {findings.beyond.calls:,} calls do not decide it."


def _failure(findings: _StepFindings, slo: Slo, alpha: TailProbability) -> str:
    """Which rule the step fails, in words; empty for none."""
    if not findings.sustained:
        return f"The offered load was not sustained; {findings.p99}."
    if findings.beyond.is_more_than(BEYOND_P99, alpha):
        return f"{findings.beyond.estimate:.2%} of the calls exceeded their limit; {findings.p99}."
    if findings.worst_pattern:
        return f"{findings.worst_pattern} exceeds its limit significantly."
    limit = slo.limits_for(findings.step.backend, ALL_PATTERNS).error_rate
    if findings.failed and limit is not None and findings.failed.low(alpha) > limit:
        return f"{findings.failed.estimate:.2%} of the calls failed."
    return ""


def _sustained(step: StepInfo, calls: int, seconds: int) -> bool:
    """Completed calls ≥ 99% of offered, within three standard deviations of Poisson noise.

    Unfinished calls must not exceed the same allowance.
    """
    offered = step.rate_per_s * seconds
    noise = POISSON_DEVIATIONS * math.sqrt(offered)
    return calls >= SUSTAINED * offered - noise and step.unfinished <= max(
        noise, BEYOND_P99 * offered
    )


def _series(run: Run, backend: str, seconds: range, slo: Slo) -> list[_StepSeries]:
    """The backend's access patterns that have a p99 limit, in the metric of that limit."""
    unit_of_second = {second: unit for unit, second in enumerate(seconds)}
    step_series = []
    of_backend = [info for info in run.info.series if info.backend == backend]
    for info in of_backend:
        limits = slo.limits_for(info.backend, info.pattern)
        if limits.p99_ms is None:
            continue
        key = info.key(limits.metric or "response_time")
        samples = samples_by_unit(run.intervals.get(key, []), unit_of_second)
        step_series.append(_StepSeries(key, samples, limits.p99_ms))
    if of_backend and not step_series:
        raise ConfigError(
            "loadtests.toml", ["slo: no p99_ms is set, so no step of a capacity run can be judged"]
        )
    return [part for part in step_series if part.samples.calls]


def _beyond(series: Sequence[_StepSeries], tail: StepTail, factor: float) -> ExceedanceRate:
    """Calls of all access patterns that exceed `factor` times their limit, and unfinished calls."""
    above = tail.samples.calls_above(UNFINISHED_BUCKET - 1)
    for part in series:
        above = above + _calls_beyond(part.samples, part.limit_ms * factor)
    return exceedance_rate(above, tail.slowest, tail.calls)


def _worst_pattern(
    series: Sequence[_StepSeries], overall: ExceedanceRate, alpha: TailProbability
) -> str:
    """An access pattern that exceeds its limit by itself; empty for none (Bonferroni over all).

    A stall affects all patterns, so its design effect 1 + (m - 1)·ρ is best seen in all calls
    (Kish 1965). A pattern with a proportion p of the calls has clusters of p·m calls.
    """
    for part in series:
        tail = StepTail(part.samples)
        beyond = _calls_beyond(part.samples, part.limit_ms)
        rate = exceedance_rate(beyond, tail.slowest, tail.calls)
        shared = 1.0 + (overall.design_effect - 1.0) * rate.calls / overall.calls
        rate = replace(rate, design_effect=max(rate.design_effect, shared))
        if rate.is_more_than(BEYOND_P99, TailProbability(alpha / len(series))):
            return part.key.pattern
    return ""


def _calls_beyond(samples: Samples, limit_ms: float) -> Counts:
    """By second, calls whose bucket extends above the limit."""
    bucket = int(bucket_index(np.array([int(limit_ms * 1e6)], np.int64))[0])
    return samples.calls_above(bucket - 1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
