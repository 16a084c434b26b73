"""`loadtests` and `python -m loadtests`: run a verb and exit with its code.

Every error becomes a sentence and exit code 2. Nothing but a verdict ends with 1, and a verdict's
code does not depend on whether it could be printed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from loadtests.errors import EXIT_ERROR, EXIT_PASS, exit_code_of, format_error
from loadtests.interpreter import forget_foreign_settings, search_current_folder_last
from loadtests.output import tolerant_output

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main() -> NoReturn:
    """Run the command line and exit."""
    forget_foreign_settings()
    search_current_folder_last()
    with tolerant_output():
        code = run(run_root)
    sys.exit(code)


def run(action: Callable[[], object]) -> int:
    """The exit code of an action: what it returns, or that of the error that it raises."""
    try:
        code = action()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return INTERRUPTED
    except BaseException as error:  # noqa: BLE001 (SystemExit too: only verbs choose a code)
        sys.stderr.write(format_error(error) + "\n")
        return exit_code_of(error)
    return code if isinstance(code, int) else EXIT_PASS


def run_root() -> object:
    """Run the verb that the command line names; its exit code, or None."""
    import click  # late: an installation that is broken ends with a sentence, too

    from loadtests.cli import root

    try:
        return root.main(standalone_mode=False)
    except click.Abort:
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        return EXIT_ERROR


if __name__ == "__main__":
    main()
