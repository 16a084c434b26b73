"""The order of calls, and what is recorded of each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby

import pytest

from loadtests.errors import BackendError, CallTimeout, ResponseInvalid
from loadtests.microbench.suites.cases import BenchmarkSubject, Call, CallColumns, Case
from loadtests.microbench.suites.plans import BATCH, SuitePlan
from loadtests.microbench.timing.clocks import Seconds
from loadtests.microbench.timing.passes import SETTLING, timed
from tests.microbench.fakes import MS, Name, Time, TimedStore, run_pass, spec, subject

X: Name = ("cart.get", "x")


def timed_once(case: Case, time: Time) -> CallColumns:
    columns = CallColumns()
    asyncio.run(timed(BenchmarkSubject(spec(), case), columns, time.clocks, 7))
    return columns


def batches(order: Iterable[Name]) -> list[tuple[Name, int]]:
    """Who called, and how many times in a row."""
    return [(name, len(list(calls))) for name, calls in groupby(order)]


def test_subjects_alternate_in_an_order_drawn_anew() -> None:
    time = Time()
    order: list[Name] = []
    names = ["wire", "boto3", "psycopg"]
    run_pass([subject(time, order, name) for name in names], SuitePlan(60 * BATCH, 0), time)
    first = [order[i][1] for i in range(0, len(order), BATCH + SETTLING)]
    orders = [tuple(first[i : i + 3]) for i in range(0, 180, 3)]
    assert all(sorted(drawn) == sorted(names) for drawn in orders)
    assert len(set(orders)) == 6  # all orders come up


def test_groups_alternate_over_the_whole_pass() -> None:
    time = Time()
    order: list[Name] = []
    groups = ["cart.get", "cart.add"]
    run_pass(
        [subject(time, order, group=group) for group in groups], SuitePlan(2 * BATCH + 5, 0), time
    )
    lengths = [BATCH, BATCH, BATCH, BATCH, 5, 5]
    assert [(group, n - SETTLING) for (group, _), n in batches(order)] == list(
        zip(groups * 3, lengths, strict=True)
    )


def test_the_first_calls_of_a_batch_do_not_count() -> None:
    time = Time()
    order: list[Name] = []
    slow_first = iter(([9 * MS] * SETTLING + [MS] * BATCH) * 2)
    measured = subject(time, order, takes=lambda: (next(slow_first), 0, 0))
    run_pass([measured], SuitePlan(2 * BATCH, 0), time)
    assert measured.measured.service.tolist() == [MS] * 2 * BATCH
    assert not measured.warm_up.service


def test_calls_of_batches_of_one_all_count() -> None:
    time = Time()
    order: list[Name] = []
    subjects = [subject(time, order, name) for name in ("wire", "boto3")]
    run_pass(subjects, SuitePlan(40, 0, batch=1), time)
    assert len(order) == 80
    assert all(len(each.measured.service) == 40 for each in subjects)
    assert all({order[i], order[i + 1]} == set(order) for i in range(0, 80, 2))


def test_an_error_of_a_call_that_does_not_count_is_an_error() -> None:
    answers = iter([BackendError(name="Throttled"), *[None] * (BATCH + SETTLING)])
    store = TimedStore(Time(), X, [])
    measured = BenchmarkSubject(
        spec(), Case(lambda: Call(store.call, (next(answers),), store=store))
    )
    run_pass([measured], SuitePlan(BATCH, 0), Time())
    assert measured.measured.errors == {"Throttled": 1}


def test_warm_up_iterations_are_separate() -> None:
    time = Time()
    measured = subject(time, [])
    run_pass([measured], SuitePlan(40, 30), time)
    assert (len(measured.warm_up.service), len(measured.measured.service)) == (30, 40)


def test_a_call_is_recorded_with_its_own_time_cpu_and_wait() -> None:
    time = Time()
    store = TimedStore(time, X, [], takes=lambda: (5 * MS, 2 * MS, MS), wire=3 * MS)

    def slow_preparation() -> Call:
        time.spend(100 * MS, 100 * MS, 100 * MS)
        return Call(store.call, settle=lambda _: time.spend(50 * MS, 50 * MS), store=store)

    columns = timed_once(Case(slow_preparation), time)
    assert columns.service.tolist() == [5 * MS]
    assert columns.cpu.tolist() == [2 * MS]
    assert columns.cpu_wait.tolist() == [MS]
    assert columns.wire.tolist() == [3 * MS]
    assert columns.second.tolist() == [7]
    assert not columns.errors


def test_an_awaited_call_is_timed_until_its_answer_is_there() -> None:
    time = Time()
    store = TimedStore(time, X, [], takes=lambda: (5 * MS, 2 * MS, 0))
    settled: list[object] = []
    call = Call(store.call_awaited, ("answer",), settled.append, store=store)

    async def slow_preparation() -> Call:
        time.spend(9 * MS)
        return call

    preparations: list[Callable[[], Call | Awaitable[Call]]] = [lambda: call, slow_preparation]
    for next_call in preparations:
        columns = timed_once(Case(next_call, awaited=True), time)
        assert columns.service.tolist() == [5 * MS]
    assert settled == ["answer", "answer"]


def test_the_time_of_a_failed_call_is_recorded_and_its_error_counted() -> None:
    time = Time()
    store = TimedStore(time, X, [], takes=lambda: (5 * MS, 0, 0))
    settled: list[object] = []
    guarded: list[str] = []

    @contextmanager
    def guard() -> Iterator[None]:
        try:
            yield
        except BackendError:
            guarded.append("failed")
            raise

    call = Call(store.call, (BackendError(name="Throttled"),), settled.append, guard(), store=store)
    columns = timed_once(Case(lambda: call), time)
    assert columns.service.tolist() == [5 * MS]
    assert columns.wire.tolist() == [MS // 4]
    assert columns.errors == {"Throttled": 1}
    assert (settled, guarded) == ([], ["failed"])


def test_a_wrong_answer_is_an_error_of_the_call() -> None:
    def settle(answer: object) -> None:
        raise ResponseInvalid

    store = TimedStore(Time(), X, [])
    columns = timed_once(Case(lambda: Call(store.call, settle=settle, store=store)), Time())
    assert columns.errors == {"ResponseInvalid": 1}
    assert len(columns.service) == 1


def test_a_call_that_cannot_be_prepared_is_an_error_without_a_time() -> None:
    def next_call() -> Call:
        raise CallTimeout

    columns = timed_once(Case(next_call), Time())
    assert columns.errors == {"CallTimeout": 1}
    assert not columns.service
    assert not columns.second


def test_any_other_error_ends_the_pass() -> None:
    time = Time()
    store = TimedStore(time, X, [])
    with pytest.raises(ZeroDivisionError):
        timed_once(Case(lambda: Call(store.call, (ZeroDivisionError(),), store=store)), time)


def test_tidying_is_not_timed_and_may_be_awaited() -> None:
    time = Time()
    order: list[Name] = []
    store = TimedStore(time, X, order, takes=lambda: (MS, 0, 0))
    tidied: list[str] = []

    async def tidy_awaited() -> None:
        time.spend(70 * MS)
        tidied.append("awaited")

    def tidy() -> Iterator[Call]:
        yield Call(time.spend, (70 * MS,), lambda _: tidied.append("plain"))
        yield Call(tidy_awaited)

    measured = BenchmarkSubject(spec(), Case(lambda: Call(store.call, store=store), tidy=tidy))
    run_pass([measured], SuitePlan(2 * BATCH, 0), time)
    assert tidied == ["plain", "awaited"] * 2
    assert set(measured.measured.service) == {MS}


def test_seconds_end_between_calls_and_at_the_end_of_each_phase() -> None:
    time = Time()
    measured = subject(time, [], takes=lambda: (400 * MS, 0, 0))
    intervals: list[tuple[object, ...]] = []
    seconds = Seconds(time.clocks, time.now_ns)

    def on_second(warm_up: bool) -> None:
        intervals.append((warm_up, seconds.index, *seconds.next()))

    run_pass([measured], SuitePlan(6, 4, batch=1), time, on_second=on_second, seconds=seconds)
    assert intervals == [
        (True, 0, 0.0, 1.2),
        (True, 1, 1.2, pytest.approx(0.4)),
        (False, 2, 1.6, pytest.approx(1.2)),
        (False, 3, 2.8, pytest.approx(1.2)),
        (False, 4, 4.0, 0.0),
    ]
    assert measured.measured.second.tolist() == [2, 2, 2, 3, 3, 3]


def test_progress_counts_the_calls_that_count() -> None:
    time = Time()
    progress: list[tuple[int, int]] = []
    subjects = [subject(time, [], name) for name in ("wire", "boto3")]
    run_pass(
        subjects,
        SuitePlan(30, 20, batch=25),
        time,
        on_batches=lambda done, total: progress.append((done, total)),
    )
    assert progress == [(40, 100), (90, 100), (100, 100)]
