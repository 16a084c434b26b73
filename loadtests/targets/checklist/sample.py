"""The set-up guide's sample cart item and session, under keys unique to one verification.

Unique keys, because readers of the guide create the sample by hand, and theirs must stay.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from importlib import resources
from typing import Any
from uuid import UUID

from loadtests.model import (
    SESSION_LIFE_S,
    Book,
    CartItem,
    CartSummary,
    Preferences,
    Session,
    SessionData,
    User,
    from_iso,
)

JsonObject = dict[str, Any]  # the packaged sample, whose types are known


def sample_user(unique: UUID, now: datetime) -> User:
    """The user that the sample belongs to."""
    return User(str(unique), f"verify-{unique}@example.com", "Verify", now)


def sample_cart(unique: UUID) -> tuple[CartItem, ...]:
    """The guide's line, and one of another book, so that a query returns more than one."""
    content = _load("cart_item.json")
    line = CartItem(
        user_id=str(unique),
        book_id=f"{content['book_id']}-{unique}",
        quantity=content["quantity"],
        added_at=from_iso(content["added_at"]),
        updated_at=from_iso(content["updated_at"]),
        book_title=content["book_title"],
        book_price=content["book_price"],
        book_image_url=content["book_image_url"],
    )
    return line, replace(line, book_id=f"{line.book_id}-2", book_title="Žítkovské bohyně 📚")


def sample_books(cart: tuple[CartItem, ...]) -> tuple[Book, ...]:
    """The books of `cart`."""
    return tuple(
        Book(item.book_id, item.book_title, item.book_price, item.book_image_url) for item in cart
    )


def sample_session(unique: UUID, now: datetime, *, begun_s_ago: int = 0) -> Session:
    """The guide's session, ending 24 h after it began (the guide's own expiry is in the past)."""
    content = _load("session.json")
    data, summary = content["session_data"], content["cart_summary"]
    return Session(
        session_id=f"{content['session_id']}-{unique}-{begun_s_ago}",
        user_id=str(unique),
        session_data=SessionData(
            Preferences(**data["preferences"]),
            tuple(data["browsing_history"]),
            tuple(data["search_history"]),
        ),
        cart_summary=CartSummary(
            summary["item_count"], summary["total_amount"], from_iso(summary["last_updated"])
        ),
        last_activity=from_iso(content["last_activity"]),
        created_at=from_iso(content["created_at"]),
        expires_at=int(now.timestamp()) - begun_s_ago + SESSION_LIFE_S,
        ip_address=content["ip_address"],
        user_agent=content["user_agent"],
    )


def _load(name: str) -> JsonObject:
    text = resources.files(__package__).joinpath("samples", name).read_text(encoding="utf-8")
    content: JsonObject = json.loads(text, parse_float=Decimal)
    return content
