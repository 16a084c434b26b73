"""`dynamo-benchmark` (PyPI, Rust), where it is installed: the fastest other generator known."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from experiments.drivers.child import DriverCost
from loadtests.calibrate.server.start import ScriptedServer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE: Final = "bench"
KEYS: Final = 100


def find_program() -> str | None:
    """The program that DYNAMO_BENCHMARK names, else the one beside this Python, else on PATH."""
    named = os.environ.get("DYNAMO_BENCHMARK")
    beside = Path(sys.executable).with_name("dynamo-benchmark")
    return named or (str(beside) if beside.exists() else shutil.which("dynamo-benchmark"))


def seed(client: DynamoDBClient) -> None:
    """Make a table without a sort key, with items as long as a cart line.

    The program supports no composite keys, so it cannot use CloudShelf's tables.
    """
    client.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for key in range(KEYS):
        client.put_item(
            TableName=TABLE, Item={"pk": {"S": f"{key:016d}"}, "data": {"S": "x" * 300}}
        )


def run(
    program: str,
    server: ScriptedServer,
    operation: str,
    connections: int,
    seconds: float,
    cpus: tuple[int, int] | None,
) -> DriverCost:
    """One saturating run, start-up included (some milliseconds)."""
    command = [
        *(program, "-e", server.url, "-ak", "AKID"),
        *("-c", str(connections), "-s", f"{seconds:.0f}"),
        *("--cores", str(cpus[0] if cpus else 0)),
        *(TABLE, operation, f"pk:S:{{Key uniform {KEYS}}}"),
    ]
    before, start_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    process = subprocess.run(
        command,
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": "secret"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    wall_s = time.perf_counter() - start_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    calls = re.findall(r"cnt: (\d+)", process.stdout)
    return DriverCost(int(calls[-1]), cpu_s, wall_s)
