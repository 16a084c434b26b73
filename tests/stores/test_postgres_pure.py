"""Statements, rows and refusals of PostgreSQL, without a PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.errors import (
    BackendError,
    CallTimeout,
    LineNotFound,
    QuantityRefused,
    ResponseInvalid,
    SessionNotFound,
)
from loadtests.model import Book, CartItem, CartSummary, Preferences, Session, SessionData
from loadtests.stores.postgres import rows, sql
from loadtests.stores.postgres.asyncpg import to_uri

NOW = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
BOOK = Book("b", "t", Decimal("9.50"), "i")
DATA = SessionData(Preferences("dark", "en", "USD"), ("b", "猫"), ("",))
SUMMARY = CartSummary(3, Decimal("94.97"), NOW)
SESSION = Session("s", "u", DATA, SUMMARY, NOW, NOW, int(NOW.timestamp()) + 86_400, "::1", "ua")

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


def test_nine_statements_each_with_all_its_parameters():
    assert len({query.statement for query in QUERIES}) == 9
    for query in QUERIES:
        for number in range(1, len(query.parameters) + 1):
            assert f"${number}" in query.statement
        assert f"${len(query.parameters) + 1}" not in query.statement


def test_what_no_rows_mean():
    meanings = [query.missing and type(query.missing()) for query in QUERIES]
    assert meanings == [
        None, None, QuantityRefused, LineNotFound, LineNotFound,
        None, None, SessionNotFound, SessionNotFound,
    ]  # fmt: skip


@pytest.mark.parametrize("quantity", [-1, 0, 100])
def test_quantities_are_refused_before_anything_is_sent(quantity):
    with pytest.raises(QuantityRefused):
        sql.add_line("u", BOOK, quantity, NOW)
    with pytest.raises(QuantityRefused):
        sql.update_line("u", "b", quantity, NOW)


def test_a_refreshed_session_lives_24_hours_in_whole_seconds():
    now, expires = sql.refresh_session("s", NOW).parameters[1:]
    assert now == NOW
    assert expires == NOW.replace(microsecond=0) + timedelta(days=1)


def test_reading():
    row = ("u", "b", 2, NOW, NOW, "t", Decimal("29.99"), "i")
    assert rows.read_lines([row]) == [CartItem(*row)]
    assert rows.read_line([row]) == CartItem(*row)
    assert rows.read_line([]) is None
    assert rows.read_quantity([(7,)]) == 7
    assert rows.read_session([]) is None
    assert rows.read_session([sql.create_session(SESSION).parameters]) == SESSION


@pytest.mark.parametrize(
    "read",
    [
        lambda: rows.read_lines([("u",)]),
        lambda: rows.read_quantity([]),
        lambda: rows.read_quantity([("x",)]),
        lambda: rows.read_session([("s",)]),
        lambda: rows.read_session([("s", "u", "{}", "{}", NOW, NOW, NOW, "", "")]),
        lambda: rows.read_session([("s", "u", "no JSON", "{}", NOW, NOW, NOW, "", "")]),
    ],
)
def test_rows_of_another_shape_are_invalid(read):
    with pytest.raises(ResponseInvalid):
        read()


@given(st.decimals("0", "99999999.99", places=2), st.integers(0, 9900))
def test_a_summary_comes_back_to_the_cent(amount, count):
    text = rows.summary_to_json(CartSummary(count, amount, NOW))
    stored = json.loads(text, parse_float=Decimal)  # the digits as PostgreSQL gets them
    assert stored["total_amount"] == amount
    row = [*sql.create_session(SESSION).parameters]
    row[3] = text
    assert rows.read_session([row]).cart_summary == CartSummary(count, amount, NOW)


@pytest.mark.parametrize(
    ("sqlstate", "constraint", "error", "name"),
    [
        ("23503", None, BackendError, "ForeignKeyViolation"),
        ("57P01", None, BackendError, "AdminShutdown"),
        ("53300", None, BackendError, "TooManyConnections"),
        ("08006", None, BackendError, "ConnectionLost"),
        ("57014", None, CallTimeout, "CallTimeout"),
        ("23514", "carts_quantity_1_to_99", QuantityRefused, "QuantityRefused"),
        ("23514", "books_price_check", BackendError, "CheckViolation"),
        ("ZZ999", None, BackendError, "SQLSTATE ZZ999"),
    ],
)
def test_refusals_have_postgresqls_names(sqlstate, constraint, error, name):
    found = rows.call_error(sqlstate, "what it said", constraint=constraint)
    assert (type(found), found.name) == (error, name)


def test_text_that_is_no_json_is_a_named_error():
    with pytest.raises(BackendError):
        rows.data_to_json(SessionData(Preferences("\ud800", "en", "USD"), (), ()))


def test_a_uri_stays_as_it_is():
    dsn = "postgresql://u:p@h:1/d?sslmode=require"
    assert to_uri(dsn) == dsn


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


@given(user=words, password=words, dbname=words)
def test_a_keyword_dsn_as_a_uri_says_the_same(user, password, dbname):
    given_ = {"host": "127.0.0.1", "port": "5433", "user": user, "password": password}
    dsn = make_conninfo(**given_, dbname=dbname)
    assert conninfo_to_dict(to_uri(dsn)) == {**given_, "dbname": dbname}
