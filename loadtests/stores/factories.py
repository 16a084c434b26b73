"""Store factories of other projects, named `package.module:factory`: imported, called, checked.

The factory is called as `factory(endpoints)` once per user, since a store serves one caller at a
time. It returns `(carts, sessions)`: a `CartStore` and a `SessionStore`, or None for one that it
does not provide. It may declare its backend: `factory.backend = "dynamodb"`. docs/COMPARING.md has
the full contract.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Final, cast

from loadtests.errors import LoadtestsError, UsageError
from loadtests.patterns import BACKENDS
from loadtests.stores import CartStore, SessionStore
from loadtests.stores.foreign import ForeignCartStore, ForeignSessionStore
from loadtests.targets.endpoints import Endpoints

Factory = Callable[[Endpoints], object]  # what it returns is checked
_METHODS: Final = {
    "carts": ("get", "get_item", "add", "update", "remove", "close"),
    "sessions": ("create", "get", "refresh", "store_summary", "close"),
}
_MAX_MESSAGE: Final = 300


def is_factory(name: str) -> bool:
    """Whether a name is that of a factory, not of a driver."""
    return ":" in name


def find_factory(name: str) -> Factory:
    """Import `package.module:factory`. Raises UsageError, whatever goes wrong."""
    module_name, _, path = name.partition(":")
    parts = [*module_name.split("."), *path.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"{name!r} is not the name of a store factory.",
            hint="Use package.module:factory, such as shop.carts:open_stores.",
        )
    factory: object = _import(module_name)
    for part in path.split("."):
        try:
            factory = getattr(factory, part)
        except AttributeError:
            raise UsageError(
                f"The module {module_name} has no {path}.",
                hint=f"Its functions: {_functions_of(module_name)}.",
            ) from None
    if not callable(factory):
        raise UsageError(
            f"{name} is not a factory: its type {type(factory).__name__} is not callable.",
            hint="Name a function of one argument, the endpoints, that returns (carts, sessions).",
        )
    if inspect.iscoroutinefunction(factory):
        raise UsageError(
            f"{name} is a coroutine function, and a load test calls blocking stores.",
            hint="Name a plain function. Under gevent, blocking calls in Python run concurrently.",
        )
    return cast("Factory", factory)


def backend_of_factory(name: str) -> str:
    """The backend that a factory declares. Raises UsageError if it declares none."""
    backend = getattr(find_factory(name), "backend", None)
    if backend in BACKENDS:
        return str(backend)
    problem = "does not declare its backend" if backend is None else f"has backend = {backend!r}"
    raise UsageError(
        f"{name} {problem}.",
        hint=f"Use dynamodb/{name} or postgres/{name}, or set its attribute `backend`.",
    )


def confirm_factory(name: str, backend: str) -> None:
    """Import a factory for `backend`. Raises UsageError if it declares another backend."""
    declared = getattr(find_factory(name), "backend", backend)
    if declared != backend:
        raise UsageError(
            f"{backend}/{name}: the factory declares the backend {declared}.",
            hint=f"Use {declared}/{name}, or correct its attribute `backend`.",
        )


def open_factory_stores(
    name: str, endpoints: Endpoints
) -> tuple[CartStore | None, SessionStore | None]:
    """Call the factory. Raises UsageError if it fails or does not return two stores."""
    factory = find_factory(name)
    try:
        stores = factory(endpoints)
    except LoadtestsError as error:
        raise UsageError(f"{name} failed: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise UsageError(
            f"{name} failed: {_message(error, endpoints)}",
            hint="A factory takes one argument, loadtests.targets.endpoints.Endpoints.",
        ) from error
    if not isinstance(stores, tuple | list) or len(stores) != 2:
        raise UsageError(
            f"{name} returned {type(stores).__name__}, not a pair of stores.",
            hint="Return (carts, sessions), with None for one that you do not provide.",
        )
    carts, sessions = stores
    for kind, store in (("carts", carts), ("sessions", sessions)):
        _check(name, kind, store)
    return (
        ForeignCartStore(carts) if carts is not None else None,
        ForeignSessionStore(sessions) if sessions is not None else None,
    )


def _import(module_name: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise UsageError(
                f"The store factory's module {missing} was not found.",
                hint="Start loadtests in the folder that contains it, or add that to PYTHONPATH.",
            ) from None
        reason = f"{error}"
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a module of another project
        reason = f"{type(error).__name__}: {error}"
    raise UsageError(
        f"The module {module_name} cannot be imported: {reason[:_MAX_MESSAGE]}.",
        hint=f"`python -c 'import {module_name}'` shows the traceback.",
    )


def _functions_of(module_name: str) -> str:
    module = importlib.import_module(module_name)
    names = [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module_name and name[0] != "_"
    ]
    return ", ".join(sorted(names)) or "none"


def _check(name: str, kind: str, store: object) -> None:
    if store is None:
        return
    methods = {method: getattr(store, method, None) for method in _METHODS[kind]}
    missing = [method for method, value in methods.items() if not callable(value)]
    coroutines = [method for method, value in methods.items() if inspect.iscoroutinefunction(value)]
    if missing or coroutines:
        problem = (
            f"has no {', '.join(missing)}"
            if missing
            else f"has coroutine functions: {', '.join(coroutines)}"
        )
        protocol = "CartStore" if kind == "carts" else "SessionStore"
        raise UsageError(
            f"The {kind} store of {name} ({type(store).__name__}) {problem}.",
            hint=f"loadtests.stores.{protocol} lists the methods; all of them are blocking.",
        )


def _message(error: Exception, endpoints: Endpoints) -> str:
    """The error as text, without the DSN, which may contain a password."""
    text = f"{type(error).__name__}: {error}"
    if endpoints.postgres and endpoints.postgres.dsn:
        text = text.replace(endpoints.postgres.dsn, "(the DSN)")
    return text[:_MAX_MESSAGE]
