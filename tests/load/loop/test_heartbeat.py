from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.load.loop.heartbeat import Heartbeat
from tests.load.clockwork import MS, Clockwork, S

ORIGIN = 6 * S


class Heard:
    """A ticker and all it said, in milliseconds from the origin."""

    def __init__(self) -> None:
        self.world = Clockwork()
        self.lags: list[float] = []
        self.drains: list[float] = []
        self.seconds: list[float] = []
        self.said: list[str] = []
        self.ticker = Heartbeat(
            on_beat=lambda lag: self.lags.append(lag / MS),
            on_drain=lambda: self._note("drain", self.drains),
            on_second=lambda: self._note("second", self.seconds),
            clock=self.world.clock,
            timer=self.world.timer,
        )
        self.ticker.start(ORIGIN)

    def _note(self, what: str, times: list[float]) -> None:
        self.said.append(what)
        times.append((self.world.now_ns - ORIGIN) / MS)

    def run_to(self, at_ms: float) -> None:
        self.world.run_to(ORIGIN + int(at_ms * MS))

    def stall_to(self, at_ms: float) -> None:
        self.world.stall_to(ORIGIN + int(at_ms * MS))


def test_it_beats_every_20_ms_drains_every_100_and_closes_each_second() -> None:
    heard = Heard()
    heard.run_to(3_000)
    assert heard.lags == [0] * 150
    assert heard.drains == [100 * i for i in range(1, 31)]
    assert heard.seconds == [1_000, 2_000, 3_000]


def test_a_second_is_drained_before_it_is_closed() -> None:
    heard = Heard()
    heard.run_to(1_000)
    assert heard.said[-2:] == ["drain", "second"]


def test_nothing_happens_before_the_origin() -> None:
    heard = Heard()
    heard.world.run_to(ORIGIN)
    assert heard.lags == []


@pytest.mark.parametrize(
    ("stall", "lag", "seconds"),
    [
        ((500, 750), 230, [1_000, 2_000]),  # within a second
        ((970, 1_030), 50, [1_030, 2_000]),  # over one boundary: it is closed late
        ((500, 2_510), 1_990, [2_510, 3_000, 4_000]),  # over two: one long interval
        ((980, 1_000), 0, [1_000, 2_000]),
    ],
)
def test_after_a_standstill_the_timetable_goes_on_as_before(
    stall: tuple[int, int], lag: int, seconds: list[int]
) -> None:
    heard = Heard()
    heard.run_to(stall[0])
    heard.stall_to(stall[1])
    heard.run_to(seconds[-1])
    assert max(heard.lags) == lag
    assert heard.seconds == seconds
    # beats are back on their absolute times
    assert heard.lags[-1] == 0


def test_the_missed_beats_are_one_late_beat() -> None:
    heard = Heard()
    heard.run_to(100)
    beats = len(heard.lags)
    heard.stall_to(705)
    assert heard.lags[beats:] == [585]
    heard.run_to(720)
    assert heard.lags[beats:] == [585, 0]


def test_a_timer_that_fires_early_is_not_a_beat() -> None:
    heard = Heard()
    heard.run_to(15)
    [timer] = heard.world.timers
    heard.world._fire(timer)
    assert heard.lags == []
    heard.run_to(20)
    assert heard.lags == [0]


def test_stopped_it_beats_no_more() -> None:
    heard = Heard()
    heard.run_to(1_000)
    heard.ticker.stop()
    heard.run_to(9_000)
    assert len(heard.lags) == 50
    assert heard.world.timers[0].closed == 1


@given(st.lists(st.integers(1, 5_000), max_size=8))
def test_every_second_is_closed_on_time_or_as_soon_as_a_standstill_ends(stalls: list[int]) -> None:
    heard = Heard()
    at, stall_ends = 0, set()
    for lasts in stalls:
        heard.run_to(at + 130)
        at += 130 + lasts
        heard.stall_to(at)
        stall_ends.add(at)
    heard.run_to(at + 2_000)
    closed = [int(each // 1_000) for each in heard.seconds]
    assert closed == sorted(set(closed))
    assert closed[-1] == (at + 2_000) // 1_000
    for before, second, when in zip([0, *closed], closed, heard.seconds, strict=False):
        if second - before > 1 or when % 1_000:
            assert when in stall_ends
    assert all(lag >= 0 for lag in heard.lags)
    assert sum(heard.lags) <= sum(stalls)
