"""Judge a run: every limit that applies, with its interval, all of them decided at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
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
from loadtests.judge.run_samples import MAX_LEFT_OUT, RunSamples, left_out
from loadtests.judge.sentences import (
    MAX_SHOWN,
    limit_sentence,
    not_compared,
    run_sentence,
    stalled_too_often,
    undisturbed_words,
)
from loadtests.judge.slo import limits_of, uncalled_limits
from loadtests.judge.stats.distributions import TailProbability, one_sided, two_sided
from loadtests.judge.stats.holm import Decision, holm, overall_first_weights
from loadtests.judge.stats.nested import nested_alpha
from loadtests.measure.health.accounts import folder_reasons
from loadtests.measure.results import (
    PERCENTILES,
    BaselineReference,
    Bounds,
    Key,
    LimitVerdict,
    PercentileEstimate,
    Run,
    SeriesInfo,
    Status,
    Verdict,
)
from loadtests.patterns import ALL_PATTERNS

# A run breaks a limit grossly where its calls exceed it more than this many times as often as the
# limit allows, beyond the chance of arrivals: 10% of the calls for a p99.
GROSS_FACTOR: Final = 10.0
# A broken limit stays broken whatever another run shows; an invalid run shows nothing.
_WORST_FIRST: Final[tuple[Status, ...]] = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS")


def worst_status(statuses: Iterable[Status]) -> Status:
    """The status of several runs judged at once. Raises ValueError for none."""
    return min(statuses, key=_WORST_FIRST.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a run's limits are decided under.

    `invalid`: something rules out every verdict. `delayed`: something rules out FAIL.
    `run_alpha` is the error probability of the statement on this run alone, for each limit.
    `left_out` is None where stalls were not measured.
    """

    alpha: TailProbability
    run_alpha: TailProbability
    invalid: bool
    delayed: bool
    random_arrivals: bool
    left_out: float | None

    @property
    def too_many_left_out(self) -> bool:
        """Whether the undisturbed calls are too few to decide on."""
        return self.left_out is not None and self.left_out > MAX_LEFT_OUT

    def deciding(self, estimate: LimitEstimate) -> LimitEstimate | None:
        """The estimate that may show a limit to be broken; None for none.

        An absolute limit of a run with measured stalls: that of the undisturbed calls.
        """
        if self.left_out is None or estimate.limit.kind != "absolute":
            return estimate
        if self.too_many_left_out:
            return None
        if estimate.undisturbed and estimate.undisturbed.calls == estimate.calls:
            return estimate  # nothing was left out
        return estimate.undisturbed


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
    undisturbed = RunSamples(run, "undisturbed") if left_out(run) is not None else None
    quantiles = BaselineQuantiles(baseline, run) if baseline and baseline.runs else None
    limits = limits_of(_judged_series(samples), slo, relative=quantiles is not None)
    if not limits:
        raise ConfigError("loadtests.toml", ["slo: no limit is set, so nothing can be judged"])
    by_limit = [(limit, estimate_limit(limit, samples, quantiles, undisturbed)) for limit in limits]
    missing = {
        f"no {limit.metric} recorded for {limit.backend} {limit.pattern}."
        for limit, estimate in by_limit
        if estimate is None
    }
    estimates = with_overall([estimate for _, estimate in by_limit if estimate is not None])
    invalidating, delaying = _reasons(samples)
    invalidating += sorted(missing)
    circumstances = Circumstances(
        alpha=alpha,
        run_alpha=TailProbability(alpha / max(1, len(estimates))),
        invalid=bool(invalidating),
        delayed=bool(delaying),
        random_arrivals=run.info.config.load.arrivals == "poisson",
        left_out=left_out(run),
    )
    decided = decide_limits(estimates, circumstances, samples.seconds())
    verdicts, needed_s = decided.limits, decided.needed_s
    status: Status = "INVALID" if invalidating else decided.status
    uncalled, unselected = uncalled_limits(slo, run.info)
    reasons = [*invalidating, *delaying] if status in ("INVALID", "INCONCLUSIVE") else []
    if status == "INCONCLUSIVE" and circumstances.too_many_left_out:
        reasons.insert(0, stalled_too_often(circumstances.left_out or 0.0))
    sentence = run_sentence(
        status, verdicts, reasons, gate.confidence, needed_s, circumstances.left_out
    )
    missed = uncalled
    if status == "PASS" and missed:
        status, reasons = "INCONCLUSIVE", missed
        held = sentence.removeprefix("PASS: ")
        sentence = f"INCONCLUSIVE: {missed[0]} {held[:1].upper()}{held[1:]}"
        missed = missed[1:]
    sentence += "".join(f" {text}" for text in [*missed[:MAX_SHOWN], *unselected])
    return Verdict(
        status=status,
        sentence=sentence + (not_compared(baseline.name, baseline.refused) if baseline else ""),
        confidence=gate.confidence,
        level=alpha,
        needed_s=needed_s,
        reasons=tuple(reasons),
        baseline=_reference_to(baseline),
        slo=slo,
        not_judged=(*uncalled, *unselected),
        limits=verdicts,
        estimates=tuple(_estimates(samples, slo, gate.confidence)),
    )


def _judged_series(samples: RunSamples) -> list[SeriesInfo]:
    """Those that limits apply to: not those of a subject that another one is only compared with."""
    only_compared = {
        (subject.backend, subject.name)
        for subject in samples.run.info.subjects
        if not subject.judged
    }
    return [
        series
        for series in samples.series()
        if (series.backend, series.driver) not in only_compared
    ]


def _reasons(samples: RunSamples) -> tuple[list[str], list[str]]:
    """What rules out every verdict, and what rules out FAIL alone."""
    validity = samples.run.info.validity
    invalidating = [f"{series} was not measured." for series in samples.missing()]
    if validity is None:
        return ["the run ended before its load generator was judged.", *invalidating], []
    texts = {"every verdict": list[str](), "FAIL": list[str]()}
    for reason in [*validity.reasons, *folder_reasons(samples.run.path, samples.run.info)]:
        text = f"{reason.rule}: {reason.found} {reason.remedy}".strip()
        texts[reason.rules_out].append(text)
    if not validity.valid and not validity.reasons:
        texts["every verdict"].append("the load generator distorted the run.")
    return texts["every verdict"] + invalidating, texts["FAIL"]


@dataclass(frozen=True, slots=True)
class DecidedLimits:
    """Every limit, decided; `needed_s` are the measured seconds that would decide them all.

    `status` is the worst of the limits that decide, `needed_s` None unless it is INCONCLUSIVE.
    """

    limits: tuple[LimitVerdict, ...]
    status: Status
    needed_s: float | None


def decide_limits(
    estimates: Sequence[LimitEstimate], circumstances: Circumstances, seconds: float
) -> DecidedLimits:
    """Decide every limit after the measured seconds, FAIL by Holm's procedure over all."""
    deciding = [circumstances.deciding(estimate) for estimate in estimates]
    decisions = holm(
        [estimate.low if estimate else _no_bound for estimate in deciding],
        [estimate.limit.limit for estimate in estimates],
        circumstances.alpha,
        overall_first_weights([estimate.limit.pattern == ALL_PATTERNS for estimate in estimates]),
    )
    limits = tuple(
        _decide(estimate, decision, circumstances)
        for estimate, decision in zip(estimates, decisions, strict=True)
    )
    statuses = [limit.status for limit in limits if limit.decides or limit.status == "FAIL"]
    status = worst_status(statuses or ["PASS"])
    needed_s = _needed_s(limits, seconds) if status == "INCONCLUSIVE" else None
    return DecidedLimits(limits, status, needed_s)


def _no_bound(alpha: TailProbability) -> float:
    del alpha
    return 0.0


def _decide(
    estimate: LimitEstimate, decision: Decision, circumstances: Circumstances
) -> LimitVerdict:
    limit = estimate.limit
    deciding = circumstances.deciding(estimate)
    basis = deciding or estimate
    # either set of calls may show that the limit holds
    alpha = nested_alpha(circumstances.alpha, basis.calls / estimate.calls)
    in_this_run = broken_in_this_run(deciding, circumstances) if deciding else None
    broken = decision.exceeded or in_this_run is not None
    status: Status = "INCONCLUSIVE"
    if circumstances.invalid or (circumstances.delayed and limit.kind == "relative"):
        status, basis = "INVALID", estimate
    elif estimate.high(alpha) <= limit.limit:
        status, basis = "PASS", estimate  # whatever delayed these calls
    elif basis.high(alpha) <= limit.limit:
        status = "PASS"
    elif broken:
        status = "INVALID" if circumstances.delayed else "FAIL"
    elif circumstances.delayed and circumstances.left_out is None:
        status = "INVALID"
    if status != "FAIL" or decision.exceeded:
        in_this_run = None
    low, high = basis.low(decision.alpha), basis.high(alpha)
    resolvable = math.isfinite(high)
    needed = basis.calls_needed(alpha)
    if status == "INCONCLUSIVE" and resolvable:
        needed = max(_calls_to_decide(basis, low, high), needed or 0) or None
    if in_this_run or (status == "INCONCLUSIVE" and not deciding):
        needed = None  # more calls of this kind would decide nothing
    measured = circumstances.left_out is not None and limit.kind == "absolute"
    return LimitVerdict(
        backend=limit.backend,
        driver=limit.driver,
        pattern=limit.pattern,
        metric=limit.metric,
        kind=limit.kind,
        percentile=limit.percentile,
        limit=limit.limit,
        estimate=basis.estimate,
        low=low,
        high=high if resolvable else None,
        calls=basis.calls,
        needed_calls=needed,
        status=status,
        sentence=limit_sentence(
            limit,
            status,
            (low, basis.estimate, high),
            basis.calls,
            needed,
            calls_judged=_calls_judged(estimate, basis, status, circumstances.left_out),
            left_out=circumstances.left_out if deciding is None else None,
            delayed=broken and circumstances.delayed and not circumstances.invalid,
            in_this_run=in_this_run,
        ),
        decides=estimate.decides,
        basis=basis.basis,
        all_calls=_bounds(estimate, decision.alpha, alpha) if measured else None,
        undisturbed=_bounds(estimate.undisturbed, decision.alpha, alpha) if measured else None,
        in_this_run=in_this_run,
    )


def broken_in_this_run(estimate: LimitEstimate, circumstances: Circumstances) -> Bounds | None:
    """The share of the calls beyond the limit, where this run alone breaks it grossly; else None.

    Arrivals at random sample the time of this run (Wolff, Operations Research 1982). Given how fast
    the database was at each moment, calls exceed the limit independently, and their share has an
    exact binomial interval, however alike neighbouring calls are.
    """
    limit, beyond = estimate.limit, estimate.beyond
    if beyond is None or limit.percentile is None or not circumstances.random_arrivals:
        return None
    low = beyond.low(circumstances.run_alpha)
    if low <= GROSS_FACTOR * (1.0 - PERCENTILES[limit.percentile]):
        return None
    high = beyond.high(circumstances.run_alpha)
    return Bounds(estimate=beyond.estimate, low=low, high=high, calls=beyond.calls)


def _calls_judged(
    estimate: LimitEstimate, basis: LimitEstimate, status: Status, left_out: float | None
) -> str:
    """Which of the calls a limit's sentence is about; empty where none were left out."""
    if not left_out:
        return ""
    if estimate.limit.kind == "relative":
        undisturbed = basis.basis == "undisturbed"
        return "on undisturbed calls" if undisturbed else "on all calls, disturbed ones included"
    if basis.basis == "undisturbed":
        return undisturbed_words(basis.calls / estimate.calls)
    some_left_out = estimate.undisturbed and estimate.undisturbed.calls < estimate.calls
    return "on all calls, disturbed ones included" if status == "PASS" and some_left_out else ""


def _bounds(
    estimate: LimitEstimate | None, low_alpha: TailProbability, alpha: TailProbability
) -> Bounds | None:
    if estimate is None:
        return None
    high = estimate.high(alpha)
    return Bounds(
        estimate=estimate.estimate,
        low=estimate.low(low_alpha),
        high=high if math.isfinite(high) else None,
        calls=estimate.calls,
    )


def _calls_to_decide(estimate: LimitEstimate, low: float, high: float) -> int:
    """Calls after which the interval would no longer contain the limit; 0 where unknown.

    The width of an interval falls as 1/√n.
    """
    distance = estimate.limit.limit - estimate.estimate
    if distance < 0 and not low:  # no lower bound: its width says nothing
        return 0
    width = high - estimate.estimate if distance > 0 else estimate.estimate - low
    if not distance or not math.isfinite(width) or not estimate.estimate:
        return 0
    growth = (width / distance) ** 2
    return math.ceil(estimate.calls * growth) if growth < 1e6 else 0


def _needed_s(verdicts: Sequence[LimitVerdict], seconds: float) -> float | None:
    growths = [
        verdict.needed_calls / verdict.calls
        for verdict in verdicts
        if verdict.status == "INCONCLUSIVE" and verdict.decides and verdict.needed_calls
    ]
    return seconds * max(growths) if growths else None


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
