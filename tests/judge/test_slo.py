from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loadtests.config import Slo, load_config
from loadtests.errors import ConfigError
from loadtests.judge.slo import expected_series, limits_of
from loadtests.measure.results import RunConfig, RunInfo, SeriesInfo
from loadtests.patterns import CART_PATTERNS, CLOUDSHELF_PATTERNS
from tests.known import known

NESTED = """
[slo]
p50_ms = 4
p99_ms = 10
"p99.9_ms" = 50
[slo.patterns."cart.get"]
p99_ms = 9
p50_ms = 3
[slo.backends.dynamodb]
p99_ms = 8
metric = "wire_time"
[slo.backends.dynamodb.patterns."cart.get"]
p99_ms = 7
"""


def slo_of(tmp_path: Path, text: str) -> Slo:
    file = tmp_path / "loadtests.toml"
    file.write_text(text)
    return known(load_config(environ={}, path=file).slo)


def test_the_narrowest_limit_wins_and_the_rest_is_inherited(tmp_path: Path) -> None:
    slo = slo_of(tmp_path, NESTED)
    assert slo.limits_for("postgres", "cart.add").p99_ms == 10
    assert slo.limits_for("postgres", "cart.get").p99_ms == 9
    assert slo.limits_for("dynamodb", "cart.add").p99_ms == 8
    narrowest = slo.limits_for("dynamodb", "cart.get")
    assert (narrowest.p99_ms, narrowest.p50_ms, narrowest.p999_ms) == (7, 3, 50)
    assert narrowest.metric == "wire_time"
    assert slo.limits_for("postgres", "cart.get").metric == "response_time"
    assert narrowest.error_rate == 0.001  # the default, named nowhere


def series(
    backend: str = "dynamodb", driver: str = "wire", pattern: str = "cart.get"
) -> SeriesInfo:
    return SeriesInfo(backend=backend, driver=driver, pattern=pattern, count=1)


def test_every_limit_becomes_one_decision(tmp_path: Path) -> None:
    found = limits_of([series()], slo_of(tmp_path, NESTED), relative=True)
    assert [(one.statistic, one.unit, one.limit) for one in found] == [
        ("p50", "ms", 3),
        ("p99", "ms", 7),
        ("p99.9", "ms", 50),
        ("error_rate", "share", 0.001),
        ("p50_ratio", "ratio", 1.10),
        ("p99_ratio", "ratio", 1.20),
    ]
    assert {one.metric for one in found} == {"wire_time"}
    absolute = limits_of([series()], slo_of(tmp_path, NESTED), relative=False)
    assert [one.statistic for one in absolute] == ["p50", "p99", "p99.9", "error_rate"]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[slo]\np99_ms = 0", "slo.p99_ms"),
        ("[slo]\np99_ms = -1", "slo.p99_ms"),
        ("[slo]\np99_ms = nan", "slo.p99_ms"),
        ("[slo]\np99_ms = inf", "slo.p99_ms"),
        ("[slo]\nerror_rate = 0", "slo.error_rate"),
        ("[slo]\nerror_rate = nan", "slo.error_rate"),
        ("[slo]\np98_ms = 5", "slo.p98_ms"),
        ('[slo]\nmetric = "latency"', "slo.metric"),
        ('[slo.patterns."cart..get"]\np99_ms = 5', "cart..get"),
        ("[slo.backends.mysql]\np99_ms = 5", "mysql"),
        ('[slo.backends.dynamodb.patterns."cart.get"]\n"p99.9_ms" = 0', "p99.9_ms"),
        ("[slo.relative]\np99 = 0", "slo.relative.p99"),
        ("[slo.relative]\np99_ms = 1", "slo.relative.p99_ms"),
        ("[gate]\nconfidence = 1", "gate.confidence"),
        ("[gate]\nmax_extension = -1", "gate.max_extension"),
        ("[gate]\nbudget = 3", "gate.budget"),
    ],
)
def test_a_limit_that_makes_no_sense_is_named(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        slo_of(tmp_path, text)
    assert caught.value.exit_code == 2
    assert key in caught.value.message


def info(
    scenario: str,
    backend: str | None = None,
    listed: list[SeriesInfo] | tuple[()] = (),
    **config: Any,
) -> RunInfo:
    if backend:
        config["load"] = {"backend": backend}
    return RunInfo(
        id="x",
        scenario=scenario,
        state="complete",
        started_at="",
        config=RunConfig.model_validate(config),
        series=list(listed),
    )


def test_what_a_scenario_had_to_measure() -> None:
    cart = expected_series(info("cart", "both"))
    assert cart == [(b, p) for b in ("dynamodb", "postgres") for p in CART_PATTERNS]
    assert len(expected_series(info("storefront", "postgres"))) == len(CLOUDSHELF_PATTERNS)


def test_in_a_scenario_of_ones_own_every_backend_owes_what_any_measured() -> None:
    listed = [series(pattern="cart.get"), series(pattern="session.get")]
    assert expected_series(info("mine", "both", listed)) == [
        ("dynamodb", "cart.get"),
        ("dynamodb", "session.get"),
        ("postgres", "cart.get"),
        ("postgres", "session.get"),
    ]


def test_patterns_named_in_the_run_are_what_it_owes() -> None:
    assert expected_series(info("cart", "dynamodb", patterns=["cart.get"])) == [
        ("dynamodb", "cart.get")
    ]


def test_a_class_may_serve_one_backend_only() -> None:
    """The product of backends and patterns would miss searches on DynamoDB."""
    mixed = info(
        "cart+search",
        "both",
        patterns=["catalogue.search", "cart.get"],
        served={
            "postgres/psycopg": ["catalogue.search", "cart.get"],
            "dynamodb/wire": ["cart.get"],
        },
    )
    assert expected_series(mixed) == [
        ("dynamodb", "cart.get"),
        ("postgres", "catalogue.search"),
        ("postgres", "cart.get"),
    ]


def test_any_pattern_may_have_limits(tmp_path: Path) -> None:
    slo = slo_of(tmp_path, '[slo.patterns."catalogue.search"]\np99_ms = 3\n')
    own = series(pattern="catalogue.search")
    assert [one.limit for one in limits_of([own], slo, relative=False)] == [3, 0.001]
