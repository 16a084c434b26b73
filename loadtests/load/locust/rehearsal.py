"""Which databases are called at full speed before a run begins, and how often.

DynamoDB Local runs in a JVM that compiles what is called often: at the run's own rate that takes
most of a minute, during which its p99 falls by half. A few thousand calls as fast as they go take
seconds. Only databases that the harness started itself are called like that, never AWS or a
database of the user's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from loadtests.config import Config
from loadtests.load.loop.run import Rehearsal
from loadtests.load.schedule.arrivals import WorkerShare
from loadtests.load.subjects import LoadSubject
from loadtests.stores.factories import is_factory
from loadtests.targets.endpoints import Endpoints

# calls per backend, over the whole cluster; PostgreSQL only fills caches and prepares statements
REHEARSAL_CALLS: Final = {"dynamodb": 20_000, "postgres": 2_000}
# users per dispatcher: 50 that call a JVM which has compiled nothing hinder each other and it
REHEARSAL_USERS: Final = {"dynamodb": 4, "postgres": 1_000}
REHEARSAL_S: Final = 8.0


def plan_rehearsal(
    config: Config,
    endpoints: Endpoints,
    dispatchers: Sequence[LoadSubject],
    share: WorkerShare,
    *,
    foreign: Collection[int] = (),
) -> Rehearsal | None:
    """This process's part in the rehearsal; None where no database is to be rehearsed.

    `dispatchers` are the subjects that each dispatcher calls, `foreign` the indices of those whose
    stores the scenario makes itself. A rehearsal is no longer than `--warm-up`, so `--warm-up 0`
    means none.
    """
    embedded = {
        "dynamodb": endpoints.dynamodb is not None and endpoints.dynamodb.embedded,
        "postgres": endpoints.postgres is not None and endpoints.postgres.embedded,
    }
    # a factory's store may call another database than the embedded one
    called = [
        embedded[each.backend] and not is_factory(each.client) and index not in foreign
        for index, each in enumerate(dispatchers)
    ]
    per_backend = Counter(
        each.backend for each, rehearses in zip(dispatchers, called, strict=True) if rehearses
    )
    if not per_backend or not config.load.warm_up:
        return None
    return Rehearsal(
        calls=[
            REHEARSAL_CALLS[each.backend] // (per_backend[each.backend] * share.count)
            if rehearses
            else 0
            for each, rehearses in zip(dispatchers, called, strict=True)
        ],
        users=[REHEARSAL_USERS[each.backend] for each in dispatchers],
        longest_s=min(REHEARSAL_S, config.load.warm_up),
    )
