"""Names of access patterns: their form, their order, and what earlier runs measured."""

from __future__ import annotations

import pytest

from loadtests.patterns import (
    CART_PATTERNS,
    CLOUDSHELF_PATTERNS,
    in_order,
    is_pattern_name,
    patterns_of_earlier_run,
)


@pytest.mark.parametrize("name", [*CLOUDSHELF_PATTERNS, "a", "a1_.b2.c", "a" * 64])
def test_names_of_the_form(name: str) -> None:
    assert is_pattern_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "A", "a.B", "1a", "a.1", "_a", "a-b", "a/b", "ä", "a\n"]
)
def test_names_of_another_form(name: str) -> None:
    assert not is_pattern_name(name)
    assert not is_pattern_name(f"{'a' * 65}")


def test_the_declared_order_comes_first_and_then_the_alphabet() -> None:
    measured = ["cart.add", "b", "session.get", "a", "cart.get"]
    assert in_order(measured, ["session.get", "cart.add", "unused"]) == [
        *("session.get", "cart.add", "a", "b", "cart.get"),
    ]
    assert in_order(measured, None) == ["cart.get", "cart.add", "session.get", "a", "b"]


def test_what_a_run_of_an_earlier_version_measured() -> None:
    assert patterns_of_earlier_run("cart") == CART_PATTERNS
    assert patterns_of_earlier_run("session+cart") == CLOUDSHELF_PATTERNS
    assert patterns_of_earlier_run("cart+mine") is None
