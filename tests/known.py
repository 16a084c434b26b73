"""Tells the type checker, and the reader, that a value is there."""

from __future__ import annotations

from typing import TypeVar

Value = TypeVar("Value")


def known(value: Value | None) -> Value:
    """The value, which must not be None."""
    assert value is not None
    return value
