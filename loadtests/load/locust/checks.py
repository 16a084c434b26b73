"""Checks a load run before it begins: users, rates of alternating subjects, stores.

Two subjects that alternate need a constant rate; otherwise they would meet different rates.
"""

from __future__ import annotations

from loadtests.config import Config
from loadtests.errors import UsageError
from loadtests.load.declared_stores import (
    called_methods,
    check_methods,
    only_store,
    open_user_stores,
    subjects_of_class,
)
from loadtests.load.locust.users import OpenLoopUser
from loadtests.load.subjects import LoadSubject, alternation_of, run_subjects
from loadtests.patterns import DRIVERS
from loadtests.stores.factories import confirm_factory, is_factory
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.postgres.limits import free_connections


def check_profiles(config: Config, classes: list[type[OpenLoopUser]]) -> None:
    """Refuse a rate that changes during a run in which two subjects alternate.

    Raises UsageError.
    """
    if alternation_of(config) is None:
        return
    for cls in classes:
        if any(len(cls.profile(config, subject.backend)) > 1 for subject in run_subjects(config)):
            raise UsageError(
                f"{cls.__name__} changes its rate during the run, and alternating subjects need a"
                " constant rate.",
                hint="Use --blocks 0 (both at the same time), or a scenario of a constant rate.",
            )


def check_users(
    config: Config,
    *,
    users: int,
    spawn_rate_per_s: float,
    run_time_s: float | None,
    dispatchers: int,
) -> None:
    """Refuse fewer users than streams of arrivals, and users that are there too late.

    Raises UsageError.
    """
    if users < dispatchers:
        raise UsageError(
            f"--users {users} is too few: {dispatchers} or more are needed, one for each scenario"
            " class and database.",
            hint="Leave out --users for a number that suffices.",
        )
    if not spawn_rate_per_s > 0:
        raise UsageError(f"--spawn-rate {spawn_rate_per_s:g} starts no user.", hint="Leave it out.")
    spawn_s = users / spawn_rate_per_s
    if run_time_s and spawn_s > 1 and spawn_s + config.load.warm_up >= run_time_s:
        raise UsageError(
            f"Starting {users} users at --spawn-rate {spawn_rate_per_s:g} takes {spawn_s:.0f} s,"
            " and arrivals begin once all are there: nothing of the run is left to measure.",
            hint="Leave out --spawn-rate; --rate sets the load.",
        )


def check_connections(
    config: Config, endpoints: Endpoints, classes: list[type[OpenLoopUser]], *, users: int
) -> None:
    """Refuse more users than PostgreSQL has connections for: their calls would all fail.

    Users are shared evenly, and each has a connection for each of its stores; the stores of a
    `--driver` factory may share some, so they are not counted. Raises UsageError, TargetError.
    """
    postgres = endpoints.postgres
    if postgres is None:
        return
    needed = 0
    for cls in classes:
        called = subjects_of_class(cls.described(), config)
        count = sum(subject.client in DRIVERS["postgres"] for subject in called)
        needed += users // (len(classes) * len(called)) * count * len(cls.declared_stores)
    if not needed:
        return
    free = free_connections(postgres)
    if free and needed > free.left:
        raise UsageError(
            f"{users} users need {needed} connections to {postgres.label}, and {free.limit} leaves "
            f"{max(0, free.left)}.",
            hint="Use fewer --users, close other sessions, or raise that limit.",
        )


def check_stores(
    config: Config,
    endpoints: Endpoints,
    classes: list[type[OpenLoopUser]],
    *,
    served: str = "",
) -> None:
    """Open the stores of each factory once, so that its errors appear before the run.

    `served` names the only subject that this process calls. Raises UsageError, also when a store is
    missing or lacks a method that its scenario calls.
    """
    for subject in run_subjects(config):
        if is_factory(subject.client) and served in ("", subject.driver):
            confirm_factory(subject.client, subject.backend)
    described = [cls.described() for cls in classes]
    only = only_store(each.stores for each in described)
    for cls, needs in zip(classes, described, strict=True):
        for subject in subjects_of_class(needs, config):
            foreign = is_factory(subject.client) or needs.makes_stores
            if served in ("", subject.driver) and foreign:
                _try_stores(cls, subject, endpoints, only)


def _try_stores(
    cls: type[OpenLoopUser], subject: LoadSubject, endpoints: Endpoints, only: str
) -> None:
    stores = open_user_stores(cls.declared_stores, subject, endpoints, only=only)
    try:
        for each in cls.pattern_methods:
            calls = called_methods(each.method)
            check_methods(cls.__name__, calls, stores.by_name, subject)
    finally:
        stores.close()
