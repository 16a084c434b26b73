from __future__ import annotations

import heapq
import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.measure.health.delay_rules import generator_delay_ns
from loadtests.measure.health.evidence import GeneratorEvidence, WorkerEvidence
from loadtests.measure.health.generator_delay import GeneratorDelays
from loadtests.measure.health.probes import HealthRow
from loadtests.measure.health.validity import DELAY_RULES, judge_validity
from loadtests.measure.histogram import Histogram, Sparse
from loadtests.measure.results import HealthInfo, SeriesInfo, StallInfo, Times, Validity
from tests.known import known
from tests.measure.streams import row

MS = 1_000_000
SECONDS = 60
RATE_PER_S = 100.0  # a worker's: two users suffice for a database that keeps its promise


NONE = Sparse.of(np.zeros(0, np.int64))
NO_FIGURES = {
    f"{kind}_{q}_ms": None
    for kind in ("dispatch_delay", "event_loop_delay")
    for q in ("p50", "p99", "max")
}


def rows(worker: str, seconds: int = SECONDS, **changes: float | None) -> list[HealthRow]:
    host = {"host_steal": 0.0, "pressure_cpu": 0.1, "cpu_wait": 0.01}
    return [
        HealthRow(**row(worker, time_s=float(s)) | NO_FIGURES | host | changes)
        for s in range(seconds)
    ]


def delays(*parts: tuple[int, float]) -> Histogram:
    """So many of so many milliseconds."""
    histogram = Histogram()
    for count, each_ms in parts:
        histogram.add(Sparse.of(np.full(count, int(each_ms * MS))))
    return histogram


def watched(rows: list[HealthRow], dispatch: Histogram, event_loop: Histogram) -> WorkerEvidence:
    found = WorkerEvidence()
    for each in rows:
        found.add(each, GeneratorDelays(NONE, NONE))
    found.dispatch_delay.add(dispatch.sparse())
    found.event_loop_delay.add(event_loop.sparse())
    return found


def healthy_worker(worker: str, seconds: int = SECONDS, **changes: float | None) -> WorkerEvidence:
    return watched(rows(worker, seconds, **changes), delays((6_000, 0.1)), delays((6_000, 0.1)))


def healthy(*workers: str) -> GeneratorEvidence:
    return GeneratorEvidence(
        rate_per_s=dict.fromkeys(workers, RATE_PER_S),
        workers={worker: healthy_worker(worker) for worker in workers},
    )


def took(*quantiles_ms: float) -> SeriesInfo:
    """A series whose service time has these p50, p90, p99."""
    p50, p90, p99 = quantiles_ms
    times = Times.model_validate({"p50": p50, "p90": p90, "p99": p99, "p99.9": p99, "max": p99})
    return SeriesInfo(
        backend="dynamodb", driver="wire", pattern="cart.get", count=1_000, service_time_ms=times
    )


def test_a_healthy_run_counts() -> None:
    for workers in (("generator",), ("worker 1", "worker 2", "worker 3")):
        signals, validity = judge_validity(healthy(*workers))
        assert validity.valid
        assert validity.reasons == []
        assert all(signal.ok for signal in signals)
        assert len({signal.name for signal in signals}) == len(signals) >= 12


BREAKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "generator CPU": (
        {"process_cpu": 0.97},
        "worker 2 used 97% of a core.",
        "Lower --rate or add --processes 4.",
    ),
    "wait for a CPU": (
        {"cpu_wait": 0.12},
        "worker 2 was ready to run and not let run 12.0% of the time.",
        "Stop what else uses the generator's machine",
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
def test_each_rule_on_the_rows_breaks_alone_and_names_worker_finding_and_remedy(rule: str) -> None:
    changes, found, remedy = BREAKS[rule]
    evidence = healthy("worker 1", "worker 2")
    evidence.workers["worker 2"] = healthy_worker("worker 2", **changes)
    check_broken(evidence, rule, found, remedy)


QUICK = [(6_000, 0.1)]
DELAYS = {
    "late dispatches": (
        ([(5_980, 0.1), (20, 6.0)], QUICK),
        "worker 2 dispatched 0.33% of the arrivals more than 5 ms late",
        "Give the generator a core of its own",
    ),
    "event-loop stalls": (
        (QUICK, [(5_980, 0.1), (20, 6.0)]),
        "worker 2's event loop stalled: a response would have been read more than 5 ms late"
        " 0.33% of the time.",
        "Keep other work off the generator's machine",
    ),
    "generator delay p50": (
        ([(6_000, 0.3)], [(6_000, 0.3)]),
        "worker 2's delay per call was 0.60 ms at p50: 0.30 ms dispatch delay,"
        " 0.30 ms event-loop delay.",
        "Give the generator a core of its own",
    ),
    "generator delay p90": (
        ([(5_300, 0.1), (700, 0.95)], [(5_300, 0.1), (700, 0.95)]),
        "worker 2's delay per call was 1.05 ms at p90",
        "lower --rate",
    ),
    "generator delay p99": (
        (QUICK, [(5_900, 0.1), (100, 3.0)]),
        "worker 2's delay per call was 3.10 ms at p99",
        "lower --rate or add --processes",
    ),
}


@pytest.mark.parametrize("rule", DELAYS)
def test_each_rule_on_delays_breaks_alone_and_names_worker_finding_and_remedy(rule: str) -> None:
    (late, lag), found, remedy = DELAYS[rule]
    evidence = healthy("worker 1", "worker 2")
    evidence.workers["worker 2"] = watched(rows("worker 2"), delays(*late), delays(*lag))
    check_broken(evidence, rule, found, remedy)


def check_broken(evidence: GeneratorEvidence, rule: str, found: str, remedy: str) -> None:
    signals, validity = judge_validity(evidence)
    assert not validity.valid
    [reason] = validity.reasons
    assert reason.rule == rule
    assert reason.found.startswith(found)
    assert remedy in reason.remedy
    [signal] = [signal for signal in signals if not signal.ok]
    assert (signal.name, signal.worker) == (rule, "worker 2")
    assert known(signal.value) > known(signal.limit)


def test_arrivals_that_nobody_ever_took_count_as_having_waited() -> None:
    """The last row is read after what waited has been counted, so it shows none."""
    evidence = healthy("worker 2")
    seconds = [
        *rows("worker 2", SECONDS - 2, users=1),
        *rows("worker 2", 1, users=1, behind_ms=2_000.0),
        *rows("worker 2", 1, users=1),
    ]
    evidence.workers["worker 2"] = watched(seconds, delays(), delays())
    assert [r.rule for r in judge_validity(evidence)[1].reasons] == ["free users"]


@pytest.mark.parametrize(
    "changes",
    [
        {"process_cpu": 0.90},
        {"event_loop_stall_ms": 300.0},  # the samples know better
        {"cpu_wait": 0.10},
        {"host_steal": 0.10},
        {"users": 1, "queued": 0},
        {"users": 2, "queued": 100, "behind_ms": 60_000.0},
        {"host_steal": None, "pressure_cpu": None, "cpu_wait": None},
        {"gc_pause_max_ms": 900.0, "pressure_cpu": 1.0, "invalid_responses": 50},
    ],
)
def test_at_the_limit_or_merely_informative_it_counts(changes: dict[str, Any]) -> None:
    evidence = healthy("generator")
    evidence.workers["generator"] = healthy_worker("generator", **changes)
    assert judge_validity(evidence)[1].valid


def test_late_within_a_quarter_of_the_tail_counts() -> None:
    evidence = healthy("generator")
    touched = delays((5_985, 0.1), (15, 300.0))
    evidence.workers["generator"] = watched(rows("generator"), touched, touched)
    assert judge_validity(evidence)[1].valid


def test_a_worker_that_was_lost_is_named() -> None:
    evidence = healthy("worker 1", "worker 2")
    evidence.lost.append("worker 3")
    [reason] = judge_validity(evidence)[1].reasons
    assert (reason.rule, reason.found) == ("lost worker", "worker 3 stopped reporting.")
    assert reason.remedy


def test_nothing_measured_is_invalid_and_says_why() -> None:
    [reason] = judge_validity(GeneratorEvidence())[1].reasons
    assert "ended within its warm-up" in reason.found
    assert "--run-time" in reason.remedy
    evidence = healthy("generator")
    nothing = rows("generator", 1, length_s=0.01, offered=0, in_flight=0)
    evidence.workers["generator"] = watched(nothing, delays(), delays())
    [reason] = judge_validity(evidence)[1].reasons
    assert "Not one call was due" in reason.found
    assert "--run-time" in reason.remedy


def test_a_database_that_hung_throughout_was_measured() -> None:
    """Every user in a call that never ended, every arrival waiting: slow, and measured."""
    hung: dict[str, Any] = {
        "offered": 0,
        "queued": 0,
        "behind_ms": 70_000.0,
        "in_flight": 20,
        "free_users_min": 0,
    }
    evidence = healthy("generator")
    evidence.workers["generator"] = watched(rows("generator", **hung), delays(), delays(*QUICK))
    assert judge_validity(evidence)[1].valid


def test_several_reasons_are_all_given_and_the_worst_worker_is_named() -> None:
    evidence = healthy("worker 1", "worker 2")
    evidence.workers["worker 1"] = healthy_worker("worker 1", process_cpu=0.93, host_steal=0.3)
    evidence.workers["worker 2"] = healthy_worker("worker 2", process_cpu=0.99)
    reasons = {r.rule: r for r in judge_validity(evidence)[1].reasons}
    assert set(reasons) == {"generator CPU", "stolen CPU"}
    assert reasons["generator CPU"].found.startswith("worker 2")
    assert reasons["stolen CPU"].found.endswith("worker 1's machine.")


def test_the_remedy_for_a_busy_single_process_is_a_second_one() -> None:
    evidence = healthy("generator")
    evidence.workers["generator"] = healthy_worker("generator", process_cpu=0.97)
    [reason] = judge_validity(evidence)[1].reasons
    assert reason.remedy == "Lower --rate or add --processes 2."


def test_rows_weigh_by_their_length() -> None:
    evidence = healthy("generator")
    seconds = [
        *rows("generator", 1, process_cpu=1.0, cpu_wait=1.0, host_steal=1.0, length_s=0.01),
        *rows("generator", 10, process_cpu=0.85),
    ]
    evidence.workers["generator"] = watched(seconds, delays(*QUICK), delays(*QUICK))
    assert judge_validity(evidence)[1].valid


def test_signals_are_stored_and_read_back() -> None:
    signals = judge_validity(healthy("generator"))[0]
    health = HealthInfo(signals=signals)
    assert HealthInfo.model_validate_json(health.model_dump_json()) == health
    informative = {signal.name for signal in signals if signal.limit is None}
    assert {"GC pause", "CPU pressure", "invalid responses"} <= informative


# --- a slow database


def simulate(arrivals_ms: list[float], service_ms: list[float], users: int) -> GeneratorEvidence:
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
    found = watched(made, late, delays((100 * len(made), 0.1)))
    return GeneratorEvidence({"generator": rate}, {"generator": found})


gaps = st.lists(st.floats(1, 60), min_size=20, max_size=150)


@settings(max_examples=60)
@given(gaps, st.integers(0, 5), st.data())
def test_a_slower_database_never_makes_a_valid_run_invalid(
    gaps_ms: list[float], spare: int, data: st.DataObject
) -> None:
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


def test_too_few_users_for_a_slow_database_are_the_generators_fault() -> None:
    due = np.arange(0, 10_000, 2.0).tolist()  # 500/s: ten users suffice
    slow = [100.0] * len(due)
    assert judge_validity(simulate(due, slow, 10))[1].valid
    [reason] = judge_validity(simulate(due, slow, 9))[1].reasons
    assert reason.rule == "free users"
    assert "--users to 10" in reason.remedy
    # with a database that is quick, nine are enough after all
    assert judge_validity(simulate(due, [1.0] * len(due), 9))[1].valid


# --- generator delay


some_delays = st.lists(st.integers(0, 30 * MS), min_size=1, max_size=30)


@given(some_delays, some_delays, st.sampled_from([0.5, 0.9, 0.99]))
def test_own_time_is_the_sum_of_a_late_start_and_a_late_reading(
    late_ns: list[int], lag_ns: list[int], q: float
) -> None:
    """Against every pair, added up by hand."""
    found = watched(rows("generator", 1, offered=0), Histogram(), Histogram())
    found.dispatch_delay.add(Sparse.of(np.array(late_ns)))
    found.event_loop_delay.add(Sparse.of(np.array(lag_ns)))
    pairs = sorted(a + b for a in late_ns for b in lag_ns)
    true_ns = pairs[math.ceil(Fraction(q).limit_denominator(100) * len(pairs)) - 1]
    own_ns = generator_delay_ns(found, [q])[0]
    if true_ns < 40 * MS - 100_000:
        assert abs(own_ns - true_ns) <= 50_000 + true_ns / 1_000
    else:
        assert own_ns >= 40 * MS - 100_000  # far beyond every limit either way


@given(some_delays, st.integers(0, 200), st.sampled_from([0.5, 0.9, 0.99]))
def test_who_waited_for_a_busy_user_was_not_handed_over_late(
    late_ns: list[int], busy: int, q: float
) -> None:
    calls = len(late_ns) + busy
    found = watched(rows("generator", 1, offered=calls), Histogram(), delays((50, 0.0)))
    found.dispatch_delay.add(Sparse.of(np.array(late_ns)))
    every = sorted([*late_ns, *[0] * busy])
    true_ns = every[math.ceil(Fraction(q).limit_denominator(100) * calls) - 1]
    assert abs(generator_delay_ns(found, [q])[0] - true_ns) <= 50_000 + true_ns / 1_000


def test_beyond_the_bins_the_larger_delay_stands() -> None:
    found = watched(rows("generator"), delays((6_000, 0.1)), delays((3_000, 0.1), (3_000, 700.0)))
    assert generator_delay_ns(found, [0.9])[0] / MS == pytest.approx(700, rel=0.001)


def test_with_every_user_busy_the_read_lag_alone_tells_a_starved_generator() -> None:
    """No arrival finds a user free; CPU is below its limit and nothing stands still for 5 ms."""
    busy = rows("generator", queued=100, free_users_min=0, process_cpu=0.7)
    starved = delays((4_000, 0.1), (2_000, 3.0))
    evidence = healthy("generator")
    evidence.workers["generator"] = watched(busy, Histogram(), starved)
    found = {r.rule: r.found for r in judge_validity(evidence)[1].reasons}
    assert set(found) == {"generator delay p90", "generator delay p99"}
    assert found["generator delay p90"].endswith("ms at p90: 3.00 ms event-loop delay.")
    # the same users, kept busy by a slow database, with a generator that reads at once
    evidence.workers["generator"] = watched(busy, Histogram(), delays(*QUICK))
    assert judge_validity(evidence, [took(90, 95, 99)])[1].valid


def test_a_slow_database_allows_as_much_as_calibration_tolerates_and_no_more() -> None:
    read_at_once = watched(rows("generator"), delays(*QUICK), delays((5_900, 0.1), (100, 9.0)))
    evidence = healthy("generator")
    evidence.workers["generator"] = read_at_once
    slow, quick = took(500, 500, 500), took(2, 2, 2)
    assert judge_validity(evidence, [slow])[1].valid  # 10 ms are 2% of what its calls took
    for series in ([], [quick], [slow, quick], [took(2, 400, 400), took(500, 500, 440)]):
        rules = {r.rule for r in judge_validity(evidence, series)[1].reasons}
        assert "generator delay p99" in rules


def test_a_standstill_is_late_beside_what_the_calls_took() -> None:
    """A thousand answers held back and then read in 15 ms."""
    burst = delays((990, 0.1), (10, 15.0))
    evidence = healthy("generator")
    evidence.workers["generator"] = watched(rows("generator"), delays(*QUICK), burst)
    [reason] = [r for r in judge_validity(evidence)[1].reasons if r.rule == "event-loop stalls"]
    assert "1.00% of the time" in reason.found
    assert judge_validity(evidence, [took(2, 300, 900)])[1].valid


def test_without_samples_the_heartbeat_judges_and_the_lack_is_stated() -> None:
    evidence = healthy("generator")
    evidence.workers["generator"] = watched(
        rows("generator", event_loop_stall_ms=2.5, cpu_wait=None), delays(*QUICK), Histogram()
    )
    signals, validity = judge_validity(evidence)
    assert validity.valid
    unknown = {s.name: s.text for s in signals if s.value is None}
    assert set(unknown) == {"event-loop delay", "wait for a CPU"}
    assert "no timer precise enough" in unknown["event-loop delay"]
    assert "does not tell" in unknown["wait for a CPU"]
    evidence.workers["generator"] = watched(
        rows("generator", event_loop_stall_ms=3.0), delays(*QUICK), Histogram()
    )
    [reason] = judge_validity(evidence)[1].reasons
    assert reason.rule == "event-loop stalls"
    assert "beyond 5 ms at a stretch, 0.30% of the time" in reason.found


@given(some_delays, some_delays, st.integers(0, 29), st.integers(1, 20 * MS))
def test_a_longer_delay_never_makes_a_run_valid(
    late_ns: list[int], lag_ns: list[int], which: int, longer_ns: int
) -> None:
    def judged(lags: list[int]) -> Validity:
        evidence = healthy("generator")
        found = watched(rows("generator", 1, offered=0), Histogram(), Histogram())
        found.dispatch_delay.add(Sparse.of(np.array(late_ns)))
        found.event_loop_delay.add(Sparse.of(np.array(lags)))
        evidence.workers["generator"] = found
        return judge_validity(evidence)[1]

    slower = list(lag_ns)
    slower[which % len(slower)] += longer_ns
    assert judged(lag_ns).valid or not judged(slower).valid


def test_delays_rule_out_fail_alone_and_missing_load_every_verdict() -> None:
    late = watched(
        rows("a", host_steal=0.5, cpu_wait=0.5), delays((6_000, 9.0)), delays((6_000, 9.0))
    )
    starved = healthy_worker("b", process_cpu=0.97, queued=90, users=1)
    evidence = GeneratorEvidence(
        rate_per_s={"a": RATE_PER_S, "b": RATE_PER_S}, workers={"a": late, "b": starved}, lost=["c"]
    )
    _, validity = judge_validity(evidence)
    ruled_out = {reason.rule: reason.rules_out for reason in validity.reasons}
    assert ruled_out == {
        "lost worker": "every verdict",
        "generator CPU": "every verdict",
        "free users": "every verdict",
        "generator delay p50": "FAIL",
        "generator delay p90": "FAIL",
        "generator delay p99": "FAIL",
        "late dispatches": "FAIL",
        "event-loop stalls": "FAIL",
        "wait for a CPU": "FAIL",
        "stolen CPU": "FAIL",
    }
    delays_seen = {rule for rule, what in ruled_out.items() if what == "FAIL"}
    assert delays_seen == DELAY_RULES - {"warm-up backlog"}


def test_nothing_measured_rules_out_every_verdict() -> None:
    [reason] = judge_validity(GeneratorEvidence())[1].reasons
    assert (reason.rule, reason.rules_out) == ("measured seconds", "every verdict")


def test_stalls_and_throttling_are_reported_and_break_no_rule() -> None:
    stalls = StallInfo(
        meter="ordinary",
        before_ms=5,
        after_ms=10,
        min_used_ms=1,
        used=70,
        left_out=0.9,
        dead_time=0.8,
    )
    evidence = healthy("a")
    evidence.workers["a"] = healthy_worker("a", cpu_throttled_ms=25.0)
    signals, validity = judge_validity(evidence, (), stalls)
    by_name = {signal.name: signal for signal in signals}
    assert validity.valid
    assert by_name["CPU throttled"].value == 25.0 * SECONDS
    assert by_name["machine stalls"].value == pytest.approx(90)
    for words in ("70 times", "90.0% of the calls are left out", "80.0% of the time", "ordinary"):
        assert words in by_name["machine stalls"].text
    plain = {signal.name for signal in judge_validity(healthy("a"))[0]}
    assert not plain & {"CPU throttled", "machine stalls"}


def test_texts_say_that_stalls_of_the_machine_are_left_out() -> None:
    evidence = healthy("a")
    names = ("generator delay p99", "late dispatches", "event-loop stalls")
    for measured in (False, True):
        evidence.workers["a"].stalls_measured = measured
        texts = {signal.name: signal.text for signal in judge_validity(evidence)[0]}
        for name in names:
            assert ("outside of machine stalls" in texts[name]) == measured, name
