"""Rules on the generator's own delays: handing arrivals over late, and reading answers late.

A limit is a time that matters beside a promise of 10 ms, or a share of the service time of the
fastest series, where that is more: beside a database that takes a second, 10 ms of reading a
thousand answers that came at once distort nothing. Service time is used, not response time, because
the generator's own delays can pile up into queueing, and would then excuse themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from loadtests.measure.health.evidence import WorkerEvidence
from loadtests.measure.health.signals import Signal
from loadtests.measure.histogram import LENGTH, Histogram, bucket_index, lowest_value_ns
from loadtests.measure.results import SeriesInfo

DELAY_SHARE: Final = 0.02  # what calibration tolerates
TAIL_LIMIT: Final = 0.0025  # a quarter of the 1% beyond p99
LATE_NS: Final = 5_000_000
DELAY_LIMITS_MS: Final = {"p50": 0.5, "p90": 1.0, "p99": 2.0}
_QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_BIN_NS: Final = 50_000
_BINS: Final = 800  # up to 40 ms; beyond, one of the two delays alone is as good as the sum
_BIN_OF: Final = np.minimum((lowest_value_ns(np.arange(LENGTH)) + _BIN_NS // 2) // _BIN_NS, _BINS)
_REMEDY: Final = "Give the generator a core of its own, lower --rate or add --processes."
_QUIET: Final = (
    "Keep other work off the generator's machine and out of its process, then repeat the run."
)


class Allowance:
    """How much delay of its own a generator may have beside these series."""

    def __init__(self, series: Sequence[SeriesInfo]) -> None:
        times = [one.service_time_ms for one in series if one.service_time_ms]
        self._fastest_ms = {
            name: min((getattr(each, name) for each in times), default=0.0) for name in _QUANTILES
        }

    def limit_ms(self, name: str) -> float:
        """For the percentile `p50`, `p90` or `p99` of the generator delay per call."""
        return max(DELAY_LIMITS_MS[name], DELAY_SHARE * self._fastest_ms[name])

    @property
    def late_ns(self) -> float:
        """Beyond it a delay counts as late."""
        return max(LATE_NS, DELAY_SHARE * self._fastest_ms["p99"] * 1e6)


def delay_signals(worker: str, watched: WorkerEvidence, allowance: Allowance) -> Iterator[Signal]:
    """Every signal on delays, for one worker."""
    if watched.dispatch_delay.total:
        yield _late_arrivals(worker, watched, allowance)
        yield _lateness(worker, watched)
    if watched.dispatch_delay.total or watched.event_loop_delay.total:
        yield from _own_times(worker, watched, allowance)
    if not watched.event_loop_delay.total:
        text = f"{worker}'s system has no timer precise enough to sample how late answers are read."
        yield Signal("event-loop delay", text, None, "ms", None, True, worker)
    yield _stalled(worker, watched, allowance)


def generator_delay_ns(watched: WorkerEvidence, qs: list[float]) -> list[int]:
    """Quantiles of the generator's own time in a call: late to begin it and late to read it.

    The two are taken as independent, so the sum's distribution is their convolution. A kind that
    was never sampled counts as none. Raises ValueError when neither was.
    """
    late, lag = watched.dispatch_delay, watched.event_loop_delay
    if not (late.total and lag.total):
        return (late if late.total else lag).quantiles_ns(qs)
    calls = max(watched.offered, late.total)
    began = _binned(late) * (late.total / calls)
    began[0] += 1 - late.total / calls  # who waited for a busy user was not handed over late
    cumulative = np.cumsum(np.convolve(began, _binned(lag))[:_BINS])
    places = np.searchsorted(cumulative, np.array(qs) - 1e-9).tolist()
    alone = zip(late.quantiles_ns(qs), lag.quantiles_ns(qs), strict=True)
    return [
        place * _BIN_NS if place < _BINS else max(*either, _BINS * _BIN_NS)
        for place, either in zip(places, alone, strict=True)
    ]


def _binned(delays: Histogram) -> npt.NDArray[np.float64]:
    """Shares by 50 µs; the last bin holds all that is beyond."""
    counts = np.bincount(_BIN_OF, delays.counts, _BINS + 1)
    return counts / delays.total


def _own_times(worker: str, watched: WorkerEvidence, allowance: Allowance) -> Iterator[Signal]:
    qs = list(_QUANTILES.values())
    told = [
        [f"{value / 1e6:.2f} ms late to {what}" for value in delays.quantiles_ns(qs)]
        for delays, what in (
            (watched.dispatch_delay, "hand it over"),
            (watched.event_loop_delay, "read it"),
        )
        if delays.total
    ]
    for name, value_ns, *parts in zip(
        _QUANTILES, generator_delay_ns(watched, qs), *told, strict=True
    ):
        value, limit = value_ns / 1e6, allowance.limit_ms(name)
        text = f"{worker}'s delay per call was {value:.2f} ms at {name}: {', '.join(parts)}."
        yield Signal(
            f"generator delay {name}", text, value, "ms", limit, value <= limit, worker, _REMEDY
        )


def _late_arrivals(worker: str, watched: WorkerEvidence, allowance: Allowance) -> Signal:
    late = _beyond(watched.dispatch_delay, allowance.late_ns)
    share = late / max(watched.offered, watched.dispatch_delay.total)
    return Signal(
        "late dispatches",
        f"{worker} handed over {share:.2%} of the arrivals more than"
        f" {allowance.late_ns / 1e6:.0f} ms late, though users were free.",
        share * 100,
        "%",
        TAIL_LIMIT * 100,
        share <= TAIL_LIMIT,
        worker,
        _REMEDY,
    )


def _lateness(worker: str, watched: WorkerEvidence) -> Signal:
    half, most = (ns / 1e6 for ns in watched.dispatch_delay.quantiles_ns([0.5, 0.99]))
    text = f"{worker} handed arrivals to free users {half:.3f} ms late at p50, {most:.3f} at p99."
    return Signal("dispatch delay p99", text, most, "ms", None, True, worker)


def _stalled(worker: str, watched: WorkerEvidence, allowance: Allowance) -> Signal:
    """By the sampled moments, which also see short stalls; else by the heartbeat's long ones."""
    if watched.event_loop_delay.total:
        share = (
            _beyond(watched.event_loop_delay, allowance.late_ns) / watched.event_loop_delay.total
        )
        late_ms = allowance.late_ns / 1e6
        how = f"an answer would have been read more than {late_ms:.0f} ms late {share:.2%}"
    else:
        share = watched.event_loop_stall_ms / max(1.0, watched.seconds * 1e3)
        how = f"beyond 5 ms at a stretch, {share:.2%}"
    text = f"{worker}'s event loop stood still: {how} of the time."
    ok = share <= TAIL_LIMIT
    return Signal("event-loop stalls", text, share * 100, "%", TAIL_LIMIT * 100, ok, worker, _QUIET)


def _beyond(delays: Histogram, limit_ns: float) -> int:
    place = int(bucket_index(np.array([int(limit_ns)]))[0])
    return int(delays.counts[place + 1 :].sum())
