from __future__ import annotations

import pytest

from loadtests.cli.runs.interleave import _advice
from loadtests.config import Config, Load


def advice(subjects: str, run_time: float = 100) -> str:
    return _advice(Config(load=Load(subjects=subjects, run_time=run_time, warm_up=0)))


@pytest.mark.parametrize("subjects", ["wire boto3", "aioboto3 asyncpg", "postgres/a.b:c psycopg"])
def test_a_long_run_of_two_equal_kinds_of_clients_needs_no_advice(subjects: str) -> None:
    assert advice(subjects) == ""


def test_the_metric_is_named_where_one_client_has_a_thread_of_its_own() -> None:
    assert advice("psycopg asyncpg").startswith("Response times through asyncpg contain")
    assert advice("aioboto3 wire").endswith("(--metric service_time) do not.")
    assert advice("aioboto3 wire", run_time=8).startswith("4 pairs of blocks are measured")
