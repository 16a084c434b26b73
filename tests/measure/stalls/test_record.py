from __future__ import annotations

import csv
import io

import numpy as np

from loadtests.measure.stalls.record import StallLog, StallRecord, StallRow, ThrottleWatch
from loadtests.measure.stalls.windows import AFTER_NS, BEFORE_NS, Stall
from tests.measure.stalls.meters import ScriptedMeters

MS = 1_000_000
LONG = Stall(cpu=0, from_ns=500 * MS, due_ns=501 * MS, length_ns=4 * MS)
SHORT = Stall(cpu=1, from_ns=700 * MS, due_ns=701 * MS, length_ns=600_000)


def touched(record: StallRecord, *times_ms: float) -> list[bool]:
    touches = record.touches(np.array([round(ms * MS) for ms in times_ms], np.int64))
    return [bool(touch) for touch in touches]


def test_calls_near_a_stall_are_disturbed_and_short_stalls_are_only_recorded() -> None:
    meters = ScriptedMeters()
    record = StallRecord(meters)
    record.poll()
    meters.stalls = [LONG, SHORT]
    meters.known_until_ns = 1_000 * MS
    record.poll()
    assert touched(record, 489, 490, 510, 511, 701) == [False, True, True, False, False]
    assert record.take(1_000 * MS) == [(LONG, True), (SHORT, False)]
    assert record.take(1_000 * MS) == []
    assert record.dead_ns(0, 1_000 * MS) == LONG.end_ns - LONG.from_ns + BEFORE_NS + AFTER_NS


def test_a_second_is_settled_when_the_meters_know_past_the_last_window() -> None:
    meters = ScriptedMeters(known_until_ns=0)
    record = StallRecord(meters)
    record.poll()
    assert not record.settled(0)
    meters.known_until_ns = 1_000 * MS + AFTER_NS - 1
    record.poll()
    assert not record.settled(1_000 * MS)
    meters.known_until_ns += 1
    record.poll()
    assert record.settled(1_000 * MS)


def test_what_was_before_the_first_report_is_not_called_undisturbed() -> None:
    meters = ScriptedMeters(known_until_ns=300 * MS)
    record = StallRecord(meters)
    record.poll()
    meters.known_until_ns = 900 * MS
    record.poll()
    assert touched(record, 0, 299, 304.9, 305) == [True, True, True, False]


def test_what_a_throttled_group_does_is_not_excused_by_an_ordinary_meter() -> None:
    throttled = [False, True]
    for kind, used in (("ordinary", False), ("realtime", True)):
        answers = iter(throttled)
        meters = ScriptedMeters("ordinary" if kind == "ordinary" else "realtime")
        record = StallRecord(meters, throttled=lambda answers=answers: next(answers))  # type: ignore[misc]
        record.poll()
        meters.stalls = [LONG]
        meters.known_until_ns = 1_000 * MS
        record.poll()
        assert touched(record, 500) == [used]
        assert record.take(1_000 * MS) == [(LONG, used)]


def test_throttling_is_a_counter_that_grew() -> None:
    counter: list[float | None] = [5.0, 5.0, 9.0, 9.0, None, 9.0]
    watch = ThrottleWatch(lambda: counter.pop(0))
    assert [watch() for _ in range(5)] == [False, True, False, False, False]


def test_without_meters_nothing_is_known() -> None:
    meters = ScriptedMeters(None, known_until_ns=0)
    record = StallRecord(meters)
    record.poll()
    before = record.starting
    meters.alive = False
    after = record.starting
    assert (before, after) == (True, False)
    assert record.kind is None


def test_stalls_are_rows_of_a_table() -> None:
    out = io.StringIO()
    log = StallLog(out)
    log.write([StallRow("generator", 1, 12.3456789, 4.56789, "ordinary", used=True, due_ns=7)])
    [row] = csv.DictReader(io.StringIO(out.getvalue()))
    assert row == {
        "worker": "generator",
        "cpu": "1",
        "start_s": "12.345679",
        "length_ms": "4.568",
        "meter": "ordinary",
        "used": "1",
        "due_ns": "7",
    }
