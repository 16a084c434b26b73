"""Runs drawn from a recorded one: blocks of its seconds, in which every series keeps its company.

Within a block, neighbouring seconds and all series stay together as recorded, so what is drawn is
as autocorrelated as the recording; blocks are drawn independently (circular block bootstrap:
Politis and Romano 1992), so every recorded second is as likely as any other and the recording's
own quantiles are the truth about the draws.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from loadtests.judge.measured import Measured
from loadtests.judge.stats.pooled import Company
from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import Counts
from loadtests.measure.results import Key, Run


@dataclass(frozen=True, slots=True)
class _BySecond:
    """A series' entries in the order of time; second s is `starts[s]:starts[s + 1]`."""

    index: Counts
    counts: Counts
    starts: Counts


class Recording:
    """One recorded run to draw from; `skip` seconds at its start belong to no draw."""

    def __init__(self, run: Run, metric: str = "response_time", *, skip: int = 0) -> None:
        measured = Measured(run)
        self.skipped = skip
        self.seconds = max(0, measured.seconds() - skip)
        keys = [Key(one.backend, one.driver, one.pattern, metric) for one in measured.series()]
        every = {key: measured.samples(key) for key in keys}
        later = {key: samples.between(skip, samples.units) for key, samples in every.items()}
        self.whole = {key: samples for key, samples in later.items() if samples.calls}
        self._by_second = {key: _by_second(samples) for key, samples in self.whole.items()}

    def draw_seconds(self, rng: np.random.Generator, seconds: int, block: int) -> Counts:
        """The recorded seconds that make up a drawn run."""
        starts = rng.integers(0, self.seconds, -(-seconds // block))
        drawn = (starts[:, None] + np.arange(block)).ravel()[:seconds] % self.seconds
        return drawn.astype(np.int64)

    def draw(self, seconds: Counts) -> dict[Key, Samples]:
        """Every series over the drawn seconds."""
        return {key: _gather(one, seconds) for key, one in self._by_second.items()}


def companies_of(drawn: Mapping[Key, Samples]) -> dict[tuple[str, str], Company]:
    """The company of each backend and driver of a drawn run."""
    parts: dict[tuple[str, str], list[Samples]] = defaultdict(list)
    for key, samples in drawn.items():
        parts[key.backend, key.driver].append(samples)
    return {side: Company(held) for side, held in parts.items()}


def split(samples: Samples, rng: np.random.Generator) -> tuple[Samples, Samples]:
    """Deal each call to one of two subjects by the toss of a coin: equal twins, same seconds."""
    first = rng.binomial(samples.counts, 0.5).astype(np.int64)
    return _part(samples, first), _part(samples, samples.counts - first)


def _part(samples: Samples, counts: Counts) -> Samples:
    held = counts > 0
    return Samples(
        samples.index[held],
        counts[held],
        samples.unit[held],
        samples.units,
        np.cumsum(counts[held]),
    )


def _by_second(samples: Samples) -> _BySecond:
    order = np.argsort(samples.unit, kind="stable")
    starts = np.searchsorted(samples.unit[order], np.arange(samples.units + 1))
    return _BySecond(samples.index[order], samples.counts[order], starts.astype(np.int64))


def _gather(one: _BySecond, seconds: Counts) -> Samples:
    lengths = one.starts[seconds + 1] - one.starts[seconds]
    unit = np.repeat(np.arange(seconds.size), lengths)
    first = np.repeat(one.starts[seconds] - (np.cumsum(lengths) - lengths), lengths)
    places = first + np.arange(int(lengths.sum()))
    index, counts = one.index[places], one.counts[places]
    order = np.argsort(index, kind="stable")
    counts = counts[order]
    return Samples(index[order], counts, unit[order], seconds.size, np.cumsum(counts))
