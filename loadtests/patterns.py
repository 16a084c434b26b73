"""Names: what an access pattern may be called, and the backends and drivers that there are.

A scenario declares its access patterns; nothing but their form is prescribed. CloudShelf's own nine
are used only by what is CloudShelf's own: its stores' probe, micro-benchmarks, the scripted server
and the keys of its carts (`tests/test_architecture.py` checks it).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

CART_PATTERNS: Final = ("cart.get", "cart.get_item", "cart.add", "cart.update", "cart.remove")
SESSION_PATTERNS: Final = (
    "session.create",
    "session.get",
    "session.refresh",
    "session.store_summary",
)
CLOUDSHELF_PATTERNS: Final = CART_PATTERNS + SESSION_PATTERNS
ALL_PATTERNS: Final = "all patterns"  # in a comparison: the mean over them
LONGEST_PATTERN: Final = 64  # characters
PATTERN_RULE: Final = (
    "words of a-z, 0-9 and _, each beginning with a letter, joined by dots, such as"
    f" catalogue.search; at most {LONGEST_PATTERN} characters"
)

BACKENDS: Final = ("dynamodb", "postgres")
DISPLAY_NAMES: Final = {"dynamodb": "DynamoDB", "postgres": "PostgreSQL"}
BOTH_BACKENDS: Final = "both"
DRIVERS: Final = {
    "dynamodb": ("wire", "boto3", "aioboto3"),
    "postgres": ("psycopg", "asyncpg"),
}
METRICS: Final = ("response_time", "service_time", "wire_time")

CARTS_TABLE: Final = "cloudshelf-carts"
SESSIONS_TABLE: Final = "cloudshelf-sessions"

_FORM: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
# what runs measured that do not say it themselves (before version 0.3)
_OF_EARLIER_SCENARIOS: Final[Mapping[str, tuple[str, ...]]] = {
    "cart": CART_PATTERNS,
    "session": SESSION_PATTERNS,
    "storefront": CLOUDSHELF_PATTERNS,
}


def selected_backends(backend: str) -> tuple[str, ...]:
    """The backends that `--backend` selects: both, or the one named."""
    return BACKENDS if backend == BOTH_BACKENDS else (backend,)


def is_pattern_name(name: str) -> bool:
    """Whether a name has the form of an access pattern's."""
    return len(name) <= LONGEST_PATTERN and _FORM.fullmatch(name) is not None


def in_order(patterns: Iterable[str], declared: Sequence[str] | None) -> list[str]:
    """Access patterns in the order of all tables and charts: as their scenario declares them.

    Others follow by name. `declared` is None for a run that does not know: CloudShelf's nine then
    come first, in the order that such runs were shown in.
    """
    places = {name: place for place, name in enumerate(declared or CLOUDSHELF_PATTERNS)}
    return sorted(set(patterns), key=lambda name: (places.get(name, len(places)), name))


def patterns_of_earlier_run(scenario: str) -> tuple[str, ...] | None:
    """What a run of CloudShelf's scenarios (`cart+session`) measured; None for another scenario."""
    names = scenario.split("+")
    if not all(name in _OF_EARLIER_SCENARIOS for name in names):
        return None
    called = {pattern for name in names for pattern in _OF_EARLIER_SCENARIOS[name]}
    return tuple(in_order(called, None))
