from __future__ import annotations

import heapq
import json
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.measure.health import HealthRow
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.validity import Evidence, judge_validity, signals_as_data
from tests.measure.streams import row

MS = 1_000_000
SECONDS = 60
RATE_PER_S = 100.0  # a worker's: two users suffice for a database that keeps its promise


def rows(worker: str, seconds: int = SECONDS, **changes) -> list[HealthRow]:
    unknown = {f"lateness_{q}_ms": None for q in ("p50", "p99", "max")}
    host = {"host_steal": 0.0, "pressure_cpu": 0.1}
    return [
        HealthRow(**row(worker, time_s=float(s)) | unknown | host | changes) for s in range(seconds)
    ]


def lateness(*parts: tuple[int, float]) -> Histogram:
    """So many arrivals so many milliseconds late."""
    histogram = Histogram()
    for count, late_ms in parts:
        histogram.add(Sparse.of(np.full(count, int(late_ms * MS))))
    return histogram


def healthy(*workers: str) -> Evidence:
    return Evidence(
        rows={worker: rows(worker) for worker in workers},
        lateness={worker: lateness((6_000, 0.1)) for worker in workers},
        rate_per_s=dict.fromkeys(workers, RATE_PER_S),
    )


def test_a_healthy_run_counts():
    for workers in (("generator",), ("worker 1", "worker 2", "worker 3")):
        signals, validity = judge_validity(healthy(*workers))
        assert validity.valid
        assert validity.reasons == []
        assert all(signal.ok for signal in signals)
        assert len({signal.name for signal in signals}) == len(signals) >= 9


BREAKS = {
    "generator CPU": (
        {"process_cpu": 0.97},
        "worker 2 used 97% of a core.",
        "Lower --rate or add --processes 4.",
    ),
    "stalled loop": (
        {"loop_stalled_ms": 3.0},
        "worker 2's event loop stood still for 180 ms, 0.30% of the run.",
        "Keep other work off the generator's machine",
    ),
    "free users": (
        {"users": 1, "queued": 1},
        "1.00% of worker 2's arrivals found all 1 users busy"
        " (2 are enough while calls take 10 ms).",
        "Raise --users to 4 or more",
    ),
    "stolen CPU": (
        {"host_steal": 0.15},
        "The hypervisor kept 15.0% of the CPU from worker 2's machine.",
        "quieter or dedicated machine",
    ),
}


@pytest.mark.parametrize("rule", BREAKS)
def test_each_rule_on_the_rows_breaks_alone_and_names_worker_finding_and_remedy(rule):
    changes, found, remedy = BREAKS[rule]
    evidence = healthy("worker 1", "worker 2")
    evidence.rows["worker 2"] = rows("worker 2", **changes)
    check_broken(evidence, rule, found, remedy)


LATE = {
    "late arrivals": ([(5_980, 0.1), (20, 6.0)], "worker 2 handed over 0.33% of the arrivals"),
    "lateness p50": ([(6_000, 0.6)], "worker 2's lateness p50 was 0.60 ms"),
    "lateness p99": ([(5_900, 0.1), (100, 3.0)], "worker 2's lateness p99 was 3.00 ms"),
}


@pytest.mark.parametrize("rule", LATE)
def test_each_rule_on_lateness_breaks_alone_and_names_worker_finding_and_remedy(rule):
    parts, found = LATE[rule]
    evidence = healthy("worker 1", "worker 2")
    evidence.lateness["worker 2"] = lateness(*parts)
    check_broken(evidence, rule, found, "Give the generator a core of its own")


def check_broken(evidence: Evidence, rule: str, found: str, remedy: str) -> None:
    signals, validity = judge_validity(evidence)
    assert not validity.valid
    [reason] = validity.reasons
    assert reason.rule == rule
    assert reason.found.startswith(found)
    assert remedy in reason.remedy
    [signal] = [signal for signal in signals if not signal.ok]
    assert (signal.name, signal.worker) == (rule, "worker 2")
    assert signal.value > signal.limit


def test_arrivals_that_nobody_ever_took_count_as_having_waited():
    """The last row is read after what waited has been counted, so it shows none."""
    evidence = healthy("worker 2")
    evidence.rows["worker 2"] = [
        *rows("worker 2", SECONDS - 2, users=1),
        *rows("worker 2", 1, users=1, behind_ms=2_000.0),
        *rows("worker 2", 1, users=1),
    ]
    assert [r.rule for r in judge_validity(evidence)[1].reasons] == ["free users"]


@pytest.mark.parametrize(
    "changes",
    [
        {"process_cpu": 0.90},
        {"loop_stalled_ms": 2.5},
        {"host_steal": 0.10},
        {"users": 1, "queued": 0},
        {"users": 2, "queued": 100, "behind_ms": 60_000.0},
        {"host_steal": None, "pressure_cpu": None},
        {"gc_pause_max_ms": 900.0, "pressure_cpu": 1.0, "invalid_responses": 50},
    ],
)
def test_at_the_limit_or_merely_informative_it_counts(changes):
    evidence = healthy("generator")
    evidence.rows["generator"] = rows("generator", **changes)
    assert judge_validity(evidence)[1].valid


def test_late_within_a_quarter_of_the_tail_counts():
    evidence = healthy("generator")
    evidence.lateness["generator"] = lateness((5_985, 0.1), (15, 300.0))
    assert judge_validity(evidence)[1].valid


def test_a_worker_that_was_lost_is_named():
    evidence = healthy("worker 1", "worker 2")
    evidence.lost.append("worker 3")
    [reason] = judge_validity(evidence)[1].reasons
    assert (reason.rule, reason.found) == ("lost worker", "worker 3 stopped reporting.")
    assert reason.remedy


def test_nothing_measured_is_invalid_and_says_why():
    [reason] = judge_validity(Evidence())[1].reasons
    assert "ended within its warm-up" in reason.found
    assert "--run-time" in reason.remedy
    evidence = healthy("generator")
    evidence.rows["generator"] = rows("generator", 1, length_s=0.01, offered=0, in_flight=0)
    evidence.lateness = {}
    [reason] = judge_validity(evidence)[1].reasons
    assert "Not one call was due" in reason.found
    assert "--run-time" in reason.remedy


def test_a_database_that_hung_throughout_was_measured():
    """Every user in a call that never ended, every arrival waiting: slow, and measured."""
    hung = {"offered": 0, "queued": 0, "behind_ms": 70_000.0, "in_flight": 20, "free_users_min": 0}
    evidence = healthy("generator")
    evidence.rows["generator"] = rows("generator", **hung)
    evidence.lateness = {}
    assert judge_validity(evidence)[1].valid


def test_several_reasons_are_all_given_and_the_worst_worker_is_named():
    evidence = healthy("worker 1", "worker 2")
    evidence.rows["worker 1"] = rows("worker 1", process_cpu=0.93, host_steal=0.3)
    evidence.rows["worker 2"] = rows("worker 2", process_cpu=0.99)
    reasons = {r.rule: r for r in judge_validity(evidence)[1].reasons}
    assert set(reasons) == {"generator CPU", "stolen CPU"}
    assert reasons["generator CPU"].found.startswith("worker 2")
    assert reasons["stolen CPU"].found.endswith("worker 1's machine.")


def test_the_remedy_for_a_busy_single_process_is_a_second_one():
    evidence = healthy("generator")
    evidence.rows["generator"] = rows("generator", process_cpu=0.97)
    [reason] = judge_validity(evidence)[1].reasons
    assert reason.remedy == "Lower --rate or add --processes 2."


def test_rows_weigh_by_their_length():
    evidence = healthy("generator")
    evidence.rows["generator"] = [
        *rows("generator", 1, process_cpu=1.0, length_s=0.01),
        *rows("generator", 10, process_cpu=0.85),
    ]
    assert judge_validity(evidence)[1].valid


def test_signals_are_plain_data():
    signals = judge_validity(healthy("generator"))[0]
    data = signals_as_data(signals)
    assert json.loads(json.dumps(data)) == data
    assert set(data[0]) == {"name", "text", "value", "unit", "limit", "ok"}
    informative = {s["name"] for s in data if s["limit"] is None}
    assert {"GC pause", "CPU pressure", "invalid responses"} <= informative


# --- a slow database


def simulate(arrivals_ms: list[float], service_ms: list[float], users: int) -> Evidence:
    """A faultless generator in front of a database that takes `service_ms` for each call.

    The oldest arrival goes to the next free user; those who need not wait start 0.1 ms late.
    """
    free = [0.0] * users
    ends: list[float] = []
    offered: defaultdict[int, int] = defaultdict(int)
    queued: defaultdict[int, int] = defaultdict(int)
    began = []
    late = Histogram()
    for due, took in zip(arrivals_ms, service_ms, strict=True):
        start = heapq.heappop(free)
        if start <= due:
            start = due
            late.add(Sparse.of(np.array([MS // 10])))
        else:
            queued[int(start // 1e3)] += 1
        offered[int(start // 1e3)] += 1
        began.append(start)
        ends.append(start + took)
        heapq.heappush(free, start + took)
    made = []
    for second in range(int(arrivals_ms[-1] // 1e3) + 1):
        end = (second + 1) * 1e3
        waiting = [d for d, b in zip(arrivals_ms, began, strict=True) if d <= end < b]
        flying = sum(b <= end < e for b, e in zip(began, ends, strict=True))
        made += rows(
            "generator",
            1,
            time_s=float(second),
            offered=offered[second],
            queued=queued[second],
            behind_ms=end - waiting[0] if waiting else 0.0,
            users=users,
            in_flight=flying,
            free_users_min=users - flying,
        )
    rate = len(arrivals_ms) / len(made)
    return Evidence({"generator": made}, {"generator": late}, {"generator": rate})


gaps = st.lists(st.floats(1, 60), min_size=20, max_size=150)


@settings(max_examples=60)
@given(gaps, st.integers(0, 5), st.data())
def test_a_slower_database_never_makes_a_valid_run_invalid(gaps_ms, spare, data):
    due = np.cumsum(gaps_ms).tolist()
    n = len(due)
    took = data.draw(st.lists(st.floats(0.1, 50), min_size=n, max_size=n))
    # some calls slower, or stuck, or all of them frozen for a while
    extra = data.draw(
        st.lists(st.sampled_from([0.0, 0.0, 5.0, 200.0, 1e4, 1e9]), min_size=n, max_size=n)
    )
    seconds = int(due[-1] // 1e3) + 1
    enough = math.ceil(2 * (n / seconds) * 0.010)
    fast = judge_validity(simulate(due, took, enough + spare))[1]
    slow_times = [a + b for a, b in zip(took, extra, strict=True)]
    slow = judge_validity(simulate(due, slow_times, enough + spare))[1]
    assert fast.valid
    assert slow.valid, slow.reasons


def test_too_few_users_for_a_slow_database_are_the_generators_fault():
    due = np.arange(0, 10_000, 2.0).tolist()  # 500/s: ten users suffice
    slow = [100.0] * len(due)
    assert judge_validity(simulate(due, slow, 10))[1].valid
    [reason] = judge_validity(simulate(due, slow, 9))[1].reasons
    assert reason.rule == "free users"
    assert "--users to 10" in reason.remedy
    # with a database that is quick, nine are enough after all
    assert judge_validity(simulate(due, [1.0] * len(due), 9))[1].valid
