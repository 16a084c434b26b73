"""Stalls of the machine: how much of a stretch was lost, and what a real sleeper measures."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate import hiccup_meter as module
from loadtests.calibrate.hiccup_meter import HiccupMeter, Wake, stalled_ns

wakes = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=6)


@given(wakes, st.integers(0, 200), st.integers(0, 200))
def test_lost_time_is_what_lies_within(late_wakes: list[Wake], since: int, until: int) -> None:
    expected = sum(
        woke - late <= moment < woke for woke, late in late_wakes for moment in range(since, until)
    )
    assert stalled_ns(late_wakes, since, until) == expected


def test_the_worst_processor_counts() -> None:
    meter = HiccupMeter()
    meter._wakes = [[(100, 10)], [(50, 25), (200, 25)]]
    assert meter.stalled_share(0, 1_000) == 0.05
    assert meter.stalled_share(0, 100) == 0.25
    assert meter.stalled_share(100, 100) is None


@pytest.mark.skipif(sys.platform != "linux", reason="real-time scheduling as Linux has it")
def test_sleepers_end_when_asked() -> None:
    began = time.monotonic_ns()
    with HiccupMeter() as meter:
        pass
    share = meter.stalled_share(began, time.monotonic_ns())
    assert share is None or 0.0 <= share <= 1.0
    assert all(sleeper.returncode is not None for sleeper in meter._sleepers)


class Sleeper:
    """A process that ends with a given code and output."""

    def __init__(self, returncode: int, output: bytes) -> None:
        self.returncode: int | None = None
        self._ends = returncode, output

    def communicate(self, timeout: float | None = None) -> tuple[bytes, bytes]:
        self.returncode, output = self._ends
        return output, b""


def meter_of(sleepers: Sequence[Sleeper]) -> HiccupMeter:
    meter = HiccupMeter()
    meter._sleepers = cast("list[subprocess.Popen[bytes]]", list(sleepers))
    return meter


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0)])
def test_without_the_priority_nothing_is_known(codes: tuple[int, ...]) -> None:
    meter = meter_of([Sleeper(code, b"" if code else b"[[100, 10]]") for code in codes])
    meter.__exit__(None, None, None)
    assert meter.stalled_share(0, 1_000) is None
    assert [sleeper.returncode for sleeper in meter._sleepers] == list(codes)


def test_their_output_is_read() -> None:
    meter = meter_of([Sleeper(0, b"[]"), Sleeper(0, b"[[100, 10], [200, 5]]")])
    meter.__exit__(None, None, None)
    assert meter.stalled_share(0, 1_000) == 0.015


def test_it_does_not_measure_without_the_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with pytest.raises(PermissionError):
        module.watch(0)
