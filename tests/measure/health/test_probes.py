from __future__ import annotations

import csv
import gc
import io
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from loadtests.measure.health import probes as health
from loadtests.measure.health.probes import (
    COLUMNS,
    DelayFigures,
    HealthLog,
    HealthRow,
    HostFigures,
    HostProbe,
    ProcessProbe,
    SecondFigures,
    read_cpu_wait_ns,
)
from tests.known import known
from tests.measure.streams import row

MS = 1_000_000


class FakeProc:
    """A /proc folder and the clock beside it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_s = 100.0

    def stat(self, *ticks: int) -> None:
        line = "cpu  " + " ".join(map(str, ticks))
        (self.path / "stat").write_text(f"{line}\ncpu0 1 2 3 4 5 6 7 8 9 10\n")

    def pressure(self, **total_us: object) -> None:
        (self.path / "pressure").mkdir(exist_ok=True)
        for name, total in total_us.items():
            (self.path / "pressure" / name).write_text(
                f"some avg10=1.00 avg60=2.00 avg300=3.00 total={total}\n"
                f"full avg10=0.00 avg60=0.00 avg300=0.00 total=77\n"
            )

    def probe(self) -> HostProbe:
        return HostProbe(self.path, clock=lambda: self.now_s)


@pytest.fixture
def proc(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path)


def test_host_figures_are_shares_since_the_last_reading(proc: FakeProc) -> None:
    #        user nice system idle iowait irq softirq steal guest guest_nice
    proc.stat(100, 0, 50, 800, 50, 0, 0, 0, 30, 0)
    proc.pressure(cpu=1_000_000, memory=0, io=500_000)
    probe = proc.probe()
    proc.now_s += 2
    proc.stat(140, 2, 60, 900, 80, 3, 5, 10, 60, 0)
    proc.pressure(cpu=1_500_000, memory=0, io=700_000)
    # 200 ticks: 40 + 2 + 10 + 3 + 5 + 10 busy (guest is within user already)
    assert probe.read() == HostFigures(
        host_cpu=70 / 200,
        host_steal=10 / 200,
        pressure_cpu=0.25,
        pressure_memory=0.0,
        pressure_io=0.1,
    )
    proc.now_s += 1
    proc.stat(240, 2, 60, 900, 80, 3, 5, 10, 60, 0)
    proc.pressure(cpu=2_500_000, memory=0, io=700_000)
    again = probe.read()
    assert (again.host_cpu, again.host_steal, again.pressure_cpu) == (1.0, 0.0, 1.0)


def test_throttling_of_the_own_control_group_is_in_milliseconds(
    proc: FakeProc, tmp_path: Path
) -> None:
    (proc.path / "self").mkdir()
    (proc.path / "self/cgroup").write_text("1:name=systemd:/other\n0::/ci/job\n")
    stat = tmp_path / "cgroup/ci/job/cpu.stat"
    stat.parent.mkdir(parents=True)
    stat.write_text("usage_usec 900\nnr_throttled 2\nthrottled_usec 4000\n")
    probe = HostProbe(proc.path, clock=lambda: proc.now_s, cgroups=tmp_path / "cgroup")
    stat.write_text("usage_usec 950\nnr_throttled 3\nthrottled_usec 11500\n")
    assert probe.read().cpu_throttled_ms == pytest.approx(7.5)
    assert probe.read().cpu_throttled_ms == 0
    stat.unlink()
    assert probe.read().cpu_throttled_ms is None


def test_without_control_groups_throttling_is_unknown(proc: FakeProc) -> None:
    assert proc.probe().read().cpu_throttled_ms is None


def test_what_the_platform_does_not_offer_is_none(proc: FakeProc) -> None:
    probe = proc.probe()
    proc.now_s += 1
    assert probe.read() == HostFigures()


def test_a_machine_without_pressure_still_has_cpu_figures(proc: FakeProc) -> None:
    proc.stat(0, 0, 0, 0, 0, 0, 0, 0)
    probe = proc.probe()
    proc.stat(50, 0, 0, 50, 0, 0, 0, 0)
    read = probe.read()
    assert (read.host_cpu, read.host_steal) == (0.5, 0.0)
    assert read.pressure_cpu is read.pressure_memory is read.pressure_io is None


def test_files_that_come_and_go_are_none_until_there_are_two_readings(proc: FakeProc) -> None:
    probe = proc.probe()
    proc.stat(10, 0, 0, 10, 0, 0, 0, 0)
    proc.pressure(cpu=5)
    assert probe.read() == HostFigures()
    proc.stat(20, 0, 0, 10, 0, 0, 0, 0)
    assert probe.read().host_cpu == 1.0
    (proc.path / "stat").unlink()
    assert probe.read().host_cpu is None
    proc.stat(30, 0, 0, 10, 0, 0, 0, 0)
    assert probe.read().host_cpu is None
    proc.stat(30, 0, 0, 20, 0, 0, 0, 0)
    assert probe.read().host_cpu == 0.0


def test_counters_that_wrap_or_stand_still_tell_nothing(proc: FakeProc) -> None:
    proc.stat(1 << 40, 0, 0, 1 << 40, 0, 0, 0, 900)
    proc.pressure(cpu=1 << 50)
    probe = proc.probe()
    proc.now_s += 1
    assert probe.read() == HostFigures(pressure_cpu=0.0)
    proc.stat(5, 0, 0, 5, 0, 0, 0, 0)
    proc.pressure(cpu=7)
    proc.now_s += 1
    assert probe.read() == HostFigures()
    # only the steal went backwards, as it may when a virtual machine moves
    proc.stat(5, 0, 0, 105, 0, 0, 0, 50)
    assert probe.read().host_steal == 50 / 150
    proc.stat(105, 0, 0, 205, 0, 0, 0, 40)
    assert probe.read().host_steal is None


def test_lines_of_another_shape_are_none(proc: FakeProc) -> None:
    for shape in ("", "cpu", "cpu 1 2 3 4", "cpu a b c d e f g h", "intr 5"):
        (proc.path / "stat").write_text(shape)
        (proc.path / "pressure").mkdir(exist_ok=True)
        (proc.path / "pressure" / "cpu").write_text(shape)
        probe = proc.probe()
        proc.now_s += 1
        assert probe.read() == HostFigures()


class Clock:
    def __init__(self) -> None:
        self.ns = 5_000 * MS

    def __call__(self) -> int:
        return self.ns


@pytest.fixture
def clocks() -> tuple[Clock, Clock]:
    return Clock(), Clock()


class Waited:
    """The kernel's count of the time spent runnable and not running; None: not told."""

    ns: int | None = 70 * MS

    def __call__(self) -> int | None:
        return self.ns


@pytest.fixture
def waited() -> Waited:
    return Waited()


@pytest.fixture
def probe(clocks: tuple[Clock, Clock], waited: Waited) -> Iterator[ProcessProbe]:
    made = ProcessProbe(*clocks, waited)
    yield made
    made.close()


def test_lag_counts_as_a_stall_beyond_5_ms(
    probe: ProcessProbe, clocks: tuple[Clock, Clock]
) -> None:
    for lag_ms in (1, 5, 7, 205, 3):
        probe.beat(lag_ms * MS)
    clocks[0].ns += 1_000 * MS
    read = probe.read()
    assert read.heartbeat_delay_max_ms == 205
    assert read.event_loop_stall_ms == 2 + 200
    clocks[0].ns += 1_000 * MS
    assert probe.read().heartbeat_delay_max_ms == probe.read().event_loop_stall_ms == 0


def test_cpu_is_a_share_of_one_core_since_the_last_reading(
    probe: ProcessProbe, clocks: tuple[Clock, Clock]
) -> None:
    wall, cpu = clocks
    wall.ns += 2_000 * MS
    cpu.ns += 500 * MS
    assert probe.read().process_cpu == 0.25
    wall.ns += 1_000 * MS
    cpu.ns += 970 * MS
    assert probe.read().process_cpu == 0.97
    assert probe.read().process_cpu == 0  # no time has passed


def test_the_wait_for_a_cpu_is_a_share_of_the_time_since_the_last_reading(
    probe: ProcessProbe, clocks: tuple[Clock, Clock], waited: Waited
) -> None:
    clocks[0].ns += 2_000 * MS
    waited.ns = known(waited.ns) + 500 * MS
    assert probe.read().cpu_wait == 0.25
    clocks[0].ns += 1_000 * MS
    assert probe.read().cpu_wait == 0
    waited.ns -= 1  # another thread's, or a kernel that began anew
    assert probe.read().cpu_wait is None
    for told in (None, 5 * MS):  # not told now, not told before
        waited.ns = told
        assert probe.read().cpu_wait is None
    assert probe.read().cpu_wait == 0


@pytest.mark.parametrize(
    ("text", "waited_ns"),
    [
        ("38337301 1977633 68\n", 1_977_633),
        ("0 0 0\n", None),  # a kernel that does not count
        ("38337301 1977633\n", None),
        ("", None),
        ("a b c\n", None),
        (None, None),  # no such file
    ],
)
def test_the_kernels_count_of_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, waited_ns: int | None
) -> None:
    file = tmp_path / "schedstat"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(health, "SCHEDSTAT", file)
    assert read_cpu_wait_ns() == waited_ns


@pytest.mark.skipif(read_cpu_wait_ns() is None, reason="this kernel does not tell")
def test_the_kernels_count_never_falls() -> None:
    before = known(read_cpu_wait_ns())
    assert 0 <= before <= known(read_cpu_wait_ns())


def test_collections_are_timed_and_forgotten_after_each_reading(
    probe: ProcessProbe, clocks: tuple[Clock, Clock]
) -> None:
    wall, _ = clocks
    probe.watch_gc()
    [on_gc] = [callback for callback in gc.callbacks if callback == probe._on_gc]
    gc.disable()
    try:
        for pause_ms in (2, 30, 1):
            on_gc("start", {})
            wall.ns += pause_ms * MS
            on_gc("stop", {})
            wall.ns += 100 * MS
        read = probe.read()
        assert (read.gc_pauses, read.gc_paused_ms, read.gc_pause_max_ms) == (3, 33, 30)
        gc.collect()
        assert probe.read().gc_pauses == 1
    finally:
        gc.enable()
    probe.close()
    assert probe._on_gc not in gc.callbacks
    probe.close()


def test_the_probes_figures_complete_a_row(probe: ProcessProbe, proc: FakeProc) -> None:
    figures = row() | {"cpu_wait": None, "scheduled": 100}
    second = SecondFigures(**{each.name: figures[each.name] for each in fields(SecondFigures)})
    delays = DelayFigures(dispatch_delay_p50_ms=0.25)
    completed = HealthRow.of(second, probe.read(), proc.probe().read(), delays)
    assert completed.offered == 100
    assert completed.dispatch_delay_p50_ms == 0.25


def test_health_csv_has_every_figure_of_every_row_at_once() -> None:
    out = io.StringIO()
    log = HealthLog(out)
    assert out.getvalue().split() == [",".join(COLUMNS)]
    delays = {
        "dispatch_delay_p50_ms": 0.0812,
        "dispatch_delay_p99_ms": 2.0,
        "dispatch_delay_max_ms": None,
    }
    first = HealthRow(**row("worker 1, the first") | delays, host_cpu=0.123456)
    log.write(first)
    log.write(replace(first, worker="worker 2", warm_up=True, queued=3))
    one, two = csv.DictReader(io.StringIO(out.getvalue()))
    assert tuple(one) == COLUMNS
    assert one["worker"] == "worker 1, the first"
    assert one["dispatch_delay_p50_ms"] == "0.0812"
    assert one["dispatch_delay_max_ms"] == ""
    assert one["host_cpu"] == "0.1235"
    assert one["pressure_io"] == ""
    assert (one["warm_up"], two["warm_up"]) == ("False", "True")
    assert two["queued"] == "3"


def test_the_columns_hold_what_validity_is_judged_on() -> None:
    assert {
        "worker", "time_s", "warm_up", "heartbeat_delay_max_ms", "gc_pause_max_ms",
        "process_cpu", "host_steal", "pressure_cpu", "dispatch_delay_p99_ms", "free_users_min",
        "offered", "queued",
        "behind_ms", "in_flight", "invalid_responses", "event_loop_delay_p99_ms", "cpu_wait",
    } <= set(COLUMNS)  # fmt: skip


def test_each_row_is_flushed_before_the_next() -> None:
    class Out(io.StringIO):
        flushed = 0

        def flush(self) -> None:
            self.flushed = len(self.getvalue())
            super().flush()

    out = Out()
    log = HealthLog(out)
    assert out.flushed == len(out.getvalue()) > 0
    delays = {f"dispatch_delay_{q}_ms": None for q in ("p50", "p99", "max")}
    log.write(HealthRow(**row() | delays))
    assert out.flushed == len(out.getvalue())
