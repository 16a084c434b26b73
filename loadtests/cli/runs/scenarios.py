"""Reads scenario files before any database starts, in a process of its own.

A file that is missing, is no Python, raises when it is imported or has no open-loop user is
reported within seconds. Another process, because importing Locust patches the one that does it.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from loadtests.errors import EXIT_ERROR, EXIT_PASS, LoadtestsError, UsageError
from loadtests.interpreter import TREE_VARIABLE, module_command, search_tree_first
from loadtests.load.declared_stores import ScenarioClass, StoreNeed

LONGEST_S: Final = 15.0


def read_scenarios(
    files: Sequence[str], *, tree: str = "", python: str = sys.executable
) -> list[ScenarioClass]:
    """The user classes: their access patterns with their shares, and their stores.

    The files import from `tree` first, where one is named. Raises UsageError.
    """
    for file in files:
        _parse(file)
    try:
        done = subprocess.run(
            module_command("loadtests.cli.runs.scenarios", *files, python=python),
            env=os.environ | {TREE_VARIABLE: tree},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"Importing {', '.join(files)} took longer than {LONGEST_S:.0f} s.",
            hint="Let a user's on_start connect, not the scenario's module.",
        ) from None
    lines = done.stdout.splitlines()
    answer = json.loads(lines[-1]) if done.returncode in (EXIT_PASS, EXIT_ERROR) and lines else {}
    if "classes" in answer:
        return [_parsed(each) for each in answer["classes"]]
    if "message" in answer:
        raise UsageError(answer["message"], hint=answer["hint"])
    last = done.stderr.strip().splitlines()[-1:] or ["it wrote nothing"]
    raise UsageError(
        f"Importing {', '.join(files)} ended the process (code {done.returncode}).",
        hint=f"Its last output: {last[0][:200]}",
    )


def _parse(file: str) -> None:
    """Raise UsageError where a file is missing or no Python."""
    path = Path(file)
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"The scenario {file} is no file.", hint="Name a Python file.")
        ast.parse(path.read_bytes(), file)
    except FileNotFoundError:
        raise UsageError(
            f"There is no scenario {file}.",
            hint="Name a file with --scenario; `loadtests init` writes a first one.",
        ) from None
    except OSError as error:
        raise UsageError(
            f"The scenario {file} cannot be read: {error.strerror}.", hint="Name a readable file."
        ) from None
    except SyntaxError as error:
        raise UsageError(
            f"The scenario {file} is no Python: {error.msg} (line {error.lineno}).",
            hint="Correct that line.",
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(
            f"The scenario {file} is no Python: {error}.", hint="Name a Python file."
        ) from None


def _parsed(answer: dict[str, Any]) -> ScenarioClass:
    stores = tuple(StoreNeed(**need) for need in answer["stores"])
    return ScenarioClass(answer["name"], answer["shares"], stores)


def classes_in(file: str) -> list[ScenarioClass]:
    """As `read_scenarios`, of one file and in this process. Raises UsageError."""
    _parse(file)
    from locust.util.load_locustfile import load_locustfile

    from loadtests.load.locust.users import OpenLoopUser

    try:
        classes, _ = load_locustfile(str(Path(file).absolute()))
    except LoadtestsError as error:
        raise UsageError(f"{file}: {error.message}", hint=error.hint) from None
    except Exception as error:  # noqa: BLE001 (a scenario's own mistake, whatever it is)
        text = " ".join(str(error).split())
        raise UsageError(
            f"The scenario {file} cannot be imported: {type(error).__name__}: {text[:200]}",
            hint=f"Correct it; `python {file}` shows where.",
        ) from None
    if not classes:
        raise UsageError(
            f"The scenario {file} has no user class.",
            hint="Derive one from loadtests.load.plugin.OpenLoopUser, as scenarios/cart.py does.",
        )
    described = []
    for name, cls in classes.items():
        if not issubclass(cls, OpenLoopUser):
            raise UsageError(
                f"{name} in {file} is no open-loop user.",
                hint="Derive it from loadtests.load.plugin.OpenLoopUser.",
            )
        cls.check_declarations()
        described.append(cls.described())
    return described


def main() -> int:
    """Answer about the files that the arguments name: one JSON line."""
    answer: dict[str, Any]
    search_tree_first(os.environ.get(TREE_VARIABLE, ""))
    try:
        with redirect_stdout(sys.stderr):  # what a module prints when imported is no answer
            classes = [asdict(each) for file in sys.argv[1:] for each in classes_in(file)]
        answer = {"classes": classes}
    except LoadtestsError as error:
        answer = {"message": error.message, "hint": error.hint}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
    return EXIT_ERROR if "message" in answer else EXIT_PASS


if __name__ == "__main__":
    sys.exit(main())
