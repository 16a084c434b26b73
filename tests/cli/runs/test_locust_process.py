"""A master and its workers as processes: how they end, and what is said when one of them does."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from loadtests.cli.runs import locust_process
from loadtests.cli.runs.locust_process import LoadPlan, SubjectCluster, start_locust
from loadtests.cli.subjects.settling import SubjectProcess
from loadtests.config import Config
from loadtests.errors import LoadtestsError
from loadtests.measure.results import SubjectInfo
from loadtests.targets.endpoints import Endpoints

RECORD = """
import json, os, signal, sys
names = ("LOADTESTS_SERVED_SUBJECT", "LOADTESTS_SUBJECT_TREE", "LOADTESTS_SUBJECT_FACTS")
found = {name: os.environ.get(name) for name in names} | {"arguments": sys.argv[1:]}
with open(os.path.join(sys.argv[1], str(os.getpid())), "w") as file:
    json.dump(found, file)
served = os.environ.get("LOADTESTS_SERVED_SUBJECT")
if served == sys.argv[2]:
    sys.stderr.write("Error: The scenario is gone.\\nHint: Look for it.\\n")
    sys.exit(int(sys.argv[3]))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
signal.pause()
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts a cluster of processes that record how they were started; one of them may end."""

    def start(*, ends: str = "", code: int = 2) -> SubjectCluster:
        def command(module: str, *arguments: str, python: str) -> list[str]:
            return [python, "-c", RECORD, str(tmp_path), ends, str(code), *arguments]

        monkeypatch.setattr(locust_process, "module_command", command)
        subjects = tuple(
            SubjectProcess(name, sys.executable, f"/{name}", SubjectInfo(
                name=name, backend="dynamodb", client="shop:make", tree=name))
            for name in ("base", "head")
        )  # fmt: skip
        plan = LoadPlan(scenarios=("cart.py",), subjects=subjects)
        cluster = start_locust(Config(), Endpoints(), plan, "run")
        assert isinstance(cluster, SubjectCluster)
        return cluster

    return start


def recorded(folder: Path, count: int) -> list[dict[str, Any]]:
    """What the processes recorded, once all have."""
    deadline = time.monotonic() + 30
    while True:
        texts = [file.read_text() for file in folder.iterdir()]
        if len(texts) == count and all(text.endswith("}") for text in texts):
            return [json.loads(text) for text in texts]
        assert time.monotonic() < deadline


def test_a_master_and_a_worker_for_each_subject(started: Any, tmp_path: Path) -> None:
    with started() as cluster:
        processes = recorded(tmp_path, 3)
        assert cluster.running()
        cluster.finish()
        assert not cluster.running()
    by_subject = {each["LOADTESTS_SERVED_SUBJECT"]: each for each in processes}
    assert by_subject.keys() == {None, "base", "head"}
    trees = {name: each["LOADTESTS_SUBJECT_TREE"] for name, each in by_subject.items()}
    assert trees == {None: "/head", "base": "/base", "head": "/head"}
    facts = json.loads(by_subject[None]["LOADTESTS_SUBJECT_FACTS"])
    assert [fact["name"] for fact in facts] == ["base", "head"]
    master, worker = by_subject[None]["arguments"], by_subject["base"]["arguments"]
    port = master[master.index("--master-bind-port") + 1]
    assert worker[worker.index("--master-port") + 1] == port
    assert master[master.index("--master-bind-host") + 1] == "127.0.0.1"
    assert master[master.index("--expect-workers") + 1] == "2"
    assert "--worker" in worker
    assert "--worker" not in master


def test_a_worker_that_ends_by_itself_ends_the_run_with_its_message(
    started: Any, tmp_path: Path
) -> None:
    with started(ends="base") as cluster:
        recorded(tmp_path, 3)
        while cluster.running():
            pass
        with pytest.raises(LoadtestsError, match=r"process of base ended \(code 2\): The scenario"):
            cluster.finish()
        assert "The scenario is gone" in cluster.end_of_output()
