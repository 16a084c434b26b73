"""Runs resampled from a recorded one by a block bootstrap.

Within a block, neighbouring seconds and all series stay together as recorded, so a resampled run is
as autocorrelated as the recording. Blocks are drawn independently (circular block bootstrap:
Politis and Romano 1992), so every recorded second has the same probability, and the quantiles of
the recording are the true quantiles of the resampled runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.judge.run_samples import MAX_LEFT_OUT, RunSamples, left_out
from loadtests.judge.stats.pooled import PooledSeries
from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import Counts
from loadtests.measure.results import Basis, Key, Run, SeriesInfo


@dataclass(frozen=True, slots=True)
class _SecondIndex:
    """The entries of a series in the order of time; second s is `starts[s]:starts[s + 1]`."""

    index: Counts
    counts: Counts
    starts: Counts


class RecordedRun:
    """A recorded run to resample from; the first `skip` seconds are left out.

    `series` are all calls, `undisturbed` those that no stall of the machine can have touched, None
    where the run did not measure stalls. `left_out` is the share of the calls that are missing
    there.
    """

    def __init__(self, run: Run, metric: str = "response_time", *, skip: int = 0) -> None:
        run_samples = RunSamples(run)
        self.metric = metric
        self.skipped = skip
        self.seconds = max(0, run_samples.seconds() - skip)
        self.infos: list[SeriesInfo] = run_samples.series()
        self.series = _after(run_samples, metric, skip)
        self.undisturbed: dict[Key, Samples] | None = None
        self.left_out = left_out(run)
        self._by_second = {"all": _index_all(self.series)}
        if self.left_out is not None:
            self.undisturbed = _after(RunSamples(run, "undisturbed"), metric, skip)
            self._by_second["undisturbed"] = _index_all(self.undisturbed)

    def calls_of(self, basis: Basis) -> dict[Key, Samples]:
        """The recorded series. Raises ValueError for undisturbed calls that were not measured."""
        if basis == "all":
            return self.series
        if self.undisturbed is None:
            raise ValueError("the run did not measure stalls")
        return self.undisturbed

    def draw_seconds(self, rng: np.random.Generator, seconds: int, block: int) -> Counts:
        """The recorded seconds that make up a resampled run, in blocks of `block` seconds."""
        starts = rng.integers(0, self.seconds, -(-seconds // block))
        drawn = (starts[:, None] + np.arange(block)).ravel()[:seconds] % self.seconds
        return drawn.astype(np.int64)

    def resample(self, seconds: Counts, basis: Basis = "all") -> dict[Key, Samples]:
        """Every series over the given recorded seconds."""
        by_key = self._by_second[basis]
        return {key: _gather(by_second, seconds) for key, by_second in by_key.items()}


def comparable_basis(recordings: Sequence[RecordedRun]) -> Basis:
    """Which calls a comparison of these runs rests on, as `run_samples.comparable_samples`."""
    usable = all(
        recording.left_out is not None and recording.left_out <= MAX_LEFT_OUT
        for recording in recordings
    )
    return "undisturbed" if usable else "all"


def pooled_series(series: Mapping[Key, Samples]) -> dict[tuple[str, str], PooledSeries]:
    """The pooled series of each backend and driver of a resampled run."""
    groups: dict[tuple[str, str], list[Samples]] = defaultdict(list)
    for key, samples in series.items():
        groups[key.backend, key.driver].append(samples)
    return {subject: PooledSeries(group) for subject, group in groups.items()}


def split_randomly(samples: Samples, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Assign each call to one of two subjects with probability 1/2: equals in the same seconds."""
    first = rng.binomial(samples.counts, 0.5).astype(np.int64)
    return samples.with_counts(first), samples.with_counts(samples.counts - first)


def _after(run_samples: RunSamples, metric: str, skip: int) -> dict[Key, Samples]:
    recorded = (
        (key, run_samples.samples(key))
        for key in (series.key(metric) for series in run_samples.series())
    )
    kept = ((key, samples.between(skip, samples.units)) for key, samples in recorded)
    return {key: samples for key, samples in kept if samples.calls}


def _index_all(series: Mapping[Key, Samples]) -> dict[Key, _SecondIndex]:
    return {key: _index_seconds(samples) for key, samples in series.items()}


def _index_seconds(samples: Samples) -> _SecondIndex:
    order = np.argsort(samples.unit, kind="stable")
    starts = np.searchsorted(samples.unit[order], np.arange(samples.units + 1))
    return _SecondIndex(samples.index[order], samples.counts[order], starts.astype(np.int64))


def _gather(by_second: _SecondIndex, seconds: Counts) -> Samples:
    lengths = by_second.starts[seconds + 1] - by_second.starts[seconds]
    unit = np.repeat(np.arange(seconds.size), lengths)
    first = np.repeat(by_second.starts[seconds] - (np.cumsum(lengths) - lengths), lengths)
    entries = first + np.arange(int(lengths.sum()))
    return Samples.sorted_by_bucket(
        by_second.index[entries], by_second.counts[entries], unit, seconds.size
    )
