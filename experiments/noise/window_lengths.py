"""Which windows around a stall leave out enough calls? Measured, for the constants of the release.

    python -m experiments.noise.window_lengths measure TARGET --pieces 2
    python -m experiments.noise.window_lengths table TARGET…

A piece is one run of the real generator with a record of every call (intended start and response
time), hiccup meters on. It has blocks without injected stalls and blocks with stalls of several
shares, in an order that is the same forwards and backwards, so that a linear drift cancels. The
truth are the undisturbed calls of the quiet blocks. `table` compares the undisturbed calls of the
other blocks with it, for windows of many lengths, and prints the share left out.

Targets: `embedded` (DynamoDB Local and PostgreSQL), `scripted` (a server of known latency),
`one-cpu` (embedded, stalls on one CPU only), `other-cpu` (generator and databases restricted to
CPU 0, stalls on CPU 1), `budget` (embedded, the shares at which a third to two thirds of the calls
are left out). Pieces are kept in results/windows; a second start adds more. Linux only;
needs the real-time class. Keep other work off the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from experiments.noise.window_grid import Block, Piece, report
from loadtests.calibrate.cells import wait_until_measuring
from loadtests.calibrate.machine_stalls import stalls_of
from loadtests.calibrate.noise import MAX_MS, MIN_MS
from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.calibrate.stall_injector import StallInjector, StallPlan
from loadtests.load.child_environment import RUN_ID_VARIABLE
from loadtests.measure.messages import RecordedCalls, unpack
from loadtests.measure.results import read_run

ROOT: Final = Path(__file__).parents[2]
SCENARIO: Final = Path(__file__).with_name("recorded_cart.py")
WARM_UP_S: Final = 12.0
BLOCK_S: Final = 8.0
SETTLE_S: Final = 0.5  # of each block's begin, in which the injectors start
# an even number of quiet blocks on both sides of each share; the second half is the first reversed
_HALF: Final = (0.0, 0.05, 0.02, 0.0, 0.15, 0.08, 0.0, 0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One target: its load, its shares in order, and the CPUs of processes and of stalls."""

    flags: tuple[str, ...]
    shares: tuple[float, ...] = _HALF + _HALF[::-1]
    processes_on: tuple[int, ...] | None = None
    stalls_on: tuple[int, ...] | None = None


_BUDGET: Final = (0.0, 0.08, 0.05, 0.0, 0.12, 0.08)
_ONE_SHARE: Final = (0.0, 0.08, 0.08, 0.0) * 4
SETTINGS: Final = {
    "embedded": Setting(flags=("--rate", "500")),
    "budget": Setting(flags=("--rate", "500"), shares=_BUDGET + _BUDGET[::-1]),
    "scripted": Setting(flags=("--rate", "500", "--backend", "dynamodb")),
    "one-cpu": Setting(flags=("--rate", "500"), shares=_ONE_SHARE, stalls_on=(1,)),
    "other-cpu": Setting(
        flags=("--rate", "40", "--backend", "dynamodb"),
        shares=_ONE_SHARE,
        processes_on=(0,),
        stalls_on=(1,),
    ),
}


def measure(target: str, folder: Path, number: int) -> None:
    """Make one piece and keep its calls, stalls and blocks. Raises OSError or LoadtestsError."""
    setting = SETTINGS[target]
    work = folder / f"run-{number}"
    with ExitStack() as stack:
        flags = list(setting.flags)
        if target == "scripted":
            server = stack.enter_context(ScriptedServer(SCRIPTS["lognormal"], number))
            flags += ["--dynamodb-endpoint", server.url]
        seconds = WARM_UP_S + len(setting.shares) * (BLOCK_S + 1.0) + 3
        command = [
            *(sys.executable, "-m", "locust", "-f", str(SCENARIO), "--headless", "--only-summary"),
            *("--no-report", "--warm-up", str(WARM_UP_S), "--run-time", f"{seconds:.0f}s"),
            *("--seed", str(number), "--results", str(work), *flags),
        ]
        frames = folder / f"frames-{number}.bin"
        environment = {**os.environ, RUN_ID_VARIABLE: "run", "FRAMES_FILE": str(frames)}
        affinity = os.sched_getaffinity(0)
        if setting.processes_on:
            os.sched_setaffinity(0, setting.processes_on)
        locust = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT
        )
        os.sched_setaffinity(0, affinity)
        stack.callback(locust.wait)
        stack.callback(locust.terminate)
        wait_until_measuring(locust, work / "run", WARM_UP_S)
        blocks = [
            _block(share, 100 * number + n, setting.stalls_on)
            for n, share in enumerate(setting.shares)
        ]
        locust.terminate()
        locust.wait()
    run = read_run(work / "run")
    stalls = [
        [stall.cpu, stall.from_ns, stall.due_ns, stall.length_ns] for stall in stalls_of(run).stalls
    ]
    calls = _calls(frames)
    frames.unlink()
    np.savez_compressed(folder / f"piece-{number}.npz", **calls)  # type: ignore[arg-type]
    facts = {"blocks": [asdict(block) for block in blocks], "stalls": stalls}
    (folder / f"piece-{number}.json").write_text(json.dumps(facts))


def _block(share: float, seed: int, cpus: Sequence[int] | None) -> Block:
    plan = StallPlan(share=share, min_ms=MIN_MS, max_ms=MAX_MS, seed=seed) if share else None
    with StallInjector(plan, cpus=cpus) if plan else nullcontext():
        time.sleep(SETTLE_S)
        begin_ns = time.monotonic_ns()
        time.sleep(BLOCK_S - SETTLE_S)
        end_ns = time.monotonic_ns()
    return Block(share, begin_ns, end_ns)


def _calls(frames: Path) -> dict[str, np.ndarray]:
    """Intended start and response time of every measured call, by backend."""
    columns: dict[str, list[np.ndarray]] = {}
    with frames.open("rb") as stream:
        for frame, payload in unpack(stream):
            if not isinstance(frame, RecordedCalls):
                continue
            values, position = np.frombuffer(payload, np.int64), 0
            for series in frame.series:
                count = series["calls"]
                pair = values[position : position + 2 * count].reshape(2, count)
                position += 4 * count
                if not series["warm_up"]:
                    columns.setdefault(series["backend"], []).append(pair)
    return {backend: np.concatenate(parts, axis=1) for backend, parts in columns.items()}


def pieces_of(folder: Path) -> list[Piece]:
    """The pieces that were measured."""
    pieces = []
    for file in sorted(folder.glob("piece-*.json")):
        facts = json.loads(file.read_text())
        with np.load(file.with_suffix(".npz")) as calls:
            pieces.append(
                Piece.of(
                    [Block(**block) for block in facts["blocks"]],
                    facts["stalls"],
                    {backend: calls[backend] for backend in calls.files},
                )
            )
    return pieces


def main() -> int:
    """Measure pieces, or print tables; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.noise.window_lengths",
        description=(__doc__ or "").splitlines()[0],
    )
    parser.add_argument("action", choices=("measure", "table"))
    parser.add_argument("target", choices=list(SETTINGS), nargs="+")
    parser.add_argument("--pieces", type=int, default=1, help="to be added")
    parser.add_argument("--results", type=Path, default=ROOT / "results/windows")
    options = parser.parse_args()
    for target in options.target:
        folder = (options.results / target).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if options.action == "measure":
            first = len(list(folder.glob("piece-*.json"))) + 1
            for number in range(first, first + options.pieces):
                measure(target, folder, number)
                print(f"{target}: piece {number}", flush=True)
        else:
            print(f"\n## {target}\n\n{report(pieces_of(folder))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
