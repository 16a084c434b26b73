"""The seeded catalogue, users, carts, sessions and orders: pure, the same on both backends.

Keys and contents depend only on the seed and the sizes; only times depend on `now`. So seeding
again at any later time writes the same keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final
from uuid import UUID

from loadtests.config import Data
from loadtests.model import (
    SESSION_LIFE_S,
    Book,
    CartItem,
    CartSummary,
    Order,
    Preferences,
    Session,
    SessionData,
    User,
)

_IMAGES: Final = "https://cloudshelf-images.s3.amazonaws.com/books"
_SUBJECTS: Final = (
    "DevOps",
    "Cloud Architecture",
    "Distributed Systems",
    "Data Modelling",
    "Type Theory",
    "Queueing",
    "Observability",
    "Compilers",
    "Bread Baking",
    "Medieval Maps",
    "Alpine Flowers",
    "Chess Endgames",
    "Lighthouses",
    "Tide Tables",
    "Watercolour",
    "Jazz Harmony",
)
_TITLE_FORMS: Final = (
    "The {} Handbook",
    "Learning {}",
    "{} in Practice",
    "A Short History of {}",
    "{} by Example",
    "The Art of {}",
    "{}: A Field Guide",
    "Advanced {}",
    "Notes on {}",
    "{} for the Curious",
)
_WORLD_TITLES: Final = (
    "L’Été à la bibliothèque",
    "Die Verwandlung – Erzählung",
    "Сто лет одиночества",
    "吾輩は猫",
    "三体",
    "ألف ليلة وليلة",
    "Don Quijote de la Mancha",
    "Žítkovské bohyně",
    "גשר צר",
    "Books 📚 & Tea 🍵",
)
_NAMES: Final = (
    "Ada",
    "Grace",
    "Linus",
    "Zoë",
    "José",
    "Søren",
    "Mei",
    "Olu",
    "Ines",
    "Łukasz",
    "Noor",
    "Yuki",
)
_SEARCHES: Final = (
    "devops",
    "cloud architecture",
    "python",
    "cozy crime",
    "graphic novel",
    "cookbook",
    "poésie",
    "signed first edition",
    "atlas",
    "children 5-7",
    "load testing",
    "café",
)
_AGENTS: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
)
_PREFERENCES: Final = tuple(
    Preferences(theme, language, currency)
    for theme in ("dark", "light")
    for language, currency in (("en", "USD"), ("en", "GBP"), ("de", "EUR"), ("ja", "JPY"))
)
_STATUSES: Final = ("placed", "paid", "shipped", "delivered", "cancelled")
_CENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Dataset:
    """The whole data set; `carts[i]` and `sessions[i]` belong to `users[i]`."""

    books: tuple[Book, ...]
    users: tuple[User, ...]
    carts: tuple[tuple[CartItem, ...], ...]
    sessions: tuple[Session, ...]
    orders: tuple[Order, ...]


def make_dataset(data: Data, seed: int, now: datetime) -> Dataset:
    """Make the whole data set; sessions begin at `now`, all other times are earlier.

    Cart sizes are uniform within half of `data.lines_per_cart` around it, and at most the number of
    books, since the books of a cart are distinct.
    """
    now = now.replace(microsecond=0)
    books = _make_books(Random(f"{seed} books"), data.books)
    users = _make_users(Random(f"{seed} users"), data.users, now)
    carts = _make_carts(Random(f"{seed} carts"), users, books, data.lines_per_cart, now)
    book_ids = tuple(book.book_id for book in books)
    rng = Random(f"{seed} sessions")
    sessions = tuple(
        make_session(
            rng,
            user,
            now,
            book_ids=book_ids,
            cart=cart,
            session_id=f"sess-{seed % 10**8:08d}-{index % 10**6:06d}-{_uuid(rng)}",
        )
        for index, (user, cart) in enumerate(zip(users, carts, strict=True))
    )
    orders = _make_orders(Random(f"{seed} orders"), users, now)
    return Dataset(books, users, carts, sessions, orders)


def make_session(
    rng: Random,
    user: User,
    now: datetime,
    *,
    book_ids: Sequence[str] = (),
    cart: Sequence[CartItem] = (),
    session_id: str | None = None,
) -> Session:
    """Make a session of `user` that begins at `now` and lives 24 h; cheap enough for every call.

    The browsing history is drawn from `book_ids`; the summary is that of `cart`. Without a
    `session_id`, a new one is drawn, in CloudShelf's form `sess-YYYYMMDD-HHMMSS-uuid`.
    """
    pick = rng.random
    viewed = (
        [book_ids[int(pick() * len(book_ids))] for _ in range(int(pick() * 16))] if book_ids else []
    )
    searches = [_SEARCHES[int(pick() * len(_SEARCHES))] for _ in range(int(pick() * 5))]
    return Session(
        session_id=session_id or f"sess-{now:%Y%m%d-%H%M%S}-{_uuid(rng)}",
        user_id=user.user_id,
        session_data=SessionData(
            _PREFERENCES[int(pick() * len(_PREFERENCES))], tuple(viewed), tuple(searches)
        ),
        cart_summary=summarise(cart, now),
        last_activity=now,
        created_at=now,
        expires_at=int(now.timestamp()) + SESSION_LIFE_S,
        ip_address=f"203.0.113.{int(pick() * 254) + 1}",
        user_agent=_AGENTS[int(pick() * len(_AGENTS))],
    )


def summarise(cart: Sequence[CartItem], now: datetime) -> CartSummary:
    """Summarise a cart: `item_count` counts copies, not lines."""
    return CartSummary(
        item_count=sum(item.quantity for item in cart),
        total_amount=sum((item.book_price * item.quantity for item in cart), Decimal("0.00")),
        last_updated=now,
    )


def _uuid(rng: Random) -> str:
    return str(UUID(int=rng.getrandbits(128), version=4))


def _before(rng: Random, now: datetime, days: float) -> datetime:
    return now - timedelta(seconds=int(rng.random() * days * 86_400))


def _make_books(rng: Random, count: int) -> tuple[Book, ...]:
    books = []
    for index in range(count):
        if index % 10 == 9:
            title = _WORLD_TITLES[index // 10 % len(_WORLD_TITLES)]
        else:
            title = rng.choice(_TITLE_FORMS).format(rng.choice(_SUBJECTS))
        edition = index // 100
        book_id = f"book-978{rng.randrange(10**3):03d}{index:07d}"
        books.append(
            Book(
                book_id=book_id,
                title=f"{title}, edition {edition + 1}" if edition else title,
                price=rng.randrange(299, 9_999) * _CENT,
                image_url=f"{_IMAGES}/{book_id.removeprefix('book-')}.jpg",
            )
        )
    return tuple(books)


def _make_users(rng: Random, count: int, now: datetime) -> tuple[User, ...]:
    # The address contains the id, because users of several seeds may share a table, where it is
    # unique.
    user_ids = [_uuid(rng) for _ in range(count)]
    return tuple(
        User(
            user_id=user_id,
            email=f"reader-{user_id}@example.com",
            name=f"{rng.choice(_NAMES)} {rng.choice(_NAMES)}son",
            created_at=_before(rng, now, 700),
        )
        for user_id in user_ids
    )


def _make_carts(
    rng: Random, users: Sequence[User], books: Sequence[Book], mean_lines: int, now: datetime
) -> tuple[tuple[CartItem, ...], ...]:
    spread = mean_lines // 2
    carts = []
    for user in users:
        lines = min(rng.randint(mean_lines - spread, mean_lines + spread), len(books))
        carts.append(tuple(_make_line(rng, user, book, now) for book in rng.sample(books, lines)))
    return tuple(carts)


def _make_line(rng: Random, user: User, book: Book, now: datetime) -> CartItem:
    added_at = _before(rng, now, 30)
    return CartItem(
        user_id=user.user_id,
        book_id=book.book_id,
        quantity=1 + int(rng.random() ** 3 * 5),
        added_at=added_at,
        updated_at=added_at + (now - added_at) * int(rng.random() < 0.3) / 2,
        book_title=book.title,
        book_price=book.price,
        book_image_url=book.image_url,
    )


def _make_orders(rng: Random, users: Sequence[User], now: datetime) -> tuple[Order, ...]:
    return tuple(
        Order(
            order_id=_uuid(rng),
            user_id=user.user_id,
            total_amount=rng.randrange(299, 30_000) * _CENT,
            status=rng.choice(_STATUSES),
            created_at=_before(rng, now, 365),
        )
        for user in users
        for _ in range(rng.randrange(3))
    )
