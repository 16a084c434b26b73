"""The machine's standstills: how much of a stretch was lost, and what a real sleeper says."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate import hiccup_meter as module
from loadtests.calibrate.hiccup_meter import HiccupMeter, lost_ns

wakes = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=6)


@given(wakes, st.integers(0, 200), st.integers(0, 200))
def test_lost_time_is_what_lies_within(late_wakes, since, until):
    expected = sum(
        woke - late <= moment < woke for woke, late in late_wakes for moment in range(since, until)
    )
    assert lost_ns(late_wakes, since, until) == expected


def test_the_worst_processor_counts():
    witness = HiccupMeter()
    witness._wakes = [[(100, 10)], [(50, 25), (200, 25)]]
    assert witness.lost_share(0, 1_000) == 0.05
    assert witness.lost_share(0, 100) == 0.25
    assert witness.lost_share(100, 100) is None


@pytest.mark.skipif(sys.platform != "linux", reason="real-time scheduling as Linux has it")
def test_sleepers_end_when_asked_and_say_what_they_saw():
    began = time.monotonic_ns()
    with HiccupMeter() as witness:
        pass
    share = witness.lost_share(began, time.monotonic_ns())
    assert share is None or 0.0 <= share <= 1.0
    assert all(sleeper.returncode is not None for sleeper in witness._sleepers)


class Sleeper:
    """One that ends as told."""

    def __init__(self, returncode, said):
        self.returncode = None
        self._ends = returncode, said

    def communicate(self, timeout=None):
        self.returncode, said = self._ends
        return said, b""


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0)])
def test_who_may_not_run_before_all_others_says_nothing(codes):
    witness = HiccupMeter()
    witness._sleepers = [Sleeper(code, b"" if code else b"[[100, 10]]") for code in codes]
    witness.__exit__(None, None, None)
    assert witness.lost_share(0, 1_000) is None
    assert [sleeper.returncode for sleeper in witness._sleepers] == list(codes)


def test_what_they_say_is_heard():
    witness = HiccupMeter()
    witness._sleepers = [Sleeper(0, b"[]"), Sleeper(0, b"[[100, 10], [200, 5]]")]
    witness.__exit__(None, None, None)
    assert witness.lost_share(0, 1_000) == 0.015


def test_it_does_not_watch_without_the_right_to(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(module.os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(module.os, "sched_setscheduler", refuse)
    with pytest.raises(PermissionError):
        module.watch(0)
