"""Store factories: those named `package.module:factory`, and those of a scenario itself.

A factory is called as `factory(endpoints)` once per user, since a store serves one caller at a
time. One that is named returns its stores by name, `{"carts": …, "books": …}`; or the pair
`(carts, sessions)`, with None for one that it does not have; or a single store. It may declare its
backend: `factory.backend = "dynamodb"`. It may be a coroutine function, and so may the methods of
its stores. docs/YOUR_OWN.md has the full contract.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import ModuleType
from typing import Any, Final, cast

from loadtests.errors import LoadtestsError, UsageError
from loadtests.patterns import BACKENDS
from loadtests.stores.coroutines import has_coroutines
from loadtests.targets.endpoints import Endpoints

Factory = Callable[[Endpoints], object]  # what it returns is checked
DRIVER_STORES: Final = ("carts", "sessions")  # what every built-in driver gives
_MAX_MESSAGE: Final = 300
_RETURN_BY_NAME: Final = 'Return them by name, such as {"carts": …, "sessions": …}.'
_ONE_ARGUMENT: Final = "A factory takes one argument, loadtests.targets.endpoints.Endpoints."
_NEEDS_LOOP: Final = "Define the factory with `async def`: it is then awaited in the event loop."


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
            hint="Name a function of one argument, the endpoints, that returns its stores by name.",
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


def open_factory_stores(name: str, endpoints: Endpoints, *, only: str = "") -> dict[str, Any]:
    """Call the named factory: its stores by name; a single one is called `only`.

    Raises UsageError if it fails, or returns nothing that can be stores.
    """
    made = _made_by(find_factory(name), name, endpoints)
    if isinstance(made, Mapping):
        stores = dict(made)
    elif isinstance(made, tuple | list):
        if len(made) != len(DRIVER_STORES):
            raise UsageError(
                f"{name} returned {len(made)} stores without names.", hint=_RETURN_BY_NAME
            )
        stores = dict(zip(DRIVER_STORES, made, strict=True))
    else:
        stores = {only: made}
    if not all(isinstance(key, str) for key in stores):
        raise UsageError(f"{name} returned stores whose names are no text.", hint=_RETURN_BY_NAME)
    opened = {key: as_called(store) for key, store in stores.items() if store is not None}
    if not opened:
        raise UsageError(f"{name} returned no store.", hint=_RETURN_BY_NAME)
    return opened


def open_own_store(factory: Factory, name: str, endpoints: Endpoints) -> Any:
    """Call a scenario's own factory: its store. `name` is what errors call it.

    Raises UsageError if it fails or returns nothing.
    """
    store = _made_by(factory, name, endpoints)
    if store is None:
        raise UsageError(f"{name} returned None.", hint="Return the store.")
    return as_called(store)


def as_called(store: object) -> Any:
    """A store in the form in which users call it: one with coroutine methods is wrapped.

    Every store comes through here. Raises UsageError where asyncio stores cannot be called.
    """
    if not has_coroutines(store):
        return store
    # imported here: asyncio and gevent are not needed by other stores
    from loadtests.stores.asyncio_calls import as_blocking

    return as_blocking(store)


def missing_methods(store: object, methods: Iterable[str]) -> list[str]:
    """Those of `methods` that a store does not have."""
    return sorted(each for each in methods if not callable(getattr(store, each, None)))


def _made_by(factory: Factory, name: str, endpoints: Endpoints) -> object:
    try:
        stores = factory(endpoints)
        return _awaited(stores) if inspect.isawaitable(stores) else stores
    except LoadtestsError as error:
        raise UsageError(f"{name} failed: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise UsageError(
            f"{name} failed: {_message(error, endpoints)}",
            hint=_NEEDS_LOOP if "event loop" in str(error) else _ONE_ARGUMENT,
        ) from error


def _awaited(stores: Awaitable[object]) -> object:
    from loadtests.stores.asyncio_calls import await_in_loop

    return await_in_loop(stores)


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


def _message(error: Exception, endpoints: Endpoints) -> str:
    """The error as text, without the DSN, which may contain a password."""
    text = f"{type(error).__name__}: {error}"
    if endpoints.postgres and endpoints.postgres.dsn:
        text = text.replace(endpoints.postgres.dsn, "(the DSN)")
    return text[:_MAX_MESSAGE]
