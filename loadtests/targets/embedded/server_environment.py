"""The environment of the embedded servers: they depend on nothing that the user has set.

Variables such as PGOPTIONS, JAVA_TOOL_OPTIONS, CLASSPATH, LD_PRELOAD or AWS_PROFILE are meant for
other programs and would change what is measured, or prevent a start. So only the named ones stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# LD_LIBRARY_PATH: some installations of Python do not start without it
_KEPT: Final = ("PATH", "LD_LIBRARY_PATH")


def server_environment(environ: Mapping[str, str], *, locale: str) -> dict[str, str]:
    """The variables for a server, in a fixed locale."""
    return {name: environ[name] for name in _KEPT if name in environ} | {"LC_ALL": locale}
