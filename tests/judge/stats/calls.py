"""Samples from raw calls, gathered in one go: a histogram per second would be slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from loadtests.judge.stats.samples import Samples
from loadtests.measure.histogram import bucket_index

Integers = npt.NDArray[np.integer[Any]]


def samples_of_calls(times_ns: Integers, second: Integers, seconds: int) -> Samples:
    """One call per entry: its time and the second in which it ended."""
    entry = bucket_index(times_ns.astype(np.int64)) * seconds + second
    entries, counts = np.unique(entry, return_counts=True)
    return Samples.sorted_by_bucket(
        entries // seconds, counts.astype(np.int64), entries % seconds, seconds
    )


def samples_by_second(times_ns: Sequence[Sequence[int] | Integers]) -> Samples:
    """The times of each second; an empty second counts as a unit."""
    second = np.repeat(np.arange(len(times_ns)), [len(times) for times in times_ns])
    times = [np.asarray(times, np.int64) for times in times_ns]
    return samples_of_calls(np.concatenate(times), second, len(times_ns))
