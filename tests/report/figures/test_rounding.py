from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.report.figures.rounding import (
    beside,
    change,
    change_span,
    clean,
    digits,
    dollars,
    milliseconds,
    percent,
    plain,
    seconds,
    span,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0004567, "0.000457"),
        (0.999, "0.999"),
        (0.9996, "1.00"),
        (1.234, "1.23"),
        (9.996, "10.0"),
        (12.34, "12.3"),
        (99.96, "100"),
        (1234, "1,230"),
        (1_000_000, "1,000,000"),
        (-1.5, "-1.50"),
        (math.inf, "–"),
        (math.nan, "–"),
    ],
)
def test_three_significant_digits(value: float, text: str) -> None:
    assert digits(value) == text


@given(st.floats(1e-6, 1e9))
def test_digits_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    shown = Decimal(digits(value).replace(",", ""))
    exact = Decimal(value)
    unit = Decimal(10) ** (exact.adjusted() - 2)
    assert abs(shown - exact) <= unit / 2 * Decimal("1.0000001")
    assert "e" not in digits(value)


@given(st.floats(0.5, 50), st.floats(1e-7, 1e-2), st.booleans())
def test_a_value_never_rounds_onto_or_across_its_limit(
    limit: float, near: float, above: bool
) -> None:
    value = limit * (1 + near if above else 1 - near)
    shown = float(beside(value, limit).replace(",", ""))
    assert (shown > limit) == (value > limit)


def test_beside_shows_more_digits_only_where_needed() -> None:
    assert beside(9.9984, 10.0) == "9.998"
    assert beside(9.9984, None) == "10.0"
    assert milliseconds(7.1234, 10.0).text == "7.12 ms"
    assert milliseconds(None).text == "–"
    assert milliseconds(9_994.0).text == "9,990 ms"
    assert milliseconds(11_274.0, 10.0).text == "11.3 s"
    assert milliseconds(12_345_678.0).text == "12,300 s"
    assert milliseconds(11_274.0, 11_300.0).text == "11.27 s"


def test_an_open_end_is_said_to_be_open() -> None:
    assert span(1.0, 2.0) == "1.00–2.00 ms"
    assert span(1.0, None) == "≥ 1.00 ms"
    assert span(None, 2.0) == "≤ 2.00 ms"
    assert span(1.0, math.inf) == "≥ 1.00 ms"
    assert span(None, None) == ""
    assert span(2_900.0, 11_660.0) == "2.90–11.7 s"
    assert span(11_660.0, None) == "≥ 11.7 s"


def test_growth() -> None:
    assert change(0.0412).text == "+4.1%"
    assert change(-0.0412).text == "−4.1%"
    assert change(0.4).text == "+40%"
    assert change(0.0001).text == "±0%"
    assert change_span(0.01, None) == "≥ +1.0%"
    assert change_span(None, 0.01) == "≤ +1.0%"
    assert change_span(0.01, 0.2) == "+1.0% to +20%"
    assert change_span(None, None) == ""


def test_smaller_things() -> None:
    assert plain(10.0) == "10"
    assert plain(0.5) == "0.5"
    assert plain(2000) == "2,000"
    assert percent(0).text == "0"
    assert percent(0.00123).text == "0.12%"
    assert dollars(0.0625).text == "$0.0625"
    assert dollars(1234.5).text == "$1,234.50"
    assert seconds(70) == "70 s"
    assert seconds(630) == "10 min 30 s"


@given(st.text())
def test_clean_is_one_printable_line_fit_for_xml(text: str) -> None:
    shown = clean(text)
    assert "\n" not in shown
    assert len(shown) <= 200
    assert all(char >= " " and char not in "\x7f\u202e\u2066\ufffe\uffff" for char in shown)
    assert not any(0xD800 <= ord(char) <= 0xDFFF for char in shown)


def test_clean_leaves_names_alone_and_cuts_long_ones() -> None:
    assert clean("session.store_summary") == "session.store_summary"
    assert clean("a\r\nb\x00") == "a  b�"
    assert clean("x" * 500, longest=10) == "x" * 9 + "…"
