"""How the harness starts Python for its own modules, whatever surrounds it.

The current folder belongs to the user. It may hold a `secrets.py`, `random.py`, `locust.py` or
`loadtests/`, which Python would import instead of the real ones. Variables such as PYTHONWARNINGS
or PYTHONINSPECT are meant for the user's own programs.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent

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
TREE_VARIABLE: Final = "LOADTESTS_SUBJECT_TREE"  # for a child process: the folder to import from
_NEVER_OF_A_TREE: Final = sys.stdlib_module_names | {"loadtests", "locust"}


def module_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command line that runs one module in an interpreter of its own.

    `-P`: the current folder is not searched for modules.
    """
    return [python, "-P", "-m", module, *arguments]


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


class TreeFinder:
    """Finds top-level modules in one folder first, wherever else there are modules of that name.

    Not those of Python itself, of the harness and of Locust: the folder may be a whole project. It
    is a finder and no entry of `sys.path`, which Locust changes while it imports a scenario.
    """

    def __init__(self, tree: str) -> None:
        self._tree = tree

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's specification; None leaves it to the next finder."""
        if path is not None or name in _NEVER_OF_A_TREE:
            return None
        spec = PathFinder.find_spec(name, [self._tree], target)
        if spec is not None and spec.loader is None and spec.submodule_search_locations:
            # a package without __init__.py: a plain list keeps it in this folder
            spec.submodule_search_locations = list(spec.submodule_search_locations)
        return spec


def search_tree_first(tree: str) -> None:
    """Import top-level modules from this folder where it has them; empty: from no folder first."""
    if tree:
        sys.meta_path.insert(0, TreeFinder(tree))


def other_package(environ: Mapping[str, str] | None = None) -> Path | None:
    """Another package or module `loadtests`, on PYTHONPATH or else in the current folder."""
    folders = _python_path(os.environ if environ is None else environ)
    return next(_other_packages([*folders, os.curdir]), None)


def other_package_notice(path: Path) -> str:
    """What to say of another package: what happens, and what to do."""
    return (
        f"{path} is not imported: here, the name loadtests means cloudshelf-loadtests. Rename it "
        "if a scenario or a store imports it."
    )


def find_this_package_first(environ: MutableMapping[str, str] | None = None) -> None:
    """Let child processes import this package where PYTHONPATH leads to another of its name."""
    environ = os.environ if environ is None else environ
    folders = _python_path(environ)
    home = str(_PACKAGE.parent)
    if home not in folders[:1] and any(_other_packages(folders)):
        environ["PYTHONPATH"] = os.pathsep.join([home, *folders])


def _python_path(environ: Mapping[str, str]) -> list[str]:
    named = environ.get("PYTHONPATH")
    return named.split(os.pathsep) if named else []


def _other_packages(folders: Iterable[str]) -> Iterator[Path]:
    """What Python would import as `loadtests` from these folders, without this package."""
    for folder in folders:
        for name in ("loadtests/__init__.py", "loadtests.py"):
            path = os.path.abspath(os.path.join(folder, name))
            if os.path.isfile(path) and not os.path.samefile(path, _PACKAGE / "__init__.py"):
                yield Path(path.removesuffix("/__init__.py"))
