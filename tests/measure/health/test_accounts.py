"""Every scheduled arrival and every measured second, by the real scribe, merger and run folder."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from loadtests.measure.health.accounts import (
    ARRIVALS_RULE,
    SECONDS_RULE,
    SecondsSeen,
    folder_reasons,
)
from loadtests.measure.messages import WorkerInterval, WorkerLost, pack
from loadtests.measure.recorder import Recorder
from loadtests.measure.results import RunInfo, read_info
from tests.known import known
from tests.measure.streams import closing, end, opening, relay, scribe

NAMES = ["worker 1", "worker 2"]


def calls(count: int, *, unfinished: int = 0, backend: str = "dynamodb") -> bytes:
    recorder = Recorder()
    series = recorder.series(backend, "wire", "cart.get", warm_up=False)
    for _ in range(count):
        series.record(0, 0, 2_000_000, 1_000_000)
    series.record_unfinished(np.zeros(unfinished, np.int64), 3_000_000)
    return recorder.drain()


def broken(path: Path) -> dict[str, str]:
    """What rules out every verdict, by rule."""
    reasons = known(read_info(path).validity).reasons
    return {reason.rule: reason.found for reason in reasons if reason.rules_out == "every verdict"}


def run_of(path: Path, frames: bytes) -> dict[str, str]:
    scribe(opening(path) + frames + end(), account=False)
    return broken(path)


def test_unfinished_calls_account_for_their_arrivals(tmp_path: Path) -> None:
    frames = calls(5, unfinished=2) + closing(0, scheduled={"dynamodb/wire": 7}, last=True)
    assert run_of(tmp_path / "run", frames) == {}
    info = read_info(tmp_path / "run")
    [signal] = [s for s in info.health.signals if s.name == ARRIVALS_RULE]
    assert signal.text == "All 7 scheduled arrivals of generator are in the figures."
    assert folder_reasons(tmp_path / "run", info) == []


def test_calls_may_end_seconds_after_they_were_due(tmp_path: Path) -> None:
    frames = [
        closing(0, scheduled={"dynamodb/wire": 7}),
        closing(1),
        calls(7),
        closing(2, last=True),
    ]
    assert run_of(tmp_path / "run", b"".join(frames)) == {}


@pytest.mark.parametrize("recorded", [0, 4])
def test_an_arrival_without_a_call_rules_out_every_verdict(tmp_path: Path, recorded: int) -> None:
    scheduled = {"dynamodb/wire": 5, "postgres/wire": 3}
    frames = calls(recorded) + calls(3, backend="postgres")
    frames += closing(0, scheduled=scheduled, last=True)
    assert run_of(tmp_path / "run", frames) == {
        ARRIVALS_RULE: f"generator: {5 - recorded} of 5 arrivals on dynamodb/wire are neither a"
        " completed nor an unfinished call."
    }


def test_more_calls_of_one_backend_do_not_hide_missing_ones_of_the_other(tmp_path: Path) -> None:
    frames = calls(4) + calls(4, backend="postgres")
    frames += closing(0, scheduled={"dynamodb/wire": 5, "postgres/wire": 3}, last=True)
    assert run_of(tmp_path / "run", frames) == {
        ARRIVALS_RULE: "generator: 1 of 5 arrivals on dynamodb/wire are neither a completed nor an"
        " unfinished call; 4 calls on postgres/wire were recorded for 3 arrivals."
    }


def test_calls_under_way_are_no_finding_while_the_run_goes_on(tmp_path: Path) -> None:
    frames = calls(1) + closing(0, scheduled={"dynamodb/wire": 9})
    scribe(opening(tmp_path / "run") + frames + closing(1), account=False)
    assert broken(tmp_path / "run").keys() == {SECONDS_RULE, ARRIVALS_RULE}  # it was interrupted
    lines = scribe(opening(tmp_path / "again") + frames + closing(1), account=False)
    live = [content for kind, content in lines if kind == "live"]
    assert not any(ARRIVALS_RULE.encode() in content for content in live)


def two_workers(second_workers: list[bytes], first_calls: int = 3) -> bytes:
    """Worker 1 is whole; of worker 2 these seconds have arrived."""
    frames = b"".join(
        calls(first_calls) + closing(n, "worker 1", scheduled={"dynamodb/wire": 3}, last=n == 3)
        for n in range(4)
    )
    return b"".join(relay(frames, "worker 1") + second_workers)


def seconds_of_worker_2() -> list[bytes]:
    frames = b"".join(
        calls(3) + closing(n, "worker 2", scheduled={"dynamodb/wire": 3}, last=n == 3)
        for n in range(4)
    )
    return relay(frames, "worker 2")


@pytest.mark.parametrize(
    ("arrived", "finding"),
    [
        ([0, 1, 3], "worker 2: its measured time from 2.0 to 3.0 s is missing (1.0 s)."),
        ([0, 3], "worker 2: its measured time from 1.0 to 3.0 s is missing (2.0 s)."),
        ([1, 2, 3], "worker 2: its measured time from 0.0 to 1.0 s is missing (1.0 s)."),
        ([0, 1, 1, 2, 3], "worker 2: 1 of its seconds arrived twice."),
        (
            [0, 1, 2],
            "worker 2: it did not report its end; its last second ended at 3.0 s.",
        ),
        ([], "worker 2: it did not report its end; its last second ended at 0.0 s."),
    ],
)
def test_a_second_of_a_worker_that_did_not_arrive(
    tmp_path: Path, arrived: list[int], finding: str
) -> None:
    seconds = seconds_of_worker_2()
    sent = two_workers([seconds[n] for n in arrived])
    scribe(opening(tmp_path / "run", NAMES) + sent + end())
    assert broken(tmp_path / "run")[SECONDS_RULE] == finding


def test_all_seconds_of_all_workers(tmp_path: Path) -> None:
    scribe(opening(tmp_path / "run", NAMES) + two_workers(seconds_of_worker_2()) + end())
    assert broken(tmp_path / "run") == {}


def test_a_worker_that_was_lost_or_sent_damage_is_that_and_nothing_more(tmp_path: Path) -> None:
    first = seconds_of_worker_2()[:1]
    for name, message in (
        ("lost", pack(WorkerLost("worker 2"))),
        ("damaged", pack(WorkerInterval("worker 2"), b"{}")),
    ):
        sent = two_workers([*first, message])
        scribe(opening(tmp_path / name, NAMES) + sent + end())
        assert broken(tmp_path / name) == {"lost worker": "worker 2 stopped reporting."}


def test_one_long_second_of_a_process_that_stopped_is_no_gap() -> None:
    seen = SecondsSeen(0.0)
    for start_s, length_s in ((0.0, 1.0), (1.0, 3.4), (4.4, 0.6)):
        seen.add(start_s, length_s)
    assert seen.finding == ""


def test_a_gap_in_the_warm_up_does_not_matter() -> None:
    seen = SecondsSeen(3.0)
    seen.add(2.0, 1.0)
    seen.add(3.0, 1.0)
    assert seen.finding == ""
    partly = SecondsSeen(3.0)
    partly.add(4.0, 1.0)
    assert partly.missing == [(3.0, 4.0)]


# --- a folder that was damaged afterwards


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    frames = b"".join(
        calls(3) + closing(n, scheduled={"dynamodb/wire": 3}, last=n == 4) for n in range(5)
    )
    assert run_of(tmp_path / "run", frames) == {}
    return tmp_path / "run"


def findings(path: Path) -> list[str]:
    return [reason.found for reason in folder_reasons(path, read_info(path))]


def edit_health(path: Path, keep: list[int], column: str = "", value: str = "") -> None:
    file = path / "health.csv"
    with file.open(newline="") as source:
        rows = list(csv.DictReader(source))
    with file.open("w", newline="") as target:
        writer = csv.DictWriter(target, list(rows[0]))
        writer.writeheader()
        for n in keep:
            writer.writerow(rows[n] | ({column: value} if column else {}))


@pytest.mark.parametrize(
    ("keep", "finding"),
    [
        (
            [0, 1, 4],
            "health.csv, generator: its measured time from 2.0 to 4.0 s is missing (2.0 s).",
        ),
        ([0, 1, 2], "health.csv ends at 3.0 s, the run at 5.0 s."),
        ([0, 1, 2, 3], "health.csv has 12 scheduled arrivals, run.json 15 calls."),
        ([], "health.csv ends at 0.0 s, the run at 5.0 s."),
    ],
)
def test_rows_taken_out_of_health_csv(folder: Path, keep: list[int], finding: str) -> None:
    edit_health(folder, keep)
    assert findings(folder) == [finding]


def test_health_csv_that_is_no_table(folder: Path) -> None:
    edit_health(folder, [0, 1, 2, 3, 4], "time_s", "soon")
    assert findings(folder) == ["health.csv cannot be read."]
    (folder / "health.csv").write_text("nonsense\n1\n")
    assert findings(folder) == ["health.csv cannot be read."]


def test_folders_of_older_versions_and_baselines_have_less_to_check(folder: Path) -> None:
    edit_health(folder, [0, 1, 2, 3, 4], "scheduled", "")
    assert findings(folder) == []
    (folder / "health.csv").unlink()
    assert findings(folder) == []


def test_an_interrupted_run_says_so_itself(folder: Path) -> None:
    edit_health(folder, [0, 1, 4])
    info = read_info(folder).model_copy(update={"state": "interrupted"})
    assert isinstance(info, RunInfo)
    assert folder_reasons(folder, info) == []
