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

from experiments.drivers.child import Measured
from loadtests.calibrate.server.start import ScriptedServer

TABLE = "bench"
KEYS = 100


def find_program() -> str | None:
    """DYNAMO_BENCHMARK, else beside this Python, else on PATH."""
    named = os.environ.get("DYNAMO_BENCHMARK")
    beside = Path(sys.executable).with_name("dynamo-benchmark")
    return named or (str(beside) if beside.exists() else shutil.which("dynamo-benchmark"))


def seed(client: object) -> None:
    """A table of its own (it knows no composite keys), with items as long as a cart line."""
    client.create_table(  # type: ignore[attr-defined]
        TableName=TABLE,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    for key in range(KEYS):
        item = {"pk": {"S": f"{key:016d}"}, "data": {"S": "x" * 300}}
        client.put_item(TableName=TABLE, Item=item)  # type: ignore[attr-defined]


def run(
    program: str,
    server: ScriptedServer,
    operation: str,
    connections: int,
    seconds: float,
    cpus: tuple[int, int] | None,
) -> Measured:
    """One saturating run, start-up included (some milliseconds)."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [
            program,
            "-e",
            server.url,
            "-ak",
            "AKID",
            "-c",
            str(connections),
            "-s",
            f"{seconds:.0f}",
            "--cores",
            str(cpus[0] if cpus else 0),
            TABLE,
            operation,
            f"pk:S:{{Key uniform {KEYS}}}",
        ],
        env={**os.environ, "AWS_SECRET_ACCESS_KEY": "secret"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    wall_s = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    calls = re.findall(r"cnt: (\d+)", done.stdout)
    return Measured(int(calls[-1]), cpu_s, wall_s)
