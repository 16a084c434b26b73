"""Judge a run: every limit that applies, each with its interval, decided as one family."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from loadtests.config import Gate, Slo
from loadtests.errors import ConfigError
from loadtests.judge.baseline import Baseline
from loadtests.judge.limit_estimate import Bounded, References, bound, with_wholes
from loadtests.judge.measured import Measured
from loadtests.judge.sentences import limit_sentence, not_compared, run_sentence
from loadtests.judge.slo import limits_of, resolve
from loadtests.judge.stats.holm import Decision, broken_limits, wholes_first
from loadtests.measure.results import (
    PERCENTILES,
    BaselineReference,
    Key,
    LimitVerdict,
    PercentileEstimate,
    Run,
    Status,
    Verdict,
)
from loadtests.patterns import ALL_PATTERNS


def judge_run(
    run: Run,
    slo: Slo,
    gate: Gate,
    baseline: Baseline | None = None,
    *,
    level: float | None = None,
) -> Verdict:
    """Judge a run against its limits, and against a baseline where one is given.

    `level` is the chance to be wrong that this look may spend; by default all of 1 - confidence
    (`extension.py` spends it in parts). Raises ResultsError for a run that cannot be read as one
    or whose baseline was measured under other conditions, ConfigError when no limit is set.
    """
    level = 1.0 - gate.confidence if level is None else level
    measured = Measured(run)
    references = References(baseline, run) if baseline and baseline.runs else None
    limits = limits_of(measured.series(), slo, relative=references is not None)
    if not limits:
        raise ConfigError("loadtests.toml", ["slo: no limit is set, so nothing can be judged"])
    found = [(limit, bound(limit, measured, references)) for limit in limits]
    absent = {f"no {x.metric} recorded for {x.backend} {x.pattern}." for x, b in found if b is None}
    bounded = with_wholes([one for _, one in found if one is not None])
    reasons = [*_reasons(measured), *sorted(absent)]
    weights = wholes_first([b.limit.pattern == ALL_PATTERNS for b in bounded])
    decisions = broken_limits(
        [b.low for b in bounded], [b.limit.limit for b in bounded], level, weights
    )
    decided = [
        _decide(one, decision, level, invalid=bool(reasons))
        for one, decision in zip(bounded, decisions, strict=True)
    ]
    status = _overall(decided, reasons)
    needed_s = _needed_s(decided, measured) if status == "INCONCLUSIVE" else None
    return Verdict(
        status=status,
        sentence=run_sentence(status, decided, reasons, gate.confidence, needed_s)
        + (not_compared(baseline.name, baseline.refused) if baseline else ""),
        confidence=gate.confidence,
        level=level,
        needed_s=needed_s,
        reasons=tuple(reasons),
        baseline=_reference_to(baseline),
        slo=slo,
        limits=tuple(decided),
        estimates=tuple(_estimates(measured, slo, gate.confidence)),
    )


def _reasons(measured: Measured) -> list[str]:
    """Why the run does not count; empty when it does."""
    validity = measured.run.info.validity
    missing = [f"{one} was not measured." for one in measured.missing()]
    if validity is None:
        return ["the run ended without judging its own load generator.", *missing]
    reasons = [f"{one.rule}: {one.found} {one.remedy}".strip() for one in validity.reasons]
    if not validity.valid and not reasons:
        reasons = ["the load generator distorted the run."]
    return reasons + missing


def _decide(one: Bounded, decision: Decision, level: float, *, invalid: bool) -> LimitVerdict:
    limit, low, high = one.limit, one.low(decision.level), one.high(level)
    status: Status = "INCONCLUSIVE"
    if invalid:
        status = "INVALID"
    elif decision.broken:
        status = "FAIL"
    elif high <= limit.limit:
        status = "PASS"
    carried = math.isfinite(high)
    needed = one.to_carry(level)
    if status == "INCONCLUSIVE" and carried:
        needed = max(_calls_to_decide(one, low, high), needed or 0) or None
    return LimitVerdict(
        backend=limit.backend,
        driver=limit.driver,
        pattern=limit.pattern,
        metric=limit.metric,
        kind=limit.kind,
        percentile=limit.percentile,
        limit=limit.limit,
        estimate=one.estimate,
        low=low,
        high=high if carried else None,
        calls=one.calls,
        needed_calls=needed,
        status=status,
        sentence=limit_sentence(limit, status, (low, one.estimate, high), one.calls, needed),
        decides=one.decides,
    )


def _calls_to_decide(one: Bounded, low: float, high: float) -> int:
    """Calls after which this estimate's interval would clear its limit: widths fall as 1/√n."""
    room = one.limit.limit - one.estimate
    width = high - one.estimate if room > 0 else one.estimate - low
    if not room or not math.isfinite(width) or not one.estimate:
        return 0
    growth = (width / room) ** 2
    return math.ceil(one.calls * growth) if growth < 1e6 else 0


def _overall(decided: Sequence[LimitVerdict], reasons: Sequence[str]) -> Status:
    if reasons:
        return "INVALID"
    statuses = {one.status for one in decided if one.decides or one.status == "FAIL"}
    return next((s for s in ("FAIL", "INCONCLUSIVE") if s in statuses), "PASS")


def _needed_s(decided: Sequence[LimitVerdict], measured: Measured) -> float | None:
    growths = [
        one.needed_calls / one.calls
        for one in decided
        if one.status == "INCONCLUSIVE" and one.decides and one.needed_calls
    ]
    return measured.seconds() * max(growths) if growths else None


def _estimates(measured: Measured, slo: Slo, confidence: float) -> Iterator[PercentileEstimate]:
    for one in measured.series():
        metric = resolve(slo, one.backend, one.pattern).metric or "response_time"
        key = Key(one.backend, one.driver, one.pattern, metric)
        yield from interval_estimates(measured, key, confidence)


def interval_estimates(
    measured: Measured, key: Key, confidence: float
) -> Iterator[PercentileEstimate]:
    """Every percentile of one series with its two-sided interval; none when it has no calls."""
    samples = measured.samples(key)
    level = (1.0 - confidence) / 2.0
    for name, q in PERCENTILES.items() if samples.calls else ():
        found = measured.quantile(key, q)
        high = found.high_ms(level)
        yield PercentileEstimate(
            backend=key.backend,
            driver=key.driver,
            pattern=key.pattern,
            metric=key.metric,
            percentile=name,
            estimate_ms=found.estimate_ms,
            low_ms=found.low_ms(level) or None,
            high_ms=high if math.isfinite(high) else None,
            calls=found.calls,
            needed_calls=found.calls_to_carry(level),
        )


def _reference_to(baseline: Baseline | None) -> BaselineReference | None:
    if baseline is None:
        return None
    return BaselineReference(
        name=baseline.name,
        runs=tuple(run.info.id for run in baseline.runs),
        refused=baseline.refused,
    )
