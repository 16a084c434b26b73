"""The limits on a cart line's quantity, and the errors that every store raises for them."""

from __future__ import annotations

from loadtests.errors import QuantityRefused
from loadtests.model import QUANTITY_MAX, QUANTITY_MIN


def check_quantity(quantity: int) -> None:
    """Raise QuantityRefused unless `quantity` is 1-99."""
    if not QUANTITY_MIN <= quantity <= QUANTITY_MAX:
        raise QuantityRefused(f"Quantity {quantity} is not within {QUANTITY_MIN}-{QUANTITY_MAX}.")


def sum_refused() -> QuantityRefused:
    """The error for an add that would exceed 99."""
    return QuantityRefused(f"The sum would exceed {QUANTITY_MAX}.")
