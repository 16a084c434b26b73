"""`loadtests` and `python -m loadtests`: run a verb, turn its errors into a sentence and a code."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from loadtests.cli import root
from loadtests.errors import EXIT_ERROR, LoadtestsError


def main() -> None:
    """Run the command line and exit."""
    run_command(root)


def run_command(command: click.Command) -> NoReturn:
    """Run a click command and exit with its code, or with that of its error."""
    try:
        code = command.main(standalone_mode=False)
    except LoadtestsError as error:
        click.echo(f"Error: {error.message}", err=True)
        if error.hint:
            click.echo(f"Hint: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_ERROR)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
