"""What a run folder offers to be judged, checked first: nothing missing, nothing cut short."""

from __future__ import annotations

from loadtests.errors import ResultsError
from loadtests.judge.slo import expected_series
from loadtests.judge.stats.pooled import Company
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.samples import Samples, by_block
from loadtests.measure.results import Key, Run, SeriesInfo
from loadtests.patterns import PATTERNS

RESPONSE_TIME = "response_time"


class Measured:
    """The series of one run as `Samples`, each gathered once.

    Raises ResultsError for a run without calls, for a capacity run, and for a log that holds fewer
    calls than run.json counts.
    """

    def __init__(self, run: Run) -> None:
        if run.info.steps:
            raise ResultsError(
                f"{run.path} is a capacity run: figures over the whole would mix its rates.",
                hint="`loadtests capacity RUN` judges its steps one by one.",
            )
        self.run = run
        self._samples: dict[Key, Samples] = {}
        self._companies: dict[tuple[str, str, str], Company] = {}
        starts = [round(one.start_s) for held in run.intervals.values() for one in held]
        seconds = range(min(starts), max(starts) + 1) if starts else range(0)
        self._unit_of_second = {second: unit for unit, second in enumerate(seconds)}
        file = run.path / "run.json"
        if not any(one.count for one in run.info.series):
            raise ResultsError(
                f"{file}: field series: the run measured no calls.",
                hint="Run longer than --warm-up.",
            )
        if run.info.state == "complete":
            for one in run.info.series:
                self._check_count(one)

    def samples(self, key: Key) -> Samples:
        """One series and metric, unit by second of the run; without calls where it has none."""
        if key not in self._samples:
            intervals = self.run.intervals.get(key, [])
            self._samples[key] = by_block(intervals, self._unit_of_second)
        return self._samples[key]

    def quantile(self, key: Key, q: float) -> Quantile:
        """A quantile of a series that has calls, seen in the company of its backend's others."""
        whole = (key.backend, key.driver, key.metric)
        if whole not in self._companies:
            keys = [Key(b, d, one, m) for one in PATTERNS for b, d, m in (whole,)]
            held = [samples for one in keys if (samples := self.samples(one)).calls]
            self._companies[whole] = Company(held)
        return estimate_quantile(self.samples(key), q, self._companies[whole])

    def series(self) -> list[SeriesInfo]:
        """Series with calls."""
        return [one for one in self.run.info.series if one.count]

    def missing(self) -> list[str]:
        """What the run had to measure and did not, as `backend pattern`."""
        held = {(one.backend, one.pattern) for one in self.series()}
        return [f"{b} {p}" for b, p in expected_series(self.run.info) if (b, p) not in held]

    def seconds(self) -> int:
        """Measured seconds."""
        return len(self._unit_of_second)

    def _check_count(self, one: SeriesInfo) -> None:
        key = Key(one.backend, one.driver, one.pattern, RESPONSE_TIME)
        logged = self.samples(key).calls
        if logged != one.count:
            raise ResultsError(
                f"{self.run.path / 'latency.hlog'} holds {logged:,} calls of {key.tag}; run.json "
                f"field series.count says {one.count:,}.",
                hint="The log is cut short or from another run: take the folder from its source "
                "again, or repeat the run.",
            )
