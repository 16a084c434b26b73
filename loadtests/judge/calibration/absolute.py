"""How the gate decides absolute p99 limits, measured on recorded runs.

Every series' limit is put at a multiple of the p99 that its whole recording has, and drawn runs are
judged against it as the gate does, look after look. At the p99 itself (× 1) a PASS of any limit is
as wrong as a FAIL; far from it either ought to be decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from loadtests.judge.calibration.bootstrap import Recording, companies_of
from loadtests.judge.calibration.relative import Plan
from loadtests.judge.interim import InterimAnalysis
from loadtests.judge.stats.holm import broken_limits
from loadtests.judge.stats.quantiles import Quantile, estimate_quantile
from loadtests.judge.stats.samples import Samples
from loadtests.measure.results import Key

P99: Final = 0.99
TIMES_TRUTH: Final = (0.5, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0)


@dataclass(slots=True)
class Decided:
    """How drawn runs ended: whole runs, the single limits of them, and the seconds they took."""

    runs: Counter[str] = field(default_factory=Counter)
    limits: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def share(self, status: str) -> float:
        """Share of runs that ended so."""
        return self.runs[status] / self.runs.total() if self.runs else float("nan")

    def share_of_limits(self, status: str) -> float:
        """Share of single limits that ended so."""
        return self.limits[status] / self.limits.total() if self.limits else float("nan")

    @property
    def mean_s(self) -> float:
        """Measured seconds until a run ended, on average."""
        return self.seconds / self.runs.total() if self.runs else float("nan")

    def __add__(self, other: Decided) -> Decided:
        """Both together."""
        return Decided(
            self.runs + other.runs, self.limits + other.limits, self.seconds + other.seconds
        )


def measure_limits(
    recordings: Sequence[Recording],
    looks: Sequence[InterimAnalysis],
    plan: Plan,
    numbers: Iterable[int],
) -> dict[float, Decided]:
    """Judge the drawn runs of these numbers by limits at each multiple of the truth."""
    found = {times: Decided() for times in TIMES_TRUTH}
    truths = [
        {key: estimate_quantile(samples, P99).estimate_ms for key, samples in one.whole.items()}
        for one in recordings
    ]
    longest = round(looks[-1].measured_s)
    for number in numbers:
        which = number % len(recordings)
        recording = recordings[which]
        seconds = recording.draw_seconds(plan.generator("limits", number), longest, plan.block)
        drawn = recording.draw(seconds)
        quantiles = cache(lambda seconds, drawn=drawn: _quantiles(drawn, seconds))
        for times, decided in found.items():
            limits = {key: times * truth for key, truth in truths[which].items()}
            _judge(decided, limits, looks, quantiles)
    return found


def _judge(
    decided: Decided,
    limits: Mapping[Key, float],
    looks: Sequence[InterimAnalysis],
    quantiles: Callable[[int], dict[Key, Quantile]],
) -> None:
    statuses: list[str] = []
    seconds = 0.0
    for look in looks:
        seconds = look.measured_s
        statuses = statuses_of(quantiles(round(seconds)), limits, look.level)
        if "FAIL" in statuses or "INCONCLUSIVE" not in statuses:
            break
    decided.limits.update(statuses)
    decided.seconds += seconds
    decided.runs[next((s for s in ("FAIL", "INCONCLUSIVE") if s in statuses), "PASS")] += 1


def statuses_of(
    quantiles: Mapping[Key, Quantile], limits: Mapping[Key, float], level: float
) -> list[str]:
    """What one look at a level says of each limit."""
    keys = list(quantiles)
    lows = [quantiles[key].low_ms for key in keys]
    decisions = broken_limits(lows, [limits[key] for key in keys], level)
    return [
        "FAIL" if one.broken
        else "PASS" if quantiles[key].high_ms(level) <= limits[key]
        else "INCONCLUSIVE"
        for key, one in zip(keys, decisions, strict=True)
    ]  # fmt: skip


def _quantiles(drawn: Mapping[Key, Samples], seconds: int) -> dict[Key, Quantile]:
    begun = {key: samples.between(0, seconds) for key, samples in drawn.items()}
    companies = companies_of(begun)
    return {
        key: estimate_quantile(samples, P99, companies[key.backend, key.driver])
        for key, samples in begun.items()
        if samples.calls
    }
