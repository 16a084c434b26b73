"""Judge each step of a capacity run by itself.

A step is judged on the calls that ended in its measured seconds. Calls that are unfinished when it
ends, or still wait for a user, count as slower than any limit: a backlog cannot hide behind the end
of a step. `docs/METHOD.md` has the rules and their reasons.

    INVALID        the load generator was the bottleneck (the run's health rules, on this step)
    FAIL           significantly more than 1% of the undisturbed calls exceed their limit, over all
                   access patterns or in one; or the offered load was not sustained; or the error
                   rate is significantly above its limit
    PASS           significantly at most 1% exceed their limit, of all calls or of the undisturbed
                   ones, and the offered load was sustained
    INCONCLUSIVE   neither is significant

Stalls of the machine can only add to a response time, so they never turn a PASS into a FAIL, nor
excuse a load that was not sustained (docs/STALLS.md). Unfinished calls belong to both sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
from loadtests.judge.run_samples import MAX_LEFT_OUT
from loadtests.judge.sentences import share_words, three_digits, undisturbed_words
from loadtests.judge.stats.distributions import TailProbability, one_sided, two_sided
from loadtests.judge.stats.exceedance import ExceedanceRate
from loadtests.judge.stats.nested import nested_alpha
from loadtests.judge.stats.proportions import FailureRate
from loadtests.judge.stats.samples import Samples, samples_by_unit
from loadtests.measure.histogram import Counts, bucket_index
from loadtests.measure.hlog import Interval
from loadtests.measure.results import Basis, JudgedStep, Key, Run, Status, StepInfo
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
class _TailFindings:
    """How slow the calls of a step were: all of them, or the undisturbed ones."""

    basis: Basis
    tail: StepTail
    beyond: ExceedanceRate
    overloaded: bool
    worst_pattern: str

    @property
    def p99(self) -> str:
        """The p99 in words."""
        p99_ms = self.tail.quantile_ms(0.99)
        if not math.isfinite(p99_ms):
            return "p99 not reached within the step"
        return f"p99 {three_digits(p99_ms)} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class _StepFindings:
    """What the decision on a step is based on.

    `undisturbed` are the findings that may show a limit to be broken: those of all calls where
    stalls were not measured, None where they left too few. `left_out` is the share of the calls.
    """

    step: StepInfo
    everything: _TailFindings
    undisturbed: _TailFindings | None
    left_out: float | None
    sustained: bool
    failed: FailureRate | None

    @property
    def overloaded(self) -> bool:
        """Whether calls exceed a multiple of their limit, and not because the machine stalled."""
        return self.undisturbed is not None and self.undisturbed.overloaded


def _judge(run: Run, step: StepInfo, slo: Slo, confidence: float) -> JudgedStep | None:
    seconds = range(round(step.measure_from_s), round(step.end_s))
    series = _series(run, run.intervals, step.backend, seconds, slo)
    calls = sum(part.samples.calls for part in series)
    if not calls and not step.unfinished and not step.offered:
        return None
    alpha = one_sided(confidence)
    everything = _tail_findings("all", step, series, len(seconds), alpha)
    undisturbed: _TailFindings | None = everything
    left_out = None
    if run.undisturbed is not None and calls:
        rest = _series(run, run.undisturbed, step.backend, seconds, slo)
        left_out = 1.0 - sum(part.samples.calls for part in rest) / calls
        if left_out > MAX_LEFT_OUT:
            undisturbed = None
        elif left_out > 0.0:
            undisturbed = _tail_findings("undisturbed", step, rest, len(seconds), alpha)
    findings = _StepFindings(
        step=step,
        everything=everything,
        undisturbed=undisturbed,
        left_out=left_out,
        sustained=_sustained(step, calls, len(seconds)),
        failed=FailureRate(min(sum(step.errors.values()), calls), calls) if calls else None,
    )
    status, sentence, shown = _decide(findings, slo, alpha)
    limits = {part.limit_ms for part in series}
    tail, bound_alpha = shown.tail, two_sided(confidence)
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
        beyond=shown.beyond.estimate,
        queued=step.queued / step.offered if step.offered else 0.0,
        unfinished=step.unfinished,
        errors=sum(step.errors.values()),
        generator_cpu=step.generator_cpu,
        sustained=findings.sustained,
        overloaded=status == "FAIL" and (findings.overloaded or not findings.sustained),
        verdict=status,
        sentence=sentence,
        basis=shown.basis,
        left_out=left_out,
        all_calls_p99_ms=_finite(everything.tail.quantile_ms(0.99)),
    )


def _tail_findings(
    basis: Basis,
    step: StepInfo,
    series: Sequence[_StepSeries],
    seconds: int,
    alpha: TailProbability,
) -> _TailFindings:
    unfinished = Samples.of([(seconds - 1, unfinished_calls(step.unfinished))], seconds)
    tail = StepTail(Samples.sum([*(part.samples for part in series), unfinished]))
    beyond = _beyond(series, tail, 1.0)
    return _TailFindings(
        basis=basis,
        tail=tail,
        beyond=beyond,
        overloaded=_beyond(series, tail, OVERLOAD_FACTOR).is_more_than(BEYOND_P99, alpha),
        worst_pattern=_worst_pattern(series, beyond, alpha),
    )


def _decide(
    findings: _StepFindings, slo: Slo, alpha: TailProbability
) -> tuple[Status, str, _TailFindings]:
    """The status, its reason in words, and the calls that it is based on."""
    everything = findings.everything
    basis = findings.undisturbed or everything
    validity = findings.step.validity
    if validity is None:
        return "INVALID", "The generator's health was not judged in this step.", everything
    reasons = validity.reasons
    only_delayed = bool(reasons) and all(reason.rules_out == "FAIL" for reason in reasons)
    if validity.valid or only_delayed:
        failure = _failure(findings, slo, alpha)
        holds = None if failure else _holds(findings, alpha)
        if holds:
            return "PASS", f"{holds.p99}{_calls_judged(findings, holds)}.", holds
        if validity.valid:
            return ("FAIL", failure, basis) if failure else _undecided(findings)
    invalid = f"{reasons[0].found} {reasons[0].remedy}" if reasons else "No reason was recorded."
    return "INVALID", invalid, everything


def _holds(findings: _StepFindings, alpha: TailProbability) -> _TailFindings | None:
    """The calls that show the limits to hold: all of them, or the undisturbed ones."""
    sets = [findings.everything, *([findings.undisturbed] if findings.undisturbed else [])]
    alpha = nested_alpha(alpha, 1.0 - (findings.left_out or 0.0)) if len(sets) > 1 else alpha
    return next((each for each in sets if each.beyond.is_at_most(BEYOND_P99, alpha)), None)


def _undecided(findings: _StepFindings) -> tuple[Status, str, _TailFindings]:
    if findings.undisturbed is None:
        share = share_words(findings.left_out or 0.0)
        sentence = f"{share} of the calls were disturbed by stalls of the machine."
        return "INCONCLUSIVE", sentence, findings.everything
    basis = findings.undisturbed
    sentence = f"{basis.p99}: {basis.beyond.calls:,} calls do not decide it."
    return "INCONCLUSIVE", sentence, basis


def _calls_judged(findings: _StepFindings, shown: _TailFindings) -> str:
    """Which calls a step passed on, in words; empty where none were left out."""
    if not findings.left_out:
        return ""
    if shown.basis == "all":
        return " on all calls, disturbed ones included"
    return f" {undisturbed_words(1.0 - findings.left_out)}"


def _failure(findings: _StepFindings, slo: Slo, alpha: TailProbability) -> str:
    """Which rule the step fails, in words; empty for none."""
    undisturbed = findings.undisturbed
    if not findings.sustained:
        return f"The offered load was not sustained; {(undisturbed or findings.everything).p99}."
    if undisturbed and undisturbed.beyond.is_more_than(BEYOND_P99, alpha):
        which = "undisturbed calls" if undisturbed.basis == "undisturbed" else "calls"
        share = undisturbed.beyond.estimate
        return f"{share:.2%} of the {which} exceeded their limit; {undisturbed.p99}."
    if undisturbed and undisturbed.worst_pattern:
        return f"{undisturbed.worst_pattern} exceeds its limit significantly."
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


def _series(
    run: Run, intervals: Mapping[Key, Sequence[Interval]], backend: str, seconds: range, slo: Slo
) -> list[_StepSeries]:
    """The backend's access patterns that have a p99 limit, in the metric of that limit."""
    unit_of_second = {second: unit for unit, second in enumerate(seconds)}
    step_series = []
    of_backend = [info for info in run.info.series if info.backend == backend]
    for info in of_backend:
        limits = slo.limits_for(info.backend, info.pattern)
        if limits.p99_ms is None:
            continue
        key = info.key(limits.metric or "response_time")
        samples = samples_by_unit(intervals.get(key, []), unit_of_second)
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
