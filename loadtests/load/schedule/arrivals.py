"""When calls are meant to start: pure, clockless, seeded.

An arrival process is a unit-rate process (exponential gaps for Poisson, gaps of one for constant)
mapped through the inverse of the profile's cumulative rate Λ(t); ramps and steps are therefore
exact, not approximated second by second (Lewis and Shedler's time-scale transformation;
Çinlar, *Introduction to Stochastic Processes*, 1975).

A worker of a cluster draws the same process as its peers and keeps its share: each Poisson arrival
goes to a worker chosen by a seeded draw (so every share is itself Poisson), the k-th constant
arrival to worker k mod n. The union over the workers is the requested process, arrival by arrival.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from loadtests.errors import UsageError
from loadtests.patterns import BACKENDS

Nanoseconds = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CHUNK: Final = 512  # drawn at a time: about 30 µs, once every 512 arrivals


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a profile: the rate (1/s) moves evenly from `start` to `end` in `seconds`.

    `silent` allows rate 0 throughout, see `pause`.
    """

    seconds: float
    start: float
    end: float
    silent: bool = False

    def __post_init__(self) -> None:
        rates = (self.start, self.end)
        loud = max(rates) > 0 or (self.silent and math.isfinite(self.seconds))
        if not (all(math.isfinite(r) and r >= 0 for r in rates) and loud):
            raise UsageError(f"An arrival rate must be positive and finite, not {rates}.")
        if not self.seconds > 0 or (math.isinf(self.seconds) and self.start != self.end):
            raise UsageError(
                f"A stretch at rates {rates} must last more than 0 s, not {self.seconds:g} s.",
                hint="Only a constant-rate segment may have no end.",
            )

    @property
    def arrivals(self) -> float:
        """The expected number of arrivals."""
        return math.inf if math.isinf(self.seconds) else self.seconds * (self.start + self.end) / 2


def constant_rate(rate_per_s: float, seconds: float = math.inf) -> tuple[Segment, ...]:
    """The same rate throughout."""
    return (Segment(seconds, rate_per_s, rate_per_s),)


def ramp(from_per_s: float, to_per_s: float, seconds: float) -> tuple[Segment, ...]:
    """A linear ramp up or down, then the final rate without end."""
    return (Segment(seconds, from_per_s, to_per_s), *constant_rate(to_per_s))


def steps(rates_per_s: list[float], seconds_each: float) -> tuple[Segment, ...]:
    """One rate after another, each for `seconds_each`."""
    return tuple(Segment(seconds_each, rate, rate) for rate in rates_per_s)


def pause(seconds: float) -> tuple[Segment, ...]:
    """No arrival for so long."""
    return (Segment(seconds, 0.0, 0.0, silent=True),)


def scaled(profile: tuple[Segment, ...], factor: float) -> tuple[Segment, ...]:
    """The same profile at `factor` times its rates."""
    return tuple(replace(s, start=s.start * factor, end=s.end * factor) for s in profile)


def dispatcher_seed(seed: int, class_index: int, backend: str) -> int:
    """The seed of one scenario class's arrivals on one backend, derived from the run's seed.

    Each backend has its own arrival instants; otherwise both would always be called together.
    """
    return seed * 1_000 + class_index * 10 + BACKENDS.index(backend)


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """Which part of a cluster's arrivals is ours: worker `index` of `count`.

    `subject` is the number of the subject whose arrivals they are; None: of every subject.
    """

    index: int = 0
    count: int = 1
    subject: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"there is no worker {self.index} of {self.count}")

    def serves(self, subject: int) -> bool:
        """Whether arrivals of this subject may be ours."""
        return self.subject is None or self.subject == subject


def arrivals(
    profile: tuple[Segment, ...],
    kind: Literal["poisson", "constant"],
    seed: int,
    share: WorkerShare = WorkerShare(),
) -> Iterator[Nanoseconds]:
    """Intended starts in nanoseconds after the origin, ascending, in chunks (some may be empty).

    Ends with the profile; a profile whose last segment is infinite never ends.
    """
    gaps = np.random.default_rng([seed, 0])
    marks = np.random.default_rng([seed, 1])
    position, drawn = 0.0, 0
    while True:
        if kind == "poisson":
            points = position + np.cumsum(gaps.exponential(size=CHUNK))
            ours = marks.integers(share.count, size=CHUNK) == share.index
        else:
            points = np.arange(drawn, drawn + CHUNK, dtype=np.float64)
            ours = np.arange(drawn, drawn + CHUNK) % share.count == share.index
        position, drawn = float(points[-1]), drawn + CHUNK
        seconds = _inverse_cumulative(profile, points)
        inside = np.isfinite(seconds)
        own_seconds = seconds[inside & ours]
        if own_seconds.size:
            yield (own_seconds * 1e9).astype(np.int64)
        if not inside.all():
            return


def _inverse_cumulative(profile: tuple[Segment, ...], points: Floats) -> Floats:
    """Λ⁻¹: the time in seconds at which the expected count reaches each point; inf past the end."""
    result = np.full(points.shape, np.inf)
    begin_s, begin_count = 0.0, 0.0
    for segment in profile:
        x = points - begin_count
        here = (x >= 0) & (x < segment.arrivals)
        result[here] = begin_s + _solve(segment, x[here])
        begin_s += segment.seconds
        begin_count += segment.arrivals
    return result


def _solve(segment: Segment, x: Floats) -> Floats:
    """Time into a segment at which its cumulative rate a·t + b·t²/2 reaches x."""
    if segment.start == segment.end:
        return x / segment.start
    slope = (segment.end - segment.start) / segment.seconds
    # the stable root: no cancellation for a shallow slope, defined for start = 0
    root = np.sqrt(np.maximum(segment.start**2 + 2 * slope * x, 0.0))
    bottom = segment.start + root
    return np.where(bottom > 0, 2 * x / np.where(bottom > 0, bottom, 1.0), 0.0)
