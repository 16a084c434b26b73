"""The samples of a run, checked first: the log must hold every call that run.json counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadtests.errors import ResultsError
from loadtests.judge.slo import expected_series
from loadtests.judge.stats.pooled import PooledSeries
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.samples import Samples, samples_by_unit
from loadtests.measure.results import Basis, Key, Run, SeriesInfo
from loadtests.patterns import in_order

# The largest share of the calls that may be left out because the machine stalled. Beyond it, the
# rest is too little and too selected a part of the run to decide on: a constant of the release.
MAX_LEFT_OUT: Final = 0.5


class RunSamples:
    """The series of one run as `Samples`, each gathered once.

    `basis` selects all calls, or those that no stall of the machine can have touched; the seconds
    of the run are the same. Raises ResultsError for a run without calls, for a capacity run, and
    for a log that holds other counts than run.json.
    """

    def __init__(self, run: Run, basis: Basis = "all") -> None:
        if run.info.steps:
            raise ResultsError(
                f"{run.path} is a capacity run: figures over the whole run would mix its rates.",
                hint="`loadtests capacity RUN` judges each step.",
            )
        self.run = run
        self.basis = basis
        self.intervals = run.intervals if basis == "all" else run.undisturbed or {}
        self._samples: dict[Key, Samples] = {}
        self._pooled: dict[tuple[str, str, str], PooledSeries] = {}
        self._patterns = in_order(
            {series.pattern for series in run.info.series}, run.info.config.patterns
        )
        starts = [
            round(interval.start_s)
            for intervals in run.intervals.values()
            for interval in intervals
        ]
        seconds = range(min(starts), max(starts) + 1) if starts else range(0)
        self._unit_of_second = {second: unit for unit, second in enumerate(seconds)}
        if not any(series.count for series in run.info.series):
            raise ResultsError(
                f"{run.path / 'run.json'}: field series: the run measured no calls.",
                hint="Set a --run-time longer than --warm-up.",
            )
        if run.info.state == "complete":
            self._check_series()
            for series in run.info.series:
                self._check_count(series)

    def samples(self, key: Key) -> Samples:
        """One time of a series, by second of the run; empty where nothing was recorded."""
        if key not in self._samples:
            intervals = self.intervals.get(key, [])
            self._samples[key] = samples_by_unit(intervals, self._unit_of_second)
        return self._samples[key]

    def quantile(self, key: Key, q: float) -> Quantile:
        """A quantile of a series; its backend's series are pooled for the design effect.

        Raises ValueError when the series has no calls.
        """
        group = (key.backend, key.driver, key.metric)
        if group not in self._pooled:
            keys = [Key(key.backend, key.driver, each, key.metric) for each in self._patterns]
            self._pooled[group] = PooledSeries(
                [samples for k in keys if (samples := self.samples(k)).calls]
            )
        return estimate_quantile(self.samples(key), q, self._pooled[group])

    def series(self) -> list[SeriesInfo]:
        """Series with calls."""
        return [series for series in self.run.info.series if series.count]

    def missing(self) -> list[str]:
        """What the run had to measure and did not, as `backend pattern`."""
        measured = {(series.backend, series.pattern) for series in self.series()}
        return [
            f"{backend} {pattern}"
            for backend, pattern in expected_series(self.run.info)
            if (backend, pattern) not in measured
        ]

    def seconds(self) -> int:
        """Measured seconds."""
        return len(self._unit_of_second)

    def _check_series(self) -> None:
        """The log holds the series of run.json and no other."""
        listed = {(each.backend, each.driver, each.pattern) for each in self.run.info.series}
        for key in self.run.intervals:
            if (key.backend, key.driver, key.pattern) not in listed:
                raise ResultsError(
                    f"{self.run.path / 'latency.hlog'} holds calls of {key.tag}, which run.json "
                    "does not list.",
                    hint="The log is from another run: copy the folder again from its source.",
                )

    def _check_count(self, series: SeriesInfo) -> None:
        key = series.key("response_time")
        logged = self.samples(key).calls
        log, field, counted = "latency.hlog", "series.count", series.count
        if self.basis == "undisturbed":
            log, field = "undisturbed.hlog", "series.undisturbed.count"
            counted = series.undisturbed.count if series.undisturbed else 0
        if logged != counted:
            raise ResultsError(
                f"{self.run.path / log} holds {logged:,} calls of {key.tag}; run.json "
                f"field {field} says {counted:,}.",
                hint="The log is incomplete or from another run: copy the folder again from its "
                "source, or repeat the run.",
            )


def left_out(run: Run) -> float | None:
    """The share of a run's calls that a stall may have touched; None where none were measured."""
    if run.undisturbed is None or run.info.stalls is None:
        return None
    return run.info.stalls.left_out


def comparable_samples(runs: Sequence[Run]) -> list[RunSamples]:
    """The runs of a comparison, all on the same basis.

    The undisturbed calls where every run has them for each of its series, within the budget;
    otherwise all calls of every run. Delays by the machine do not cancel out of a ratio, and
    leaving them out on one side only would bias it.
    """
    basis: Basis = "undisturbed" if all(map(_has_undisturbed, runs)) else "all"
    return [RunSamples(run, basis) for run in runs]


def _has_undisturbed(run: Run) -> bool:
    share = left_out(run)
    return (
        share is not None
        and share <= MAX_LEFT_OUT
        and all(
            series.undisturbed and series.undisturbed.count
            for series in run.info.series
            if series.count
        )
    )
