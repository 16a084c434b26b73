"""The limits of loadtests.toml that apply to the series of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from loadtests.config import Limits, Relative, Slo
from loadtests.measure.results import (
    UNITS,
    LimitKind,
    RunInfo,
    SeriesInfo,
    Unit,
    statistic_of,
)
from loadtests.patterns import BACKENDS, BOTH_BACKENDS, in_order, patterns_of_earlier_run


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit on one series.

    `limit` is in milliseconds for an absolute limit, a factor on the baseline's percentile for a
    relative one, and a proportion of the calls for an error rate, whose `percentile` is None.
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


def limits_of(series: Iterable[SeriesInfo], slo: Slo, *, relative: bool) -> list[Limit]:
    """Every limit that applies to these series; relative limits only if `relative`."""
    return [limit for info in series for limit in _series_limits(info, slo, relative=relative)]


def _series_limits(series: SeriesInfo, slo: Slo, *, relative: bool) -> Iterator[Limit]:
    limits = slo.limits_for(series.backend, series.pattern)

    def limit(kind: LimitKind, percentile: str | None, value: float) -> Limit:
        return Limit(
            backend=series.backend,
            driver=series.driver,
            pattern=series.pattern,
            metric=limits.metric or "response_time",
            kind=kind,
            percentile=percentile,
            limit=value,
        )

    absolute = {
        "p50": limits.p50_ms,
        "p90": limits.p90_ms,
        "p99": limits.p99_ms,
        "p99.9": limits.p999_ms,
    }
    for percentile, limit_ms in absolute.items():
        if limit_ms is not None:
            yield limit("absolute", percentile, limit_ms)
    if limits.error_rate is not None:
        yield limit("error_rate", None, limits.error_rate)
    if not relative:
        return
    for percentile, growth in allowed_growth(slo.relative).items():
        if growth is not None:
            yield limit("relative", percentile, 1.0 + growth)


def allowed_growth(relative: Relative) -> dict[str, float | None]:
    """The growth over a baseline that each percentile may have; None for no limit."""
    return {"p50": relative.p50, "p90": relative.p90, "p99": relative.p99}


def uncalled_limits(slo: Slo, info: RunInfo) -> tuple[list[str], list[str]]:
    """Limits that name what a run did not call, in words: those missed, and those left out.

    Left out are those of a backend that the run's settings did not select. The others are missed,
    and a run that misses a limit does not show that the promise holds.
    """
    called = {(series.backend, series.pattern) for series in info.series if series.count}
    missed = [
        f"{pattern} was not called, so its limits are not judged."
        for pattern, limits in slo.patterns.items()
        if _names_limits(limits) and all(pattern != each for _, each in called)
    ]
    left_out: list[str] = []
    for backend, of_backend in slo.backends.items():
        patterns = [name for name, limits in of_backend.patterns.items() if _names_limits(limits)]
        if all(backend != each for each, _ in called):
            if _names_limits(of_backend) or patterns:
                text = f"{backend} was not called, so its limits are not judged."
                (missed if info.config.load.backend == "both" else left_out).append(text)
            continue
        missed += [
            f"{backend} {pattern} was not called, so its limits are not judged."
            for pattern in patterns
            if (backend, pattern) not in called and pattern not in slo.patterns
        ]
    return missed, left_out


def _names_limits(limits: Limits) -> bool:
    return any(
        getattr(limits, name) is not None for name in Limits.model_fields if name != "metric"
    )


def expected_series(info: RunInfo) -> list[tuple[str, str]]:
    """The (backend, pattern) pairs that a run had to measure.

    What its scenario calls on each subject, where the run says it. Otherwise backends come from its
    configuration, and patterns from its scenarios; for a custom scenario they are all that were
    measured on any backend.
    """
    if info.config.served is not None:
        pairs = {
            (subject.partition("/")[0], pattern)
            for subject, patterns in info.config.served.items()
            for pattern in patterns
        }
    else:
        pairs = {(backend, name) for backend in _backends(info) for name in _patterns(info)}
    names = in_order({pattern for _, pattern in pairs}, info.config.patterns)
    return sorted(pairs, key=lambda pair: (pair[0], names.index(pair[1])))


def _backends(info: RunInfo) -> Iterable[str]:
    backend = info.config.load.backend
    if backend == BOTH_BACKENDS:
        return BACKENDS
    if backend in BACKENDS:
        return (backend,)
    return {series.backend for series in info.series}


def _patterns(info: RunInfo) -> Iterable[str]:
    if info.config.patterns is not None:
        return info.config.patterns
    measured = {series.pattern for series in info.series}
    return patterns_of_earlier_run(info.scenario) or measured
