"""Situations in which a hiccup meter must see no more stalls than on an idle machine.

Run by `safety.py`; the processes among them as `python -m experiments.noise.loads NAME [FOLDER]`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from loadtests.calibrate.cells import SCENARIO, wait_until_measuring
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.load.child_environment import RUN_ID_VARIABLE

ROOT: Final = Path(__file__).parents[2]
WARM_UP_S: Final = 2.0
LOAD_RATE_PER_S: Final = 500.0
LIMIT_RATE_PER_S: Final = 20_000.0  # more than one load process can send

Load = Callable[[], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def _processes(name: str, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        # beside the results, since /tmp may be in memory
        (ROOT / "results").mkdir(exist_ok=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=ROOT / "results"))
        command = [sys.executable, "-m", "experiments.noise.loads", name, folder]
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT))
            stack.callback(process.kill)
        time.sleep(1.0)
        yield


@contextlib.contextmanager
def _scenario(script: str, rate_per_s: float) -> Iterator[None]:
    """The cart scenario on a scripted server; its own meters run too."""
    with (
        tempfile.TemporaryDirectory(prefix="loadtests-safety-") as folder,
        ScriptedServer(SCRIPTS[script]) as server,
    ):
        command = [
            *(sys.executable, "-m", "locust", "-f", SCENARIO, "--headless", "--only-summary"),
            *("--no-report", "--backend", "dynamodb", "--dynamodb-endpoint", server.url),
            *("--rate", str(rate_per_s), "--warm-up", str(WARM_UP_S), "--run-time", "600s"),
            *("--users", "1000", "--results", folder),
        ]
        environment = {**os.environ, RUN_ID_VARIABLE: "run"}
        locust = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
        )
        try:
            wait_until_measuring(locust, Path(folder, "run"), WARM_UP_S)
            yield
        finally:
            locust.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                locust.wait(20)
            locust.kill()
            locust.wait()


LOADS: Final[dict[str, Load]] = {
    "database freezes 1 s in 10": lambda: _scenario("frozen", LOAD_RATE_PER_S),
    "generator at its limit": lambda: _scenario("null", LIMIT_RATE_PER_S),
    "every CPU burnt": lambda: _processes("burn", os.cpu_count() or 1),
    "heavy fsync": lambda: _processes("fsync", 2),
    "garbage collections": lambda: _processes("collect", 2),
}


def _burn(_: Path) -> None:
    while True:
        pass


def _fsync(folder: Path) -> None:
    block = os.urandom(1 << 20)
    with (folder / f"data-{os.getpid()}").open("wb", buffering=0) as file:
        while True:
            file.seek(0)
            for _ in range(8):
                file.write(block)
            os.fsync(file.fileno())


def _collect(_: Path) -> None:
    """Pauses of some hundred milliseconds, as a garbage collector with a large heap makes."""
    gc.disable()
    heap = [[number] for number in range(2_000_000)]
    while heap:
        cycle: list[object] = []
        cycle.append(cycle)
        gc.collect()
        time.sleep(0.05)


if __name__ == "__main__":
    {"burn": _burn, "fsync": _fsync, "collect": _collect}[sys.argv[1]](Path(sys.argv[2]))
