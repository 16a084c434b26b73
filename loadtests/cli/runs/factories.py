"""Determines which backends two subjects call, in a process that may import foreign code.

A factory is checked before any database starts, so that a mistake in its name is reported within a
second. The check runs in another process, because the factory's module could change the state of
this one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stdout

from loadtests.config import Config
from loadtests.errors import EXIT_ERROR, LoadtestsError, UsageError
from loadtests.interpreter import module_command, search_current_folder_last
from loadtests.load.subjects import qualified, run_subjects
from loadtests.stores.factories import confirm_factory, is_factory

_LONGEST_S = 15.0


def settled(config: Config) -> Config:
    """The settings with both subjects as `backend/client`. Raises UsageError."""
    if not (is_factory(config.load.subjects) or is_factory(config.load.driver)):
        return qualified(config)
    try:
        done = subprocess.run(
            module_command("loadtests.cli.runs.factories"),
            input=json.dumps(config.model_dump(mode="json", by_alias=True)),
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"Importing the factories took longer than {_LONGEST_S:.0f} s.",
            hint="Let the factory connect, not its module.",
        ) from None
    answer = _answer(done.stdout)
    if "config" in answer:
        return Config.model_validate(answer["config"])
    if "message" in answer:
        raise UsageError(answer["message"], hint=answer["hint"])
    last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
    raise UsageError(
        f"Importing the factories ended the process (code {done.returncode}).",
        hint=f"Its last words: {last[0][:200]}",
    )


def _answer(text: str) -> dict[str, str]:
    try:
        return dict(json.loads(text.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        return {}


def main() -> int:
    """Answer for the configuration on standard input: one JSON line."""
    search_current_folder_last()
    config = Config.model_validate(json.load(sys.stdin))
    answer: dict[str, object]
    try:
        with redirect_stdout(sys.stderr):  # what a module prints when imported is no answer
            settled_config = qualified(config)
            for subject in run_subjects(settled_config):
                if is_factory(subject.client):
                    confirm_factory(subject.client, subject.backend)
        answer = {"config": settled_config.model_dump(mode="json", by_alias=True)}
    except LoadtestsError as error:
        answer = {"message": error.message, "hint": error.hint}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return EXIT_ERROR if "message" in answer else 0


if __name__ == "__main__":
    sys.exit(main())
