"""Each limit with the figure it is about: an estimate and bounds at any level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loadtests.errors import ResultsError
from loadtests.judge.baseline import Baseline
from loadtests.judge.fingerprint import refuse_differences
from loadtests.judge.measured import Measured
from loadtests.judge.slo import Limit
from loadtests.judge.stats.overall import WholeRatio
from loadtests.judge.stats.proportions import Share
from loadtests.judge.stats.quantiles import Quantile
from loadtests.judge.stats.ratios import Ratio, Spread, spread_of
from loadtests.measure.results import PERCENTILES, Key, Run
from loadtests.order_statistics import min_calls
from loadtests.patterns import ALL_PATTERNS


@dataclass(frozen=True, slots=True)
class Bounded:
    """A limit and what was found, in the limit's unit; `low` and `high` take a one-sided level.

    `to_carry(level)` is how many calls give a finite upper bound, None when there are enough.
    `ratio` is that of a relative limit. `decides`: left open, it leaves the run open too.
    """

    limit: Limit
    estimate: float
    low: Callable[[float], float]
    high: Callable[[float], float]
    calls: int
    to_carry: Callable[[float], int | None]
    ratio: Ratio | None = None
    decides: bool = True


class References:
    """A baseline's quantiles and their variation from run to run.

    Raises ResultsError when its runs were measured under other conditions than `run`.
    """

    def __init__(self, baseline: Baseline, run: Run) -> None:
        self.baseline = baseline
        for one in baseline.runs:
            refuse_differences(run.info, one.info, f"baseline {baseline.name} ({one.info.id})")
        self._measured = [Measured(one) for one in baseline.runs]
        self._quantiles: dict[tuple[Key, float], tuple[Quantile, ...]] = {}
        self._spreads: dict[tuple[str, str, str, float], Spread | None] = {}

    def quantiles(self, key: Key, q: float) -> tuple[Quantile, ...]:
        """One quantile in every run of the baseline. Raises ResultsError where one has no calls."""
        if (key, q) not in self._quantiles:
            found = []
            for measured in self._measured:
                samples = measured.samples(key)
                if not samples.calls:
                    raise ResultsError(
                        f"{measured.run.path / 'latency.hlog'} (baseline {self.baseline.name}) "
                        f"has no calls of {key.tag}.",
                        hint="Promote a baseline of this scenario: loadtests baseline promote.",
                    )
                found.append(measured.quantile(key, q))
            self._quantiles[key, q] = tuple(found)
        return self._quantiles[key, q]

    def spread(self, key: Key, q: float) -> Spread | None:
        """Variation between the runs of a backend's patterns; None for a single run."""
        place = (key.backend, key.driver, key.metric, q)
        if place not in self._spreads:
            first = self._measured[0].series()
            keys = [
                Key(one.backend, one.driver, one.pattern, key.metric)
                for one in first
                if (one.backend, one.driver) == (key.backend, key.driver)
            ]
            self._spreads[place] = spread_of([self.quantiles(one, q) for one in keys])
        return self._spreads[place]


def bound(limit: Limit, measured: Measured, references: References | None) -> Bounded | None:
    """The figure a limit is about; None when the run holds no data for it."""
    if limit.percentile is None:
        return _error_rate(limit, measured)
    key = Key(limit.backend, limit.driver, limit.pattern, limit.metric)
    samples = measured.samples(key)
    if not samples.calls:
        return None
    q = PERCENTILES[limit.percentile]
    quantile = measured.quantile(key, q)
    if limit.unit == "ms":
        return Bounded(
            limit,
            quantile.estimate_ms,
            quantile.low_ms,
            quantile.high_ms,
            quantile.calls,
            quantile.calls_to_carry,
        )
    if references is None:
        raise ValueError("a relative limit without a baseline")
    runs = references.quantiles(key, q)
    ratio = Ratio((quantile,), runs, spread=references.spread(key, q))
    return Bounded(
        limit, ratio.estimate, ratio.low, ratio.high, quantile.calls, quantile.calls_to_carry, ratio
    )


def with_wholes(found: Sequence[Bounded]) -> list[Bounded]:
    """Add each relative limit over all access patterns together, where a backend has several.

    Those then decide whether the run is within its baseline; a single pattern, whose calls rarely
    suffice, can still break its limit but no longer leaves the run open.
    """
    groups: dict[tuple[str, str, str, str, float], list[Bounded]] = defaultdict(list)
    for one in found:
        if one.ratio is not None:
            x = one.limit
            groups[x.backend, x.driver, x.metric, x.statistic, x.limit].append(one)
    several = {id(one) for held in groups.values() if len(held) > 1 for one in held}
    wholes = [_whole(held) for held in groups.values() if len(held) > 1]
    return [*(replace(x, decides=False) if id(x) in several else x for x in found), *wholes]


def _whole(held: Sequence[Bounded]) -> Bounded:
    ratio = WholeRatio([one.ratio for one in held if one.ratio is not None])
    limit = replace(held[0].limit, pattern=ALL_PATTERNS)
    calls = sum(one.calls for one in held)
    return Bounded(limit, ratio.estimate, ratio.low, ratio.high, calls, _enough)


def _enough(_: float) -> None:
    """How many calls all patterns together take is not reckoned: each of them says so itself."""


def _error_rate(limit: Limit, measured: Measured) -> Bounded:
    one = next(
        one
        for one in measured.series()
        if (one.backend, one.driver, one.pattern) == (limit.backend, limit.driver, limit.pattern)
    )
    share = Share(min(one.count, sum(one.errors.values()) + one.unfinished), one.count)

    def to_carry(level: float) -> int | None:
        least = min_calls(1.0 - limit.limit, level) if limit.limit < 1 else 0
        return least if share.calls < least else None

    return Bounded(limit, share.estimate, share.low, share.high, share.calls, to_carry)
