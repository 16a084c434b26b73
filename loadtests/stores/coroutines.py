"""Which stores are for asyncio, without importing asyncio."""

from __future__ import annotations

import inspect
from typing import Any


def has_coroutines(store: object) -> bool:
    """Whether a public method of a store, or a function stored in it, is a coroutine function."""
    kind = type(store)
    methods = [getattr(kind, name, None) for name in dir(kind) if not name.startswith("_")]
    own = getattr(store, "__dict__", {})
    methods += [value for name, value in own.items() if not name.startswith("_")]
    return any(is_coroutine_function(each) for each in methods)


def is_coroutine_function(attribute: Any) -> bool:
    """Whether a store's attribute has to be awaited; also behind a decorator that shows it."""
    return callable(attribute) and inspect.iscoroutinefunction(inspect.unwrap(attribute))
