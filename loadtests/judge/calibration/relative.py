"""What the gate's statistics are worth, measured on recorded runs.

- Coverage: how often a 95% interval of a drawn run holds the recording's own quantile.
- False alarms: how often two draws of the same thing are called different, for the whole family of
  patterns, backends and percentiles at once.
- Power: how often a slowdown put into one series is found and named, by size.

Each draw has a number and a generator of its own, so that several processes can share the work and
the figures are the same however they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np

from loadtests.config import Relative
from loadtests.judge.calibration.bootstrap import Recording, companies_of, split
from loadtests.judge.calibration.tallies import Coverage, Outcomes
from loadtests.judge.comparison import Comparison, decide
from loadtests.judge.stats.holm import broken_limits, wholes_first
from loadtests.judge.stats.overall import Bounds
from loadtests.judge.stats.pairs import Pair, wholes_of
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.ratios import Ratio, together
from loadtests.judge.stats.samples import Samples
from loadtests.measure.results import PERCENTILES, Key
from loadtests.patterns import ALL_PATTERNS

Place = Literal["all", "tail"]
GROWTHS: Final = (0.05, 0.10, 0.20, 0.50)
JUDGED: Final = {"p50": 0.10, "p99": 0.20}  # the default growth allowed
PLACES: Final[tuple[Place, ...]] = ("all", "tail")
SCOPES: Final[tuple[Scope, ...]] = ("series", "backend")
TAIL_FROM: Final = 0.95  # "the tail only" slows the calls above this quantile
Scope = Literal["series", "backend"]
Injection = tuple[Place, Scope, float] | None
Twins = dict[Key, tuple[Samples, Samples]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is drawn: runs for coverage, comparisons, seconds a run and a block."""

    runs: int = 300
    comparisons: int = 300
    seconds: int = 180
    block: int = 15
    confidence: float = 0.95
    seed: int = 1

    def generator(self, what: str, number: int) -> np.random.Generator:
        """The source of chance of one draw for one purpose."""
        return np.random.default_rng([self.seed, number, *what.encode()])


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule says of one comparison; `slower` names (subject, pattern, percentile)."""

    status: str
    slower: tuple[tuple[str, str, str], ...]


def measure_coverage(
    recordings: Sequence[Recording], plan: Plan, numbers: Iterable[int]
) -> dict[str, Coverage]:
    """Coverage of two-sided intervals by percentile, in the draws of these numbers."""
    found = {name: Coverage() for name in PERCENTILES}
    truths = [_truths(one) for one in recordings]
    level = (1.0 - plan.confidence) / 2.0
    for number in numbers:
        rng = plan.generator("coverage", number)
        which = number % len(recordings)
        recording = recordings[which]
        drawn = recording.draw(recording.draw_seconds(rng, plan.seconds, plan.block))
        companies = companies_of(drawn)
        for key, samples in drawn.items():
            for name, q in PERCENTILES.items() if samples.calls else ():
                quantile = estimate_quantile(samples, q, companies[key.backend, key.driver])
                high = quantile.high_ms(level)
                coverage = found[name]
                if not np.isfinite(high):
                    coverage.not_carried += 1
                    continue
                coverage.intervals += 1
                if quantile.low_ms(level) <= truths[which][key, name] <= high:
                    coverage.held += 1
                    coverage.by_series[key] += 1
    return found


def _truths(recording: Recording) -> dict[tuple[Key, str], float]:
    return {
        (key, name): estimate_quantile(samples, q).estimate_ms
        for key, samples in recording.whole.items()
        for name, q in PERCENTILES.items()
    }


def interleaved_twins(
    recordings: Sequence[Recording], plan: Plan, rng: np.random.Generator
) -> Twins:
    """Two equal subjects of one drawn run: every recorded call is dealt to one or the other."""
    recording = recordings[int(rng.integers(len(recordings)))]
    drawn = recording.draw(recording.draw_seconds(rng, plan.seconds, plan.block))
    return {key: split(samples, rng) for key, samples in drawn.items()}


def separate_twins(recordings: Sequence[Recording], plan: Plan, rng: np.random.Generator) -> Twins:
    """Two runs, drawn apart: from two recordings where there are several."""
    count = len(recordings)
    chosen = rng.choice(count, 2, replace=False) if count > 1 else [0, 0]
    a, b = (
        recordings[i].draw(recordings[i].draw_seconds(rng, plan.seconds, plan.block))
        for i in chosen
    )
    return {key: (a[key], b[key]) for key in a.keys() & b.keys()}


def slowed(samples: Samples, growth: float, place: Place) -> Samples:
    """The same calls, all or only those beyond p95 taking `growth` longer."""
    if place == "all":
        return samples.scaled(1.0 + growth)
    rank = max(1, int(TAIL_FROM * samples.calls))
    return samples.scaled(1.0 + growth, above=samples.at_rank(rank))


class _Remembered:
    """A ratio whose bounds are worked out once: most are asked for again with each slowdown."""

    def __init__(self, ratio: Bounds) -> None:
        self.estimate = ratio.estimate
        self.subjects, self.references = ratio.subjects, ratio.references
        self.spread, self.shocks = ratio.spread, ratio.shocks
        self.low = cache(ratio.low)
        self.high = cache(ratio.high)


def _pairs_of(key: Key, a: Samples, b: Samples, interleaved: bool) -> list[Pair]:
    """The ratios judged of one series: second twin over first, p50 and p99."""
    found = []
    for name in JUDGED if a.calls and b.calls else ():
        old, new = estimate_quantile(a, PERCENTILES[name]), estimate_quantile(b, PERCENTILES[name])
        ratio = together(new, old) if interleaved else Ratio((new,), (old,))
        side = f"{key.backend}/{key.driver}"
        found.append(Pair(side, side, key.pattern, key.metric, name, _Remembered(ratio)))
    return found


def compare_rule(pairs: Sequence[Pair], confidence: float) -> Ruling:
    """What `loadtests compare` says."""
    rows = decide(pairs, Relative(), confidence)
    named = tuple(
        (row.subject, row.pattern, row.percentile) for row in rows if row.outcome == "SLOWER"
    )
    return Ruling(Comparison(rows).status, named)


def gate_rule(pairs: Sequence[Pair], confidence: float) -> Ruling:
    """What the gate says, with the growth allowed as its limits."""
    wholes = wholes_of(pairs)
    judged = [*wholes, *pairs]
    limits = [1.0 + JUDGED[one.percentile] for one in judged]
    level = 1.0 - confidence
    weights = wholes_first([one.pattern == ALL_PATTERNS for one in judged])
    decisions = broken_limits([one.ratio.low for one in judged], limits, level, weights)
    broken = [one for one, d in zip(judged, decisions, strict=True) if d.broken]
    if broken:
        named = tuple((one.subject, one.pattern, one.percentile) for one in broken)
        return Ruling("FAIL", named)
    deciding = wholes or pairs
    within = all(one.ratio.high(level) <= 1.0 + JUDGED[one.percentile] for one in deciding)
    return Ruling("PASS" if within else "INCONCLUSIVE", ())


def measure_outcomes(
    recordings: Sequence[Recording], plan: Plan, numbers: Iterable[int], *, interleaved: bool
) -> dict[Injection, Outcomes]:
    """Outcomes without change (None) and with each slowdown, in a series chosen anew each time.

    A slowdown hits one series or its whole backend. One of all calls is found when p50 or p99 of
    something slowed fails, one of the tail when p99 does. Interleaved, `loadtests compare` decides;
    of two runs apart, the gate's relative limits.
    """
    draw, rule = (interleaved_twins, compare_rule) if interleaved else (separate_twins, gate_rule)
    injections: list[Injection] = [None]
    injections += [(p, s, g) for p in PLACES for s in SCOPES for g in GROWTHS]
    found = {injection: Outcomes() for injection in injections}
    for number in numbers:
        rng = plan.generator("interleaved" if interleaved else "apart", number)
        twins = draw(recordings, plan, rng)
        keys = sorted(twins)
        same = {key: _pairs_of(key, *twins[key], interleaved) for key in keys}
        chosen = keys[int(rng.integers(len(keys)))]
        for injection in injections:
            slow = [] if injection is None else _hit(keys, chosen, injection[1])
            pairs = same | {
                key: _pairs_of(key, twins[key][0], _slowed(twins[key][1], injection), interleaved)
                for key in slow
            }
            ruling = rule([one for held in pairs.values() for one in held], plan.confidence)
            _note(found[injection], ruling, slow, injection)
    return found


def _hit(keys: Sequence[Key], chosen: Key, scope: Scope) -> list[Key]:
    if scope == "series":
        return [chosen]
    return [key for key in keys if key.backend == chosen.backend]


def _slowed(samples: Samples, injection: Injection) -> Samples:
    return samples if injection is None else slowed(samples, injection[2], injection[0])


def _note(outcomes: Outcomes, ruling: Ruling, slow: Sequence[Key], injection: Injection) -> None:
    outcomes.statuses[ruling.status] += 1
    wanted = ("p50", "p99") if injection and injection[0] == "all" else ("p99",)
    hit = {(f"{key.backend}/{key.driver}", key.pattern) for key in slow}
    if len(slow) > 1:
        hit |= {(side, ALL_PATTERNS) for side, _ in hit}
    outcomes.named += any(
        (side, pattern) in hit and percentile in wanted
        for side, pattern, percentile in ruling.slower
    )
