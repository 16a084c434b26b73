"""From `NAME=[TREE:]client` and `--python` to processes that can be started.

Whatever can be wrong with a folder, a Python or a factory is found here, before databases start.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from loadtests.cli.runs.factories import FactoryAnswer, confirm_clients, probe_through, settled
from loadtests.cli.subjects.checkouts import read_checkout
from loadtests.cli.subjects.interpreters import check_python, find_python, parse_pythons
from loadtests.config import Config
from loadtests.errors import LoadtestsError, TargetError, UsageError
from loadtests.load.named_subjects import NamedSubject, is_named, parse_named
from loadtests.load.subjects import (
    DEFAULT_DRIVERS,
    LoadSubject,
    is_separated,
    qualified,
    run_subjects,
    subject_texts,
)
from loadtests.measure.results import SubjectInfo
from loadtests.stores.factories import is_factory
from loadtests.targets.endpoints import Endpoints


@dataclass(frozen=True, slots=True)
class SubjectProcess:
    """How one subject's process is started: its Python, and the folder whose modules come first.

    `tree` is absolute, and empty where no folder comes first.
    """

    name: str
    python: str
    tree: str
    info: SubjectInfo


def settle_subjects(
    config: Config, pythons: Sequence[str]
) -> tuple[Config, tuple[SubjectProcess, ...]]:
    """The settings with both subjects as they are called, and a process for each named subject.

    Raises UsageError.
    """
    given_pythons = parse_pythons(pythons)
    if not is_separated(config):
        if given_pythons:
            raise UsageError(
                f"--python {pythons[0]}: no subject has that name.",
                hint="Name the subjects, for example: old=boto3 new=boto3.",
            )
        return settled(config), ()
    if is_factory(config.load.driver):  # no part of this run, and perhaps of another tree
        load = config.load.model_copy(update={"driver": DEFAULT_DRIVERS["dynamodb"]})
        config = config.model_copy(update={"load": load})
    asked = [_read(text) for text in subject_texts(config.load.subjects)]
    names = [each.name for each in asked if each.name]
    for name in given_pythons:
        if name not in names:
            raise UsageError(
                f"--python {name}=…: no subject is called {name}.",
                hint=f"Named subjects: {', '.join(names)}.",
            )
    examined = [_examine(config, each, given_pythons.get(each.name, "")) for each in asked]
    subjects = shlex.join(each.text for each in examined)
    load = config.load.model_copy(update={"subjects": subjects})
    config = qualified(config.model_copy(update={"load": load}))
    return config, tuple(
        _process(subject, each)
        for subject, each in zip(run_subjects(config), examined, strict=True)
    )


def probe_processes(
    config: Config, processes: Sequence[SubjectProcess], endpoints: Endpoints
) -> None:
    """Call every access pattern of each subject once, by its own Python and modules.

    Raises TargetError.
    """
    for process in processes:
        try:
            probe_through(config, process.name, endpoints, tree=process.tree, python=process.python)
        except LoadtestsError as error:
            raise TargetError(f"{process.name}: {error.message}", hint=error.hint) from None


@dataclass(frozen=True, slots=True)
class _Examined:
    """A subject with its backend, its Python and folder, and what the factory check answered."""

    text: str
    python: str
    tree: str
    answer: FactoryAnswer


def _read(text: str) -> NamedSubject:
    return parse_named(text) if is_named(text) else NamedSubject("", "", text)


def _examine(config: Config, asked: NamedSubject, given_python: str) -> _Examined:
    """What a subject's process needs. Raises UsageError."""
    who = asked.name or asked.client
    tree = _folder(asked)
    python = find_python(asked.name, given_python) if given_python else sys.executable
    check_python(who, python)
    try:
        answer = confirm_clients(config, [asked.client], tree=tree, python=python)
    except LoadtestsError as error:
        raise UsageError(f"{who}: {error.message}", hint=error.hint) from None
    (client,) = answer.texts
    return _Examined(replace(asked, client=client).text, python, tree, answer)


def _folder(asked: NamedSubject) -> str:
    if not asked.tree:
        return ""
    folder = Path(asked.tree).expanduser()
    if not folder.is_dir():
        raise UsageError(
            f"{asked.name}: there is no folder {asked.tree}.",
            hint="Name the folder that contains the package, as in base=../base:shop.carts:make.",
        )
    return os.path.abspath(folder)  # not resolved: the owner may move a link


def _process(subject: LoadSubject, examined: _Examined) -> SubjectProcess:
    checkout = read_checkout(Path(examined.tree)) if examined.tree else None
    info = SubjectInfo(
        name=subject.driver,
        backend=subject.backend,
        client=subject.client,
        tree=subject.tree,
        commit=checkout.commit if checkout else None,
        modified=checkout.modified if checkout else None,
        python=examined.answer.python,
        packages=examined.answer.packages,
    )
    return SubjectProcess(subject.driver, examined.python, examined.tree, info)
