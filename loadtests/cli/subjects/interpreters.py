"""The Python that a subject's process runs under: found, and checked before anything starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

import loadtests
from loadtests.errors import UsageError

_LONGEST_S: Final = 30.0
_PACKAGE: Final = "cloudshelf-loadtests"
_IN_FOLDER: Final = ("bin/python", "Scripts/python.exe")
# runs in the other Python, which may be of any version and have nothing installed
_QUESTION: Final = """
import json
try:
    import loadtests
    own = loadtests.__version__
except ImportError:
    own = ""
try:
    from importlib import metadata
    locust = metadata.version("locust")
except ImportError:
    locust = ""
print(json.dumps({"loadtests": own, "Locust": locust}))
"""


def parse_pythons(given: Sequence[str]) -> dict[str, str]:
    """The values of `--python NAME=PYTHON` by name. Raises UsageError."""
    pythons: dict[str, str] = {}
    for text in given:
        name, equals, python = text.partition("=")
        if not (name and equals and python):
            raise UsageError(
                f"--python {text} does not say whose Python it is.",
                hint="Write --python NAME=FOLDER, such as --python old=/venvs/old.",
            )
        if name in pythons:
            raise UsageError(f"--python names {name} twice.", hint="Leave one of them out.")
        pythons[name] = python
    return pythons


def find_python(name: str, given: str) -> str:
    """The executable of a virtual environment's folder, or of a program's name or path.

    Raises UsageError.
    """
    path = Path(given).expanduser()
    option = f"--python {name}={given}"
    if path.is_dir():
        for inside in _IN_FOLDER:
            if (path / inside).exists():
                # not resolved: by its own path an interpreter knows its virtual environment
                return os.path.abspath(path / inside)
        raise UsageError(
            f"{option}: the folder is no virtual environment, it has no {_IN_FOLDER[0]}.",
            hint="Name a virtual environment, or a Python executable.",
        )
    program = shutil.which(str(path))
    if program is None:
        raise UsageError(
            f"{option}: there is no such folder or program.",
            hint="Name a virtual environment, or a Python executable.",
        )
    return os.path.abspath(program)


def check_python(name: str, python: str) -> None:
    """Refuse a Python that has no loadtests, or another version than this one. Raises UsageError.

    The processes of a run exchange messages, which differ from version to version.
    """
    if python == sys.executable:
        return
    theirs = _versions_of(name, python)
    ours = {"loadtests": loadtests.__version__, "Locust": metadata.version("locust")}
    wanted = f"{_PACKAGE}=={loadtests.__version__}"
    hint = f"Install it there, with what the subject needs: {python} -m pip install {wanted}"
    if not theirs.get("loadtests"):
        raise UsageError(f"The Python of {name} ({python}) has no loadtests.", hint=hint)
    for package, version in ours.items():
        if theirs.get(package) != version:
            raise UsageError(
                f"The Python of {name} ({python}) has {package} {theirs.get(package) or 'absent'},"
                f" and this one {version}.",
                hint="Install the same versions of loadtests and Locust in both.",
            )


def _versions_of(name: str, python: str) -> Mapping[str, str]:
    try:
        done = subprocess.run(
            [python, "-P", "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST_S,
        )
        if done.returncode == 0:
            return dict(json.loads(done.stdout.splitlines()[-1]))
        reason = (done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.returncode}"])[0]
    except subprocess.TimeoutExpired:
        reason = f"it did not answer within {_LONGEST_S:.0f} s"
    except (OSError, ValueError, IndexError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it gave no answer"
    raise UsageError(
        f"The Python of {name} ({python}) cannot be used: {reason[:200]}.",
        hint="Name a Python 3.11 or newer in which loadtests is installed.",
    )
