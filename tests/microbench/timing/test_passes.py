"""The order of calls, and what is noted of each."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from itertools import groupby

import pytest

from loadtests.errors import BackendError, CallTimeout, ResponseInvalid
from loadtests.microbench.suites.cases import BenchmarkSubject, Call, CallColumns, Case
from loadtests.microbench.suites.plans import BATCH, SuitePlan
from loadtests.microbench.timing.clocks import Seconds
from loadtests.microbench.timing.passes import SETTLING, Pass, timed
from tests.microbench.made import MS, Answering, Time, rng, spec, subject


def run(
    subjects,
    plan,
    time,
    *,
    on_second=lambda warm_up: None,
    on_batches=lambda done, total: None,
    seconds=None,
    seed=1,
):
    seconds = seconds or Seconds(time.clocks, time.now_ns)
    asyncio.run(
        Pass(
            subjects,
            plan,
            clocks=time.clocks,
            seconds=seconds,
            rng=rng(seed),
            on_second=on_second,
            on_batches=on_batches,
        ).run()
    )
    return seconds


def timed_once(case, time, *, awaited=False):
    columns = CallColumns()
    asyncio.run(timed(BenchmarkSubject(spec(), case), columns, time.clocks, 7))
    return columns


def batches(order):
    """Who called, and how often at a stretch."""
    return [(name, len(list(calls))) for name, calls in groupby(order)]


def test_subjects_take_turns_in_an_order_drawn_anew():
    time, order = Time(), []
    names = ["wire", "boto3", "psycopg"]
    run([subject(time, order, name) for name in names], SuitePlan(60 * BATCH, 0), time)
    taken = [order[i][1] for i in range(0, len(order), BATCH + SETTLING)]
    iterations = [tuple(taken[i : i + 3]) for i in range(0, 180, 3)]
    assert all(sorted(one) == sorted(names) for one in iterations)
    assert len(set(iterations)) == 6  # all orders come up


def test_groups_take_turns_over_the_whole_pass():
    time, order = Time(), []
    groups = ["cart.get", "cart.add"]
    run([subject(time, order, group=group) for group in groups], SuitePlan(2 * BATCH + 5, 0), time)
    lengths = [BATCH, BATCH, BATCH, BATCH, 5, 5]
    assert [(group, n - SETTLING) for (group, _), n in batches(order)] == list(
        zip(groups * 3, lengths, strict=True)
    )


def test_the_first_calls_of_a_turn_do_not_count():
    time, order = Time(), []
    slow_first = iter(([9 * MS] * SETTLING + [MS] * BATCH) * 2)
    one = subject(time, order, takes=lambda: (next(slow_first), 0, 0))
    run([one], SuitePlan(2 * BATCH, 0), time)
    assert one.measured.service.tolist() == [MS] * 2 * BATCH
    assert not one.warm_up.service


def test_calls_of_single_turns_all_count():
    time, order = Time(), []
    subjects = [subject(time, order, name) for name in ("wire", "boto3")]
    run(subjects, SuitePlan(40, 0, batch=1), time)
    assert len(order) == 80
    assert all(len(one.measured.service) == 40 for one in subjects)
    assert all({order[i], order[i + 1]} == set(order) for i in range(0, 80, 2))


def test_an_error_of_a_call_that_does_not_count_is_an_error():
    calls = iter([BackendError(name="Throttled"), *[None] * (BATCH + SETTLING)])
    store = Answering(Time(), "x", [])
    one = BenchmarkSubject(spec(), Case(lambda: Call(store.call, (next(calls),), store=store)))
    run([one], SuitePlan(BATCH, 0), Time())
    assert one.measured.errors == {"Throttled": 1}


def test_warm_up_rounds_are_kept_apart():
    time = Time()
    one = subject(time, [])
    run([one], SuitePlan(40, 30), time)
    assert (len(one.warm_up.service), len(one.measured.service)) == (30, 40)


def test_a_call_is_noted_with_its_own_time_cpu_and_wait():
    time = Time()
    store = Answering(time, "x", [], takes=lambda: (5 * MS, 2 * MS, MS), wire=3 * MS)

    def choosing_keys_takes_long():
        time.spend(100 * MS, 100 * MS, 100 * MS)
        return Call(store.call, settle=lambda _: time.spend(50 * MS, 50 * MS), store=store)

    columns = timed_once(Case(choosing_keys_takes_long), time)
    assert columns.service.tolist() == [5 * MS]
    assert columns.cpu.tolist() == [2 * MS]
    assert columns.cpu_wait.tolist() == [MS]
    assert columns.wire.tolist() == [3 * MS]
    assert columns.second.tolist() == [7]
    assert not columns.errors


def test_an_awaited_call_is_timed_until_its_answer_is_there():
    time = Time()
    store = Answering(time, "x", [], takes=lambda: (5 * MS, 2 * MS, 0))
    settled = []
    made = Call(store.call_awaited, ("answer",), settled.append, store=store)

    async def made_ready():
        time.spend(9 * MS)
        return made

    for next_call in (lambda: made, made_ready):
        columns = timed_once(Case(next_call, awaited=True), time)
        assert columns.service.tolist() == [5 * MS]
    assert settled == ["answer", "answer"]


def test_a_failed_call_keeps_its_time_and_is_counted_by_name():
    time = Time()
    store = Answering(time, "x", [], takes=lambda: (5 * MS, 0, 0))
    settled, held = [], []

    @contextmanager
    def guard():
        try:
            yield
        except BackendError:
            held.append("failed")
            raise

    made = Call(store.call, (BackendError(name="Throttled"),), settled.append, guard(), store=store)
    columns = timed_once(Case(lambda: made), time)
    assert columns.service.tolist() == [5 * MS]
    assert columns.wire.tolist() == [MS // 4]
    assert columns.errors == {"Throttled": 1}
    assert (settled, held) == ([], ["failed"])


def test_a_wrong_answer_is_an_error_of_the_call():
    def settle(answer):
        raise ResponseInvalid

    store = Answering(Time(), "x", [])
    columns = timed_once(Case(lambda: Call(store.call, settle=settle, store=store)), Time())
    assert columns.errors == {"ResponseInvalid": 1}
    assert len(columns.service) == 1


def test_a_call_that_cannot_be_made_ready_is_an_error_without_a_time():
    def next_call():
        raise CallTimeout

    columns = timed_once(Case(next_call), Time())
    assert columns.errors == {"CallTimeout": 1}
    assert not columns.service
    assert not columns.second


def test_what_is_no_call_error_ends_the_pass():
    time = Time()
    store = Answering(time, "x", [])
    with pytest.raises(ZeroDivisionError):
        timed_once(Case(lambda: Call(store.call, (ZeroDivisionError(),), store=store)), time)


def test_tidying_is_not_timed_and_may_be_awaited():
    time, order = Time(), []
    store = Answering(time, "x", order, takes=lambda: (MS, 0, 0))
    tidied = []

    async def tidy_awaited():
        time.spend(70 * MS)
        tidied.append("awaited")

    def tidy():
        yield Call(time.spend, (70 * MS,), lambda _: tidied.append("plain"))
        yield Call(tidy_awaited)

    one = BenchmarkSubject(spec(), Case(lambda: Call(store.call, store=store), tidy=tidy))
    run([one], SuitePlan(2 * BATCH, 0), time)
    assert tidied == ["plain", "awaited"] * 2
    assert set(one.measured.service) == {MS}


def test_seconds_end_between_calls_and_at_the_end_of_each_phase():
    time = Time()
    one = subject(time, [], takes=lambda: (400 * MS, 0, 0))
    told = []
    seconds = Seconds(time.clocks, time.now_ns)

    def on_second(warm_up):
        told.append((warm_up, seconds.index, *seconds.next()))

    run([one], SuitePlan(6, 4, batch=1), time, on_second=on_second, seconds=seconds)
    assert told == [
        (True, 0, 0.0, 1.2),
        (True, 1, 1.2, pytest.approx(0.4)),
        (False, 2, 1.6, pytest.approx(1.2)),
        (False, 3, 2.8, pytest.approx(1.2)),
        (False, 4, 4.0, 0.0),
    ]
    assert one.measured.second.tolist() == [2, 2, 2, 3, 3, 3]


def test_progress_counts_every_call_that_does():
    time = Time()
    told = []
    subjects = [subject(time, [], name) for name in ("wire", "boto3")]
    run(
        subjects,
        SuitePlan(30, 20, batch=25),
        time,
        on_batches=lambda done, total: told.append((done, total)),
    )
    assert told == [(40, 100), (90, 100), (100, 100)]
