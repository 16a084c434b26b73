from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.loop.delay_sampler import SLOT_NS, DelaySampler
from tests.load.clockwork import MS, Clockwork, S

ORIGIN = 6 * S


class Sampled:
    """A sampler on the clockwork; the moments it is to sample, as an equal one draws them."""

    def __init__(self, seed: int = 1) -> None:
        self.world = Clockwork()
        self.sampler = DelaySampler(clock=self.world.clock, timer=self.world.timer, seed=seed)
        self.sampler.start(ORIGIN)
        draw = DelaySampler(clock=self.world.clock, timer=Clockwork().timer, seed=seed)
        self.moments = draw._draw(ORIGIN)

    def run_to(self, at_ms: float) -> None:
        self.world.run_to(ORIGIN + int(at_ms * MS))

    def stall_to(self, at_ms: float) -> None:
        self.world.stall_to(ORIGIN + int(at_ms * MS))

    def lags(self) -> list[int]:
        sampled, delays = np.frombuffer(self.sampler.read(), np.int64).reshape(2, -1)
        assert ((sampled >= ORIGIN) & (sampled + delays <= self.world.clock())).all()
        return [int(delay_ns) for delay_ns in delays]


def test_one_moment_in_each_slot_at_a_random_place_in_it() -> None:
    drawn = Sampled()
    moments = np.array([next(drawn.moments) for _ in range(5_000)]) - ORIGIN
    assert (moments // SLOT_NS).tolist() == list(range(5_000))
    places = moments % SLOT_NS
    # evenly spread over the slot, and not in step with it
    shares = np.histogram(places, bins=10, range=(0, SLOT_NS))[0] / 5_000
    assert np.abs(shares - 0.1).max() < 0.02
    assert abs(np.corrcoef(places[1:], places[:-1])[0, 1]) < 0.05


def test_an_idle_loop_has_no_lag() -> None:
    here = Sampled()
    here.run_to(3_000)
    assert here.lags() == [0] * 300
    assert here.lags() == []  # read once


def test_before_the_start_and_after_the_end_nothing_is_sampled() -> None:
    world = Clockwork()
    sampler = DelaySampler(clock=world.clock, timer=world.timer)
    assert sampler.read() == b""
    sampler.start(ORIGIN)
    world.run_to(ORIGIN + S)
    sampler.stop()
    world.run_to(ORIGIN + 5 * S)
    assert world.timers[0].closed == 1
    assert len(sampler.read()) > 0


stalls = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 900)), max_size=8)


@given(stalls, st.integers(0, 5))
def test_every_moment_waits_until_the_standstill_it_lies_in_is_over(
    gaps: list[tuple[int, int]], seed: int
) -> None:
    here = Sampled(seed)
    at, stood = 0, []
    for runs, stands in gaps:
        here.run_to(at + runs)
        stood.append((ORIGIN + (at + runs) * MS, ORIGIN + (at + runs + stands) * MS))
        at += runs + stands
        here.stall_to(at)
    here.run_to(at + 100)
    lags = here.lags()
    for lag in lags:
        moment = next(here.moments)
        ends = [end for begin, end in stood if begin < moment <= end]
        assert lag == (ends[0] - moment if ends else 0)
    assert next(here.moments) > here.world.now_ns


@given(st.integers(1, 5_000), st.integers(1, 40), st.integers(0, 5))
def test_its_share_beyond_a_limit_is_that_of_the_time(
    stand_ms: int, limit_ms: int, seed: int
) -> None:
    """An answer that comes `limit` before the end of a standstill, or later, waits less."""
    here = Sampled(seed)
    here.run_to(137)
    here.stall_to(137 + stand_ms)
    beyond = sum(lag > limit_ms * MS for lag in here.lags())
    # a moment a slot: at most one too many or too few at either end
    assert abs(beyond * 10 - max(0, stand_ms - limit_ms)) <= 20


def test_what_is_overdue_counts_when_read() -> None:
    here = Sampled()
    here.run_to(500)
    here.lags()
    here.world.now_ns = ORIGIN + 700 * MS  # standing still, and about to be read
    lags = here.lags()
    assert len(lags) == 20
    assert all(lag > 0 for lag in lags)
    here.run_to(800)
    assert here.lags() == [0] * 10


class OtherLoop:
    """An event loop in another thread: it runs what was handed over when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], object]] = []

    def hand_over(self, callback: Callable[..., object], *arguments: Any) -> None:
        self.waiting.append(partial(callback, *arguments))

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


def through(other: OtherLoop) -> tuple[Clockwork, DelaySampler]:
    world = Clockwork()
    sampler = DelaySampler(clock=world.clock, timer=world.timer, seed=1)
    sampler.start(ORIGIN, other.hand_over)
    return world, sampler


def test_through_another_loop_a_delay_ends_there() -> None:
    other = OtherLoop()
    world, sampler = through(other)
    world.run_to(ORIGIN + 100 * MS)
    assert len(other.waiting) == 10, "each moment by itself"
    assert sampler.read() == b"", "none has been handled"
    world.now_ns += 3 * MS
    other.run()
    world.now_ns += 47 * MS  # what this loop does afterwards is no delay
    sampled, delays = np.frombuffer(sampler.read(), np.int64).reshape(2, -1)
    assert len(sampled) == 10
    assert (sampled + delays == ORIGIN + 103 * MS).all()
    assert len(other.waiting) == 1, "the moments meanwhile, together"
    other.run()
    sampled, delays = np.frombuffer(sampler.read(), np.int64).reshape(2, -1)
    assert len(sampled) == 5
    assert (sampled + delays == ORIGIN + 150 * MS).all()


def test_moments_that_another_loop_never_handled_count_at_the_end() -> None:
    other = OtherLoop()
    world, sampler = through(other)
    world.run_to(ORIGIN + S)
    sampler.stop()
    other.run()  # too late
    sampled, delays = np.frombuffer(sampler.read(), np.int64).reshape(2, -1)
    assert len(sampled) == 100
    assert (sampled + delays == ORIGIN + S).all()
