from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.config import Config, Load
from loadtests.errors import UsageError
from loadtests.load.schedule.alternation import Alternation
from loadtests.load.schedule.arrivals import dispatcher_seed
from loadtests.load.subjects import (
    alternation_of,
    arrivals_seed,
    qualified,
    recorded,
    run_subjects,
)
from loadtests.measure.results import Key
from loadtests.patterns import BACKENDS
from loadtests.targets.endpoints import Endpoints

HERE = __name__


def made(endpoints: Endpoints) -> None:
    raise NotImplementedError


made.backend = "postgres"  # type: ignore[attr-defined]


def silent(endpoints: Endpoints) -> None:
    raise NotImplementedError


def config(subjects: str = "", **load: Any) -> Config:
    return Config(load=Load(subjects=subjects, **load))


def names(subjects: str, **load: Any) -> list[tuple[str, str, str, int]]:
    return [
        (s.backend, s.client, s.driver, s.index) for s in run_subjects(config(subjects, **load))
    ]


@pytest.mark.parametrize("driver", ["wire", "boto3"])
@pytest.mark.parametrize("backend", ["both", *BACKENDS])
def test_without_subjects_each_backend_has_its_driver(driver: str, backend: str) -> None:
    wanted = BACKENDS if backend == "both" else (backend,)
    drivers = {"dynamodb": driver, "postgres": "psycopg"}
    assert names("", backend=backend, driver=driver) == [
        (subject, drivers[subject], drivers[subject], i) for i, subject in enumerate(wanted)
    ]


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("wire boto3", ("dynamodb", "wire"), ("dynamodb", "boto3")),
        ("postgres dynamodb", ("postgres", "psycopg"), ("dynamodb", "wire")),
        ("dynamodb/boto3 psycopg", ("dynamodb", "boto3"), ("postgres", "psycopg")),
        ("aioboto3 asyncpg", ("dynamodb", "aioboto3"), ("postgres", "asyncpg")),
        (f"{HERE}:made wire", ("postgres", f"{HERE}:made"), ("dynamodb", "wire")),
        (f"dynamodb/{HERE}:silent wire", ("dynamodb", f"{HERE}:silent"), ("dynamodb", "wire")),
    ],
)
def test_a_subject_is_a_driver_a_backend_both_or_a_factory(
    text: str, first: tuple[str, str], second: tuple[str, str]
) -> None:
    assert [subject[:2] for subject in names(text)] == [first, second]


def test_a_backend_alone_means_the_driver_that_is_set() -> None:
    assert names("dynamodb wire", driver="boto3")[0][:2] == ("dynamodb", "boto3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wire", "Two subjects are compared, not 1"),
        ("wire boto3 psycopg", "not 3"),
        ("wire jdbc", "'jdbc' is no subject: there is no such driver"),
        ("wire asyncpgs", "'asyncpgs' is no subject: there is no such driver"),
        ("oracle/wire boto3", "'oracle' in oracle/wire is no backend"),
        ("postgres/wire boto3", "the driver wire calls dynamodb"),
        (f"{HERE}:silent wire", "does not declare its backend"),
        ("a.b:c-d wire", "is not the name of a store factory"),
        ("dynamodb/a.b:é dynamodb/a.b:è", "would have one name in the results"),
        ("/wire boto3", "'' in /wire is no backend"),
    ],
)
def test_what_means_nothing_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run_subjects(config(text))


def test_a_driver_may_be_a_factory_of_the_backend_that_it_calls() -> None:
    own = f"{HERE}:made"
    assert names("", driver=own) == [
        ("dynamodb", "wire", "wire", 0),
        ("postgres", own, f"{HERE}-made", 1),
    ]
    other = f"dynamodb/{HERE}:silent"
    assert [name[1] for name in names("", driver=other)] == [f"{HERE}:silent", "psycopg"]
    assert names("postgres boto3", driver=own)[0][1] == own
    load = qualified(config(driver=own, backend="postgres")).load
    assert (load.driver, load.subjects) == (f"postgres/{own}", "")


def test_a_subject_against_itself_has_two_names() -> None:
    assert names("wire wire") == [
        ("dynamodb", "wire", "wire", 0),
        ("dynamodb", "wire", "wire-2", 1),
    ]


@given(st.from_regex(r"[a-z_][a-z0-9_]{0,8}(\.[a-zß_]{1,5}){0,3}:[A-Za-zé_]{1,9}", fullmatch=True))
def test_a_factorys_series_have_a_name_that_the_log_and_files_take(name: str) -> None:
    driver = run_subjects(config(f"dynamodb/{name} boto3"))[0].driver
    tag = Key("dynamodb", driver, "cart.get", "response_time").tag
    assert Key.parse(tag).driver == driver
    assert tag.isascii()
    assert not set(driver) & set("/\\:,;*?\"<>| '\n")


@pytest.mark.parametrize(
    ("subjects", "blocks", "turns"),
    [
        ("", None, None),
        ("dynamodb postgres", None, None),
        ("dynamodb/boto3 postgres", None, Alternation(1, 4)),
        ("wire boto3", None, Alternation(1, 4)),
        ("wire wire", None, Alternation(1, 4)),
        (f"{HERE}:made wire", None, Alternation(1, 4)),
        ("dynamodb postgres", 5, Alternation(5, 4)),
        ("wire boto3", 0, None),
    ],
)
def test_turns_unless_two_backends_are_called_leanly(
    subjects: str, blocks: int | None, turns: Alternation | None
) -> None:
    assert alternation_of(config(subjects, blocks=blocks, seed=4)) == turns


def test_arrivals_are_the_same_in_turns_and_never_side_by_side() -> None:
    def seeds(asked: Config) -> list[int]:
        return [arrivals_seed(asked, s, n) for s in run_subjects(asked) for n in (0, 1)]

    assert seeds(config("wire boto3")) == [dispatcher_seed(1, n, "dynamodb") for n in (0, 1)] * 2
    assert len(set(seeds(config("wire boto3", blocks=0)))) == 4
    # two backends as in a gate's run
    assert seeds(config("dynamodb postgres")) == seeds(config())
    assert seeds(config()) == [dispatcher_seed(1, n, b) for b in BACKENDS for n in (0, 1)]


def test_qualified_says_all_there_is_to_know_without_an_import() -> None:
    load = qualified(config(f"{HERE}:made boto3")).load
    assert load.subjects == f"postgres/{HERE}:made dynamodb/boto3"
    assert load.backend == "both"
    assert qualified(config("wire boto3")).load.backend == "dynamodb"
    assert qualified(qualified(config("postgres psycopg"))).load.backend == "postgres"
    assert qualified(config(backend="postgres")) == config(backend="postgres")


def test_the_record_of_a_run_without_subjects_names_no_subjects() -> None:
    assert set(recorded(config(), 60)["load"]) == {
        "backend", "driver", "rate", "arrivals", "warm_up", "run_time", "seed",
        "zipf_exponent",
    }  # fmt: skip
    assert set(recorded(config(), 60)) == {"load"}


def test_the_record_of_turns_lists_the_blocks() -> None:
    record = recorded(config("wire boto3", warm_up=4.0), 11)
    assert record["load"]["blocks"] == 1
    assert [block["start_s"] for block in record["blocks"]] == [4, 5, 6, 7, 8, 9]
    assert {block["subject"] for block in record["blocks"]} == {"dynamodb/wire", "dynamodb/boto3"}
    assert "blocks" not in recorded(config("dynamodb postgres"), 60)
    assert recorded(config("dynamodb postgres"), 60)["load"]["blocks"] == 0
