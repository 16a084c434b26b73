"""Which cart or session each call touches: seeded, skewed, and the same size at the end.

Keys follow Zipf's law (`[load] zipf_exponent`). Each worker of a cluster owns the users whose index
is its own modulo the number of workers, so no two workers write to the same cart. A cart in the
middle of a write is not written again, and what the harness believes of a cart is checked against
every read of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from types import TracebackType
from typing import Final, Self
from uuid import UUID

import numpy as np

from loadtests.config import ZIPF_EXPONENT
from loadtests.errors import CallError, ResponseInvalid, UsageError
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.model import (
    QUANTITY_MAX,
    SESSION_LIFE_S,
    Book,
    CartItem,
    CartSummary,
    Session,
)
from loadtests.targets.seed.dataset import Dataset, make_session

_CHUNK: Final = 512
_TRIES: Final = 16


class Zipf:
    """Seeded draws of 0 … n-1 in which the r-th favourite comes up in proportion to r^-exponent."""

    def __init__(self, n: int, seed: Sequence[int], exponent: float = ZIPF_EXPONENT) -> None:
        self._rng = np.random.default_rng(list(seed))
        weights = np.arange(1, n + 1, dtype=np.float64) ** -exponent
        self._cumulative = np.cumsum(weights) / weights.sum()
        self._favourites = self._rng.permutation(n)
        self._drawn: list[int] = []

    def draw(self) -> int:
        """The next index."""
        if not self._drawn:
            ranks = np.searchsorted(self._cumulative, self._rng.random(_CHUNK), side="right")
            self._drawn = self._favourites[np.minimum(ranks, len(self._favourites) - 1)].tolist()
        return self._drawn.pop()


@dataclass(slots=True, eq=False)
class Cart:
    """What the harness believes a cart holds. Used as a context manager around each write."""

    user_id: str
    lines: dict[str, int]
    busy: bool = False
    known: bool = True
    writes: int = 0

    def __enter__(self) -> Self:
        """Begin a write: nobody else writes to this cart meanwhile."""
        self.busy = True
        self.writes += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it. After a failed write nobody knows what the cart holds until it is read."""
        self.busy = False
        self.writes += 1
        if kind is not None:
            self.known = False

    def check(self, items: list[CartItem], writes_before: int) -> None:
        """Compare a read of the whole cart that began when `writes` stood at `writes_before`.

        Raises ResponseInvalid when the cart was quiet throughout and is not as written.
        """
        if self.busy or self.writes != writes_before:
            return
        lines = {item.book_id: item.quantity for item in items}
        if self.known and lines == self.lines and len(items) == len(lines):
            return
        was_known = self.known
        # what is there now is believed from here on, so that one lost write is one error
        self.lines, self.known = lines, True
        if was_known:
            raise ResponseInvalid(f"cart of {self.user_id} is not as it was written")

    def check_line(self, line: CartItem | None, book_id: str, writes_before: int) -> None:
        """Compare a read of one line likewise. Raises ResponseInvalid."""
        if self.busy or self.writes != writes_before or not self.known:
            return
        if line is None or line.quantity != self.lines.get(book_id):
            self.known = False
            raise ResponseInvalid(f"line {book_id} of {self.user_id} is not as it was written")


@dataclass(slots=True)
class Carts:
    """One worker's carts on one backend."""

    carts: list[Cart]
    books: dict[str, Book]
    zipf: Zipf
    rng: Random
    removed: deque[tuple[Cart, str]] = field(default_factory=deque)

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        seed: int,
        share: WorkerShare,
        zipf_exponent: float = ZIPF_EXPONENT,
    ) -> Carts:
        """The carts whose users this worker owns, as seeded."""
        owned = range(share.index, len(dataset.users), share.count)
        if not owned:
            raise UsageError(
                f"{len(dataset.users)} users cannot be shared among {share.count} workers.",
                hint="Seed more users ([data] users in loadtests.toml) or start fewer workers.",
            )
        carts = [
            Cart(
                dataset.users[i].user_id,
                {item.book_id: item.quantity for item in dataset.carts[i]},
            )
            for i in owned
        ]
        seeds = (seed, share.index, 2)
        return cls(
            carts,
            {book.book_id: book for book in dataset.books},
            Zipf(len(carts), seeds, zipf_exponent),
            Random(repr(seeds)),
        )

    def any_cart(self) -> Cart:
        """A cart to read whole."""
        return self.carts[self.zipf.draw()]

    def any_line(self) -> tuple[Cart, str]:
        """A line that is in its cart and will stay there while nobody else writes."""
        cart = self._quiet_cart()
        lines = list(cart.lines)
        return cart, lines[int(self.rng.random() * len(lines))]

    def to_add(self) -> tuple[Cart, Book]:
        """What to add: the line longest removed, else one more copy of a line.

        So every removal is undone and carts keep their size, whichever writes fail.
        """
        for _ in range(len(self.removed)):
            cart, book_id = self.removed.popleft()
            quiet = cart.known and not cart.busy
            if quiet and book_id in cart.lines:
                continue  # added again, or never gone
            self.removed.append((cart, book_id))  # until it is seen in its cart
            if quiet:
                return cart, self.books[book_id]
        cart = self._quiet_cart()
        book_id = min(cart.lines, key=cart.lines.__getitem__)
        return cart, self.books[book_id]

    def to_remove(self) -> tuple[Cart, str]:
        """A line to remove; call `was_removed` once it is gone."""
        cart, book_id = self.any_line()
        self.removed.append((cart, book_id))  # a later add undoes it, if it comes to pass
        return cart, book_id

    def was_removed(self, cart: Cart, book_id: str) -> None:
        """Note a finished removal."""
        del cart.lines[book_id]

    def was_added(self, cart: Cart, book_id: str, quantity: int) -> None:
        """Note a finished add. Raises ResponseInvalid when the store's new quantity is wrong."""
        expected = cart.lines.get(book_id, 0) + 1
        cart.lines[book_id] = quantity
        if quantity != expected:
            raise ResponseInvalid(f"add gave quantity {quantity}, not {expected}")

    def quantity(self) -> int:
        """A quantity to set: mostly one or two copies, far from the limit."""
        return 1 + int(self.rng.random() ** 2 * 5)

    def _quiet_cart(self) -> Cart:
        for _ in range(_TRIES):
            cart = self.carts[self.zipf.draw()]
            if not cart.busy and cart.known and cart.lines and _has_room(cart):
                return cart
        for cart in self.carts:
            if not cart.busy and cart.known and cart.lines and _has_room(cart):
                return cart
        raise CallError(
            "Every cart is being written, full, or unknown since a write of it failed."
            " Seed more users ([data] users in loadtests.toml).",
            name="NoQuietCart",
        )


def refuse_emptying(class_name: str, shares: Mapping[str, float]) -> None:
    """Raise UsageError for shares of access patterns that would empty the carts."""
    if shares.get("cart.remove", 0) > shares.get("cart.add", 0):
        raise UsageError(
            f"{class_name} removes more cart lines than it adds, so its carts would run empty.",
            hint="Give cart.add at least the share of cart.remove.",
        )


def _has_room(cart: Cart) -> bool:
    return min(cart.lines.values()) < QUANTITY_MAX


@dataclass(slots=True)
class Sessions:
    """One worker's live sessions on one backend; their number stays the same."""

    ids: list[str]
    templates: list[Session]
    summaries: list[CartSummary]
    zipf: Zipf
    rng: Random

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        seed: int,
        share: WorkerShare,
        now: datetime,
        zipf_exponent: float = ZIPF_EXPONENT,
    ) -> Sessions:
        """The seeded sessions whose users this worker owns."""
        owned = range(share.index, len(dataset.sessions), share.count)
        seeds = (seed, share.index, 3)
        rng = Random(repr(seeds))
        book_ids = tuple(book.book_id for book in dataset.books)
        sessions = [
            make_session(rng, dataset.users[i], now, book_ids=book_ids, cart=dataset.carts[i])
            for i in owned[:256]
        ]
        return cls(
            [dataset.sessions[i].session_id for i in owned],
            sessions,
            [session.cart_summary for session in sessions],
            Zipf(len(owned), seeds, zipf_exponent),
            rng,
        )

    def any_id(self) -> str:
        """A live session's id."""
        return self.ids[self.zipf.draw()]

    def new(self, now: datetime) -> Session:
        """A session not seen before; call `was_created` once it is stored."""
        template = self.templates[int(self.rng.random() * len(self.templates))]
        unique = UUID(int=self.rng.getrandbits(128), version=4)
        return replace(
            template,
            session_id=f"sess-{now:%Y%m%d-%H%M%S}-{unique}",
            created_at=now,
            last_activity=now,
            expires_at=int(now.timestamp()) + SESSION_LIFE_S,
        )

    def was_created(self, session_id: str) -> None:
        """Put a stored session in the place of a random older one."""
        self.ids[int(self.rng.random() * len(self.ids))] = session_id

    def summary(self) -> CartSummary:
        """A cart summary to store."""
        return self.summaries[int(self.rng.random() * len(self.summaries))]
