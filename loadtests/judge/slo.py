"""From the promise in loadtests.toml to one list of limits for the series of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from loadtests.config import Limits, Slo
from loadtests.measure.results import PERCENTILES, RunInfo, SeriesInfo
from loadtests.patterns import BACKENDS, CART_PATTERNS, PATTERNS, SESSION_PATTERNS

ERROR_RATE: Final = "error_rate"
RATIO: Final = "_ratio"
SCENARIO_PATTERNS: Final = {
    "cart": CART_PATTERNS,
    "session": SESSION_PATTERNS,
    "storefront": PATTERNS,
}
_FIELDS: Final = {"p50": "p50_ms", "p90": "p90_ms", "p99": "p99_ms", "p99.9": "p999_ms"}


@dataclass(frozen=True, slots=True)
class Limit:
    """One thing promised of one series.

    `statistic` is a percentile (limit in ms), `error_rate` (limit a share) or a percentile with
    `_ratio` (limit a factor on the baseline's).
    """

    backend: str
    driver: str
    pattern: str
    metric: str
    statistic: str
    limit: float

    @property
    def percentile(self) -> str:
        """`p99` for both `p99` and `p99_ratio`."""
        return self.statistic.removesuffix(RATIO)

    @property
    def unit(self) -> str:
        """`ms`, `share` or `ratio`."""
        if self.statistic == ERROR_RATE:
            return "share"
        return "ratio" if self.statistic.endswith(RATIO) else "ms"


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
            yield Limit(*place, percentile, value)
    if limits.error_rate is not None:
        yield Limit(*place, ERROR_RATE, limits.error_rate)
    for percentile in ("p50", "p90", "p99") if relative else ():
        growth = getattr(slo.relative, percentile)
        if growth is not None:
            yield Limit(*place, percentile + RATIO, 1.0 + growth)


def expected_series(info: RunInfo) -> list[tuple[str, str]]:
    """The (backend, pattern) pairs a run had to measure.

    Backends from its configuration, patterns from its scenarios (`cart+session`); for a scenario
    of one's own, every pattern seen on any backend.
    """
    patterns = _patterns_owed(info)
    load = info.config.get("load", info.config)
    backend = load.get("backend") if isinstance(load, dict) else None
    if backend == "both":
        backends: Iterable[str] = BACKENDS
    elif backend in BACKENDS:
        backends = [backend]
    else:
        backends = sorted({one.backend for one in info.series})
    return [(b, p) for b in backends for p in patterns]


def _patterns_owed(info: RunInfo) -> list[str]:
    named = info.config.get("patterns")
    if isinstance(named, list):
        return [str(one) for one in named]
    scenarios = info.scenario.split("+")
    owed = {one.pattern for one in info.series}
    if all(one in SCENARIO_PATTERNS for one in scenarios):
        owed = {pattern for one in scenarios for pattern in SCENARIO_PATTERNS[one]}
    return [pattern for pattern in PATTERNS if pattern in owed]
