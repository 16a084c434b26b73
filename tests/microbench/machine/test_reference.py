"""The reference workload and the round trip that measure the machine's speed."""

from __future__ import annotations

from array import array

import pytest

from loadtests.measure.results import MachineSpeed
from loadtests.microbench.machine.checks import MachineEvidence, check_machine
from loadtests.microbench.machine.echo import Echo
from loadtests.microbench.machine.reference import (
    MachineReference,
    ReferenceWorkload,
    speed_signal,
    work,
)
from tests.microbench.fakes import MS, Time


def test_the_work_never_changes() -> None:
    assert work() == work()


def test_only_the_second_repetition_is_timed() -> None:
    time = Time()
    takes = iter([9 * MS, MS, 9 * MS, 2 * MS])
    workload = ReferenceWorkload(lambda: time.now_ns, lambda: time.spend(next(takes)))
    workload.measure()
    workload.measure()
    assert workload.times_ns.tolist() == [MS, 2 * MS]


def test_the_signal_states_median_and_drift() -> None:
    (signal,) = speed_signal(array("q", [MS] * 51 + [2 * MS] * 49))
    assert signal.value == 1.0
    assert "+100.0% in the second half" in signal.text
    assert speed_signal(array("q")) == []


def test_a_slower_machine_is_a_finding_and_no_fault() -> None:
    evidence = MachineEvidence(cpu_wait_ns=None, reference_ns=array("q", [MS] * 5 + [3 * MS] * 5))
    signals, validity = check_machine(evidence)
    assert validity.valid
    assert "machine speed" in {signal.name for signal in signals}


def test_the_echo_comes_back_whole_and_its_process_ends() -> None:
    echo = Echo()
    for _ in range(3):
        echo.round_trip()
    echo.close()
    assert echo._process.returncode == 0


def test_an_echo_that_has_gone_is_an_error_and_no_endless_wait() -> None:
    echo = Echo()
    echo._process.kill()
    echo._process.wait()
    with pytest.raises(ConnectionError):
        echo.round_trip()
    echo.close()


def test_each_suite_has_its_own_medians() -> None:
    time = Time()
    machine = MachineReference(lambda: time.now_ns)
    takes = iter([MS] * 4 + [3 * MS] * 4)
    machine.work = ReferenceWorkload(lambda: time.now_ns, lambda: time.spend(next(takes)))
    machine.round_trip = ReferenceWorkload(lambda: time.now_ns, lambda: time.spend(MS // 10))
    for suite in ("first", "second"):
        machine.measure()
        machine.measure()
        machine.end_suite(suite)
    machine.end_suite("nothing read")
    machine.close()
    assert machine.suites == {
        "first": MachineSpeed(work_ms=1.0, round_trip_ms=0.1),
        "second": MachineSpeed(work_ms=3.0, round_trip_ms=0.1),
    }


def test_the_bare_round_trip_is_a_signal_too() -> None:
    ticks = array("q", [MS // 20] * 10)
    signals, validity = check_machine(
        MachineEvidence(cpu_wait_ns=None, reference_ns=ticks, round_trip_ns=ticks)
    )
    (signal,) = [signal for signal in signals if signal.name == "bare round trip"]
    assert signal.value == 0.05
    assert signal.limit is None
    assert validity.valid
