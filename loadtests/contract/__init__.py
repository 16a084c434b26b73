"""The contract of cart and session stores, as tests that a project runs over its own stores.

::

    # tests/test_my_stores.py
    class TestMyCarts(CartContract):
        @pytest.fixture
        def open_carts(self) -> Callable[[], CartRepository]:
            return lambda: CartRepository(URL)

The harness runs it over its own drivers (`tests/test_store_contract.py`). docs/CONTRACT.md lists
the fixtures that a project may replace.
"""

from __future__ import annotations

import pytest

# before they are imported, so that pytest shows the values that an assertion compared
pytest.register_assert_rewrite(
    *(f"loadtests.contract.{name}" for name in ("fixtures", "carts", "sessions"))
)

from loadtests.contract.blocking import BlockingStore  # noqa: E402
from loadtests.contract.carts import CartContract  # noqa: E402
from loadtests.contract.sessions import SessionContract  # noqa: E402

__all__ = ["BlockingStore", "CartContract", "SessionContract"]
