"""The command `loadtests`."""

from __future__ import annotations

from typing import NoReturn

from cloudshelf_loadtests import import_loadtests


def main() -> NoReturn:
    """Run the command line and exit."""
    import_loadtests()
    from loadtests.__main__ import main as run_command_line

    run_command_line()
