"""Locust as a user starts it, on the real databases: run folders, clusters, starved generators."""

from __future__ import annotations

import csv
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from loadtests.calibrate.server.scripts import MS, SCRIPTS, SECOND, Script
from loadtests.calibrate.server.start import ScriptedServer
from loadtests.measure.histogram import HIGHEST_NS
from loadtests.measure.results import Key, Run, Times, read_run
from loadtests.patterns import CART_PATTERNS, CLOUDSHELF_PATTERNS
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.progress import ignore
from loadtests.targets.seed.dataset import Dataset
from loadtests.targets.seed.provision import provision
from tests.end_to_end.children import Children, ended

BURNING = textwrap.dedent("""
    import time
    import gevent
    from loadtests.load.plugin import OpenLoopUser
    from cart import CartUser

    def burn():
        while True:
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                pass
            gevent.sleep(0.05)

    class BurningUser(CartUser):
        def on_start(self):
            super().on_start()
            if not getattr(BurningUser, "burning", False):
                BurningUser.burning = True
                gevent.spawn(burn)

    del CartUser, OpenLoopUser
""")


def health_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "health.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_every_call_is_there(run: Run) -> None:
    """What was handed to users was recorded; what waited for one at the end came on top."""
    offered = sum(int(row["offered"]) for row in health_rows(run.path))
    recorded = sum(
        interval.counts.total
        for part in (run.intervals, run.warm_up)
        for key, intervals in part.items()
        if key.metric == "response_time"
        for interval in intervals
    )
    unfinished = sum(series.unfinished for series in run.info.series)
    assert offered <= recorded <= offered + unfinished


def broken_rules(folder: Path) -> set[str]:
    validity = read_run(folder).info.validity
    assert validity
    return {reason.rule for reason in validity.reasons}


def median_ms(times: Times | None) -> float:
    assert times
    assert times.p50
    return times.p50


def until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Wait for something that a running process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline


@pytest.fixture(scope="module")
def complete_run(
    tmp_path_factory: pytest.TempPathFactory,
    environ: dict[str, str],
    endpoints: Endpoints,
    dataset: Dataset,
) -> Run:
    """Carts and sessions on both databases, in one process."""
    provision(endpoints, dataset, ignore)
    with ExitStack() as stack:
        children = Children(environ, tmp_path_factory.mktemp("complete"), stack)
        output = ended(
            children.locust(
                *("--run-time", "7s", "--warm-up", "2", "--rate", "100", "--no-report"),
                files=("scenarios/cart.py", "scenarios/session.py"),
                endpoints=endpoints,
            )
        )
        run = read_run(children.run_folder)
    assert run.info.state == "complete", output
    assert not any(series.errors for series in run.info.series), output
    return run


def test_a_headless_run_leaves_a_complete_run_folder(complete_run: Run) -> None:
    run = complete_run
    assert run.info.scenario == "cart+session"
    assert {(s.backend, s.pattern) for s in run.info.series} == {
        (backend, pattern)
        for backend in ("dynamodb", "postgres")
        for pattern in CLOUDSHELF_PATTERNS
    }
    for series in run.info.series:
        key = Key(series.backend, series.driver, series.pattern, "response_time")
        assert run.total(key).total == series.count
        service_ms = median_ms(series.service_time_ms)
        assert service_ms <= median_ms(series.response_time_ms) * 1.002
        assert median_ms(series.wire_time_ms) <= service_ms * 1.002
    assert_every_call_is_there(run)
    capacity = {s.pattern: s.capacity for s in run.info.series if s.backend == "dynamodb"}
    read, write = capacity["cart.get"], capacity["cart.add"]
    assert read
    assert read.rcu_per_op
    assert write
    assert write.wcu_per_op
    assert "postgresql://" not in (run.path / "run.json").read_text()


def test_any_hdrhistogram_reader_opens_the_log(complete_run: Run) -> None:
    reader = HistogramLogReader(
        str(complete_run.path / "latency.hlog"), HdrHistogram(1, HIGHEST_NS, 3)
    )
    total = 0
    while (histogram := reader.get_next_interval_histogram()) is not None:
        if histogram.get_tag().endswith("/response_time"):
            total += histogram.get_total_count()
    reader.close()
    assert total == sum(series.count for series in complete_run.info.series)


def test_a_cluster_of_two_workers_merges_to_the_last_call(
    children: Children, seeded: Endpoints
) -> None:
    output = ended(
        children.locust(
            *("--run-time", "5s", "--warm-up", "2", "--rate", "80", "--no-report"),
            *("--processes", "2"),
            endpoints=seeded,
        )
    )
    run = read_run(children.run_folder)
    assert run.info.state == "complete", output
    assert {row["worker"] for row in health_rows(run.path)} == {"worker 1", "worker 2"}
    assert_every_call_is_there(run)
    assert not any(s.errors for s in run.info.series)
    assert {s.pattern for s in run.info.series} == set(CART_PATTERNS)


def test_a_killed_run_keeps_what_was_seen(children: Children, seeded: Endpoints) -> None:
    process = children.locust(
        *("--run-time", "60s", "--warm-up", "0", "--rate", "60", "--no-report"), endpoints=seeded
    )
    folder = children.run_folder
    until(process, lambda: (folder / "run.json").exists() and bool(read_run(folder).info.series))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 60
    while read_run(folder).info.state == "running":
        assert time.monotonic() < deadline
    run = read_run(folder)
    assert run.info.state == "interrupted"
    assert sum(series.count for series in run.info.series) > 0


def test_a_generator_that_burns_its_cpu_is_invalid_with_exit_code_4(
    children: Children, seeded: Endpoints, tmp_path: Path
) -> None:
    file = tmp_path / "burning.py"
    file.write_text(BURNING)
    process = children.locust(
        *("--run-time", "5s", "--warm-up", "1", "--rate", "100"),
        files=(str(file),),
        endpoints=seeded,
    )
    output = ended(process)
    assert "late dispatches" in broken_rules(children.run_folder), output
    assert process.returncode == 4, output
    assert "INVALID" in output


def test_a_generator_stopped_for_200_ms_is_invalid(children: Children, seeded: Endpoints) -> None:
    process = children.locust(
        *("--run-time", "6s", "--warm-up", "1", "--rate", "100", "--no-report"), endpoints=seeded
    )
    folder = children.run_folder
    until(
        process,
        lambda: (folder / "run.json").exists() and read_run(folder).info.duration_s >= 2,
    )
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.2)  # the fault itself, not a wait for anything
    process.send_signal(signal.SIGCONT)
    output = ended(process)
    assert broken_rules(folder) & {"late dispatches", "event-loop stalls"}, output


def test_too_few_users_are_the_generators_fault(children: Children) -> None:
    with ScriptedServer(SCRIPTS["constant"]) as server:
        output = ended(
            children.locust(
                *("--run-time", "4s", "--warm-up", "1", "--rate", "1000", "--users", "1"),
                *("--no-report", "--backend", "dynamodb", "--dynamodb-endpoint", server.url),
            )
        )
    validity = read_run(children.run_folder).info.validity
    assert validity
    reasons = {reason.rule: reason for reason in validity.reasons}
    assert "free users" in reasons, output
    assert "--users to 20" in reasons["free users"].remedy


def test_a_frozen_database_is_not_the_generators_fault(children: Children) -> None:
    script = Script("frozen", delay_ns=2 * MS, period_ns=4 * SECOND, freeze_ns=SECOND)
    with ScriptedServer(script) as server:
        output = ended(
            children.locust(
                *("--run-time", "6s", "--warm-up", "1", "--rate", "50", "--users", "8"),
                *("--no-report", "--backend", "dynamodb", "--dynamodb-endpoint", server.url),
            )
        )
    run = read_run(children.run_folder)
    assert "free users" not in broken_rules(children.run_folder), output
    slowest_ms = [s.response_time_ms.max for s in run.info.series if s.response_time_ms]
    assert max(slowest_ms) > 500, "the second that everybody waited must be seen"


def test_a_hopeless_rate_is_invalid_and_says_why(children: Children) -> None:
    with ScriptedServer(SCRIPTS["constant"]) as server:
        process = children.locust(
            *("--run-time", "4s", "--warm-up", "1", "--rate", "100000"),
            *("--backend", "dynamodb", "--dynamodb-endpoint", server.url),
        )
        output = ended(process)
    assert process.returncode == 4, output
    assert "free users" in broken_rules(children.run_folder)
    run = read_run(children.run_folder)
    assert sum(series.unfinished for series in run.info.series) > 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--rate", "-1"), "--rate: input should be greater than 0"),
        (("--warm-up", "12"), "ends within the warm-up"),
        (("--dynamodb-endpoint", "http://127.0.0.1:1"), "did not respond"),
        (("--dynamodb-endpoint", "http://10.1.2.3:8000"), "is not on this machine"),
        (("--nonsense",), "unrecognized arguments: --nonsense"),
    ],
)
def test_a_users_mistake_is_a_sentence_and_exit_code_2(
    children: Children, flags: tuple[str, ...], sentence: str
) -> None:
    process = children.locust("--run-time", "11s", "--no-report", "--backend", "dynamodb", *flags)
    output = ended(process)
    assert sentence in output
    assert "Traceback" not in output
    assert process.returncode == 2
    assert not children.run_folder.exists()
