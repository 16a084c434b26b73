"""How two records are compared."""

from __future__ import annotations

import uuid
from dataclasses import replace

from loadtests.targets.checklist.check import compare
from loadtests.targets.checklist.sample import sample_cart

UNIQUE = uuid.UUID("00000000-0000-4000-8000-000000000001")


def test_a_comparison_names_the_fields_that_differ() -> None:
    line = sample_cart(UNIQUE)[0]
    assert compare(line, line) == (True, "all 8 fields as written")
    assert compare(None, line) == (False, "it does not exist")
    other = replace(line, quantity=3, book_title="x")
    assert compare(other, line) == (False, "differs in quantity, book_title")
