"""Does the gate see that an endpoint got slower, and by nothing else?

    make bench-slowdown

A scripted DynamoDB (lognormal, median 2 ms) stands behind a proxy that can delay answers. Three
gate runs of the unchanged endpoint become the baseline. One more run of it must PASS against that
baseline. One run with every answer 30% slower must FAIL and name the access patterns. A last run of
2 s must be INCONCLUSIVE and say how long it needs. Exit code 1 if any run ends otherwise. Linux
only.

With --embedded the database is DynamoDB Local, whose own runs differ by 5 to 10%. That shows what
this difference does to two separate runs, and why `loadtests compare --interleave` exists.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.config import Config
from loadtests.measure.results import read_info
from loadtests.patterns import ALL_PATTERNS
from loadtests.targets.embedded.start import start_embedded

ROOT: Final = Path(__file__).parents[2]
# A minute has too few calls of the rarest patterns to show an error rate below 0.1%.
CONFIG: Final = "[gate]\nmax_extension = 0\n[slo]\nerror_rate = 0.01\n"
CODES: Final = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


class GateRuns:
    """Gate runs of one endpoint into one results folder."""

    def __init__(self, url: str, results: Path, rate_per_s: float) -> None:
        self.results = results
        self._paths: set[Path] = set()
        self._flags = ("--backend", "dynamodb", "--dynamodb-endpoint", url, "--rate", rate_per_s)

    def gate(self, *flags: object) -> tuple[Path, int]:
        """The finished run's folder, and the exit code."""
        file = self.results / "loadtests.toml"
        file.write_text(CONFIG, encoding="utf-8")
        process = loadtests("gate", *self._flags, *flags, results=self.results, config=file)
        path = (self.results / "latest").resolve()
        if process.returncode == 2 or path in self._paths:
            sys.exit(process.stdout + process.stderr)
        self._paths.add(path)
        return path, process.returncode


def loadtests(
    *arguments: object, results: Path, config: Path = ROOT / "loadtests.toml"
) -> subprocess.CompletedProcess[str]:
    """Run a verb of the command line."""
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *map(str, arguments), "--results", str(results)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LOADTESTS_CONFIG": str(config)},
    )


@contextlib.contextmanager
def slowed_endpoint(url: str) -> Iterator[tuple[str, Callable[[float], None]]]:
    """The proxy's URL, and a function that sets how much slower it is (0.3: 30%)."""
    address = urlsplit(url)
    command = [
        *(sys.executable, "-m", "experiments.slowdown.proxy"),
        *(str(address.hostname), str(address.port)),
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as proxy:
        stdin, stdout = proxy.stdin, proxy.stdout
        assert stdin is not None
        assert stdout is not None
        port = int(stdout.readline())

        def slow(share: float) -> None:
            stdin.write(f"{share}\n")
            stdin.flush()

        try:
            yield f"http://127.0.0.1:{port}", slow
        finally:
            stdin.close()


def database(embedded: bool, stack: ExitStack) -> str:
    """The URL of the database behind the proxy."""
    if not embedded:
        return stack.enter_context(ScriptedServer(SCRIPTS["lognormal"])).url
    endpoints = start_embedded(("dynamodb",), {}, Config(), os.environ, stack, lambda _: None)
    assert endpoints.dynamodb is not None
    return str(endpoints.dynamodb.url)


def show(name: str, path: Path, code: int, expected: str) -> bool:
    """Print how a run was judged; whether that was right, and for the right reason."""
    verdict = read_info(path).verdict
    assert verdict is not None
    ratios = [limit for limit in verdict.limits if limit.kind == "relative"]
    broken = [limit for limit in ratios if limit.status == "FAIL"]
    right = verdict.status == expected and code == CODES[expected]
    if expected == "PASS":
        right = right and bool(ratios)  # it was compared with the baseline
    elif expected == "FAIL":
        right = right and any(limit.pattern != ALL_PATTERNS for limit in broken)
    else:
        right = right and bool(verdict.needed_s)
    result = "as expected" if right else "MISSED"
    print(f"\n{name}: {verdict.status} (exit code {code}), {result}\n    {verdict.sentence}")
    for limit in ratios:
        if limit in broken or limit.pattern == ALL_PATTERNS:
            print(f"    {limit.sentence}")
    sys.stdout.flush()
    return right


def main() -> int:
    """Make the runs; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.slowdown", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rate", type=float, default=300.0)
    parser.add_argument("--run-time", type=float, default=45.0, help="including 10 s of warm-up")
    parser.add_argument("--embedded", action="store_true", help="DynamoDB Local")
    parser.add_argument("--baseline-runs", type=int, default=3)
    parser.add_argument("--slower", type=float, default=0.3)
    options = parser.parse_args()
    with ExitStack() as stack:
        results = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-slow-")))
        url, slow = stack.enter_context(slowed_endpoint(database(options.embedded, stack)))
        runs = GateRuns(url, results, options.rate)
        times = ("--warm-up", 10, "--run-time", options.run_time)
        if options.embedded:
            runs.gate(*times)  # until its code is compiled, every run is faster than the last
        baseline = []
        for number in range(options.baseline_runs):
            path, code = runs.gate(*times, "--seed", number + 1)
            print(f"baseline run {number + 1}: exit code {code}", flush=True)
            baseline.append(path)
        promotion = loadtests("baseline", "promote", *baseline, results=results)
        if promotion.returncode:
            sys.exit(promotion.stdout + promotion.stderr)
        print(promotion.stdout.strip() or promotion.stderr.strip(), flush=True)
        path, code = runs.gate(*times, "--seed", options.baseline_runs + 1)
        right = [show("Unchanged", path, code, "PASS")]
        slow(options.slower)
        path, code = runs.gate(*times, "--seed", options.baseline_runs + 2)
        right.append(show(f"{options.slower:.0%} slower", path, code, "FAIL"))
        slow(0.0)
        path, code = runs.gate("--warm-up", 3, "--run-time", 5)
        right.append(show("Two seconds", path, code, "INCONCLUSIVE"))
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
