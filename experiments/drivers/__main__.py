"""What one call costs the client, driver by driver, on one scripted server in one run.

    python -m experiments.drivers [--quick] [--no-locust] [--no-postgres]

CPU per call is the figure that counts: calls per second and core is its inverse, and unlike a
measured rate it also holds on a busy machine. Drivers alternate, round after round, and the table
shows the median round. Client and server have a core each where there are two. `dynamo-benchmark`
takes part where it is installed (`DYNAMO_BENCHMARK` names it); it does GetItem and PutItem only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.table import Table

from experiments.drivers import rust
from experiments.drivers.child import CartLine, DriverCost, DriverOrder
from experiments.drivers.locust_runs import ROOT, conventional, harness
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.config import Config, Data, Load
from loadtests.targets.dynamodb.client import dynamodb_client
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.provision import provision_dynamodb
from loadtests.targets.supervisor.client import open_endpoints

CHILD: Final = "experiments.drivers.child"
CONNECTIONS: Final = 16
PATTERNS: Final = ("cart.get_item", "cart.get", "cart.update")
DATA: Final = Data(users=200, books=60)
BASE: Final = "boto3, greenlets"
RUST: Final = "dynamo-benchmark (Rust)"
WARM_UP_S: Final = 0.3

# name in the table → driver, connections
DYNAMODB_CLIENTS: Final = {
    "wire, greenlets": ("wire", CONNECTIONS),
    "wire, one caller": ("wire", 1),
    "aiodynamo": ("aiodynamo", CONNECTIONS),
    "aioboto3": ("aioboto3", CONNECTIONS),
    BASE: ("boto3", CONNECTIONS),
    "boto3, one caller": ("boto3", 1),
}
POSTGRES_CLIENTS: Final = {
    "psycopg, greenlets": ("psycopg", CONNECTIONS),
    "psycopg, one caller": ("psycopg", 1),
}
CpuCosts = dict[str, dict[str, list[float]]]  # client → pattern → CPU µs per call, by round
Cpus = tuple[int, int] | None


def main() -> int:
    """Measure and print the tables."""
    options = _options()
    console = Console() if sys.stdout.isatty() else Console(width=110)
    cpus = _cpus()
    if cpus:
        os.sched_setaffinity(0, {cpus[0]})
    dataset = make_dataset(DATA, 1, datetime.now(UTC))
    rounds = 1 if options.quick else 3
    seconds = 0.5 if options.quick else 1.5
    where = f"on cores {cpus[0]} and {cpus[1]}" if cpus else "share one core"
    console.print(
        f"{rounds} rounds of {seconds:g} s per driver and pattern; client, server {where}"
    )
    with ScriptedServer(SCRIPTS["null"], cpu=cpus[1] if cpus else None) as server:
        provision_dynamodb(server.endpoint, dataset)
        costs = _compare(server, _lines(dataset), rounds, seconds, cpus)
    console.print(_drivers_table(costs))
    if not options.no_postgres:
        console.print(_postgres_table(rounds, seconds))
    if not options.no_locust:
        console.print(_locust_table(dataset, 3.0 if options.quick else 8.0, cpus))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.drivers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--no-locust", action="store_true", help="drivers alone")
    parser.add_argument("--no-postgres", action="store_true", help="DynamoDB alone")
    return parser.parse_args()


def _cpus() -> Cpus:
    """A core for the client and one for the server."""
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else None


def _lines(dataset: Dataset) -> list[CartLine]:
    """Keys of lines in carts of exactly five lines, one for each connection."""
    carts = [cart for cart in dataset.carts if len(cart) == 5]
    return [CartLine(cart[0].user_id, cart[0].book_id) for cart in carts[:CONNECTIONS]]


def _compare(
    server: ScriptedServer, lines: Sequence[CartLine], rounds: int, seconds: float, cpus: Cpus
) -> CpuCosts:
    costs: CpuCosts = defaultdict(lambda: defaultdict(list))
    program = rust.find_program()
    if program:
        rust.seed(dynamodb_client(server.endpoint))
    for _ in range(rounds):
        for name, (driver, connections) in DYNAMODB_CLIENTS.items():
            order = DriverOrder(
                driver=driver,
                lines=lines[:connections],
                patterns=PATTERNS,
                warm_up_s=WARM_UP_S,
                measured_s=seconds,
                url=server.url,
            )
            for pattern, cost in _run_child(order).items():
                costs[name][pattern].append(cost.cpu_us_per_call)
        if program:
            for operation, pattern in (("GetItem", "cart.get_item"), ("PutItem", "cart.update")):
                cost = rust.run(
                    program, server, operation, CONNECTIONS, max(2.0, 2 * seconds), cpus
                )
                costs[RUST][pattern].append(cost.cpu_us_per_call)
    return costs


def _run_child(order: DriverOrder) -> dict[str, DriverCost]:
    process = subprocess.run(
        [sys.executable, "-m", CHILD],
        input=json.dumps(asdict(order)),
        text=True,
        check=False,
        capture_output=True,
        cwd=ROOT,
    )
    if process.returncode:
        raise RuntimeError(f"{order.driver}: {process.stderr.strip()[-2000:]}")
    return {pattern: DriverCost(**cost) for pattern, cost in json.loads(process.stdout).items()}


def _drivers_table(costs: CpuCosts) -> Table:
    table = _cost_table("Client CPU per call, null server")
    table.add_column("cart.get_item\ncalls/s per core", justify="right")
    table.add_column("× boto3", justify="right")
    table.add_column("× Rust", justify="right")
    medians = {
        name: {pattern: statistics.median(rounds) for pattern, rounds in patterns.items()}
        for name, patterns in costs.items()
    }
    for name, by_pattern in sorted(medians.items(), key=lambda pair: pair[1]["cart.get_item"]):
        cost = by_pattern["cart.get_item"]
        table.add_row(
            name,
            *(f"{by_pattern[p]:.1f}" if p in by_pattern else "" for p in PATTERNS),
            f"{1e6 / cost:,.0f}",
            f"{medians[BASE]['cart.get_item'] / cost:.1f}",
            f"{medians[RUST]['cart.get_item'] / cost:.1f}" if RUST in medians else "",
        )
    return table


def _postgres_table(rounds: int, seconds: float) -> Table:
    config = Config(data=DATA, load=Load(backend="postgres"))
    lines = _lines(make_dataset(DATA, config.load.seed, datetime.now(UTC)))
    costs: CpuCosts = defaultdict(lambda: defaultdict(list))
    with open_endpoints(config, ("postgres",)) as endpoints:
        assert endpoints.postgres is not None
        for _ in range(rounds):
            for name, (driver, connections) in POSTGRES_CLIENTS.items():
                order = DriverOrder(
                    driver=driver,
                    lines=lines[:connections],
                    patterns=PATTERNS,
                    warm_up_s=WARM_UP_S,
                    measured_s=seconds,
                    dsn=endpoints.postgres.dsn,
                )
                for pattern, cost in _run_child(order).items():
                    costs[name][pattern].append(cost.cpu_us_per_call)
    table = _cost_table("Client CPU per call, embedded PostgreSQL")
    for name, patterns in costs.items():
        table.add_row(name, *(f"{statistics.median(patterns[p]):.1f}" for p in PATTERNS))
    return table


def _cost_table(title: str) -> Table:
    table = Table(title=title)
    table.add_column("client")
    for pattern in PATTERNS:
        table.add_column(f"{pattern}\nµs", justify="right")
    return table


def _locust_table(dataset: Dataset, seconds: float, cpus: Cpus) -> Table:
    lines = _lines(dataset)
    unlimited_boto3 = "boto3 users, unlimited rate"
    runs = {
        "harness, unlimited rate": harness(200_000, seconds, cpus, users=2 * CONNECTIONS),
        "harness, 1,000 arrivals/s": harness(1_000, seconds, cpus, users=2 * CONNECTIONS),
        unlimited_boto3: conventional(seconds, cpus, lines),
    }
    base_us = runs[unlimited_boto3].cpu_us_per_call
    table = Table(title="Whole process in Locust, cart scenario, recording on, null server")
    table.add_column("run")
    for column in (
        "CPU µs/call",
        "of that in\nLocust's process",
        "calls/s",
        "calls/s\nper core",
        "× boto3",
        "median beyond\nthe server's, ms",
        "exit code",
    ):
        table.add_column(column, justify="right")
    for name, run in runs.items():
        table.add_row(
            name,
            f"{run.cpu_us_per_call:.1f}",
            f"{run.loop_cpu_s / run.calls * 1e6:.1f}",
            f"{run.calls / run.wall_s:,.0f}",
            f"{run.calls / run.cpu_s:,.0f}",
            f"{base_us / run.cpu_us_per_call:.1f}",
            "" if run.overhead_ms is None else f"{run.overhead_ms:.3f}",
            str(run.exit_code),
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
