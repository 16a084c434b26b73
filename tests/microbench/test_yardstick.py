"""The fixed piece of work that tells how fast the machine is."""

from __future__ import annotations

from array import array

from loadtests.microbench.trust import Evidence, judge_trust
from loadtests.microbench.yardstick import Yardstick, speed_signal, work
from tests.microbench.made import MS, Time


def test_the_work_never_changes():
    assert work() == work()


def test_only_the_second_go_is_timed():
    time = Time()
    takes = iter([9 * MS, MS, 9 * MS, 2 * MS])
    yardstick = Yardstick(lambda: time.now_ns, lambda: time.spend(next(takes)))
    yardstick.measure()
    yardstick.measure()
    assert yardstick.times_ns.tolist() == [MS, 2 * MS]


def test_the_signal_tells_median_and_drift():
    (signal,) = speed_signal(array("q", [MS] * 51 + [2 * MS] * 49))
    assert signal.value == 1.0
    assert "+100.0% in the second half" in signal.text
    assert speed_signal(array("q")) == []


def test_a_slower_machine_is_a_finding_and_no_fault():
    evidence = Evidence(None, yardstick_ns=array("q", [MS] * 5 + [3 * MS] * 5))
    signals, validity = judge_trust(evidence)
    assert validity.valid
    assert "machine speed" in {signal.name for signal in signals}
