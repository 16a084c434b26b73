from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.measure.stalls import monitor as monitor_module
from loadtests.measure.stalls import readers as readers_module
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.monitor import MODULE, MeterLines, StallMonitor
from loadtests.measure.stalls.readers import Readers, connect, meter_address
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


@pytest.fixture
def private() -> str:
    """A name for meters that no run and no other test shares."""
    return f"/test-{uuid.uuid4().hex}"


def wait_until_known(monitor: StallMonitor, time_ns: int) -> None:
    while monitor.known_until_ns < time_ns:
        monitor.read()
        assert monitor.alive
        time.sleep(0.01)  # the meters' own pace; nothing is asserted on it


@linux
@pytest.mark.parametrize("wanted", ["realtime", "ordinary"])
def test_real_meters_say_which_kind_they_are_and_how_far_they_know(
    wanted: str, private: str
) -> None:
    kind: MeterKind = "ordinary" if wanted == "ordinary" else "realtime"
    with StallMonitor(wanted=kind, private=private) as monitor:
        monitor.start()
        wait_until_known(monitor, time.monotonic_ns())
        assert monitor.kind in ({"ordinary"} if wanted == "ordinary" else {"realtime", "ordinary"})
    assert not monitor.alive


@linux
def test_a_cpu_that_is_stopped_is_a_stall(private: str) -> None:
    with StallMonitor(wanted="ordinary", private=private) as monitor:
        monitor.start()
        wait_until_known(monitor, time.monotonic_ns())
        since_ns = time.monotonic_ns()
        # a stopped meter is not in the run queue: to it, that is a machine that does not run
        pids = started(monitor)
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
def test_all_readers_of_a_machine_share_its_meters(private: str) -> None:
    with StallMonitor(private=private) as first:
        first.start()
        wait_until_known(first, time.monotonic_ns())
        with StallMonitor(private=private) as second:
            second.start()
            begin_ns = time.monotonic_ns()
            wait_until_known(second, begin_ns)
            assert len(started(first)) == len(os.sched_getaffinity(0))
            assert started(second) == []
            assert first.kind == second.kind
        assert not second.alive
        wait_until_known(first, time.monotonic_ns())  # one reader that leaves ends nothing
        pids = started(first)
    assert_ended(pids)


@linux
def test_meters_go_on_when_the_process_that_started_them_is_killed(private: str) -> None:
    starter, pids = start_reader(private)
    with StallMonitor(private=private) as monitor:
        monitor.start()
        wait_until_known(monitor, time.monotonic_ns())
        assert started(monitor) == []
        starter.kill()
        starter.wait()
        wait_until_known(monitor, time.monotonic_ns())
    assert_ended(pids)


@linux
def test_two_that_start_at_once_end_up_with_one_set(private: str) -> None:
    with StallMonitor(private=private) as first, StallMonitor(private=private) as second:
        first.start()
        second.start()  # before a meter of the first can listen
        until_ns = time.monotonic_ns()
        wait_until_known(first, until_ns)
        wait_until_known(second, until_ns)
        measuring = [pid for pid in started(first) + started(second) if is_meter(pid)]
        while len(measuring) > len(os.sched_getaffinity(0)):  # the slower ones find the name taken
            time.sleep(0.01)
            measuring = [pid for pid in started(first) + started(second) if is_meter(pid)]
        wait_until_known(first, time.monotonic_ns())
        wait_until_known(second, time.monotonic_ns())


@linux
def test_a_meter_that_ends_is_noticed(private: str) -> None:
    with StallMonitor(private=private) as monitor:
        monitor.start()
        wait_until_known(monitor, time.monotonic_ns())
        os.kill(started(monitor)[0], signal.SIGKILL)
        while monitor.alive:
            monitor.read()
            time.sleep(0.01)


@linux
def test_a_meter_that_cannot_start_is_given_up(
    monkeypatch: pytest.MonkeyPatch, private: str
) -> None:
    monkeypatch.setattr(monitor_module, "MODULE", "no.such.module")
    with StallMonitor(private=private) as monitor:
        monitor.start()
        while monitor.alive:
            monitor.read()
            time.sleep(0.01)
        assert monitor.kind is None


@linux
def test_a_meter_waits_for_its_first_reader_and_not_for_the_next(private: str) -> None:
    now_ns = [0]
    address = meter_address(0, "ordinary") + private + "-readers"
    readers = Readers(address, "k ordinary\n", lambda: now_ns[0])
    readers.attend()
    reader = connect(address)
    assert reader is not None
    readers.attend()
    readers.write("u 1\n")
    assert reader.recv(100) == b"k ordinary\nu 1\n"
    reader.close()
    readers.write("u 2\n")
    with pytest.raises(BrokenPipeError):
        readers.attend()
    assert connect(address) is None
    again = Readers(address, "k ordinary\n", lambda: now_ns[0])
    now_ns[0] = 20_000_000_000
    with pytest.raises(BrokenPipeError):
        again.attend()


@linux
def test_a_reader_that_does_not_read_is_dropped_and_holds_nobody_up(private: str) -> None:
    address = meter_address(0, "ordinary") + private + "-slow"
    readers = Readers(address, "k ordinary\n", lambda: 0)
    slow, fast = connect(address), connect(address)
    assert slow is not None
    assert fast is not None
    readers.attend()
    with slow, fast:
        for _ in range(20_000):
            readers.write("s 1 2 3\n")
            fast.recv(1_000)
        readers.attend()
        readers.write("u 4\n")
        assert fast.recv(1_000).endswith(b"u 4\n")
        while slow.recv(100_000):
            pass  # to its end: it was closed
    readers.close()


@linux
def test_a_name_that_another_user_has_bound_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, private: str
) -> None:
    monkeypatch.setattr(readers_module, "same_user", lambda peer: False)
    address = meter_address(0, "ordinary") + private + "-squatted"
    readers = Readers(address, "k ordinary\n", lambda: 0)
    with pytest.raises(PermissionError):
        connect(address)
    readers.attend()
    assert readers._readers == []
    readers.close()


def test_another_control_group_has_meters_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("0::/one\n")
    other.write_text("0::/other\n")
    assert meter_address(0, "ordinary", one) != meter_address(0, "ordinary", other)
    assert meter_address(0, "ordinary", tmp_path / "none") != meter_address(1, "ordinary", one)


@linux
def test_meters_end_when_their_reader_is_killed(private: str) -> None:
    reader, pids = start_reader(private)
    assert len(pids) == len(os.sched_getaffinity(0))
    reader.kill()
    reader.wait()
    assert_ended(pids)


def start_reader(private: str) -> tuple[subprocess.Popen[str], list[int]]:
    """A process that reads meters of its own, and their process ids."""
    script = (
        "import time\n"
        "from loadtests.measure.stalls.monitor import StallMonitor\n"
        f"monitor = StallMonitor(private={private!r})\n"
        "monitor.start()\n"
        "while not monitor.known_until_ns: monitor.read()\n"
        "print(*[m.process.pid for m in monitor._meters], flush=True)\n"
        "time.sleep(60)\n"
    )
    reader = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert reader.stdout
    pids = [int(word) for word in reader.stdout.readline().split()]
    reader.stdout.close()
    return reader, pids


def started(monitor: StallMonitor) -> list[int]:
    """The process ids of the meters that a monitor has started."""
    return [meter.process.pid for meter in monitor._meters if meter.process]


def assert_ended(pids: list[int]) -> None:
    while any(is_meter(pid) for pid in pids):  # the suite's own time limit ends a failure
        time.sleep(0.01)


def is_meter(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
            return MODULE in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False
