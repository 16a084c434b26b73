"""Judge a run: every limit that applies, with its interval, all of them decided at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from loadtests.config import Gate, Slo
from loadtests.errors import ConfigError
from loadtests.judge.baseline import Baseline
from loadtests.judge.limit_estimate import (
    BaselineQuantiles,
    LimitEstimate,
    estimate_limit,
    with_overall,
)
from loadtests.judge.run_samples import RunSamples
from loadtests.judge.sentences import limit_sentence, not_compared, run_sentence
from loadtests.judge.slo import limits_of
from loadtests.judge.stats.distributions import TailProbability, one_sided, two_sided
from loadtests.judge.stats.holm import Decision, holm, overall_first_weights
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

# A broken limit stays broken whatever another run shows; an invalid run shows nothing.
_WORST_FIRST: Final[tuple[Status, ...]] = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")


def worst_status(statuses: Iterable[Status]) -> Status:
    """The status of several runs judged at once. Raises ValueError for none."""
    return min(statuses, key=_WORST_FIRST.index)


def judge_run(
    run: Run,
    slo: Slo,
    gate: Gate,
    baseline: Baseline | None = None,
    *,
    alpha: TailProbability | None = None,
) -> Verdict:
    """Judge a run against its limits, and against a baseline where one is given.

    `alpha` is the probability of a wrong decision that this analysis may spend: by default all of
    1 - confidence; interim analyses spend a part each (`interim.py`). Raises ResultsError for an
    unreadable run or a baseline that was measured under other conditions, ConfigError when no limit
    is set.
    """
    alpha = one_sided(gate.confidence) if alpha is None else alpha
    samples = RunSamples(run)
    quantiles = BaselineQuantiles(baseline, run) if baseline and baseline.runs else None
    limits = limits_of(samples.series(), slo, relative=quantiles is not None)
    if not limits:
        raise ConfigError("loadtests.toml", ["slo: no limit is set, so nothing can be judged"])
    by_limit = [(limit, estimate_limit(limit, samples, quantiles)) for limit in limits]
    missing = {
        f"no {limit.metric} recorded for {limit.backend} {limit.pattern}."
        for limit, estimate in by_limit
        if estimate is None
    }
    estimates = with_overall([estimate for _, estimate in by_limit if estimate is not None])
    reasons = [*_reasons(samples), *sorted(missing)]
    decisions = holm(
        [estimate.low for estimate in estimates],
        [estimate.limit.limit for estimate in estimates],
        alpha,
        overall_first_weights([estimate.limit.pattern == ALL_PATTERNS for estimate in estimates]),
    )
    verdicts = [
        _decide(estimate, decision, alpha, invalid=bool(reasons))
        for estimate, decision in zip(estimates, decisions, strict=True)
    ]
    status = _status(verdicts, reasons)
    needed_s = _needed_s(verdicts, samples) if status == "INCONCLUSIVE" else None
    return Verdict(
        status=status,
        sentence=run_sentence(status, verdicts, reasons, gate.confidence, needed_s)
        + (not_compared(baseline.name, baseline.refused) if baseline else ""),
        confidence=gate.confidence,
        level=alpha,
        needed_s=needed_s,
        reasons=tuple(reasons),
        baseline=_reference_to(baseline),
        slo=slo,
        limits=tuple(verdicts),
        estimates=tuple(_estimates(samples, slo, gate.confidence)),
    )


def _reasons(samples: RunSamples) -> list[str]:
    """Why the run is invalid; empty when it is valid."""
    validity = samples.run.info.validity
    missing = [f"{series} was not measured." for series in samples.missing()]
    if validity is None:
        return ["the run ended before its load generator was judged.", *missing]
    reasons = [
        f"{reason.rule}: {reason.found} {reason.remedy}".strip() for reason in validity.reasons
    ]
    if not validity.valid and not reasons:
        reasons = ["the load generator distorted the run."]
    return reasons + missing


def _decide(
    estimate: LimitEstimate, decision: Decision, alpha: TailProbability, *, invalid: bool
) -> LimitVerdict:
    limit, low, high = estimate.limit, estimate.low(decision.alpha), estimate.high(alpha)
    status: Status = "INCONCLUSIVE"
    if invalid:
        status = "INVALID"
    elif decision.exceeded:
        status = "FAIL"
    elif high <= limit.limit:
        status = "PASS"
    resolvable = math.isfinite(high)
    needed = estimate.calls_needed(alpha)
    if status == "INCONCLUSIVE" and resolvable:
        needed = max(_calls_to_decide(estimate, low, high), needed or 0) or None
    bounds = (low, estimate.estimate, high)
    return LimitVerdict(
        backend=limit.backend,
        driver=limit.driver,
        pattern=limit.pattern,
        metric=limit.metric,
        kind=limit.kind,
        percentile=limit.percentile,
        limit=limit.limit,
        estimate=estimate.estimate,
        low=low,
        high=high if resolvable else None,
        calls=estimate.calls,
        needed_calls=needed,
        status=status,
        sentence=limit_sentence(limit, status, bounds, estimate.calls, needed),
        decides=estimate.decides,
    )


def _calls_to_decide(estimate: LimitEstimate, low: float, high: float) -> int:
    """Calls after which the interval would no longer contain the limit; 0 where unknown.

    The width of an interval falls as 1/√n.
    """
    distance = estimate.limit.limit - estimate.estimate
    width = high - estimate.estimate if distance > 0 else estimate.estimate - low
    if not distance or not math.isfinite(width) or not estimate.estimate:
        return 0
    growth = (width / distance) ** 2
    return math.ceil(estimate.calls * growth) if growth < 1e6 else 0


def _status(verdicts: Sequence[LimitVerdict], reasons: Sequence[str]) -> Status:
    if reasons:
        return "INVALID"
    deciding = [
        verdict.status for verdict in verdicts if verdict.decides or verdict.status == "FAIL"
    ]
    return worst_status(deciding or ["PASS"])


def _needed_s(verdicts: Sequence[LimitVerdict], samples: RunSamples) -> float | None:
    growths = [
        verdict.needed_calls / verdict.calls
        for verdict in verdicts
        if verdict.status == "INCONCLUSIVE" and verdict.decides and verdict.needed_calls
    ]
    return samples.seconds() * max(growths) if growths else None


def _estimates(samples: RunSamples, slo: Slo, confidence: float) -> Iterator[PercentileEstimate]:
    for series in samples.series():
        metric = slo.limits_for(series.backend, series.pattern).metric or "response_time"
        yield from interval_estimates(samples, series.key(metric), confidence)


def interval_estimates(
    samples: RunSamples, key: Key, confidence: float
) -> Iterator[PercentileEstimate]:
    """Every percentile of one series with its two-sided interval; none when it has no calls."""
    if not samples.samples(key).calls:
        return
    alpha = two_sided(confidence)
    for name, q in PERCENTILES.items():
        quantile = samples.quantile(key, q)
        high_ms = quantile.high_ms(alpha)
        yield PercentileEstimate(
            backend=key.backend,
            driver=key.driver,
            pattern=key.pattern,
            metric=key.metric,
            percentile=name,
            estimate_ms=quantile.estimate_ms,
            low_ms=quantile.low_ms(alpha) or None,
            high_ms=high_ms if math.isfinite(high_ms) else None,
            calls=quantile.calls,
            needed_calls=quantile.calls_needed(alpha),
        )


def _reference_to(baseline: Baseline | None) -> BaselineReference | None:
    if baseline is None:
        return None
    return BaselineReference(
        name=baseline.name,
        runs=tuple(run.info.id for run in baseline.runs),
        refused=baseline.refused,
    )
