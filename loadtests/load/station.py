"""Gives each Locust user its place: a backend, a lane, stores and the keys it may touch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from loadtests.config import Config
from loadtests.errors import CallError, ResponseInvalid, UsageError
from loadtests.load.arrivals import Share, arrivals, scaled
from loadtests.load.lane import Lane
from loadtests.load.run import Clocked, LoadRun
from loadtests.load.seeds import lane_seed
from loadtests.load.timer import early_ns_of, open_timer
from loadtests.load.workload import Carts, Sessions
from loadtests.measure.recorder import Series
from loadtests.patterns import BACKENDS
from loadtests.stores.open import open_cart_store, open_session_store
from loadtests.targets.dataset import Dataset
from loadtests.targets.endpoints import Endpoints

if TYPE_CHECKING:
    from loadtests.load.users import OpenLoopUser

_log: Final = logging.getLogger(__name__)
_CHUNK: Final = 512

Drawn = tuple[Callable[[Any], None], tuple[Series, Series]]


@dataclass(slots=True, eq=False)
class Place:
    """One scenario class on one backend: where its users stand."""

    backend: str
    driver: str
    run: LoadRun
    clocked: Clocked
    choices: list[Drawn]
    cumulative: Any
    rng: np.random.Generator
    carts: Carts
    sessions: Sessions
    reported: set[str] = field(default_factory=set)
    drawn: list[Drawn] = field(default_factory=list)

    @property
    def lane(self) -> Lane:
        """Where its arrivals come from."""
        return self.clocked.lane

    def draw(self) -> Drawn:
        """The next call's method and its (warm-up, measured) series."""
        if not self.drawn:
            places = np.searchsorted(self.cumulative, self.rng.random(_CHUNK), side="right")
            self.drawn = [self.choices[i] for i in places.tolist()]
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
            series.response.append(time.monotonic_ns() - user.intended_ns)
        if isinstance(error, ResponseInvalid):
            self.run.invalid_responses += 1
        if name not in self.reported:
            self.reported.add(name)
            _log.warning("%s on %s: %s", series.pattern, self.backend, error or name)


class Station:
    """All places of this process."""

    def __init__(
        self,
        config: Config,
        endpoints: Endpoints,
        dataset: Dataset,
        run: LoadRun,
        classes: list[type[OpenLoopUser]],
        share: Share,
    ) -> None:
        self._config = config
        self._endpoints = endpoints
        self._run = run
        self._share = share
        self._places: dict[str, list[Place]] = {}
        backends = backends_of(config)
        # one belief of the carts a backend, whatever number of classes writes to them
        self._work = {
            backend: (
                Carts.of(dataset, config.load.seed, share),
                Sessions.of(dataset, config.load.seed, share, datetime.now(UTC)),
            )
            for backend in backends
        }
        ours_per_s = config.load.rate * len(backends) / share.count
        self._timer = partial(open_timer, early_ns=early_ns_of(ours_per_s))
        total = sum(_weight(cls) for cls in classes)
        for number, cls in enumerate(classes):
            check_mix(cls)
            self._places[cls.__name__] = [
                self._place(cls, backend, number, _weight(cls) / total) for backend in backends
            ]

    def join(self, user: OpenLoopUser) -> None:
        """Put a user where its class has the fewest for the load."""
        places = self._places[type(user).__name__]
        place = min(places, key=lambda p: len(p.clocked.users))
        user.place = place
        user.carts = open_cart_store(place.driver, self._endpoints)
        user.sessions = open_session_store(place.driver, self._endpoints)
        user.cart_work, user.session_work = place.carts, place.sessions
        _ask_capacity(user, ask=True)
        place.clocked.users.append(user)

    def leave(self, user: OpenLoopUser) -> None:
        """Close a user's stores."""
        place = getattr(user, "place", None)
        if place is None:
            return
        if user in place.clocked.users:
            place.clocked.users.remove(user)
        user.carts.close()
        user.sessions.close()

    def _place(self, cls: type[OpenLoopUser], backend: str, number: int, weight: float) -> Place:
        load = self._config.load
        driver = load.driver if backend == "dynamodb" else "psycopg"
        schedule = arrivals(
            scaled(cls.profile(self._config, backend), weight),
            load.arrivals,
            lane_seed(load.seed, number, backend),
            self._share,
        )
        recorder = self._run.recorder
        choices: list[Drawn] = [
            (
                declared.method,
                (
                    recorder.series(backend, driver, declared.pattern, warm_up=True),
                    recorder.series(backend, driver, declared.pattern, warm_up=False),
                ),
            )
            for declared in cls.declared
        ]
        shares = np.array([declared.share for declared in cls.declared])
        return Place(
            backend,
            driver,
            self._run,
            self._run.add_lane(Lane(schedule, timer=self._timer), [pair for _, pair in choices]),
            choices,
            np.cumsum(shares / shares.sum())[:-1],
            np.random.default_rng([load.seed, number, self._share.index]),
            *self._work[backend],
        )


def _ask_capacity(user: OpenLoopUser, *, ask: bool) -> None:
    for store in (user.carts, user.sessions):
        if hasattr(store, "ask_capacity"):
            store.ask_capacity = ask


def backends_of(config: Config) -> tuple[str, ...]:
    """The backends that take part."""
    return BACKENDS if config.load.backend == "both" else (config.load.backend,)


def check_mix(cls: type[OpenLoopUser]) -> None:
    """Refuse a mix that would empty the carts. Raises UsageError."""
    if not cls.declared:
        raise UsageError(
            f"{cls.__name__} declares no access pattern.",
            hint="Mark its methods with @access_pattern(…, share=…).",
        )
    shares = {declared.pattern: declared.share for declared in cls.declared}
    if shares.get("cart.remove", 0) > shares.get("cart.add", 0):
        raise UsageError(
            f"{cls.__name__} removes more cart lines than it adds, so its carts would run empty.",
            hint="Give cart.add at least the share of cart.remove.",
        )


def _weight(cls: type[OpenLoopUser]) -> float:
    return float(cls.weight) * sum(declared.share for declared in cls.declared)
