"""Gives each Locust user its group: a backend, a lane, stores and the keys it may touch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from greenlet import GreenletExit

from loadtests.config import Config
from loadtests.errors import CallError, ResponseInvalid, UsageError
from loadtests.load.locust.checks import check_mix
from loadtests.load.loop.dispatcher import ArrivalDispatcher
from loadtests.load.loop.run import CallerGroup, LoadRun
from loadtests.load.loop.timer import early_ns_of, open_timer
from loadtests.load.schedule.arrivals import Nanoseconds, WorkerShare, arrivals, scaled
from loadtests.load.subjects import LoadSubject, alternation_of, arrivals_seed, run_subjects
from loadtests.load.user_split import split_by_cart_size, split_by_session_size
from loadtests.load.workload import Carts, Sessions
from loadtests.measure.recorder import SeriesRecorder
from loadtests.patterns import BACKENDS
from loadtests.stores import CartStore, SessionStore
from loadtests.stores.foreign import NoStore
from loadtests.stores.open import open_stores
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.seed.dataset import Dataset

if TYPE_CHECKING:
    from loadtests.load.locust.users import OpenLoopUser

_log: Final = logging.getLogger(__name__)
_CHUNK: Final = 512
AHEAD_SHARE: Final = 0.4  # of how early the loop wakes: choosing keys on cold caches takes 80 µs

Drawn = tuple[Callable[[Any], None], tuple[SeriesRecorder, SeriesRecorder]]


@dataclass(slots=True, eq=False)
class UserGroup:
    """One scenario class on one backend: where its users stand."""

    subject: LoadSubject
    run: LoadRun
    callers: CallerGroup
    choices: list[Drawn]
    cumulative: Any
    rng: np.random.Generator
    carts: Carts
    sessions: Sessions
    reported: set[str] = field(default_factory=set)
    drawn: list[Drawn] = field(default_factory=list)

    @property
    def dispatcher(self) -> ArrivalDispatcher:
        """Where its arrivals come from."""
        return self.callers.dispatcher

    def draw(self) -> Drawn:
        """The next call's method and its (warm-up, measured) series."""
        if not self.drawn:
            groups = np.searchsorted(self.cumulative, self.rng.random(_CHUNK), side="right")
            self.drawn = [self.choices[i] for i in groups.tolist()]
        return self.drawn.pop()

    def end_warm_up(self, user: OpenLoopUser) -> None:
        """The user's first measured call: ask for no capacity figures from now on."""
        user.warming_up = False
        _ask_capacity(user, ask=False)

    def failed(self, user: OpenLoopUser, error: Exception) -> None:
        """Count an error by its name; one that made no call counts as a call of its age."""
        name = error.name if isinstance(error, CallError) else type(error).__name__
        series = user.series
        series.errors[name] += 1
        if not user.recorded:  # it never came to the call
            series.response.append(max(0, time.monotonic_ns() - user.intended_ns))
        if isinstance(error, ResponseInvalid):
            self.run.invalid_responses += 1
        if name not in self.reported:
            self.reported.add(name)
            _log.warning("%s on %s: %s", series.pattern, self.subject, error or name)


class UserAssignment:
    """All groups of this process."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        dataset: Dataset,
        run: LoadRun,
        classes: list[type[OpenLoopUser]],
        share: WorkerShare,
    ) -> None:
        self._config = config
        self._endpoints = endpoints
        self._run = run
        self._share = share
        self._groups: dict[str, list[UserGroup]] = {}
        subjects = run_subjects(config)
        # one belief of the carts a subject, whatever number of classes writes to them
        self._work = [_work_of(one, subjects, dataset, config, share) for one in subjects]
        ours_per_s = config.load.rate * len(subjects) / share.count
        early_ns = early_ns_of(ours_per_s)
        self._timer = partial(open_timer, early_ns=early_ns)
        self._ahead_ns = int(AHEAD_SHARE * early_ns)
        total = sum(_weight(cls) for cls in classes)
        for number, cls in enumerate(classes):
            check_mix(cls)
            self._groups[cls.__name__] = [
                self._group(cls, subject, number, _weight(cls) / total) for subject in subjects
            ]

    def join(self, user: OpenLoopUser) -> None:
        """Put a user where its class has the fewest for the load.

        A factory that fails now, having worked before, ends the run, and this user at once.
        """
        groups = self._groups[type(user).__name__]
        group = min(groups, key=lambda p: len(p.callers.users))
        # a scenario that needs a store which its subject lacks was refused before the run
        try:
            carts, sessions = open_stores(group.subject.client, self._endpoints)
        except UsageError as error:
            user.environment.on_refusal(error)
            raise GreenletExit from None  # of which Locust logs no stack trace
        user.user_group = group
        user.carts = cast("CartStore", NoStore() if carts is None else carts)
        user.sessions = cast("SessionStore", NoStore() if sessions is None else sessions)
        user.cart_work, user.session_work = group.carts, group.sessions
        _ask_capacity(user, ask=True)
        group.callers.users.append(user)

    def leave(self, user: OpenLoopUser) -> None:
        """Close a user's stores."""
        group = getattr(user, "user_group", None)
        if group is None:
            return
        if user in group.callers.users:
            group.callers.users.remove(user)
        user.carts.close()
        user.sessions.close()

    def _group(
        self, cls: type[OpenLoopUser], subject: LoadSubject, number: int, weight: float
    ) -> UserGroup:
        load = self._config.load
        recorder = self._run.recorder
        choices: list[Drawn] = [
            (
                declared.method,
                (
                    recorder.series(
                        subject.backend, subject.driver, declared.pattern, warm_up=True
                    ),
                    recorder.series(
                        subject.backend, subject.driver, declared.pattern, warm_up=False
                    ),
                ),
            )
            for declared in cls.declared
        ]
        shares = np.array([declared.share for declared in cls.declared])
        dispatcher = ArrivalDispatcher(
            self._schedule(cls, subject, number, weight), timer=self._timer, ahead_ns=self._ahead_ns
        )
        return UserGroup(
            subject,
            self._run,
            self._run.add_dispatcher(dispatcher, [pair for _, pair in choices]),
            choices,
            np.cumsum(shares / shares.sum())[:-1],
            np.random.default_rng([load.seed, number, self._share.index]),
            *self._work[subject.index],
        )

    def _schedule(
        self, cls: type[OpenLoopUser], subject: LoadSubject, number: int, weight: float
    ) -> Iterator[Nanoseconds]:
        own = arrivals(
            scaled(cls.profile(self._config, subject.backend), weight),
            self._config.load.arrivals,
            arrivals_seed(self._config, subject, number),
            self._share,
        )
        turns = alternation_of(self._config)
        return turns.offered(own, subject.index) if turns else own


def _work_of(
    subject: LoadSubject,
    subjects: tuple[LoadSubject, ...],
    dataset: Dataset,
    config: Config,
    share: WorkerShare,
) -> tuple[Carts, Sessions]:
    """Keys for a subject; two of one backend own half of the users each."""
    alone = len({one.backend for one in subjects}) == len(subjects)
    for_carts = dataset if alone else split_by_cart_size(dataset, subject.index)
    for_sessions = dataset if alone else split_by_session_size(dataset, subject.index)
    seed = config.load.seed
    return (
        Carts.of(for_carts, seed, share),
        Sessions.of(for_sessions, seed, share, datetime.now(UTC)),
    )


def _ask_capacity(user: OpenLoopUser, *, ask: bool) -> None:
    for store in (user.carts, user.sessions):
        if hasattr(store, "ask_capacity"):
            store.ask_capacity = ask


def backends_of(config: Config) -> tuple[str, ...]:
    """The backends that take part."""
    called = {one.backend for one in run_subjects(config)}
    return tuple(one for one in BACKENDS if one in called)


def _weight(cls: type[OpenLoopUser]) -> float:
    return float(cls.weight) * sum(declared.share for declared in cls.declared)
