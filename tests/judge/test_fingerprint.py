from __future__ import annotations

from typing import Any

import pytest

from loadtests.errors import ResultsError
from loadtests.judge.fingerprint import differences, fingerprint, refuse_differences
from loadtests.measure.results import EnvironmentInfo, RunConfig, RunInfo, SeriesInfo, TargetInfo

INFO = RunInfo(
    id="a",
    scenario="cart",
    state="complete",
    started_at="2026-03-02T09:30:00Z",
    config=RunConfig.model_validate(
        {"load": {"rate": 500.0, "seed": 1, "run_time": 80.0, "driver": "wire"}, "workers": 1}
    ),
    environment=EnvironmentInfo.model_validate(
        {"cpu": "X", "kernel": "6.1", "packages": {"locust": "2.47"}}
    ),
    targets={
        "dynamodb": TargetInfo.model_validate(
            {"label": "DynamoDB Local", "emulator": True, "url": "http://x:1"}
        )
    },
    series=[SeriesInfo(backend="dynamodb", driver="wire", pattern="cart.get", count=1)],
)


def changed(
    **parts: Any,
) -> RunInfo:
    return RunInfo.model_validate({**INFO.model_dump(by_alias=True), "id": "b", **parts})


def test_seed_length_and_an_emulators_port_do_not_matter() -> None:
    other = changed(
        config={
            "load": {"rate": 500.0, "seed": 2, "run_time": 9.0, "driver": "wire"},
            "workers": 1,
        },
        targets={"dynamodb": {"label": "DynamoDB Local", "emulator": True, "url": "http://x:2"}},
    )
    assert differences(INFO, other) == []


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({"scenario": "session"}, "scenario: cart, session"),
        (
            {"environment": {"cpu": "Y", "kernel": "6.1", "packages": {"locust": "2.47"}}},
            "environment.cpu: X, Y",
        ),
        (
            {"environment": {"cpu": "X", "kernel": "6.1"}},
            "environment.packages.locust: 2.47, absent",
        ),
        ({"series": []}, "drivers: dynamodb/wire, "),
    ],
)
def test_what_differs_is_named(parts: dict[str, Any], line: str) -> None:
    assert line in differences(INFO, changed(**parts))
    with pytest.raises(ResultsError) as caught:
        refuse_differences(INFO, changed(**parts), "baseline main")
    assert line in caught.value.message
    assert "baseline main" in caught.value.message
    assert caught.value.hint


def test_a_real_databases_address_matters() -> None:
    a = changed(targets={"dynamodb": {"label": "DynamoDB", "emulator": False, "url": "aws"}})
    b = changed(targets={"dynamodb": {"label": "DynamoDB", "emulator": False, "url": "http://y"}})
    assert differences(a, b) == ["targets.dynamodb.url: aws, http://y"]


def test_all_fields_have_text() -> None:
    assert all(isinstance(value, str) for value in fingerprint(INFO).values())


def test_half_a_cpu_is_another_machine_than_two_whole_ones() -> None:
    """A baseline of the whole machine must not judge a run in a smaller container."""
    whole = changed(environment={"cpu": "X", "cores": 2, "effective_cpus": 2.0})
    half = changed(environment={"cpu": "X", "cores": 2, "effective_cpus": 0.5})
    assert differences(half, whole) == ["environment.effective_cpus: 0.5, 2.0"]


def test_a_run_from_before_effective_cpus_had_all_of_its_cores() -> None:
    old = changed(environment={"cpu": "X", "cores": 2})
    new = changed(environment={"cpu": "X", "cores": 2, "effective_cpus": 2})
    assert differences(old, new) == []


def test_a_run_that_says_what_it_called_compares_with_one_of_an_earlier_version() -> None:
    load = {"rate": 500.0, "backend": "dynamodb"}
    old = changed(config={"load": load})
    patterns = ["cart.get", "cart.get_item", "cart.add", "cart.update", "cart.remove"]
    new = changed(
        config={"load": load, "patterns": patterns, "served": {"dynamodb/wire": patterns}}
    )
    assert differences(old, new) == []
    reordered = changed(
        config={"load": load, "patterns": patterns[::-1], "served": {"dynamodb/wire": patterns}}
    )
    assert differences(new, reordered) == []


def test_other_patterns_are_other_conditions() -> None:
    def served(*patterns: str) -> RunInfo:
        return changed(config={"patterns": patterns, "served": {"postgres/psycopg": patterns}})

    assert differences(served("a"), served("a", "b")) == [
        "patterns: postgres a, postgres a, postgres b"
    ]
