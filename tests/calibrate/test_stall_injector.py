"""Planned stalls as a pure function, their injection on a fake clock, and the processes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from statistics import mean

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate import stall_injector as module
from loadtests.calibrate.stall_injector import (
    MS,
    InjectedStall,
    PlannedStall,
    StallInjector,
    StallPlan,
    become_realtime,
    inject,
)
from loadtests.errors import TargetError, UsageError

PLAN = StallPlan(share=0.05, min_ms=2, max_ms=20, seed=1)


def first(plan: StallPlan, count: int, cpu: int = 0) -> list[PlannedStall]:
    return list(itertools.islice(plan.stalls(cpu), count))


def test_the_same_seed_gives_the_same_stalls_and_each_cpu_its_own() -> None:
    assert first(PLAN, 100) == first(PLAN, 100)
    assert first(PLAN, 100) != first(PLAN, 100, cpu=1)
    other = StallPlan(share=0.05, min_ms=2, max_ms=20, seed=2)
    assert first(PLAN, 100) != first(other, 100)


@pytest.mark.parametrize(("share", "min_ms", "max_ms"), [(0.05, 2, 20), (0.5, 4, 4), (0.9, 2, 10)])
def test_stalls_take_their_share_of_the_time(share: float, min_ms: float, max_ms: float) -> None:
    stalls = first(StallPlan(share=share, min_ms=min_ms, max_ms=max_ms, seed=3), 20_000)
    lengths = [stall.length_ns for stall in stalls]
    total = sum(stall.gap_ns + stall.length_ns for stall in stalls)
    # five standard errors of the mean of 20,000 exponential gaps
    assert sum(lengths) / total == pytest.approx(share, rel=5 / 20_000**0.5)
    assert min_ms * MS <= min(lengths) <= max(lengths) <= max_ms * MS


def test_gaps_are_exponential() -> None:
    """Mean and standard deviation are equal, and a share of 1/e exceeds the mean."""
    gaps = [stall.gap_ns for stall in first(PLAN, 20_000)]
    average = mean(gaps)
    deviation = mean((gap - average) ** 2 for gap in gaps) ** 0.5
    assert average == pytest.approx(11 * MS * 0.95 / 0.05, rel=5 / 20_000**0.5)
    assert deviation == pytest.approx(average, rel=0.05)
    assert mean(gap > average for gap in gaps) == pytest.approx(0.3679, abs=5 * 0.5 / 20_000**0.5)


@pytest.mark.parametrize(
    ("share", "min_ms", "max_ms"),
    [(0.0, 2, 20), (0.91, 2, 20), (-0.1, 2, 20), (0.1, 0, 20), (0.1, 20, 2)],
)
def test_impossible_plans_are_refused(share: float, min_ms: float, max_ms: float) -> None:
    with pytest.raises(UsageError):
        StallPlan(share=share, min_ms=min_ms, max_ms=max_ms, seed=1)


class FakeTime:
    """A clock that advances by one at each reading, and by each wait; stops at a set time."""

    def __init__(self, stop_ns: int | None = None) -> None:
        self.now_ns = 0
        self._stop_ns = stop_ns

    def clock(self) -> int:
        self.now_ns += 1
        return self.now_ns

    def wait(self, ns: int) -> bool:
        assert ns >= 0
        self.now_ns += ns
        return self._stop_ns is not None and self.now_ns >= self._stop_ns


planned = st.lists(
    st.builds(PlannedStall, st.integers(0, 200), st.integers(1, 100)), min_size=1, max_size=20
)


@given(planned)
def test_each_stall_is_as_long_as_planned_and_after_its_gap(stalls: list[PlannedStall]) -> None:
    time = FakeTime()
    injected = list(inject(iter(stalls), clock=time.clock, wait=time.wait))
    assert [stall.end_ns - stall.start_ns for stall in injected] == [
        stall.length_ns for stall in stalls
    ]
    ends = [0, *(stall.end_ns for stall in injected)]
    gaps = [stall.start_ns - end for stall, end in zip(injected, ends, strict=False)]
    assert gaps == [stall.gap_ns + 1 for stall in stalls]  # one reading of the clock


@given(planned, st.integers(1, 2_000))
def test_it_stops_when_asked(stalls: list[PlannedStall], stop_ns: int) -> None:
    time = FakeTime(stop_ns)
    everything = list(inject(iter(stalls), clock=FakeTime().clock, wait=FakeTime().wait))
    injected = list(inject(iter(stalls), clock=time.clock, wait=time.wait))
    assert len(injected) <= len(everything)
    assert all(stall.start_ns <= stop_ns for stall in injected)


@given(planned, st.integers(1, 2_000))
def test_no_stall_starts_after_the_end(stalls: list[PlannedStall], until_ns: int) -> None:
    time = FakeTime()
    injected = list(inject(iter(stalls), clock=time.clock, wait=time.wait, until_ns=until_ns))
    assert all(stall.start_ns <= until_ns + 2 for stall in injected)  # two readings


def test_without_the_right_the_refusal_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", lambda *_: None)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with pytest.raises(TargetError, match="does not permit the real-time class"):
        become_realtime(0, 99)


def test_an_absent_cpu_is_refused() -> None:
    with pytest.raises(TargetError, match="CPU 100000"), StallInjector(PLAN, cpus=[100_000]):
        pass


@pytest.mark.parametrize("arguments", [[], ["0", "2", "2", "4", "1"], ["0", "x", "2", "4", "1"]])
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    process = subprocess.run(
        [sys.executable, "-m", module.__name__, *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert len(process.stderr.splitlines()) == 1


def may_be_realtime() -> bool:
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    except (OSError, AttributeError):
        return False
    os.sched_setscheduler(0, policy, parameters)
    return True


realtime = pytest.mark.skipif(not may_be_realtime(), reason="needs the real-time class")


@pytest.fixture
def gentle() -> StallPlan:
    """Far fewer stalls than a test notices: one of 2 ms per 2 s."""
    return StallPlan(share=0.001, min_ms=2, max_ms=2, seed=1)


@realtime
def test_it_injects_on_each_cpu_and_ends_with_the_block(gentle: StallPlan) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    with StallInjector(gentle) as injector:
        processes = [psutil.Process(process.pid) for process in injector._processes.values()]
        assert [process.cpu_affinity() for process in processes] == [[cpu] for cpu in cpus]
        assert all(os.sched_getscheduler(process.pid) == os.SCHED_FIFO for process in processes)
    assert sorted(injector.stalls) == cpus
    assert all(isinstance(stall, InjectedStall) for s in injector.stalls.values() for stall in s)
    assert not any(process.is_running() for process in processes)


ORPHAN = f"""
import os, signal
from {module.__name__} import StallInjector, StallPlan
injector = StallInjector(StallPlan(share=0.001, min_ms=2, max_ms=2, seed=1)).__enter__()
print(*(process.pid for process in injector._processes.values()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@realtime
def test_it_ends_when_its_parent_is_killed() -> None:
    process = subprocess.run(
        [sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=60, check=False
    )
    pids = [int(pid) for pid in process.stdout.split()]
    assert pids
    orphans = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    assert psutil.wait_procs(orphans, timeout=30)[1] == []


@realtime
def test_one_that_ended_early_is_an_error(gentle: StallPlan) -> None:
    with pytest.raises(TargetError, match="ended early"), StallInjector(gentle) as injector:
        next(iter(injector._processes.values())).kill()
