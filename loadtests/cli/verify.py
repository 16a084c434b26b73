"""`loadtests verify`: CloudShelf's set-up checklist, one line a check."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import click

from loadtests.cli.options import TARGET_SETTINGS, backend_option, config_option, setting_options
from loadtests.cli.screen.progress import show_steps
from loadtests.config import Config, load_config
from loadtests.errors import EXIT_FAIL, EXIT_PASS
from loadtests.patterns import selected_backends
from loadtests.targets.checklist.check import Check
from loadtests.targets.checklist.verify import verify_dynamodb, verify_postgres, verify_references
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.seed.dataset import make_dataset
from loadtests.targets.seed.provision import make_tables, provision
from loadtests.targets.supervisor.client import open_endpoints


@click.command()
@config_option
@backend_option
@setting_options(*TARGET_SETTINGS)
def command(backend: str, **flags: str | bool | None) -> int:
    """Check the set-up: tables, keys, TTL, the sample cart and session, references.

    Embedded databases are set up first. Others are checked as they are: nothing is made there but
    the samples, which are removed again. Exit code 0: all as it should be; 1: not; 2: no answer.
    """
    config = load_config(flags)
    backends = selected_backends(backend)
    count = failed = 0
    for check in _checks(config, backends):
        mark = click.style("✓", fg="green") if check.ok else click.style("✗", fg="red")
        click.echo(f"{mark} {check.name}: {check.result}")
        count += 1
        failed += not check.ok
    if failed:
        click.echo(f"{failed} of {count} checks failed.")
        return EXIT_FAIL
    click.echo(f"All {count} checks passed.")
    return EXIT_PASS


def _checks(config: Config, backends: tuple[str, ...]) -> Iterator[Check]:
    unique, now = uuid.uuid4(), datetime.now(UTC)
    with ExitStack() as stack:
        with show_steps() as on_progress:
            opening = open_endpoints(config, backends, provision=False, on_progress=on_progress)
            endpoints = stack.enter_context(opening)
        embedded = _embedded(config, endpoints)
        make_tables(embedded)
        # Before seeding: in an emulator, TTL gets round quickly only while sessions are few.
        if endpoints.dynamodb:
            yield from verify_dynamodb(endpoints.dynamodb, unique, now)
        with show_steps() as on_progress:
            provision(embedded, make_dataset(config.data, config.load.seed, now), on_progress)
        if endpoints.postgres:
            yield from verify_postgres(endpoints.postgres, unique, now)
        if endpoints.dynamodb and endpoints.postgres:
            yield from verify_references(endpoints.dynamodb, endpoints.postgres)


def _embedded(config: Config, endpoints: Endpoints) -> Endpoints:
    targets = config.targets
    return Endpoints(
        endpoints.dynamodb if targets.dynamodb_endpoint == "embedded" else None,
        endpoints.postgres if targets.postgres_dsn == "embedded" else None,
    )
