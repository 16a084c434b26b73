"""PostgreSQL rows as records, and its errors as CallErrors."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.errors import (
    BackendError,
    CallTimeout,
    QuantityRefused,
    ResponseInvalid,
)
from loadtests.model import CartItem, CartSummary, Preferences, SessionData
from loadtests.stores.postgres import rows, sql
from tests.stores.records import NOW, SESSION


def test_reading() -> None:
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
def test_rows_of_another_shape_are_invalid(read: Callable[[], object]) -> None:
    with pytest.raises(ResponseInvalid):
        read()


@given(st.decimals("0", "99999999.99", places=2), st.integers(0, 9900))
def test_a_summary_comes_back_to_the_cent(amount: Decimal, count: int) -> None:
    text = rows.summary_to_json(CartSummary(count, amount, NOW))
    stored = json.loads(text, parse_float=Decimal)  # the digits as PostgreSQL gets them
    assert stored["total_amount"] == amount
    row = [*sql.create_session(SESSION).parameters]
    row[3] = text
    session = rows.read_session([row])
    assert session is not None
    assert session.cart_summary == CartSummary(count, amount, NOW)


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
def test_refusals_have_postgresqls_names(
    sqlstate: str, constraint: str | None, error: type[Exception], name: str
) -> None:
    call_error = rows.call_error(sqlstate, "what it said", constraint=constraint)
    assert (type(call_error), call_error.name) == (error, name)


def test_text_that_is_no_json_is_a_named_error() -> None:
    with pytest.raises(BackendError):
        rows.data_to_json(SessionData(Preferences("\ud800", "en", "USD"), (), ()))
