"""The subjects of a run: the drivers of its backends, or two subjects to compare.

A subject is a driver (`boto3`), a backend (`postgres`), both (`dynamodb/wire`), or a store factory
(`package.module:factory`, with `dynamodb/` or `postgres/` before it where the factory does not say
which it calls). `NAME=[TREE:]client` names a subject (`named_subjects.py`); each subject of such a
run is called by a process of its own. `--blocks` says whether two subjects are called side by side
(0) or in turns, in blocks of that many seconds; docs/decisions/interleaving.md has the reasons for
the default.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import Any, Final

from loadtests.config import Config
from loadtests.errors import UsageError
from loadtests.load.named_subjects import NamedSubject, is_named, parse_named
from loadtests.load.schedule.alternation import Alternation
from loadtests.load.schedule.arrivals import dispatcher_seed
from loadtests.patterns import BACKENDS
from loadtests.stores.factories import backend_of_factory, is_factory
from loadtests.stores.open import ALL_DRIVERS
from loadtests.stores.probe import probe_store
from loadtests.targets.endpoints import Endpoints

BLOCK_S: Final = 1
_NO_END_S: Final = 600.0  # blocks listed for a run without --run-time
DEFAULT_DRIVERS: Final = {"dynamodb": "wire", "postgres": "psycopg"}
LEAN: Final = ("wire", "psycopg")  # cost the generator so little that it serves two at once
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class LoadSubject:
    """A subject that the load calls: `client` is the name of a driver or a factory.

    `driver` is what its series are called by, `index` its number among the run's subjects. A
    `named` subject may have a source tree of its own.
    """

    backend: str
    client: str
    driver: str
    index: int = 0
    named: bool = False
    tree: str = ""

    def __str__(self) -> str:
        return f"{self.backend}/{self.driver}"

    @property
    def text(self) -> str:
        """The subject as the setting `subjects` has it, with its backend."""
        name = self.driver if self.named else ""
        return NamedSubject(name, self.tree, f"{self.backend}/{self.client}").text


def run_subjects(config: Config) -> tuple[LoadSubject, ...]:
    """Everyone who is called: a driver for each backend, or the two that `subjects` names.

    Raises UsageError for a name that means nothing.
    """
    load = config.load
    named = subject_texts(load.subjects)
    if not named:
        backends = BACKENDS if load.backend == "both" else (load.backend,)
        return tuple(_driven(backend, load.driver, i) for i, backend in enumerate(backends))
    if len(named) != 2:
        raise UsageError(
            f"Two subjects are compared, not {len(named)} ({load.subjects}).",
            hint="Name two, such as dynamodb/wire dynamodb/boto3.",
        )
    first, second = (parse_subject(text, load.driver) for text in named)
    second = replace(second, index=1)
    if is_separated(config) and first.driver == second.driver:
        raise UsageError(
            f"Both subjects are called {first.driver}.", hint="Give them different names."
        )
    if str(first) == str(second):
        if first.client != second.client:
            raise UsageError(
                f"{first.client} and {second.client} would have one name in the results, {first}.",
                hint="Rename one of the factories.",
            )
        # one subject against itself: what is found then is noise
        second = replace(second, driver=f"{second.driver}-2")
    return first, second


def is_separated(config: Config) -> bool:
    """Whether each of the run's subjects is called by a process of its own."""
    return is_named(config.load.subjects)


def alternation_of(config: Config) -> Alternation | None:
    """How the two subjects alternate; None where all are called concurrently."""
    if not config.load.subjects:
        return None
    first, second = run_subjects(config)
    blocks = config.load.blocks
    if blocks is None:
        apart = first.backend != second.backend and {first.client, second.client} <= set(LEAN)
        blocks = 0 if apart else BLOCK_S
    return Alternation(blocks, config.load.seed) if blocks else None


def arrivals_seed(config: Config, subject: LoadSubject, number: int) -> int:
    """The seed of a subject's arrivals for the scenario's `number`-th class.

    In turns, both have the same arrivals in their own time. Side by side each has its own, or both
    would always be called at once.
    """
    subjects = run_subjects(config)
    seed = config.load.seed
    if alternation_of(config):
        return dispatcher_seed(seed, number, subjects[0].backend)
    shared = subject.index if len({subject.backend for subject in subjects}) < len(subjects) else 0
    return dispatcher_seed(seed, number, subject.backend) + len(BACKENDS) * shared


def qualified(config: Config) -> Config:
    """The same settings with subjects and driver as `backend/client`, and the backends they need.

    Asks a factory that is named without a backend, so that nobody else has to import it.
    """
    load = config.load
    if is_factory(load.driver):
        chosen = parse_subject(load.driver, load.driver)
        load = load.model_copy(update={"driver": f"{chosen.backend}/{chosen.client}"})
        config = config.model_copy(update={"load": load})
    if not load.subjects:
        return config
    subjects = run_subjects(config)
    backends = {subject.backend for subject in subjects}
    settled = {
        "subjects": shlex.join(subject.text for subject in subjects),
        "backend": "both" if len(backends) > 1 else backends.pop(),
    }
    return config.model_copy(update={"load": load.model_copy(update=settled)})


def probe_subjects(config: Config, endpoints: Endpoints, only: str = "") -> None:
    """Call every pattern of each subject's carts and sessions once, before any data is seeded.

    Not those of drivers on a database that the harness started itself. `only` names the subject to
    call where each has a process of its own. Raises TargetError, UsageError.
    """
    for subject in run_subjects(config):
        if only and subject.driver != only:
            continue
        endpoint = endpoints.dynamodb if subject.backend == "dynamodb" else endpoints.postgres
        if endpoint and (is_factory(subject.client) or not endpoint.embedded):
            probe_store(subject.client, subject.backend, endpoints)


def recorded(config: Config, run_time_s: float | None) -> dict[str, Any]:
    """What run.json's `config` holds of the load; of two subjects also their blocks, if any.

    The blocks are those planned for the run time: the run may end before the last of them.
    """
    load = config.load.model_dump(mode="json")
    if not config.load.subjects:  # as ever, so that older runs stay comparable
        return {"load": {k: v for k, v in load.items() if k not in ("subjects", "blocks")}}
    alternation = alternation_of(config)
    load["blocks"] = alternation.block_s if alternation else 0
    if alternation is None:
        return {"load": load}
    names = [str(subject) for subject in run_subjects(config)]
    blocks = alternation.listed(names, config.load.warm_up, run_time_s or _NO_END_S)
    return {"load": load, "blocks": blocks}


def subject_texts(subjects: str) -> list[str]:
    """The subjects one by one; a folder in a name may contain spaces."""
    try:
        return shlex.split(subjects)
    except ValueError as error:
        raise UsageError(
            f"The subjects {subjects} cannot be read: {error}.", hint="Quote names with spaces."
        ) from None


def _driven(backend: str, driver: str, index: int) -> LoadSubject:
    """A backend through what `--driver` names, where that calls it; else its default driver."""
    if is_factory(driver):
        chosen = parse_subject(driver, driver)
        if chosen.backend == backend:
            return replace(chosen, index=index)
    elif backend == ALL_DRIVERS[driver].backend:
        return LoadSubject(backend, driver, driver, index)
    default = DEFAULT_DRIVERS[backend]
    return LoadSubject(backend, default, default, index)


def parse_subject(text: str, driver: str) -> LoadSubject:
    """Read one subject; a factory that does not say its backend is imported. Raises UsageError."""
    if is_named(text):
        given = parse_named(text)
        subject = parse_subject(given.client, driver)
        return replace(subject, driver=given.name, named=True, tree=given.tree)
    if text in BACKENDS:
        return _driven(text, driver, 0)
    before, slash, after = text.partition("/")
    backend, client = (before, after) if slash else ("", before)
    if slash and backend not in BACKENDS:
        raise UsageError(
            f"{backend!r} in {text} is no backend.", hint="Write dynamodb/… or postgres/…."
        )
    if is_factory(client):
        backend = backend or backend_of_factory(client)
        return LoadSubject(backend, client, _UNSAFE.sub("-", client))
    if client not in ALL_DRIVERS:
        raise UsageError(
            f"{text!r} is no subject: there is no such driver or backend.", hint=_KNOWN
        )
    own = ALL_DRIVERS[client].backend
    if backend and backend != own:
        raise UsageError(f"{text}: the driver {client} calls {own}.", hint=f"Write {own}/{client}.")
    return LoadSubject(own, client, client)


_KNOWN: Final = (
    f"Drivers: {', '.join(ALL_DRIVERS)}; backends: {', '.join(BACKENDS)}; your own stores: "
    "package.module:factory."
)
