"""Checks a load run before it begins: users, rates of alternating subjects, stores of factories.

Two subjects that alternate need a constant rate; otherwise they would meet different rates.
"""

from __future__ import annotations

from loadtests.config import Config
from loadtests.errors import UsageError
from loadtests.load.locust.users import OpenLoopUser
from loadtests.load.subjects import alternation_of, run_subjects
from loadtests.stores.factories import confirm_factory, is_factory, open_factory_stores
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

    Users are shared evenly, and each has a connection for carts and one for sessions if it calls
    both. Raises UsageError, TargetError.
    """
    subjects = run_subjects(config)
    postgres = endpoints.postgres
    count = sum(subject.client == "psycopg" for subject in subjects)
    if postgres is None or not count:
        return
    kinds = [len({m.pattern.partition(".")[0] for m in cls.pattern_methods}) for cls in classes]
    needed = users // (len(classes) * len(subjects)) * count * sum(kinds)
    free = free_connections(postgres)
    if free and needed > free.left:
        raise UsageError(
            f"{users} users need {needed} connections to {postgres.label}, and {free.limit} leaves "
            f"{max(0, free.left)}.",
            hint="Use fewer --users, close other sessions, or raise that limit.",
        )


def check_stores(config: Config, endpoints: Endpoints, classes: list[type[OpenLoopUser]]) -> None:
    """Open the stores of each factory once, so that its errors appear before the run.

    Raises UsageError, also when the factory returns no store that the scenario needs.
    """
    patterns = {method.pattern for cls in classes for method in cls.pattern_methods}
    for subject in run_subjects(config):
        if not is_factory(subject.client):
            continue
        confirm_factory(subject.client, subject.backend)
        stores = zip(
            ("cart", "session"), open_factory_stores(subject.client, endpoints), strict=True
        )
        for kind, store in stores:
            needed = sorted(pattern for pattern in patterns if pattern.startswith(f"{kind}."))
            if store is not None:
                store.close()
            elif needed:
                raise UsageError(
                    f"{subject.client} gives no {kind} store, and the scenario calls {needed[0]}.",
                    hint=f"Return a {kind} store, or choose a --scenario without {kind}s.",
                )
