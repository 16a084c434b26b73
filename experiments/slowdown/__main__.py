"""Does the gate see that an endpoint got slower, and by nothing else?

    make bench-slowdown

A scripted DynamoDB (lognormal, median 2 ms) stands behind a proxy that can hold answers back.
Three gate runs as it is are promoted as the baseline; one more is held against it, and must PASS;
then one with every answer 30% slower, which must FAIL and name the access patterns; last a run of
2 s, which must be INCONCLUSIVE and say how long it needs. Exit code 1 if any ends otherwise. Linux
only.

With --embedded it is DynamoDB Local, whose own runs differ by 5 to 10%: see what that does to two
runs made apart, and why `loadtests compare --interleave` exists.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from loadtests.calibrate.server.scripts import SCRIPTS
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.config import Config
from loadtests.measure.results import read_info
from loadtests.patterns import ALL_PATTERNS
from loadtests.targets.embedded.start import start_embedded

HERE = Path(__file__).parent
# a minute has too few calls of the rarest patterns to prove an error rate of 0.1%
CONFIG = "[gate]\nmax_extension = 0\n[slo]\nerror_rate = 0.01\n"


class Bench:
    """The gate, told of one endpoint and one results folder."""

    def __init__(self, url, results, rate):
        self.results = results
        self._seen = set()
        self._told = ["--backend", "dynamodb", "--dynamodb-endpoint", url, "--rate", str(rate)]

    def gate(self, *arguments):
        """The finished run's folder, and the exit code."""
        file = self.results / "loadtests.toml"
        file.write_text(CONFIG, encoding="utf-8")
        told = (*self._told, *arguments)
        ended = loadtests("gate", *told, results=self.results, config=file)
        path = (self.results / "latest").resolve()
        if ended.returncode == 2 or path in self._seen:
            sys.exit(ended.stdout + ended.stderr)
        self._seen.add(path)
        return path, ended.returncode


def loadtests(*arguments, results, config=HERE.parent.parent / "loadtests.toml"):
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *map(str, arguments), "--results", str(results)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LOADTESTS_CONFIG": str(config)},
    )


@contextlib.contextmanager
def slowed_endpoint(url):
    """The proxy's URL, and a function that tells it how much slower to be."""
    where = urlsplit(url)
    command = [sys.executable, str(HERE / "proxy.py"), where.hostname, str(where.port)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as proxy:
        port = int(proxy.stdout.readline())

        def slow(share):
            proxy.stdin.write(f"{share}\n")
            proxy.stdin.flush()

        try:
            yield f"http://127.0.0.1:{port}", slow
        finally:
            proxy.stdin.close()


def database(embedded, stack):
    """The URL of what stands behind the proxy."""
    if not embedded:
        return stack.enter_context(ScriptedServer(SCRIPTS["lognormal"])).url
    return start_embedded(
        ("dynamodb",), {}, Config(), os.environ, stack, lambda progress: None
    ).dynamodb.url


CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3}


def show(name, path, code, wanted):
    """Print how a run was judged; whether that was for the right reason."""
    verdict = read_info(path).verdict
    ratios = [one for one in verdict["limits"] if one["unit"] == "ratio"]
    broken = [one for one in ratios if one["status"] == "FAIL"]
    right = verdict["status"] == wanted and code == CODES[wanted]
    if wanted == "PASS":
        right = right and bool(ratios)  # held against the baseline
    elif wanted == "FAIL":
        right = right and any(one["pattern"] != ALL_PATTERNS for one in broken)
    else:
        right = right and bool(verdict["needed_s"])
    said = "as it should" if right else "MISSED"
    print(f"\n{name}: {verdict['status']} (exit code {code}), {said}\n    {verdict['sentence']}")
    for one in ratios:
        if one in broken or one["pattern"] == ALL_PATTERNS:
            print(f"    {one['sentence']}")
    sys.stdout.flush()
    return right


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rate", type=float, default=300.0)
    arguments.add_argument("--run-time", type=float, default=45.0, help="10 s of warm-up included")
    arguments.add_argument("--embedded", action="store_true", help="DynamoDB Local")
    arguments.add_argument("--baseline-runs", type=int, default=3)
    arguments.add_argument("--slower", type=float, default=0.3)
    chosen = arguments.parse_args()
    with contextlib.ExitStack() as stack:
        results = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtests-slow-")))
        url, slow = stack.enter_context(slowed_endpoint(database(chosen.embedded, stack)))
        bench = Bench(url, results, chosen.rate)
        usual = ("--warm-up", 10, "--run-time", chosen.run_time)
        if chosen.embedded:
            bench.gate(*usual)  # until its code is compiled, every run is quicker than the last
        runs = []
        for number in range(chosen.baseline_runs):
            path, code = bench.gate(*usual, "--seed", number + 1)
            print(f"baseline run {number + 1}: exit code {code}", flush=True)
            runs.append(path)
        promoted = loadtests("baseline", "promote", *runs, results=results)
        if promoted.returncode:
            sys.exit(promoted.stdout + promoted.stderr)
        print(promoted.stdout.strip() or promoted.stderr.strip(), flush=True)
        path, code = bench.gate(*usual, "--seed", chosen.baseline_runs + 1)
        right = [show("As it was", path, code, "PASS")]
        slow(chosen.slower)
        path, code = bench.gate(*usual, "--seed", chosen.baseline_runs + 2)
        right.append(show(f"{chosen.slower:.0%} slower", path, code, "FAIL"))
        slow(0.0)
        path, code = bench.gate("--warm-up", 3, "--run-time", 5)
        right.append(show("Two seconds", path, code, "INCONCLUSIVE"))
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
