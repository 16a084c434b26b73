"""Judge each step of a capacity run by itself: kept, broken, undecided, or the generator's doing.

A step is judged on the calls that ended in its counted seconds. Those still under way, or waiting
for a user, when it ends are counted as slower than any limit: a backlog cannot hide behind the end
of a step. `docs/METHOD.md` has the rules and their reasons.

    INVALID        the generator was the bottleneck (the run's own health rules, on this step)
    FAIL           surely more calls than 1% beyond their limit, on the whole or for one access
                   pattern; or the offered load surely not carried; or surely too many errors
    PASS           surely at most 1% beyond their limit, and the offered load carried
    INCONCLUSIVE   neither is sure
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from loadtests.config import Slo
from loadtests.errors import ConfigError, ResultsError
from loadtests.judge.capacity.tail import NEVER, Above, Tail, above_of, unfinished
from loadtests.judge.sentences import three_digits
from loadtests.judge.stats.proportions import Share
from loadtests.judge.stats.samples import Samples, by_block
from loadtests.measure.histogram import Counts, Sparse, bucket_index
from loadtests.measure.results import Interval, JudgedStep, Key, Run, Status, StepInfo

BEYOND: Final = 0.01  # the share that a p99 leaves above it
BADLY: Final = 2.0  # times the limit
CARRIED: Final = 0.99  # of the offered load
CHANCE: Final = 3.0  # standard deviations of a Poisson count
_CLOSED_S: Final = 0.05  # the clock's share in a second's end


def judge_steps(run: Run, slo: Slo, confidence: float) -> list[JudgedStep]:
    """Every step that has come to its end, in the order of time.

    Raises ConfigError when no p99 is promised, ResultsError for a run without steps.
    """
    if not run.info.steps:
        raise ResultsError(
            f"{run.path} is no capacity run: its run.json has no steps.",
            hint="Make one with `loadtests capacity`.",
        )
    ended_s = run.info.duration_s + _CLOSED_S
    judged = [
        _judge(run, step, slo, confidence) for step in run.info.steps if ended_s >= step.end_s
    ]
    return [one for one in judged if one is not None]


@dataclass(frozen=True, slots=True)
class _Series:
    """One access pattern in a step."""

    key: Key
    samples: Samples
    limit_ms: float


def _judge(run: Run, step: StepInfo, slo: Slo, confidence: float) -> JudgedStep | None:
    seconds = range(round(step.measure_from_s), round(step.end_s))
    series = _series(run, step.backend, seconds, slo)
    calls = sum(one.samples.calls for one in series)
    if not calls and not step.unfinished and not step.offered:
        return None
    level = 1.0 - confidence
    parts = [part for one in series for part in _parts(one.samples)]
    parts.append((len(seconds) - 1, unfinished(step.unfinished)))
    tail = Tail(Samples.of(parts, len(seconds)))
    beyond = _beyond(series, tail, 1.0)
    found = _Found(
        step=step,
        tail=tail,
        beyond=beyond,
        badly=_beyond(series, tail, BADLY).surely_more_than(BEYOND, level),
        carried=_carried(step, calls, len(seconds)),
        worst=_worst_pattern(series, beyond, level),
        failed=Share(min(sum(step.errors.values()), calls), calls) if calls else None,
    )
    verdict, sentence = _decide(found, slo, level)
    limits = {one.limit_ms for one in series}
    low, high = tail.low_ms(0.99, level / 2), tail.high_ms(0.99, level / 2)
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
        p99_low_ms=_finite(low) or None,
        p99_high_ms=_finite(high),
        beyond=beyond.share,
        queued=step.queued / step.offered if step.offered else 0.0,
        unfinished=step.unfinished,
        errors=sum(step.errors.values()),
        generator_cpu=step.generator_cpu,
        sustained=found.carried,
        overloaded=verdict == "FAIL" and (found.badly or not found.carried),
        verdict=verdict,
        sentence=sentence,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """What a step's decision rests on."""

    step: StepInfo
    tail: Tail
    beyond: Above
    badly: bool
    carried: bool
    worst: str
    failed: Share | None

    @property
    def figure(self) -> str:
        """The p99 in words."""
        p99_ms = self.tail.quantile_ms(0.99)
        if not math.isfinite(p99_ms):
            return "p99 not reached within the step"
        return f"p99 {three_digits(p99_ms)} ms"


def _decide(found: _Found, slo: Slo, level: float) -> tuple[Status, str]:
    """The verdict, and its reason in words."""
    validity = found.step.validity
    if validity is None:
        return "INVALID", "The generator's health was not judged in this step."
    if not validity.valid:
        reason = next(iter(validity.reasons), None)
        return "INVALID", f"{reason.found} {reason.remedy}" if reason else "No reason was given."
    if broken := _broken(found, slo, level):
        return "FAIL", broken
    if found.beyond.surely_at_most(BEYOND, level):
        return "PASS", f"{found.figure}."
    return "INCONCLUSIVE", f"{found.figure}: {found.beyond.calls:,} calls do not decide it."


def _broken(found: _Found, slo: Slo, level: float) -> str:
    """How the step surely breaks the promise, or nothing."""
    if not found.carried:
        return f"The offered load was not carried; {found.figure}."
    if found.beyond.surely_more_than(BEYOND, level):
        return f"{found.beyond.share:.2%} of the calls took longer than promised; {found.figure}."
    if found.worst:
        return f"{found.worst} surely breaks its own limit."
    if found.failed and _too_many(found.failed, slo, found.step.backend, level):
        return f"{found.failed.estimate:.2%} of the calls failed."
    return ""


def _carried(step: StepInfo, calls: int, seconds: int) -> bool:
    """Whether as many calls ended as were due, but for a hundredth and the chance of arrivals."""
    due = step.rate_per_s * seconds
    return calls >= CARRIED * due - CHANCE * math.sqrt(due) and step.unfinished <= max(
        CHANCE * math.sqrt(due), BEYOND * due
    )


def _too_many(failed: Share, slo: Slo, backend: str, level: float) -> bool:
    narrower = [limits.error_rate for name, limits in slo.backends.items() if name == backend]
    rate = next((one for one in narrower if one is not None), slo.error_rate)
    return rate is not None and failed.low(level) > rate


def _series(run: Run, backend: str, seconds: range, slo: Slo) -> list[_Series]:
    """The backend's access patterns that have a p99 limit, in the metric it is promised for."""
    unit_of_second = {second: unit for unit, second in enumerate(seconds)}
    found, promised = [], False
    for one in run.info.series:
        limits = slo.limits_for(one.backend, one.pattern)
        if one.backend != backend or limits.p99_ms is None:
            continue
        promised = True
        key = Key(one.backend, one.driver, one.pattern, limits.metric or "response_time")
        intervals: Sequence[Interval] = run.intervals.get(key, [])
        found.append(_Series(key, by_block(intervals, unit_of_second), limits.p99_ms))
    if not promised and any(one.backend == backend for one in run.info.series):
        raise ConfigError(
            "loadtests.toml", ["slo: no p99_ms is set, so no rate can be said to keep it"]
        )
    return [one for one in found if one.samples.calls]


def _parts(samples: Samples) -> list[tuple[int, Sparse]]:
    return [
        (unit, Sparse(samples.index[mine], samples.counts[mine]))
        for unit in range(samples.units)
        if (mine := samples.unit == unit).any()
    ]


def _beyond(series: Sequence[_Series], tail: Tail, times: float) -> Above:
    """Calls beyond `times` their own limit, all access patterns together; the unfinished too."""
    above = tail.samples.calls_above(NEVER - 1)
    for one in series:
        above = above + _slower(one.samples, one.limit_ms * times)
    return above_of(above, tail.slowest, tail.calls)


def _worst_pattern(series: Sequence[_Series], whole: Above, level: float) -> str:
    """An access pattern that surely breaks its limit alone, or nothing (Bonferroni over all).

    A stall hits all patterns, and shows best in all together: of a design effect 1 + (m - 1)·ρ
    (Kish 1965) a part of the calls has its part of m.
    """
    for one in series:
        tail = Tail(one.samples)
        alone = above_of(_slower(one.samples, one.limit_ms), tail.slowest, tail.calls)
        shared = 1.0 + (whole.likeness - 1.0) * alone.calls / whole.calls
        alone = replace(alone, likeness=max(alone.likeness, shared))
        if alone.surely_more_than(BEYOND, level / len(series)):
            return one.key.pattern
    return ""


def _slower(samples: Samples, limit_ms: float) -> Counts:
    """By second, calls whose bucket reaches beyond the limit."""
    bucket = int(bucket_index(np.array([int(limit_ms * 1e6)], np.int64))[0])
    return samples.calls_above(bucket - 1)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
