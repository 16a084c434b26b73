"""A store of coroutine methods under the contract, whose tests are blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class BlockingStore:
    """Runs the coroutine methods of an asyncio store, one at a time, on an event loop of its own.

    The loop is closed with the store. `store` is the store itself.
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        self._loop: asyncio.AbstractEventLoop | None = None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.store, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            return self._finish(value(*arguments, **named))

        return call

    def close(self) -> None:
        """Close the store, then the event loop."""
        try:
            self._finish(self.store.close())
        finally:
            if self._loop is not None:
                self._loop.close()
                self._loop = None

    def _finish(self, result: Any) -> Any:
        if not isinstance(result, Coroutine):
            return result
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(result)
