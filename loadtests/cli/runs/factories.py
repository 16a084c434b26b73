"""Asks store factories what they are, in a process that may import foreign code.

A factory is checked before any database starts, so that a mistake in its name is reported within a
second. The check runs in another process, because the factory's module could change the state of
this one, and because it may need another Python and another source tree. The same process calls
each access pattern once, before any data is seeded.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from importlib import metadata
from importlib.util import find_spec
from platform import python_version
from typing import Any, Final

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError, UsageError
from loadtests.interpreter import (
    TreeFinder,
    module_command,
    search_current_folder_last,
    search_tree_first,
)
from loadtests.load.subjects import (
    LoadSubject,
    parse_subject,
    probe_subjects,
    qualified,
    subject_texts,
)
from loadtests.stores.factories import confirm_factory, is_factory
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_from_json, endpoints_to_json

_LONGEST_S: Final = 15.0
_LONGEST_PROBE_S: Final = 60.0
_CLIENTS: Final = ("boto3", "botocore", "aioboto3", "psycopg", "asyncpg")


@dataclass(frozen=True, slots=True)
class FactoryAnswer:
    """What a process says of subjects: their texts with backends, its Python, its clients."""

    texts: list[str] = field(default_factory=list)
    python: str = ""
    packages: dict[str, str] = field(default_factory=dict)


def settled(config: Config) -> Config:
    """The settings with both subjects and the driver as `backend/client`. Raises UsageError."""
    subjects, driver = subject_texts(config.load.subjects), config.load.driver
    asked = [*subjects, driver] if is_factory(driver) else subjects
    if not any(map(is_factory, asked)):
        return qualified(config)
    texts = confirm_clients(config, asked).texts
    changes = {"subjects": shlex.join(texts[: len(subjects)])}
    if is_factory(driver):
        changes["driver"] = texts[-1]
    load = config.load.model_copy(update=changes)
    return qualified(config.model_copy(update={"load": load}))


def confirm_clients(
    config: Config, texts: Sequence[str], *, tree: str = "", python: str = sys.executable
) -> FactoryAnswer:
    """Import the factories among the clients, from `tree` first. Raises UsageError."""
    question = {"config": _as_json(config), "tree": tree, "texts": list(texts)}
    return _ask(question, python, _LONGEST_S)


def probe_through(
    config: Config, name: str, endpoints: Endpoints, *, tree: str, python: str
) -> None:
    """Call every access pattern of one subject once. Raises UsageError."""
    question = {
        "config": _as_json(config),
        "tree": tree,
        "probe": name,
        "endpoints": endpoints_to_json(endpoints),
    }
    _ask(question, python, _LONGEST_PROBE_S)


def _as_json(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", by_alias=True)


def _ask(question: dict[str, Any], python: str, longest_s: float) -> FactoryAnswer:
    """The answer of a process of its own. Raises UsageError with the error that it met."""
    try:
        done = subprocess.run(
            module_command("loadtests.cli.runs.factories", python=python),
            input=json.dumps(question),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=longest_s,
        )
    except subprocess.TimeoutExpired:
        what = "Calling the stores" if "probe" in question else "Importing the factories"
        raise UsageError(
            f"{what} took longer than {longest_s:.0f} s.",
            hint="Let the factory connect, not its module.",
        ) from None
    answer = _last_line(done.stdout)
    if "message" in answer:
        raise UsageError(answer["message"], hint=answer["hint"])
    if done.returncode == 0 and "texts" in answer:
        return FactoryAnswer(**answer)
    last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    raise UsageError(
        f"Importing the factories ended the process (code {done.returncode}).",
        hint=f"Its last words: {last[0][:200]}",
    )


def _last_line(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        return {}


# --- in the other process


def main() -> int:
    """Answer the question on standard input: one JSON line."""
    search_current_folder_last()
    question = json.load(sys.stdin)
    search_tree_first(question["tree"])
    answer: dict[str, object]
    try:
        with redirect_stdout(sys.stderr):  # what a module prints when imported is no answer
            answer = asdict(_answer_to(question))
    except LoadtestsError as error:
        answer = {"message": error.message, "hint": error.hint}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return EXIT_ERROR if "message" in answer else 0


def _answer_to(question: dict[str, Any]) -> FactoryAnswer:
    config, tree = Config.model_validate(question["config"]), str(question["tree"])
    if "probe" in question:
        endpoints = endpoints_from_json(question["endpoints"])
        probe_subjects(config, endpoints, only=str(question["probe"]))
        return FactoryAnswer()
    subjects = [_confirmed(text, tree, config.load.driver) for text in question["texts"]]
    return FactoryAnswer(
        texts=[subject.text for subject in subjects],
        python=python_version(),
        packages=dict(_versions(tree)),
    )


def _confirmed(text: str, tree: str, dynamodb_driver: str) -> LoadSubject:
    """The subject of a text without a name. Raises UsageError."""
    module = text.rpartition("/")[2].partition(":")[0]
    if tree and is_factory(text) and not _is_in(tree, module):
        raise UsageError(
            f"The folder {tree} has no module {module}.",
            hint="Name the folder that contains the package: base=../base:shop.carts:make.",
        )
    subject = parse_subject(text, dynamodb_driver)
    if is_factory(subject.client):
        confirm_factory(subject.client, subject.backend)
    return subject


def _is_in(tree: str, module: str) -> bool:
    """Whether a tree has a module; True where a package on the way to it cannot be imported."""
    if TreeFinder(tree).find_spec(module.partition(".")[0]) is None:
        return False
    try:
        return find_spec(module) is not None
    except Exception:  # noqa: BLE001 (of another project's package; importing the module shows it)
        return True


def _versions(tree: str) -> Iterator[tuple[str, str]]:
    """The clients' versions, as they are found with the tree first."""
    path = [tree, *sys.path] if tree else sys.path
    for name in _CLIENTS:
        for distribution in metadata.distributions(name=name, path=path):
            yield name, distribution.version
            break


if __name__ == "__main__":
    sys.exit(main())
