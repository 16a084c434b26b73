"""Assigns each Locust user a group: its backend, dispatcher, stores and keys."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Final

import numpy as np
from locust import User

from loadtests.config import Config
from loadtests.errors import CallError, ResponseInvalid
from loadtests.load.declared_stores import only_store, open_user_stores, subjects_of_class
from loadtests.load.locust.faults import describe_fault
from loadtests.load.locust.rehearsal import plan_rehearsal
from loadtests.load.locust.users import OpenLoopUser, PatternCall
from loadtests.load.loop.blocking_watch import BlockingWatch
from loadtests.load.loop.dispatcher import ArrivalDispatcher
from loadtests.load.loop.run import CallerGroup, LoadRun
from loadtests.load.loop.timer import early_ns_of, open_timer
from loadtests.load.schedule.arrivals import Floats, Nanoseconds, WorkerShare, arrivals, scaled
from loadtests.load.subjects import LoadSubject, alternation_of, arrivals_seed, run_subjects
from loadtests.load.user_split import split_by_cart_size, split_by_session_size
from loadtests.load.workload import Carts, Sessions
from loadtests.measure.results import ScenarioError
from loadtests.patterns import BACKENDS
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.seed.dataset import Dataset

_log: Final = logging.getLogger(__name__)
_CHUNK: Final = 512
AHEAD_SHARE: Final = 0.4  # of how early the loop wakes: choosing keys on cold caches takes 80 µs


@dataclass(slots=True, eq=False, kw_only=True)
class UserGroup:
    """One scenario class on one backend, and the users that serve its arrivals.

    `cumulative` are the cumulative shares of the `calls`, without the last. `makes_stores`: the
    scenario has a factory of its own, whose stores may call any database. `joining` users are
    opening their stores.
    """

    subject: LoadSubject
    run: LoadRun
    callers: CallerGroup
    calls: list[PatternCall]
    cumulative: Floats
    seed: tuple[int, ...]
    carts: Carts
    sessions: Sessions
    on_fault: Callable[[ScenarioError], None]
    makes_stores: bool = False
    joining: int = 0
    logged_errors: set[tuple[str, str]] = field(default_factory=set)
    drawn: list[PatternCall] = field(default_factory=list)
    rng: np.random.Generator = field(init=False)
    random: Random = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random()
        self.restart_draws()

    @property
    def take(self) -> Callable[[], int]:
        """Waits for the next arrival and returns its intended start, ns."""
        return self.callers.dispatcher.take

    def draw(self) -> PatternCall:
        """The next call's method and its (warm-up, measured) series."""
        if not self.drawn:
            indices = np.searchsorted(self.cumulative, self.rng.random(_CHUNK), side="right")
            self.drawn = [self.calls[index] for index in indices.tolist()]
        return self.drawn.pop()

    def restart_draws(self) -> None:
        """Draw from the beginning: the same seed gives the same calls, rehearsed or not."""
        self.rng = np.random.default_rng(list(self.seed))
        self.random.seed(repr(self.seed))
        self.drawn.clear()

    def end_warm_up(self, user: OpenLoopUser) -> None:
        """The user's next call is its first measured one: stop asking for capacity figures."""
        user.warming_up = False
        _ask_capacity(user, ask=False)

    def add_hand_over(self, intended_ns: int, hand_over_ns: int) -> None:
        """The call of an arrival began in another thread, so much later."""
        self.callers.dispatcher.add_hand_over(intended_ns, hand_over_ns)

    def count_failure(self, user: OpenLoopUser, error: Exception) -> None:
        """Count an error by its name.

        An error before the call was made counts as a call that lasted since its intended start.
        """
        name = error.name if isinstance(error, CallError) else type(error).__name__
        series = user.series
        series.errors[name] += 1
        if not user.recorded:
            series.record_not_made(user.intended_ns, time.monotonic_ns())
        if isinstance(error, ResponseInvalid):
            self.run.invalid_responses += 1
        if (series.pattern, name) in self.logged_errors:
            return
        self.logged_errors.add((series.pattern, name))
        if isinstance(error, CallError):
            _log.warning("%s on %s: %s", series.pattern, self.subject, error or name)
        else:
            self.on_fault(describe_fault(error, series.pattern, series.backend))


class UserAssignment:
    """All user groups of this process; the `UserHost` of its session."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        dataset: Dataset,
        run: LoadRun,
        classes: list[type[OpenLoopUser]],
        share: WorkerShare,
        on_fault: Callable[[ScenarioError], None],
    ) -> None:
        self._config = config
        self._endpoints = endpoints
        self._run = run
        self._share = share
        self._on_fault = on_fault
        self._groups: dict[str, list[UserGroup]] = {}
        self._watch = BlockingWatch()
        self._only = only_store(cls.described().stores for cls in classes)
        called = {
            cls: [
                subject
                for subject in subjects_of_class(cls.described(), config)
                if share.serves(subject.index)
            ]
            for cls in classes
        }
        weights: dict[LoadSubject, float] = {}
        for cls, its_subjects in called.items():
            for subject in its_subjects:
                weights[subject] = weights.get(subject, 0.0) + _weight(cls)
        subjects = run_subjects(config)
        # one record of the carts per subject, whatever number of classes writes to them
        self._work = [_work_of(subject, subjects, dataset, config, share) for subject in subjects]
        rate_per_s = config.load.rate * len(weights) / share.count
        early_ns = early_ns_of(rate_per_s)
        self._timer = partial(open_timer, early_ns=early_ns)
        self._ahead_ns = int(AHEAD_SHARE * early_ns)
        for class_index, cls in enumerate(classes):
            cls.check_declarations()
            self._groups[cls.__name__] = [
                self._group(cls, subject, class_index, _weight(cls) / weights[subject])
                for subject in called[cls]
            ]

    def rehearse(self) -> None:
        """Call fresh embedded databases at full speed, before the run begins."""
        groups = [group for groups in self._groups.values() for group in groups]
        rehearsal = plan_rehearsal(
            self._config,
            self._endpoints,
            [group.subject for group in groups],
            self._share,
            foreign=[index for index, group in enumerate(groups) if group.makes_stores],
        )
        if rehearsal is None:
            return
        began_s = time.monotonic()
        calls = self._run.rehearse(rehearsal)
        for group in groups:
            group.restart_draws()
        _log.info("Rehearsal: %d calls in %.1f s.", calls, time.monotonic() - began_s)

    def empty_groups(self) -> list[str]:
        """Names of the groups that no user has joined: nobody would take their arrivals."""
        return [
            f"{name} on {group.subject}"
            for name, groups in self._groups.items()
            for group in groups
            if not group.callers.users
        ]

    @property
    def is_joining(self) -> bool:
        """Whether a user is opening its stores."""
        return any(group.joining for groups in self._groups.values() for group in groups)

    def join(self, user: User) -> None:
        """Assign a user to the group of its class that has the fewest users.

        Raises what opening its stores raises, also a factory's error that it did not raise before.
        """
        if not isinstance(user, OpenLoopUser):
            raise TypeError(f"{type(user).__name__} is not an OpenLoopUser")
        group = min(
            self._groups[type(user).__name__],
            key=lambda candidate: len(candidate.callers.users) + candidate.joining,
        )
        group.joining += 1  # other users join while a factory connects
        try:
            user.user_stores = open_user_stores(
                user.declared_stores, group.subject, self._endpoints, only=self._only
            )
        finally:
            group.joining -= 1
        for name, store in user.user_stores.by_name.items():
            setattr(user, name, store)
        user.user_group = group
        user.blocking_watch = self._watch
        user.cart_work, user.session_work = group.carts, group.sessions
        user.random = group.random
        _ask_capacity(user, ask=True)
        group.callers.users.append(user)

    def leave(self, user: User) -> None:
        """Close a user's stores. A user that never joined has none.

        A call that the user is in has not ended, and counts with its age.
        """
        if not isinstance(user, OpenLoopUser) or user.user_group is None:
            return
        if user.intended_ns and not user.recorded:
            starts_ns = np.array([user.intended_ns], np.int64)
            user.series.record_unfinished(starts_ns, time.monotonic_ns())
            user.intended_ns = 0
        for group in self._groups[type(user).__name__]:
            if user in group.callers.users:
                group.callers.users.remove(user)
        if user.user_stores is not None:
            user.user_stores.close()

    def _group(
        self, cls: type[OpenLoopUser], subject: LoadSubject, class_index: int, weight: float
    ) -> UserGroup:
        calls: list[PatternCall] = [
            (
                method.method,
                self._run.recorder.pair(subject.backend, subject.driver, method.pattern),
            )
            for method in cls.pattern_methods
        ]
        shares = np.array([method.share for method in cls.pattern_methods])
        dispatcher = ArrivalDispatcher(
            self._schedule(cls, subject, class_index, weight),
            timer=self._timer,
            ahead_ns=self._ahead_ns,
        )
        carts, sessions = self._work[subject.index]
        return UserGroup(
            subject=subject,
            run=self._run,
            callers=self._run.add_dispatcher(dispatcher, [pair for _, pair in calls]),
            calls=calls,
            cumulative=np.cumsum(shares / shares.sum())[:-1],
            seed=(self._config.load.seed, class_index, self._share.index),
            carts=carts,
            sessions=sessions,
            on_fault=self._on_fault,
            makes_stores=cls.described().makes_stores,
        )

    def _schedule(
        self, cls: type[OpenLoopUser], subject: LoadSubject, class_index: int, weight: float
    ) -> Iterator[Nanoseconds]:
        schedule = arrivals(
            scaled(cls.profile(self._config, subject.backend), weight),
            self._config.load.arrivals,
            arrivals_seed(self._config, subject, class_index),
            self._share,
        )
        alternation = alternation_of(self._config)
        return alternation.offered(schedule, subject.index) if alternation else schedule


def _work_of(
    subject: LoadSubject,
    subjects: tuple[LoadSubject, ...],
    dataset: Dataset,
    config: Config,
    share: WorkerShare,
) -> tuple[Carts, Sessions]:
    """Keys for a subject; two subjects of one backend own half of the users each."""
    alone = len({each.backend for each in subjects}) == len(subjects)
    for_carts = dataset if alone else split_by_cart_size(dataset, subject.index)
    for_sessions = dataset if alone else split_by_session_size(dataset, subject.index)
    seed, exponent = config.load.seed, config.load.zipf_exponent
    return (
        Carts.of(for_carts, seed, share, exponent),
        Sessions.of(for_sessions, seed, share, datetime.now(UTC), exponent),
    )


def _ask_capacity(user: OpenLoopUser, *, ask: bool) -> None:
    for store in user.user_stores.by_name.values() if user.user_stores else ():
        if hasattr(store, "ask_capacity"):
            store.ask_capacity = ask


def backends_of(config: Config) -> tuple[str, ...]:
    """The backends that take part, in the project's order."""
    called = {subject.backend for subject in run_subjects(config)}
    return tuple(backend for backend in BACKENDS if backend in called)


def _weight(cls: type[OpenLoopUser]) -> float:
    return float(cls.weight) * sum(method.share for method in cls.pattern_methods)
