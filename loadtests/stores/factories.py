"""Stores that somebody else wrote, named `package.module:factory`: found, called and checked.

The factory is called as `factory(endpoints)` once a user, for a store serves one caller at a time,
and gives `(carts, sessions)`: a `CartStore` and a `SessionStore`, or None for one it does not have.
It may say which backend it calls: `factory.backend = "dynamodb"`. docs/COMPARING.md has the
contract in full.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, Final, cast

from loadtests.errors import LoadtestsError, UsageError
from loadtests.patterns import BACKENDS
from loadtests.stores import CartStore, SessionStore
from loadtests.stores.foreign import ForeignCartStore, ForeignSessionStore
from loadtests.targets.endpoints import Endpoints

Factory = Callable[[Endpoints], Any]
_METHODS: Final = {
    "carts": ("get", "get_item", "add", "update", "remove", "close"),
    "sessions": ("create", "get", "refresh", "store_summary", "close"),
}
_LONGEST: Final = 300


def is_factory(name: str) -> bool:
    """Whether a name is a factory's and not a driver's."""
    return ":" in name


def find_factory(name: str) -> Factory:
    """Import `package.module:factory`. Raises UsageError for whatever goes wrong."""
    module_name, _, path = name.partition(":")
    parts = [*module_name.split("."), *path.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise UsageError(
            f"{name!r} does not name a store factory.",
            hint="Write package.module:factory, such as shop.carts:open_stores.",
        )
    found: Any = _import(module_name)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(
                f"The module {module_name} has no {path}.",
                hint=f"Functions there: {_functions_of(module_name)}.",
            ) from None
    if not callable(found):
        raise UsageError(
            f"{name} is no factory: it is of type {type(found).__name__} and cannot be called.",
            hint="Name a function of one argument, the endpoints, that returns (carts, sessions).",
        )
    if inspect.iscoroutinefunction(found):
        raise UsageError(
            f"{name} is a coroutine function; users under load call blocking stores.",
            hint="Name a plain function. Under gevent, blocking calls of pure Python run together.",
        )
    return cast("Factory", found)


def backend_of_factory(name: str) -> str:
    """The backend that a factory says it calls. Raises UsageError when it does not say."""
    said = getattr(find_factory(name), "backend", None)
    if said in BACKENDS:
        return str(said)
    fault = "does not say which backend it calls" if said is None else f"has backend = {said!r}"
    raise UsageError(
        f"{name} {fault}.",
        hint=f"Write dynamodb/{name} or postgres/{name}, or set its attribute `backend`.",
    )


def confirm_factory(name: str, backend: str) -> None:
    """Find a factory that is to call `backend`. Raises UsageError when it says it calls another."""
    said = getattr(find_factory(name), "backend", backend)
    if said != backend:
        raise UsageError(
            f"{backend}/{name}: the factory says that it calls {said}.",
            hint=f"Write {said}/{name}, or correct its attribute `backend`.",
        )


def open_factory_stores(
    name: str, endpoints: Endpoints
) -> tuple[CartStore | None, SessionStore | None]:
    """Call the factory. Raises UsageError when it raises, or gives anything but two stores."""
    factory = find_factory(name)
    try:
        made = factory(endpoints)
    except LoadtestsError as error:
        raise UsageError(f"{name} failed: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise UsageError(
            f"{name} failed: {_said(error, endpoints)}",
            hint="It is called with one argument, loadtests.targets.endpoints.Endpoints.",
        ) from error
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise UsageError(
            f"{name} returned {type(made).__name__}, not a pair of stores.",
            hint="Return (carts, sessions); None stands for one you do not have.",
        )
    carts, sessions = made
    for kind, store in (("carts", carts), ("sessions", sessions)):
        _check(name, kind, store)
    return (
        ForeignCartStore(carts) if carts is not None else None,
        ForeignSessionStore(sessions) if sessions is not None else None,
    )


def _import(module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise UsageError(
                f"There is no module {missing} to take a store factory from.",
                hint="Start loadtests in the folder that holds it, or name that in PYTHONPATH.",
            ) from None
        reason = f"{error}"
    except (Exception, SystemExit) as error:  # noqa: BLE001 (somebody else's module)
        reason = f"{type(error).__name__}: {error}"
    raise UsageError(
        f"The module {module_name} cannot be imported: {reason[:_LONGEST]}.",
        hint=f"`python -c 'import {module_name}'` shows where.",
    )


def _functions_of(module_name: str) -> str:
    module = importlib.import_module(module_name)
    names = [
        name
        for name, found in vars(module).items()
        if inspect.isfunction(found) and found.__module__ == module_name and name[0] != "_"
    ]
    return ", ".join(sorted(names)) or "none"


def _check(name: str, kind: str, store: Any) -> None:
    if store is None:
        return
    methods = {method: getattr(store, method, None) for method in _METHODS[kind]}
    lacking = [method for method, found in methods.items() if not callable(found)]
    waiting = [method for method, found in methods.items() if inspect.iscoroutinefunction(found)]
    if lacking or waiting:
        fault = f"has no {', '.join(lacking)}" if lacking else f"awaits in {', '.join(waiting)}"
        protocol = "CartStore" if kind == "carts" else "SessionStore"
        raise UsageError(
            f"The {kind} store of {name} ({type(store).__name__}) {fault}.",
            hint=f"loadtests.stores.{protocol} lists the methods; all of them block.",
        )


def _said(error: Exception, endpoints: Endpoints) -> str:
    """What an error says, without the DSN, which may hold a password."""
    text = f"{type(error).__name__}: {error}"
    if endpoints.postgres and endpoints.postgres.dsn:
        text = text.replace(endpoints.postgres.dsn, "(the DSN)")
    return text[:_LONGEST]
