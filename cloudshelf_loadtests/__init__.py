"""Where the installed programs begin: the command `loadtests` and the pytest plugin.

A project may have a package called `loadtests` of its own, in its folder or on PYTHONPATH. This
package has a name that no other project uses, so it is always the installed one, and it knows where
the other half of the installation is: beside it.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

HOME: Final = Path(__file__).resolve().parents[1]  # the folder of this package and of `loadtests`


class OtherPackageImported(ImportError):
    """Another package called `loadtests` is already imported in this process."""


def import_loadtests() -> None:
    """Import the package `loadtests` of this installation, whatever the search path begins with.

    Raises OtherPackageImported if this process has already imported another one.
    """
    sys.path.insert(0, str(HOME))
    try:
        package = importlib.import_module("loadtests")
    finally:
        sys.path.remove(str(HOME))
    origin = Path(getattr(package, "__file__", None) or HOME).resolve()
    if origin.parent != HOME / "loadtests":
        raise OtherPackageImported(
            f"this process has already imported another package loadtests: {origin}"
        )
