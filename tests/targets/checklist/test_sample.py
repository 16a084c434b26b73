"""The sample is the set-up guide's, under keys of its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from loadtests.dynamodb_items import session_to_attributes
from loadtests.model import to_iso
from loadtests.targets.checklist.sample import sample_cart, sample_session

SAMPLES = Path(__file__).parents[2] / "samples"


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


UNIQUE = uuid.UUID("00000000-0000-4000-8000-000000000001")


def test_the_sample_is_the_guides_but_for_its_keys() -> None:
    guide = json.loads((SAMPLES / "cart_item.json").read_text(), parse_float=Decimal)
    line = sample_cart(UNIQUE)[0]
    assert line.user_id == str(UNIQUE)
    assert line.book_id.startswith(guide["book_id"])
    assert (line.quantity, line.book_title, line.book_price, line.book_image_url) == (
        guide["quantity"],
        guide["book_title"],
        guide["book_price"],
        guide["book_image_url"],
    )
    assert (to_iso(line.added_at), to_iso(line.updated_at)) == (
        guide["added_at"],
        guide["updated_at"],
    )


def test_the_sample_session_is_the_guides_but_for_its_keys_and_a_right_expiry() -> None:
    guide = json.loads((SAMPLES / "session.json").read_text(), parse_float=Decimal)
    session = sample_session(UNIQUE, NOW)
    attributes = session_to_attributes(session)
    expected = session_to_attributes(
        replace(session, session_id=guide["session_id"], user_id=guide["user_id"])
    )
    assert plain(expected) == guide | {"expires_at": int(NOW.timestamp()) + 86_400}
    assert attributes["session_id"]["S"].startswith(guide["session_id"])
    past = sample_session(UNIQUE, NOW, begun_s_ago=86_400 + 5)
    assert past.expires_at == int(NOW.timestamp()) - 5


def plain(attributes: Mapping[str, Any]) -> dict[str, object]:
    """DynamoDB's JSON without its types."""
    readers: dict[str, Callable[[Any], object]] = {
        "S": str,
        "N": lambda n: Decimal(n) if "." in n else int(n),
        "L": lambda items: [plain({"x": i})["x"] for i in items],
        "M": plain,
    }
    return {
        name: readers[kind](value)
        for name, typed in attributes.items()
        for kind, value in typed.items()
    }


@pytest.mark.parametrize("name", ["cart_item.json", "session.json"])
def test_the_packaged_samples_are_the_guides(name: str) -> None:
    packaged = resources.files("loadtests.targets.checklist").joinpath("samples", name).read_bytes()
    assert packaged == (SAMPLES / name).read_bytes()
