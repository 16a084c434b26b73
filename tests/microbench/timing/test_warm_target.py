"""Which target is warmed up, and how."""

from __future__ import annotations

import asyncio

import pytest

from loadtests.config import Config, Data
from loadtests.microbench.suites.bench import Bench
from loadtests.microbench.suites.cases import Call, Case, Spec
from loadtests.microbench.timing import warm_target as module
from loadtests.microbench.timing.passes import SETTLING
from loadtests.microbench.timing.warm_target import needs_warming, warm_target
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints
from tests.microbench.fakes import Time, rng, spec


def bench_on(endpoint: DynamoDBEndpoint | None) -> Bench:
    return Bench(Config(data=Data(users=20, books=20)), Endpoints(endpoint))


def test_only_the_emulator_is_warmed_up() -> None:
    assert needs_warming(bench_on(DynamoDBEndpoint("http://127.0.0.1:1")))
    assert not needs_warming(bench_on(DynamoDBEndpoint("https://a", emulator=False)))
    assert not needs_warming(bench_on(None))


def test_it_makes_the_calls_of_every_access_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[tuple[str, str]] = []
    progress: list[tuple[int, int]] = []

    def recording(driver: str, pattern: str) -> Spec:
        case = Case(lambda: Call(order.append, ((driver, pattern),)))
        return spec(driver, pattern, open_case=lambda _: case)

    specs = [
        recording(driver, pattern)
        for pattern in ("cart.get", "cart.add")
        for driver in ("wire", "boto3")
    ]
    monkeypatch.setattr(module, "access_patterns", lambda: specs)
    asyncio.run(
        warm_target(
            bench_on(None),
            25,
            clocks=Time().clocks,
            rng=rng(),
            on_batches=lambda done, total: progress.append((done, total)),
        )
    )
    assert {driver for driver, _ in order} == {"wire"}
    for pattern in ("cart.get", "cart.add"):
        assert order.count(("wire", pattern)) == 25 + 3 * SETTLING
    assert progress[-1] == (50, 50)
