from __future__ import annotations

from collections.abc import Iterator

import pytest

from loadtests.measure.stalls.hiccup_meter import LATE_NS, PERIOD_NS, REPORT_NS, Sleeper, measure

MS = 1_000_000


class FakeSystem:
    """Time that only sleeping moves on; each sleep oversleeps by what is listed."""

    def __init__(self, oversleeps_ns: list[int], queued_ns: list[int] | None = None) -> None:
        self.now_ns = 1_000 * MS
        self.oversleeps: Iterator[int] = iter(oversleeps_ns)
        self.queued: Iterator[int] = iter(queued_ns or [0] * len(oversleeps_ns))
        self.waited_ns = 7
        self.lines: list[str] = []

    def sleep(self, seconds: float) -> None:
        try:
            self.now_ns += round(seconds * 1e9) + next(self.oversleeps)
        except StopIteration:
            raise BrokenPipeError from None
        self.waited_ns += next(self.queued)

    def run(self) -> list[str]:
        sleeper = Sleeper(
            clock=lambda: self.now_ns,
            sleep=self.sleep,
            run_queue_wait_ns=lambda: self.waited_ns,
            attend=lambda: None,
            write=self.lines.append,
        )
        with pytest.raises(BrokenPipeError):
            measure(sleeper)
        return self.lines


def stalls_in(lines: list[str]) -> list[list[int]]:
    return [[int(word) for word in line.split()[1:]] for line in lines if line.startswith("s")]


def test_only_late_wake_ups_are_stalls() -> None:
    lines = FakeSystem([0, LATE_NS, 3 * MS, 0]).run()
    from_ns = 1_000 * MS + 2 * PERIOD_NS + LATE_NS
    assert stalls_in(lines) == [[from_ns, from_ns + PERIOD_NS, 3 * MS]]


def test_waiting_for_another_process_is_no_stall() -> None:
    lines = FakeSystem([5 * MS, 5 * MS, 5 * MS], queued_ns=[5 * MS, 2 * MS, 0]).run()
    assert [length for _, _, length in stalls_in(lines)] == [3 * MS, 5 * MS]


def test_it_says_until_when_it_has_told_everything() -> None:
    system = FakeSystem([0] * (3 * REPORT_NS // PERIOD_NS))
    times = [int(line.split()[1]) for line in system.run() if line.startswith("u")]
    assert times == sorted(times)
    assert len(times) == 3
    assert times[-1] > 1_000 * MS + 2 * REPORT_NS


def test_a_stall_comes_before_the_time_that_covers_it() -> None:
    lines = FakeSystem([0, 60 * MS, 0]).run()
    stall = next(n for n, line in enumerate(lines) if line.startswith("s"))
    end_ns = sum(int(word) for word in lines[stall].split()[2:])
    assert all(int(line.split()[1]) < end_ns for line in lines[:stall])
    assert int(lines[stall + 1].split()[1]) >= end_ns
