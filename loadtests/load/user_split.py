"""Two subjects of one backend write to the same tables: each gets users of its own, alike in size.

Users are sorted by how much there is to read of them and dealt out in neighbouring pairs, so that
the n-th cart (or session) of one subject is as large as the n-th of the other. With the same seed
both then call for the same sequence of positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from loadtests.errors import UsageError
from loadtests.targets.seed.dataset import Dataset

SUBJECTS = 2


def split_by_cart_size(dataset: Dataset, place: int) -> Dataset:
    """The half of the users whose carts are subject `place`'s."""

    def size(user: int) -> tuple[int, ...]:
        cart = dataset.carts[user]
        return len(cart), sum(len(line.book_title.encode()) for line in cart)

    return _half(dataset, place, size)


def split_by_session_size(dataset: Dataset, place: int) -> Dataset:
    """The half of the users whose sessions are subject `place`'s."""

    def size(user: int) -> tuple[int, ...]:
        session = dataset.sessions[user]
        history = session.session_data
        words = sum(len(word.encode()) for word in history.search_history)
        return len(history.browsing_history), words, len(session.user_agent)

    return _half(dataset, place, size)


def _half(dataset: Dataset, place: int, size: Callable[[int], tuple[int, ...]]) -> Dataset:
    users = _dealt(sorted(range(len(dataset.users)), key=size), place)
    if not users:
        raise UsageError(
            f"{len(dataset.users)} users cannot be shared by {SUBJECTS} subjects of one backend.",
            hint="Seed more users ([data] users in loadtests.toml).",
        )
    return replace(
        dataset,
        users=tuple(dataset.users[i] for i in users),
        carts=tuple(dataset.carts[i] for i in users),
        sessions=tuple(dataset.sessions[i] for i in users),
    )


def _dealt(ordered: Sequence[int], place: int) -> list[int]:
    """One of each pair; who gets the larger one changes from pair to pair. An odd one is left."""
    return [ordered[2 * pair + (place + pair) % SUBJECTS] for pair in range(len(ordered) // 2)]
