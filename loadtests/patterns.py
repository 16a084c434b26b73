"""The names of the nine access patterns, the two backends and the five drivers."""

from __future__ import annotations

from typing import Final

CART_PATTERNS: Final = ("cart.get", "cart.get_item", "cart.add", "cart.update", "cart.remove")
SESSION_PATTERNS: Final = (
    "session.create",
    "session.get",
    "session.refresh",
    "session.store_summary",
)
PATTERNS: Final = CART_PATTERNS + SESSION_PATTERNS
ALL_PATTERNS: Final = "all patterns"  # in a comparison: the mean over them

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


def selected_backends(backend: str) -> tuple[str, ...]:
    """The backends that `--backend` selects: both, or the one named."""
    return BACKENDS if backend == BOTH_BACKENDS else (backend,)
