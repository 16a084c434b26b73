"""The stalls of a finished run: read from its folder, and how much of a stretch was lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtests.calibrate.machine_stalls import MachineStalls, stalls_of
from loadtests.measure.results import MonotonicClock, Run, StallInfo
from loadtests.measure.stalls.windows import AFTER_NS, BEFORE_NS, Stall
from tests.run_folders import write_run

HEAD = "worker,cpu,start_s,length_ms,meter,used\n"
MS = 1_000_000
ORIGIN_NS = 7_000 * MS


def stall(due_ns: int, length_ns: int, cpu: int = 0) -> Stall:
    return Stall(cpu, due_ns - 1, due_ns, length_ns)


stall_lists = st.lists(
    st.builds(stall, st.integers(0, 200), st.integers(1, 60), st.integers(0, 1)), max_size=6
)


@given(stall_lists, st.integers(0, 200), st.integers(1, 100))
def test_lost_time_is_what_lies_within_on_the_worst_cpu(
    stalls: list[Stall], since: int, length: int
) -> None:
    lost = [
        sum(
            each.due_ns <= moment < each.end_ns
            for each in stalls
            if each.cpu == cpu
            for moment in range(since, since + length)
        )
        for cpu in (0, 1)
    ]
    share = MachineStalls("realtime", stalls).stalled_share(since, since + length)
    assert share == max(lost) / length


def test_nothing_is_known_without_meters_or_time() -> None:
    assert MachineStalls(None, [stall(100, 10)]).stalled_share(0, 1_000) is None
    assert MachineStalls("realtime", [stall(100, 10)]).stalled_share(100, 100) is None
    assert MachineStalls("ordinary").stalled_share(0, 1_000) == 0.0


def test_only_used_stalls_disturb() -> None:
    stalls = MachineStalls(
        "realtime", [stall(50 * MS, MS), stall(90 * MS, MS)], [stall(50 * MS, MS)]
    )
    begin, end = 50 * MS - 1 - AFTER_NS, 51 * MS + BEFORE_NS
    starts_ns = np.array([begin - 1, begin, end, end + 1, 90 * MS])
    assert stalls.disturbed().touches(starts_ns).tolist() == [False, True, True, False, False]


def recorded(path: Path, rows: str, stalls: StallInfo | None) -> Run:
    run = write_run(path / "run", seconds=5)
    (run.path / "stalls.csv").write_text(HEAD + rows)
    clock = MonotonicClock(origin=ORIGIN_NS, end=ORIGIN_NS + 1_000 * MS)
    info = run.info.model_copy(update={"monotonic_ns": clock, "stalls": stalls})
    return Run(run.path, info, {}, {})


INFO = StallInfo(meter="ordinary", before_ms=5, after_ms=10, min_used_ms=1)


def test_the_file_of_a_run_is_read(tmp_path: Path) -> None:
    rows = "w,1,0.100000,2.500,ordinary,1\nw,0,0.200000,0.600,ordinary,0\n"
    stalls = stalls_of(recorded(tmp_path, rows, INFO))
    first = Stall(1, ORIGIN_NS + 99 * MS, ORIGIN_NS + 100 * MS, 2_500_000)
    second = Stall(0, ORIGIN_NS + 199 * MS, ORIGIN_NS + 200 * MS, 600_000)
    assert stalls == MachineStalls("ordinary", [first, second], [first])


def test_a_run_without_meters_says_so(tmp_path: Path) -> None:
    assert stalls_of(recorded(tmp_path, "", None)) == MachineStalls(None)
