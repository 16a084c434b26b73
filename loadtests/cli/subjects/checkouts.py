"""Which commit a source tree is of, where it is a Git checkout."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LONGEST_S: Final = 10.0
_COMMIT: Final = re.compile(r"[0-9a-f]{40,64}")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A commit, and whether tracked files of the tree differ from it."""

    commit: str
    modified: bool


def read_checkout(tree: Path) -> Checkout | None:
    """The state of a Git checkout; None where it is none, or Git is missing or refuses."""
    commit = _git(tree, "rev-parse", "HEAD")
    if commit is None or not _COMMIT.fullmatch(commit.strip()):
        return None
    changes = _git(tree, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return Checkout(commit.strip(), bool(changes and changes.strip()))


def _git(tree: Path, *arguments: str) -> str | None:
    # GIT_DIR and the like, as a hook sets them, would lead to another repository
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *arguments],
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
