"""A session: one pass per suite, figures for all of it, everything closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from loadtests.config import Config, Data
from loadtests.errors import BackendError, LoadtestsError, UsageError
from loadtests.load.child_environment import ENDPOINTS_VARIABLE, RUN_ID_VARIABLE
from loadtests.measure.results import read_run
from loadtests.microbench import session as module
from loadtests.microbench.session import BenchmarkSession, describe_settings
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import Call, Case, Spec
from loadtests.microbench.suites.plans import FULL, SuitePlan, SuitePlans
from loadtests.microbench.suites.specs import access_patterns, fan_outs
from loadtests.patterns import CLOUDSHELF_PATTERNS
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_to_json

NOWHERE = json.dumps(endpoints_to_json(Endpoints()))
PLANS = SuitePlans(dict.fromkeys(FULL.of_suite, SuitePlan(30, 5, batch=1)))


class CountingStore:
    """Counts its calls, and how often it was closed."""

    def __init__(self) -> None:
        self.wire_ns = 1
        self.calls = 0
        self.closed = 0

    def call(self) -> None:
        self.calls += 1

    async def close(self) -> None:
        self.closed += 1


def open_counting(store: CountingStore, bench: Bench) -> Case:
    bench.closing(store)
    return Case(lambda: Call(store.call, store=store))


def spec_of(
    name: str,
    store: CountingStore,
    *,
    suite: str = "access patterns",
    backend: str = "dynamodb",
) -> Spec:
    return Spec(
        suite=suite,
        group="cart.get",
        name=name,
        backend=backend,
        driver=name,
        open=partial(open_counting, store),
        pattern="cart.get",
    )


class Begin(Protocol):
    """Opens a session of these specs."""

    def __call__(
        self, *specs: Spec, plans: SuitePlans = PLANS, run_id: str = "named"
    ) -> BenchmarkSession: ...


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    def begin(*specs: Spec, plans: SuitePlans = PLANS, run_id: str = "named") -> BenchmarkSession:
        config = Config(data=Data(users=20, books=20), results=str(tmp_path))
        environ = {ENDPOINTS_VARIABLE: NOWHERE, RUN_ID_VARIABLE: run_id}
        session = BenchmarkSession(
            config, specs, plans, on_progress=lambda _: None, environ=environ
        )
        sessions.append(session)
        session.open()
        return session

    sessions: list[BenchmarkSession] = []
    yield begin
    for session in sessions:
        session.finish("complete")


def test_the_first_benchmark_brings_the_figures_of_its_suite(begin: Begin, tmp_path: Path) -> None:
    stores = [CountingStore(), CountingStore(), CountingStore()]
    specs = [
        spec_of("wire", stores[0]),
        spec_of("boto3", stores[1]),
        spec_of("x", stores[2], suite="clients"),
    ]
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


def test_one_more_call_is_not_recorded(begin: Begin) -> None:
    store = CountingStore()
    spec = spec_of("wire", store)
    session = begin(spec)
    session.measure(spec)
    session.call_once(spec)
    assert store.calls == 36
    assert len(session.measure(spec).columns.service) == 30


def test_what_ends_a_pass_fails_each_of_its_suite_and_is_not_repeated(begin: Begin) -> None:
    tries = []

    def broken(bench: Bench) -> Case:
        tries.append(bench)
        raise BackendError("no such table")

    specs = [
        Spec(suite="clients", group="g", name=name, backend="dynamodb", driver="boto3", open=broken)
        for name in "ab"
    ]
    fine = spec_of("wire", CountingStore())
    session = begin(*specs, fine)
    with pytest.raises(BackendError, match="no such table"):
        session.measure(specs[0])
    with pytest.raises(LoadtestsError, match="no such table"):
        session.measure(specs[1])
    assert len(tries) == 1
    assert session.measure(fine).row.iterations == 30


def test_patched_sockets_are_refused(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gevent_has_patched", lambda: True)
    with pytest.raises(UsageError, match="gevent"):
        begin(spec_of("wire", CountingStore()))


def test_settings_name_the_patterns_that_every_backend_must_have() -> None:
    specs = access_patterns()
    assert describe_settings(Config(), specs).patterns == list(CLOUDSHELF_PATTERNS)
    some = [spec for spec in specs if (spec.backend, spec.pattern) != ("postgres", "cart.add")]
    assert describe_settings(Config(), some).patterns == [
        p for p in CLOUDSHELF_PATTERNS if p != "cart.add"
    ]
    assert describe_settings(Config(), fan_outs()).patterns == []


def test_settings_do_not_name_the_number_of_iterations() -> None:
    """Runs of few and of many iterations may be compared."""
    described = describe_settings(Config(), access_patterns()).model_dump_json()
    assert "iterations" not in described


def test_the_emulator_is_warmed_up_once_before_the_first_suite(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    warmed: list[int] = []

    async def warm(_: Bench, iterations: int, **__: object) -> None:
        warmed.append(iterations)

    monkeypatch.setattr(module, "warm_target", warm)
    plans = SuitePlans(PLANS.of_suite, target_iterations=7)
    specs = [
        spec_of("wire", CountingStore()),
        spec_of("x", CountingStore(), suite="clients"),
    ]
    begin(*specs, plans=plans, run_id="none").measure(specs[0])
    assert warmed == []  # no DynamoDB takes part
    monkeypatch.setattr(module, "needs_warming", lambda _: True)
    session = begin(*specs, plans=plans, run_id="both")
    for spec in specs:
        session.measure(spec)
    assert warmed == [7]
    postgres = spec_of("psycopg", CountingStore(), backend="postgres")
    begin(postgres, plans=plans, run_id="postgres").measure(postgres)
    assert warmed == [7]
