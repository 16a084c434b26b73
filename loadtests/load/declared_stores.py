"""The stores that a user class declares: on which subjects it can be called, and who opens them.

A store comes from the run's subject where that is a factory which gives one of this name, else from
the scenario's own factory, else from the built-in driver. A class is called on the subjects that
can give all its stores.
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final

from loadtests.config import Config
from loadtests.errors import UsageError
from loadtests.load.subjects import LoadSubject, run_subjects
from loadtests.patterns import BACKENDS, in_order
from loadtests.stores.factories import (
    DRIVER_STORES,
    Factory,
    is_factory,
    missing_methods,
    open_own_store,
)
from loadtests.stores.open import close_stores, open_stores
from loadtests.targets.endpoints import Endpoints

_ATTRIBUTE_LOADS: Final = ("LOAD_ATTR", "LOAD_METHOD")
_NAME_LOADS: Final = ("LOAD_FAST", "LOAD_DEREF")  # and their variants


class DeclaredStore:
    """A store as a user class declares it; `backend` is empty where any will do."""

    def __init__(self, factory: Factory | None, backend: str) -> None:
        self.factory = factory
        self.backend = backend
        self.name = ""
        self.label = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.label = f"{owner.__name__}.{name}"


def stores_among(attributes: Mapping[str, object]) -> dict[str, DeclaredStore]:
    """The stores that are declared among the attributes of a class."""
    return {name: each for name, each in attributes.items() if isinstance(each, DeclaredStore)}


def undeclared(class_name: str, name: str) -> UsageError:
    """The error for a class that uses a store without having declared it."""
    protocol = {"carts": "CartStore", "sessions": "SessionStore"}[name]
    return UsageError(
        f"{class_name} uses self.{name} and does not declare it.",
        hint=f"Add `{name}: {protocol} = store()` to the class; store is in loadtests.load.plugin.",
    )


def store(factory: Callable[[Endpoints], Any] | None = None, *, backend: str | None = None) -> Any:
    """Declare a store of a user class; the attribute's name is the store's name.

    `factory(endpoints)` makes it, once per user; without one, the run's driver gives it. `backend`
    is the database that it calls; by default `factory.backend`, else any. Raises UsageError.
    """
    if factory is not None and not callable(factory):
        raise UsageError(
            f"store({factory!r}): not a function.",
            hint="Give a function of one argument, the endpoints, that returns the store.",
        )
    if backend is None:
        of_factory = getattr(factory, "backend", "")
        backend = of_factory if of_factory in BACKENDS else ""
    elif backend not in BACKENDS:
        raise UsageError(
            f"store(backend={backend!r}): there is no such backend.",
            hint=f"Use {' or '.join(BACKENDS)}, or leave it out.",
        )
    return DeclaredStore(factory, backend)


# --- what a class needs, as plain data


@dataclass(frozen=True, slots=True)
class StoreNeed:
    """A store that a class declares; `backend` is empty where any will do."""

    name: str
    backend: str = ""
    has_factory: bool = False


@dataclass(frozen=True, slots=True)
class ScenarioClass:
    """A user class as other processes know it: its patterns' shares, times weight, and stores."""

    name: str
    shares: Mapping[str, float]
    stores: Sequence[StoreNeed] = field(default=())

    @property
    def makes_stores(self) -> bool:
        """Whether the scenario has a factory of its own, whose store may call any database."""
        return any(need.has_factory for need in self.stores)


def subjects_of_class(needs: ScenarioClass, config: Config) -> tuple[LoadSubject, ...]:
    """The subjects of the run that a class is called on.

    Raises UsageError where there is none; of two that are compared, where it is not called on both.
    """
    subjects = run_subjects(config)
    problems = {subject: _problem(needs, subject) for subject in subjects}
    called = tuple(subject for subject in subjects if not problems[subject])
    refused = [f"{subject}, {problem}" for subject, problem in problems.items() if problem]
    if config.load.subjects and refused:
        raise UsageError(
            f"{needs.name} cannot be called on {refused[0]}.",
            hint="Compare two subjects that both give every store of the scenario.",
        )
    if not called:
        raise UsageError(
            f"{needs.name} cannot be called: {'; '.join(f'on {each}' for each in refused)}.",
            hint="Give the store a factory, store(factory), or name one with --driver; check"
            " --backend.",
        )
    return called


def _problem(needs: ScenarioClass, subject: LoadSubject) -> str:
    """Why a class cannot be called on a subject; empty if it can."""
    for need in needs.stores:
        if need.backend not in ("", subject.backend):
            return f"since its store {need.name} is of {need.backend}"
        given = need.has_factory or is_factory(subject.client) or need.name in DRIVER_STORES
        if not given:
            return f"whose driver gives no store {need.name}"
    return ""


def served_patterns(classes: Sequence[ScenarioClass], config: Config) -> dict[str, list[str]]:
    """The access patterns that are called on each subject, `backend/driver`, as declared.

    Raises UsageError.
    """
    served: dict[str, dict[str, None]] = {}
    for each in classes:
        for subject in subjects_of_class(each, config):
            served.setdefault(str(subject), {}).update(dict.fromkeys(each.shares))
    declared = declared_patterns(classes)
    return {subject: in_order(patterns, declared) for subject, patterns in served.items()}


def declared_patterns(classes: Iterable[ScenarioClass]) -> list[str]:
    """The access patterns of these classes, in the order in which they are declared."""
    return list(dict.fromkeys(pattern for each in classes for pattern in each.shares))


def only_store(classes: Iterable[Iterable[StoreNeed]]) -> str:
    """The name of a store that a factory may return alone; empty where it has to name its stores.

    It is the only one that the classes of a scenario declare, or that they leave to the subject.
    """
    needs = [need for stores in classes for need in stores]
    left = {need.name for need in needs if not need.has_factory}
    names = left if len(left) == 1 else {need.name for need in needs}
    return names.pop() if len(names) == 1 else ""


# --- opening


@dataclass(frozen=True, slots=True)
class UserStores:
    """The stores of one user by name; `opened` are all that were opened for it."""

    by_name: Mapping[str, Any]
    opened: Sequence[Any]

    def close(self) -> None:
        """Close all of them."""
        close_stores(self.opened)


def open_user_stores(
    declared: Mapping[str, DeclaredStore], subject: LoadSubject, endpoints: Endpoints, *, only: str
) -> UserStores:
    """Open what a user class declares, for one user on one subject.

    `only` is the name of a store that a factory may return alone. Raises UsageError.
    """
    left = [name for name, each in declared.items() if each.factory is None]
    opened: list[Any] = []
    stores: dict[str, Any] = {}
    try:
        given: Mapping[str, Any] = {}
        if left or (declared and is_factory(subject.client)):
            given = open_stores(subject.client, endpoints, left, only=only)
            opened += given.values()
        for name, each in declared.items():
            if name in given:
                stores[name] = given[name]
            else:
                stores[name] = _own_store(each, subject.client, given, endpoints)
                opened.append(stores[name])
    except BaseException:
        close_stores(opened)
        raise
    return UserStores(stores, opened)


def _own_store(
    declared: DeclaredStore, client: str, given: Mapping[str, Any], endpoints: Endpoints
) -> Any:
    """What the scenario's own factory makes. Raises UsageError, also where it has none."""
    if declared.factory is not None:
        return open_own_store(declared.factory, f"The factory of {declared.label}", endpoints)
    names = ", ".join(sorted(given))
    gives = f"it gives {names}" if names else "it returned one store without a name"
    raise UsageError(
        f"{client} gives no store {declared.name}, which {declared.label} needs; {gives}.",
        hint=f'Return it by name, {{"{declared.name}": …}}, or choose a --scenario without it.',
    )


# --- what a scenario's methods call


def called_methods(method: Callable[..., Any]) -> dict[str, set[str]]:
    """The attributes of `self` that a method loads, each with what it loads of them in turn.

    `self.carts.get` gives `{"carts": {"get"}}`. Only what stands in the method itself is seen.
    """
    code = getattr(inspect.unwrap(method), "__code__", None)
    if not isinstance(code, CodeType) or not code.co_argcount:
        return {}
    loads: dict[str, set[str]] = {}
    for attribute, inner in _attribute_loads(code, code.co_varnames[0]):
        loads.setdefault(attribute, set()).update([inner] if inner else [])
    return loads


def _attribute_loads(code: CodeType, user: str) -> Iterator[tuple[str, str]]:
    instructions = [*dis.get_instructions(code)]
    for first, second, third in zip(
        instructions, instructions[1:], [*instructions[2:], None], strict=False
    ):
        loads_user = first.opname.startswith(_NAME_LOADS) and _last(first.argval) == user
        if loads_user and second.opname in _ATTRIBUTE_LOADS:
            loads_inner = third is not None and third.opname in _ATTRIBUTE_LOADS
            yield str(second.argval), str(third.argval) if third and loads_inner else ""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # a lambda or a comprehension within it
            yield from _attribute_loads(constant, user)


def _last(name: object) -> object:
    """The name that an instruction loads last; from Python 3.13 on, one may load two."""
    return name[-1] if isinstance(name, tuple) and name else name


def check_methods(
    class_name: str, calls: Mapping[str, set[str]], stores: Mapping[str, Any], subject: LoadSubject
) -> None:
    """Raise UsageError where a store lacks a method that the class is seen to call on it."""
    for name, each in stores.items():
        if missing := missing_methods(each, calls.get(name, ())):
            raise UsageError(
                f"The store {name} on {subject} ({type(each).__name__}) has no"
                f" {', '.join(missing)}, which {class_name} calls.",
                hint="Add the method to the store, or call one that it has.",
            )
