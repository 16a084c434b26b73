"""Rules on the delays that the generator adds: late dispatches and late reading of responses.

A limit is a time that matters compared with a promise of 10 ms, or a share of the service time of
the fastest series, whichever is larger: when a database takes a second, 10 ms to read a thousand
simultaneous responses distort nothing. Service time is used, not response time, because the
generator's delays can build up a queue, which would then raise their own limits.

Where stalls of the machine are measured, only delays outside of them count.
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
    """The delay that a generator may add to calls of these series."""

    def __init__(self, series: Sequence[SeriesInfo]) -> None:
        times = [each.service_time_ms for each in series if each.service_time_ms]
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


def delay_signals(worker: str, evidence: WorkerEvidence, allowance: Allowance) -> Iterator[Signal]:
    """All signals on delays, for one worker."""
    if evidence.dispatch_delay.total:
        yield _late_arrivals(worker, evidence, allowance)
        yield _dispatch_delay(worker, evidence)
    if evidence.dispatch_delay.total or evidence.event_loop_delay.total:
        yield from _generator_delays(worker, evidence, allowance)
    if not evidence.event_loop_delay.total:
        text = f"{worker}'s system has no timer precise enough to sample the event-loop delay."
        yield Signal("event-loop delay", text, None, "ms", None, True, worker)
    yield _stalled(worker, evidence, allowance)


def generator_delay_ns(evidence: WorkerEvidence, qs: list[float]) -> list[int]:
    """Quantiles of the generator delay per call: dispatch delay plus event-loop delay, ns.

    The two are assumed independent, so the distribution of their sum is the convolution. A kind
    without samples counts as zero. Raises ValueError when neither has samples.
    """
    late, lag = evidence.dispatch_delay, evidence.event_loop_delay
    if not (late.total and lag.total):
        return (late if late.total else lag).quantiles_ns(qs)
    calls = max(evidence.offered_undisturbed, late.total)
    began = _binned(late) * (late.total / calls)
    began[0] += (
        1 - late.total / calls
    )  # an arrival that waited for a busy user has no dispatch delay
    cumulative = np.cumsum(np.convolve(began, _binned(lag))[:_BINS])
    places = np.searchsorted(cumulative, np.array(qs) - 1e-9).tolist()
    alone = zip(late.quantiles_ns(qs), lag.quantiles_ns(qs), strict=True)
    return [
        place * _BIN_NS if place < _BINS else max(*either, _BINS * _BIN_NS)
        for place, either in zip(places, alone, strict=True)
    ]


def _binned(delays: Histogram) -> npt.NDArray[np.float64]:
    """Shares in bins of 50 µs; the last bin holds everything beyond."""
    counts = np.bincount(_BIN_OF, delays.counts, _BINS + 1)
    return counts / delays.total


def _generator_delays(
    worker: str, evidence: WorkerEvidence, allowance: Allowance
) -> Iterator[Signal]:
    qs = list(_QUANTILES.values())
    parts_of_each = [
        [f"{value / 1e6:.2f} ms {what}" for value in delays.quantiles_ns(qs)]
        for delays, what in (
            (evidence.dispatch_delay, "dispatch delay"),
            (evidence.event_loop_delay, "event-loop delay"),
        )
        if delays.total
    ]
    for name, value_ns, *parts in zip(
        _QUANTILES, generator_delay_ns(evidence, qs), *parts_of_each, strict=True
    ):
        value, limit = value_ns / 1e6, allowance.limit_ms(name)
        outside = _outside(evidence)
        text = (
            f"{worker}'s delay per call{outside} was {value:.2f} ms at {name}: {', '.join(parts)}."
        )
        yield Signal(
            f"generator delay {name}", text, value, "ms", limit, value <= limit, worker, _REMEDY
        )


def _late_arrivals(worker: str, evidence: WorkerEvidence, allowance: Allowance) -> Signal:
    late = _beyond(evidence.dispatch_delay, allowance.late_ns)
    share = late / max(evidence.offered_undisturbed, evidence.dispatch_delay.total)
    return Signal(
        "late dispatches",
        f"{worker} dispatched {share:.2%} of the arrivals{_outside(evidence)} more than"
        f" {allowance.late_ns / 1e6:.0f} ms late, though users were free.",
        share * 100,
        "%",
        TAIL_LIMIT * 100,
        share <= TAIL_LIMIT,
        worker,
        _REMEDY,
    )


def _dispatch_delay(worker: str, evidence: WorkerEvidence) -> Signal:
    half, most = (ns / 1e6 for ns in evidence.dispatch_delay.quantiles_ns([0.5, 0.99]))
    text = (
        f"{worker} dispatched arrivals to free users {half:.3f} ms late at p50, {most:.3f} at p99."
    )
    return Signal("dispatch delay p99", text, most, "ms", None, True, worker)


def _stalled(worker: str, evidence: WorkerEvidence, allowance: Allowance) -> Signal:
    """From the sampled moments, which include short stalls, else from the heartbeat's long ones."""
    if evidence.event_loop_delay.total:
        share = (
            _beyond(evidence.event_loop_delay, allowance.late_ns) / evidence.event_loop_delay.total
        )
        late_ms = allowance.late_ns / 1e6
        how = f"a response would have been read more than {late_ms:.0f} ms late {share:.2%}"
    else:
        share = evidence.event_loop_stall_ms / max(1.0, evidence.seconds * 1e3)
        how = f"beyond 5 ms at a stretch, {share:.2%}"
    sampled = evidence.event_loop_delay.total > 0
    outside = _outside(evidence) if sampled else ""
    text = f"{worker}'s event loop stalled: {how} of the time{outside}."
    ok = share <= TAIL_LIMIT
    return Signal("event-loop stalls", text, share * 100, "%", TAIL_LIMIT * 100, ok, worker, _QUIET)


def _outside(evidence: WorkerEvidence) -> str:
    return " outside of machine stalls" if evidence.stalls_measured else ""


def _beyond(delays: Histogram, limit_ns: float) -> int:
    place = int(bucket_index(np.array([int(limit_ns)]))[0])
    return int(delays.counts[place + 1 :].sum())
