"""What one call costs the client, driver by driver, on one scripted server in one run.

    python -m experiments.drivers [--quick] [--no-locust] [--no-postgres]

CPU per call is what counts: calls per second and core is its inverse, and unlike a measured rate
it stands on a busy machine. Drivers take turns, round after round, and the median round is shown.
Client and server have a core each where there are two. `dynamo-benchmark` is compared where it is
installed (`DYNAMO_BENCHMARK` names it); it does GetItem and PutItem only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.drivers import rust
from experiments.drivers.child import Measured
from experiments.drivers.locust_runs import LocustRun, conventional, harness
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.config import Config, Data, Load
from loadtests.targets.connect import dynamodb_client
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.provision import provision_dynamodb
from loadtests.targets.supervisor.client import open_endpoints

CHILD = Path(__file__).with_name("child.py")
CONNECTIONS = 16
PATTERNS = ("cart.get_item", "cart.get", "cart.update")
DATA = Data(users=200, books=60)
BASE = "boto3, greenlets"
RUST = "dynamo-benchmark (Rust)"

# name in the table → driver, connections
CLIENTS = {
    "wire, greenlets": ("wire", CONNECTIONS),
    "wire, one caller": ("wire", 1),
    "aiodynamo": ("aiodynamo", CONNECTIONS),
    "aioboto3": ("aioboto3", CONNECTIONS),
    BASE: ("boto3", CONNECTIONS),
    "boto3, one caller": ("boto3", 1),
}
Rounds = dict[str, dict[str, list[float]]]  # client → pattern → CPU µs per call, by round
Cpus = tuple[int, int] | None


def main() -> int:
    options = _options()
    console = Console() if sys.stdout.isatty() else Console(width=110)
    cpus = _cpus()
    if cpus:
        os.sched_setaffinity(0, {cpus[0]})
    dataset = make_dataset(DATA, 1, datetime.now(UTC))
    rounds = 1 if options.quick else 3
    seconds = 0.5 if options.quick else 1.5
    where = f"on cores {cpus[0]} and {cpus[1]}" if cpus else "share one core"
    console.print(f"{rounds} rounds of {seconds:g} s a driver and pattern; client, server {where}")
    with ScriptedServer(SCRIPTS["null"], cpu=cpus[1] if cpus else None) as server:
        provision_dynamodb(server.endpoint, dataset)
        found = _compare(server, _lines(dataset), rounds, seconds, cpus)
    console.print(_drivers_table(found))
    if not options.no_postgres:
        console.print(_postgres_table(rounds, seconds))
    if not options.no_locust:
        console.print(_locust_table(dataset, 3.0 if options.quick else 8.0, cpus))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--no-locust", action="store_true", help="drivers alone")
    parser.add_argument("--no-postgres", action="store_true", help="DynamoDB alone")
    return parser.parse_args()


def _cpus() -> Cpus:
    """A core for the client and one for the server."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


def _lines(dataset: Dataset) -> list[tuple[str, str]]:
    """Keys of lines in carts of exactly five lines, one for each connection."""
    fives = [cart for cart in dataset.carts if len(cart) == 5]
    return [(cart[0].user_id, cart[0].book_id) for cart in fives[:CONNECTIONS]]


def _compare(
    server: ScriptedServer, lines: list[tuple[str, str]], rounds: int, seconds: float, cpus: Cpus
) -> Rounds:
    found: Rounds = defaultdict(lambda: defaultdict(list))
    program = rust.find_program()
    if program:
        rust.seed(dynamodb_client(server.endpoint))
    for _ in range(rounds):
        for name, (driver, connections) in CLIENTS.items():
            orders = {"url": server.url, "driver": driver, "connections": connections}
            for pattern, measured in _child(orders, lines[:connections], seconds).items():
                found[name][pattern].append(_cpu_us(measured))
        if program:
            for operation, pattern in (("GetItem", "cart.get_item"), ("PutItem", "cart.update")):
                run = rust.run(program, server, operation, CONNECTIONS, max(2.0, 2 * seconds), cpus)
                found[RUST][pattern].append(_cpu_us(run))
    return found


def _child(
    orders: dict[str, Any], lines: list[tuple[str, str]], seconds: float
) -> dict[str, Measured]:
    orders |= {"lines": lines, "patterns": PATTERNS, "warm_s": 0.3, "seconds": seconds}
    done = subprocess.run(
        [sys.executable, str(CHILD)],
        input=json.dumps(orders),
        text=True,
        check=False,
        capture_output=True,
    )
    if done.returncode:
        raise RuntimeError(f"{orders['driver']}: {done.stderr.strip()[-2000:]}")
    return {pattern: Measured(**found) for pattern, found in json.loads(done.stdout).items()}


def _cpu_us(measured: Measured | LocustRun) -> float:
    return measured.cpu_s / measured.calls * 1e6


def _drivers_table(found: Rounds) -> Table:
    table = Table(title="One call's client CPU, null server")
    table.add_column("client")
    for pattern in PATTERNS:
        table.add_column(f"{pattern}\nµs", justify="right")
    table.add_column("cart.get_item\ncalls/s and core", justify="right")
    table.add_column("× boto3", justify="right")
    table.add_column("× Rust", justify="right")
    middle = {
        name: {pattern: statistics.median(rounds) for pattern, rounds in patterns.items()}
        for name, patterns in found.items()
    }
    for name, costs in sorted(middle.items(), key=lambda pair: pair[1]["cart.get_item"]):
        cost = costs["cart.get_item"]
        table.add_row(
            name,
            *(f"{costs[pattern]:.1f}" if pattern in costs else "" for pattern in PATTERNS),
            f"{1e6 / cost:,.0f}",
            f"{middle[BASE]['cart.get_item'] / cost:.1f}",
            f"{middle[RUST]['cart.get_item'] / cost:.1f}" if RUST in middle else "",
        )
    return table


def _postgres_table(rounds: int, seconds: float) -> Table:
    config = Config(data=DATA, load=Load(backend="postgres"))
    dataset = make_dataset(DATA, config.load.seed, datetime.now(UTC))
    found: Rounds = defaultdict(lambda: defaultdict(list))
    with open_endpoints(config, ("postgres",)) as endpoints:
        assert endpoints.postgres is not None
        for _ in range(rounds):
            for name, connections in (("psycopg, greenlets", 16), ("psycopg, one caller", 1)):
                orders = {
                    "driver": "psycopg",
                    "connections": connections,
                    "dsn": endpoints.postgres.dsn,
                }
                lines = _lines(dataset)[:connections]
                for pattern, measured in _child(orders, lines, seconds).items():
                    found[name][pattern].append(_cpu_us(measured))
    table = Table(title="One call's client CPU, embedded PostgreSQL")
    table.add_column("client")
    for pattern in PATTERNS:
        table.add_column(f"{pattern}\nµs", justify="right")
    for name, patterns in found.items():
        table.add_row(name, *(f"{statistics.median(patterns[p]):.1f}" for p in PATTERNS))
    return table


def _locust_table(dataset: Dataset, seconds: float, cpus: Cpus) -> Table:
    lines = _lines(dataset)
    runs = {
        "harness, as fast as it goes": harness(200_000, seconds, cpus, users=2 * CONNECTIONS),
        "harness, 1,000 arrivals/s": harness(1_000, seconds, cpus, users=2 * CONNECTIONS),
        "boto3 users, as fast as they go": conventional(seconds, cpus, lines),
    }
    base = _cpu_us(runs["boto3 users, as fast as they go"])
    table = Table(title="Whole process in Locust, cart scenario, recording on, null server")
    table.add_column("run")
    for column in (
        "CPU µs/call",
        "of it Locust's\nprocess",
        "calls/s",
        "calls/s\nand core",
        "× boto3",
        "median beyond\nthe server's, ms",
        "exit code",
    ):
        table.add_column(column, justify="right")
    for name, run in runs.items():
        table.add_row(
            name,
            f"{_cpu_us(run):.1f}",
            f"{run.loop_cpu_s / run.calls * 1e6:.1f}",
            f"{run.calls / run.wall_s:,.0f}",
            f"{run.calls / run.cpu_s:,.0f}",
            f"{base / _cpu_us(run):.1f}",
            "" if run.overhead_ms is None else f"{run.overhead_ms:.3f}",
            str(run.exit_code),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
