"""From the promise in loadtests.toml to one list of limits for the series of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from loadtests.config import Limits, Slo
from loadtests.measure.results import (
    PERCENTILES,
    UNITS,
    LimitKind,
    RunInfo,
    SeriesInfo,
    Unit,
    statistic_of,
)
from loadtests.patterns import BACKENDS, CART_PATTERNS, PATTERNS, SESSION_PATTERNS

SCENARIO_PATTERNS: Final = {
    "cart": CART_PATTERNS,
    "session": SESSION_PATTERNS,
    "storefront": PATTERNS,
}
_FIELDS: Final = {"p50": "p50_ms", "p90": "p90_ms", "p99": "p99_ms", "p99.9": "p999_ms"}


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit on one series.

    `limit` is in milliseconds for an absolute limit, a factor on the baseline's percentile for a
    relative one, and a share of the calls for an error rate, whose `percentile` is None.
    """

    backend: str
    driver: str
    pattern: str
    metric: str
    kind: LimitKind
    percentile: str | None
    limit: float

    @property
    def statistic(self) -> str:
        """`p99`, `p99_ratio` or `error_rate`."""
        return statistic_of(self.kind, self.percentile)

    @property
    def unit(self) -> Unit:
        """`ms`, `ratio` or `share`."""
        return UNITS[self.kind]


def resolve(slo: Slo, backend: str, pattern: str) -> Limits:
    """The limits of one access pattern on one backend: for each, the narrowest that names it."""
    return slo.limits_for(backend, pattern)


def limits_of(series: Iterable[SeriesInfo], slo: Slo, *, relative: bool) -> list[Limit]:
    """Every limit that applies to these series; the relative ones only where asked for."""
    return [limit for one in series for limit in _of_one(one, slo, relative=relative)]


def _of_one(one: SeriesInfo, slo: Slo, *, relative: bool) -> Iterator[Limit]:
    limits = resolve(slo, one.backend, one.pattern)
    place = (one.backend, one.driver, one.pattern, limits.metric or "response_time")
    for percentile in PERCENTILES:
        value = getattr(limits, _FIELDS[percentile])
        if value is not None:
            yield Limit(*place, "absolute", percentile, value)
    if limits.error_rate is not None:
        yield Limit(*place, "error_rate", None, limits.error_rate)
    for percentile in ("p50", "p90", "p99") if relative else ():
        growth = getattr(slo.relative, percentile)
        if growth is not None:
            yield Limit(*place, "relative", percentile, 1.0 + growth)


def expected_series(info: RunInfo) -> list[tuple[str, str]]:
    """The (backend, pattern) pairs a run had to measure.

    Backends from its configuration, patterns from its scenarios (`cart+session`); for a scenario
    of one's own, every pattern seen on any backend.
    """
    patterns = _patterns_owed(info)
    backend = info.config.load.backend
    if backend == "both":
        backends: Iterable[str] = BACKENDS
    elif backend in BACKENDS:
        backends = [backend]
    else:
        backends = sorted({one.backend for one in info.series})
    return [(b, p) for b in backends for p in patterns]


def _patterns_owed(info: RunInfo) -> list[str]:
    if info.config.patterns is not None:
        return info.config.patterns
    scenarios = info.scenario.split("+")
    owed = {one.pattern for one in info.series}
    if all(one in SCENARIO_PATTERNS for one in scenarios):
        owed = {pattern for one in scenarios for pattern in SCENARIO_PATTERNS[one]}
    return [pattern for pattern in PATTERNS if pattern in owed]
