"""`loadtests` and `python -m loadtests`: run a verb and exit with its code.

Every error becomes a sentence and exit code 2. Nothing but a verdict ends with 1, and a verdict's
code does not depend on whether it could be printed.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from loadtests.errors import EXIT_ERROR, EXIT_PASS, Terminated, exit_code_of, format_error
from loadtests.interpreter import (
    find_this_package_first,
    forget_foreign_settings,
    search_current_folder_last,
)
from loadtests.output import open_closed_descriptors, tolerant_output

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
TERMINATED = 143  # 128 + SIGTERM


def main() -> NoReturn:
    """Run the command line and exit."""
    open_closed_descriptors()
    forget_foreign_settings()
    search_current_folder_last()
    find_this_package_first()
    signal.signal(signal.SIGTERM, _terminate)
    with tolerant_output():
        code = run(run_root)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the code stands
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(code)


def _terminate(*_: object) -> NoReturn:
    raise Terminated


def run(action: Callable[[], object]) -> int:
    """The exit code of an action: what it returns, or that of the error that it raises."""
    try:
        code = action()
    except Terminated:
        _write("Terminated.")
        return TERMINATED
    except KeyboardInterrupt:
        _write("Interrupted.")
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001 (SystemExit too: only verbs choose a code)
        _write(format_error(error))
        return exit_code_of(error)
    return code if isinstance(code, int) else EXIT_PASS


def _write(text: str) -> None:
    with suppress(Exception):  # the code does not depend on whether it could be said
        sys.stderr.write(text + "\n")


def run_root() -> object:
    """Run the verb that the command line names; its exit code, or None."""
    import click  # late: an installation that is broken ends with a sentence, too

    from loadtests.cli import root

    try:
        return root.main(standalone_mode=False)
    except click.Abort as abort:  # click's word for it
        raise (
            Terminated if isinstance(abort.__cause__, Terminated) else KeyboardInterrupt
        ) from None
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR


if __name__ == "__main__":
    main()
