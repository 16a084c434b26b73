"""A session: one pass a part, figures for all of it, everything closed."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from loadtests.config import Config, Data
from loadtests.errors import BackendError, LoadtestsError, UsageError
from loadtests.load.child_environment import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.measure.results import read_run
from loadtests.microbench import session as sessions
from loadtests.microbench.session import BenchmarkSession, describe_settings
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import Call, Case, Spec
from loadtests.microbench.suites.plans import FULL, QUICK, SuitePlan, SuitePlans
from loadtests.microbench.suites.specs import access_patterns, cart_sizes, fan_outs
from loadtests.microbench.timing.passes import SETTLING
from loadtests.microbench.timing.warm_target import needs_warming, warm_target
from loadtests.patterns import DRIVERS, PATTERNS
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json
from tests.microbench.made import Time, rng

NOWHERE = json.dumps(endpoints_to_json(Endpoints()))
PLANS = SuitePlans(dict.fromkeys(FULL.of_suite, SuitePlan(30, 5, batch=1)))


class Counting:
    wire_ns = 1

    def __init__(self):
        self.calls = 0
        self.closed = 0

    def call(self):
        self.calls += 1

    async def close(self):
        self.closed += 1


def counted(store, bench):
    bench.closing(store)
    return Case(lambda: Call(store.call, store=store))


def made(name, store, suite="access patterns", backend="dynamodb"):
    return Spec(suite, "cart.get", name, backend, name, partial(counted, store), "cart.get")


@pytest.fixture
def begin(tmp_path):
    def begin(*specs, plans=PLANS, run_id="named"):
        config = Config(data=Data(users=20, books=20), results=str(tmp_path))
        environ = {ENDPOINTS_VARIABLE: NOWHERE, RUN_ID_VARIABLE: run_id}
        opened.append(
            BenchmarkSession(config, specs, plans, on_progress=lambda _: None, environ=environ)
        )
        opened[-1].open()
        return opened[-1]

    opened = []
    yield begin
    for one in opened:
        one.finish("complete")


def test_the_first_asked_for_brings_the_figures_of_its_part(begin, tmp_path):
    stores = [Counting(), Counting(), Counting()]
    specs = [made("wire", stores[0]), made("boto3", stores[1]), made("x", stores[2], "clients")]
    session = begin(*specs)
    assert len(session.measure(specs[0]).columns.service) == 30
    assert [store.calls for store in stores] == [35, 35, 0]
    session.measure(specs[1])
    assert stores[1].calls == 35
    session.measure(specs[2])
    assert [row.name for row in session.rows] == ["wire", "boto3", "x"]
    session.finish("complete")
    assert [store.closed for store in stores] == [1, 1, 1]
    assert read_run(tmp_path / "named").info.state == "complete"


def test_one_more_call_is_noted_nowhere(begin):
    store = Counting()
    one = made("wire", store)
    session = begin(one)
    session.measure(one)
    session.call_once(one)
    assert store.calls == 36
    assert len(session.measure(one).columns.service) == 30


def test_what_ends_a_pass_is_told_to_each_of_its_part_and_not_repeated(begin):
    tries = []

    def broken(bench):
        tries.append(1)
        raise BackendError("no such table")

    specs = [Spec("clients", "g", name, "dynamodb", "boto3", broken) for name in "ab"]
    fine = made("wire", Counting())
    session = begin(*specs, fine)
    with pytest.raises(BackendError, match="no such table"):
        session.measure(specs[0])
    with pytest.raises(LoadtestsError, match="no such table"):
        session.measure(specs[1])
    assert len(tries) == 1
    assert session.measure(fine).row.iterations == 30


def test_patched_sockets_are_refused(begin, monkeypatch):
    monkeypatch.setattr(sessions, "gevent_has_patched", lambda: True)
    with pytest.raises(UsageError, match="gevent"):
        begin(made("wire", Counting()))


def test_settings_owe_what_every_backend_was_asked_for():
    specs = access_patterns()
    every = describe_settings(Config(), specs)
    assert every["patterns"] == list(PATTERNS)
    assert "iterations" not in every  # runs of few and of many iterations may be compared
    assert FULL.described(specs) == {"access patterns": {"measured": 3_000, "warm_up": 200}}
    some = [s for s in specs if (s.backend, s.pattern) != ("postgres", "cart.add")]
    assert "cart.add" not in describe_settings(Config(), some)["patterns"]
    assert describe_settings(Config(), fan_outs())["patterns"] == []


def test_families_cover_every_driver():
    drivers = {driver for found in DRIVERS.values() for driver in found}
    assert {(s.pattern, s.driver) for s in access_patterns()} == {
        (pattern, driver) for pattern in PATTERNS for driver in drivers
    }
    for family in (fan_outs(), cart_sizes()):
        assert {spec.driver for spec in family} == drivers
    names = [str(s) for s in (*access_patterns(), *fan_outs(), *cart_sizes())]
    assert len(set(names)) == len(names)


def test_plans_carry_a_p99_with_its_interval():
    assert set(FULL.of_suite) == set(QUICK.of_suite)
    # none failed: under 0.1% with 95% confidence
    assert FULL.of_suite["access patterns"].iterations >= 2_995
    # the least for a two-sided 95% interval
    assert QUICK.of_suite["access patterns"].iterations >= 368
    raised = QUICK.with_at_least(100)
    assert raised.of_suite["fan-outs"].iterations == 100
    assert raised.of_suite["access patterns"] == QUICK.of_suite["access patterns"]


def test_the_emulator_is_warmed_up_once_before_the_first_part(begin, monkeypatch):
    asked = []

    async def warm(bench, iterations, **_):
        asked.append(iterations)

    monkeypatch.setattr(sessions, "warm_target", warm)
    plans = SuitePlans(PLANS.of_suite, target_iterations=7)
    specs = [made("wire", Counting()), made("x", Counting(), "clients")]
    begin(*specs, plans=plans, run_id="none").measure(specs[0])
    assert asked == []  # no DynamoDB takes part
    monkeypatch.setattr(sessions, "needs_warming", lambda bench: True)
    session = begin(*specs, plans=plans, run_id="both")
    for one in specs:
        session.measure(one)
    assert asked == [7]
    only = made("psycopg", Counting(), backend="postgres")
    begin(only, plans=plans, run_id="postgres").measure(only)
    assert asked == [7]


def test_only_the_emulator_is_warmed_up():
    def bench(where):
        return Bench(Config(data=Data(users=20, books=20)), Endpoints(where))

    assert needs_warming(bench(DynamoDBEndpoint("http://127.0.0.1:1")))
    assert not needs_warming(bench(DynamoDBEndpoint(None, emulator=False)))
    assert not needs_warming(bench(None))


def test_warming_makes_every_access_pattern_s_calls_in_turns(monkeypatch):
    order, told = [], []

    def opened(bench, name):
        return Case(lambda: Call(order.append, (name,)))

    specs = [
        Spec(
            "access patterns",
            pattern,
            driver,
            "dynamodb",
            driver,
            partial(opened, name=(driver, pattern)),
            pattern,
        )
        for pattern in ("cart.get", "cart.add")
        for driver in ("wire", "boto3")
    ]
    monkeypatch.setattr("loadtests.microbench.timing.warm_target.access_patterns", lambda: specs)
    asyncio.run(
        warm_target(
            None,
            25,
            clocks=Time().clocks,
            rng=rng(),
            on_batches=lambda done, total: told.append((done, total)),
        )
    )
    assert {name for name, _ in order} == {"wire"}
    for pattern in ("cart.get", "cart.add"):
        assert order.count(("wire", pattern)) == 25 + 3 * SETTLING
    assert told[-1] == (50, 50)
