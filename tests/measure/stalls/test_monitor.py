from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.stalls.monitor import MODULE, MeterLines, StallMonitor
from loadtests.measure.stalls.windows import Stall

linux = pytest.mark.skipif(sys.platform != "linux", reason="the meters are Linux only")


@given(st.lists(st.integers(1, 40), max_size=20))
def test_lines_may_come_in_pieces(cuts: list[int]) -> None:
    text = b"k ordinary\ns 1 2 30\nu 40\nnonsense\ns 5 x 6\nu 39\ns 50 51 7\n"
    lines, stalls, rest = MeterLines(3), [], text
    for cut in cuts:
        piece, rest = rest[:cut], rest[cut:]
        stalls += lines.take(piece)
    stalls += lines.take(rest)
    assert stalls == [Stall(3, 1, 2, 30), Stall(3, 50, 51, 7)]
    assert lines.known_until_ns == 40
    assert lines.kind == "ordinary"


def wait_until_known(monitor: StallMonitor, time_ns: int) -> None:
    while monitor.known_until_ns < time_ns:
        monitor.read()
        assert monitor.alive
        time.sleep(0.01)  # the meters' own pace; nothing is asserted on it


@linux
@pytest.mark.parametrize("wanted", ["realtime", "ordinary"])
def test_real_meters_say_which_kind_they_are_and_how_far_they_know(wanted: str) -> None:
    with StallMonitor(wanted="ordinary" if wanted == "ordinary" else "realtime") as monitor:
        monitor.start()
        wait_until_known(monitor, time.monotonic_ns())
        assert monitor.kind in ({"ordinary"} if wanted == "ordinary" else {"realtime", "ordinary"})
    assert not monitor.alive


@linux
def test_a_cpu_that_is_stopped_is_a_stall() -> None:
    with StallMonitor(wanted="ordinary") as monitor:
        monitor.start()
        wait_until_known(monitor, time.monotonic_ns())
        since_ns = time.monotonic_ns()
        # a stopped meter is not in the run queue: to it, that is a machine that does not run
        pids = [meter.process.pid for meter in monitor._meters]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(0.02)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        until_ns = time.monotonic_ns()
        stalls: list[Stall] = []
        while monitor.known_until_ns < until_ns:
            stalls += monitor.read()
        stalls += monitor.read()
    for cpu in os.sched_getaffinity(0):
        assert any(s.cpu == cpu and s.end_ns > since_ns and s.length_ns > 5_000_000 for s in stalls)


@linux
def test_meters_end_when_their_reader_is_killed() -> None:
    script = (
        "import sys, time\n"
        "from loadtests.measure.stalls.monitor import StallMonitor\n"
        "monitor = StallMonitor()\n"
        "monitor.start()\n"
        "print(*[m.process.pid for m in monitor._meters], flush=True)\n"
        "time.sleep(60)\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert reader.stdout
    pids = [int(word) for word in reader.stdout.readline().split()]
    assert len(pids) == len(os.sched_getaffinity(0))
    reader.kill()
    reader.wait()
    reader.stdout.close()
    while any(is_meter(pid) for pid in pids):  # the suite's own time limit ends a failure
        time.sleep(0.01)


def is_meter(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return MODULE in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
