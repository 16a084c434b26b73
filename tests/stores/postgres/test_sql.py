"""Access patterns as statements and parameters."""

from __future__ import annotations

from datetime import timedelta

import pytest

from loadtests.errors import (
    LineNotFound,
    QuantityRefused,
    SessionNotFound,
)
from loadtests.stores.postgres import sql
from tests.stores.records import BOOK, NOW, SESSION, SUMMARY

QUERIES = (
    sql.get_cart("u"),
    sql.get_line("u", "b"),
    sql.add_line("u", BOOK, 1, NOW),
    sql.update_line("u", "b", 1, NOW),
    sql.remove_line("u", "b"),
    sql.create_session(SESSION),
    sql.get_session("s", NOW),
    sql.refresh_session("s", NOW),
    sql.store_summary("s", SUMMARY, NOW),
)


def test_nine_statements_each_with_all_its_parameters() -> None:
    assert len({query.statement for query in QUERIES}) == 9
    for query in QUERIES:
        for number in range(1, len(query.parameters) + 1):
            assert f"${number}" in query.statement
        assert f"${len(query.parameters) + 1}" not in query.statement


def test_what_no_rows_mean() -> None:
    meanings = [query.missing and type(query.missing()) for query in QUERIES]
    assert meanings == [
        None,
        None,
        QuantityRefused,
        LineNotFound,
        LineNotFound,
        None,
        None,
        SessionNotFound,
        SessionNotFound,
    ]


@pytest.mark.parametrize("quantity", [-1, 0, 100])
def test_quantities_are_refused_before_anything_is_sent(quantity: int) -> None:
    with pytest.raises(QuantityRefused):
        sql.add_line("u", BOOK, quantity, NOW)
    with pytest.raises(QuantityRefused):
        sql.update_line("u", "b", quantity, NOW)


def test_a_refreshed_session_lives_24_hours_in_whole_seconds() -> None:
    now, expires = sql.refresh_session("s", NOW).parameters[1:]
    assert now == NOW
    assert expires == NOW.replace(microsecond=0) + timedelta(days=1)
