"""`loadtests targets`: start, show and stop the embedded databases, kept between commands."""

from __future__ import annotations

import os
import shlex

import click

from loadtests.cli.options import backend_option, config_option
from loadtests.cli.screen.progress import show_steps
from loadtests.config import load_config
from loadtests.errors import EXIT_ERROR, EXIT_PASS, TargetError
from loadtests.patterns import selected_backends
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.state import (
    find_supervisor,
    read_state,
    stop_supervisor,
    supervisors_elsewhere,
)

_PORT = click.IntRange(1, 65535)
_NONE_UP = "No databases are up. Start them with `loadtests targets up`."


@click.group()
def command() -> None:
    """Start, show and stop the embedded databases.

    Without `up`, every run starts its own and takes them down again.
    """


@command.command()
@config_option
@backend_option
@click.option("--dynamodb-port", type=_PORT, help="A fixed port; a free one otherwise.")
@click.option("--postgres-port", type=_PORT, help="A fixed port; a free one otherwise.")
def up(backend: str, dynamodb_port: int | None, postgres_port: int | None) -> None:
    """Start the databases, set them up and fill them, and leave them running."""
    from loadtests.targets.supervisor.client import Supervisor
    from loadtests.targets.supervisor.messages import SupervisorRequest

    config = load_config()
    # `up` is about embedded databases, whatever else the configuration names.
    embedded = {"dynamodb_endpoint": "embedded", "postgres_dsn": "embedded"}
    config = config.model_copy(update={"targets": config.targets.model_copy(update=embedded)})
    if running := find_supervisor(os.environ):
        click.echo("The databases are up already.")
        _show(running.endpoints)
        return
    request = SupervisorRequest(
        config,
        selected_backends(backend),
        keep=True,
        dynamodb_port=dynamodb_port,
        postgres_port=postgres_port,
    )
    with Supervisor(request) as supervisor, show_steps() as on_progress:
        endpoints = supervisor.endpoints(on_progress)
        supervisor.keep()
    _show(endpoints)
    click.echo("They stay until `loadtests targets down`.")


@command.command()
def status() -> int:
    """Tell whether the databases are up, and where; exit code 2 if not."""
    state = read_state(os.environ)
    if state is None:
        click.echo(_NONE_UP)
        _show_elsewhere()
        return EXIT_ERROR
    if state.endpoints is None:
        click.echo(f"Starting ({state.holder}).")
        return EXIT_ERROR
    click.echo(f"Up ({state.holder}).")
    _show(state.endpoints)
    return EXIT_PASS


@command.command()
def down() -> None:
    """Stop the databases and delete their data."""
    state = read_state(os.environ)
    if state is None:
        click.echo("No databases are up.")
        _show_elsewhere()
        return
    stop_supervisor(os.environ, state)
    click.echo("Down.")


@command.command()
def env() -> None:
    """Print the exports that point other tools at the databases: eval "$(loadtests targets env)".

    The output holds the database's password.
    """
    running = find_supervisor(os.environ)
    if running is None or running.endpoints is None:
        raise TargetError("No databases are up.", hint="Start them with `loadtests targets up`.")
    if dynamodb := running.endpoints.dynamodb:
        click.echo(f"export LOADTESTS_DYNAMODB_ENDPOINT={shlex.quote(dynamodb.url)}")
    if postgres := running.endpoints.postgres:
        click.echo(f"export LOADTESTS_POSTGRES_DSN={shlex.quote(postgres.dsn)}")


def _show_elsewhere() -> None:
    """Name the databases that share the cache folder, and cannot be reached."""
    for state in supervisors_elsewhere(os.environ):
        click.echo(
            f"Up in another network, and neither reached nor stopped from here: {state.holder}.\n"
            "Run `loadtests targets down` in that container or machine to stop them."
        )


def _show(endpoints: Endpoints | None) -> None:
    if endpoints is None:
        return
    if dynamodb := endpoints.dynamodb:
        click.echo(f"  {dynamodb.label}: {dynamodb.url}")
    if postgres := endpoints.postgres:
        click.echo(f"  {postgres.label}: {_without_password(postgres.dsn)}")


def _without_password(dsn: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(dsn)
    return f"{parts.scheme}://{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
