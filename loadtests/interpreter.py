"""How the harness starts Python for its own modules, whatever surrounds it.

The current folder belongs to the user. It may hold a `secrets.py`, `random.py`, `locust.py` or
`loadtests/`, which Python would import instead of the real ones. Variables such as PYTHONWARNINGS
or PYTHONINSPECT are meant for the user's own programs.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import MutableMapping
from typing import Final

# PYTHONPATH stays: it may be where the harness itself, or a scenario's modules, are installed
_FOREIGN: Final = (
    "PYTHONWARNINGS",
    "PYTHONINSPECT",
    "PYTHONSTARTUP",
    "PYTHONOPTIMIZE",
    "PYTHONDEBUG",
    "PYTHONVERBOSE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONDEVMODE",
    "PYTHONTRACEMALLOC",
    "PYTHONASYNCIODEBUG",
    "PYTHONMALLOCSTATS",
    "PYTHONDUMPREFS",
)


def module_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs one module in an interpreter of its own.

    `-P`: the current folder is not searched for modules.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def forget_foreign_settings(environ: MutableMapping[str, str] | None = None) -> None:
    """Drop the variables that change how an interpreter runs, so that no child inherits them."""
    environ = os.environ if environ is None else environ
    if environ.get("PYTHONWARNINGS"):  # `error` would end this process by a warning of a library
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    for name in _FOREIGN:
        environ.pop(name, None)


def search_current_folder_last() -> None:
    """Make the current folder the last in the module search path.

    `python -m` and Locust put it first. Modules of a scenario or a factory in it are still found.
    """
    here = os.getcwd()
    sys.path[:] = [entry for entry in sys.path if entry not in {"", here}] + [here]
