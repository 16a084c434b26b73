"""Percentiles of windows drawn from a recording, of all calls and of the undisturbed ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from loadtests.judge.calibration.bootstrap import RecordedRun
from loadtests.judge.calibration.relative import CalibrationPlan
from loadtests.judge.stats.quantiles import estimate_quantile
from loadtests.judge.stats.samples import Samples
from loadtests.measure.results import PERCENTILES, Basis, Key

SHOWN: Final = ("p50", "p90", "p99")
BASES: Final[tuple[Basis, ...]] = ("all", "undisturbed")


@dataclass(frozen=True, slots=True)
class WindowPercentiles:
    """One percentile of one backend, all access patterns merged, in each window; milliseconds."""

    values_ms: tuple[float, ...] = ()

    def at(self, q: float) -> float:
        """The quantile `q` of the windows; NaN without windows."""
        return float(np.quantile(self.values_ms, q)) if self.values_ms else math.nan

    def __add__(self, other: WindowPercentiles) -> WindowPercentiles:
        """The windows of both, in rising order: the sum does not depend on who counted what."""
        return WindowPercentiles(tuple(sorted(self.values_ms + other.values_ms)))


PercentileKey = tuple[str, str, Basis]  # backend, percentile, which calls


def measure_percentiles(
    recordings: Sequence[RecordedRun], seconds: int, plan: CalibrationPlan, numbers: Iterable[int]
) -> dict[PercentileKey, WindowPercentiles]:
    """The percentiles of the windows of these numbers, each of that length in seconds."""
    backends = sorted({key.backend for recording in recordings for key in recording.series})
    values: dict[PercentileKey, list[float]] = {
        (backend, name, basis): [] for backend in backends for name in SHOWN for basis in BASES
    }
    for number in numbers:
        recording = recordings[number % len(recordings)]
        drawn = recording.draw_seconds(plan.generator("limits", number), seconds, plan.block)
        for basis in BASES:
            if recording.left_out is None and basis == "undisturbed":
                continue
            resampled = recording.resample(drawn, basis)
            for (backend, name), value_ms in merged_percentiles_ms(resampled).items():
                values[backend, name, basis].append(value_ms)
    return {key: WindowPercentiles(tuple(sorted(each))) for key, each in values.items()}


def merged_percentiles_ms(series: Mapping[Key, Samples]) -> dict[tuple[str, str], float]:
    """Percentiles of each backend with calls, all its access patterns merged."""
    by_backend: dict[str, list[Samples]] = {}
    for key, samples in series.items():
        if samples.calls:
            by_backend.setdefault(key.backend, []).append(samples)
    return {
        (backend, name): estimate_quantile(Samples.sum(parts), PERCENTILES[name]).estimate_ms
        for backend, parts in by_backend.items()
        for name in SHOWN
    }
