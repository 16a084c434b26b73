"""One list of stalls for all load processes of a machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.measure.recorder import Recorder
from loadtests.measure.results import read_info
from loadtests.measure.stalls.record import read_stalls
from loadtests.measure.stalls.windows import Stall
from tests.known import known
from tests.measure.stalls.meters import ScriptedMeters
from tests.measure.streams import ORIGIN_NS, closing, end, opening, relay, scribe

MS = 1_000_000
NAMES = ["worker 1", "worker 2"]
STALL = Stall(0, ORIGIN_NS + 500 * MS, ORIGIN_NS + 501 * MS, 4 * MS)


class LateMeters(ScriptedMeters):
    """Meters that know nothing at their first report, and everything at the next."""

    reports = 0

    def read(self) -> list[Stall]:
        self.reports += 1
        if self.reports == 2:
            self.known_until_ns = ORIGIN_NS + 2_000 * MS
        return super().read()


def seconds_of(worker: str, stall: Stall) -> list[bytes]:
    """A worker's second with three calls, one of them near the stall."""
    recorder = Recorder()
    series = recorder.series("dynamodb", "wire", "cart.get", warm_up=False)
    for start_ms in (100, 500, 900):
        start_ns = ORIGIN_NS + start_ms * MS
        series.record(start_ns, start_ns, start_ns + 2 * MS, MS)
    meters = LateMeters()
    meters.stalls = [stall]
    return relay(recorder.drain() + closing(0, worker), worker, meters)


@pytest.mark.parametrize(
    ("second_stall", "listed"),
    [(STALL, 1), (replace(STALL, cpu=1), 2), (replace(STALL, due_ns=STALL.due_ns + MS), 2)],
)
def test_a_stall_that_two_workers_report_is_listed_and_counted_once(
    tmp_path: Path, second_stall: Stall, listed: int
) -> None:
    path = tmp_path / "run"
    sent = seconds_of(NAMES[0], STALL) + seconds_of(NAMES[1], second_stall)
    scribe(opening(path, NAMES) + b"".join(sent) + end())
    stalls = known(read_info(path).stalls)
    assert (stalls.stalls, stalls.used, stalls.total_ms) == (listed, listed, 4 * listed)
    assert stalls.left_out == pytest.approx(2 / 6)  # each worker leaves out its own call
    rows = read_stalls(path / "stalls.csv")
    assert len(rows) == listed
    assert (rows[0].cpu, rows[0].due_ns) == (0, STALL.due_ns)


def test_workers_on_two_machines_have_a_list_each(tmp_path: Path) -> None:
    path = tmp_path / "run"
    sent = seconds_of(NAMES[0], STALL) + [
        frame.replace(b'"machine":"this boot"', b'"machine":"that boot"')
        for frame in seconds_of(NAMES[1], STALL)
    ]
    scribe(opening(path, NAMES) + b"".join(sent) + end())
    assert known(read_info(path).stalls).stalls == 2
    assert [row.worker for row in read_stalls(path / "stalls.csv")] == NAMES
