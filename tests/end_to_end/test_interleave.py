"""`loadtests compare --interleave` as a user starts it, on the real DynamoDB Local."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner

from loadtests.cli import root
from loadtests.errors import LoadtestsError
from loadtests.measure.results import Key, Run, read_run
from loadtests.patterns import CART_PATTERNS
from loadtests.targets.endpoints import Endpoints
from tests.end_to_end.children import Children

SHOP = "tests.end_to_end.shop"
Interleave = Callable[..., tuple[int, str]]


@pytest.fixture
def interleave(children: Children, endpoints: Endpoints) -> Interleave:
    """Runs the verb against the session's DynamoDB, which it seeds; gives exit code and output."""
    assert endpoints.dynamodb
    assert endpoints.dynamodb.url
    environ = {"LOADTESTS_DYNAMODB_ENDPOINT": endpoints.dynamodb.url}

    def run(*arguments: str) -> tuple[int, str]:
        return children.loadtests(
            *("compare", "--interleave", *arguments, "--scenario", "scenarios/cart.py"),
            environ=environ,
        )

    return run


def calls_by_second(run: Run, driver: str) -> dict[int, int]:
    calls: dict[int, int] = {}
    for pattern in CART_PATTERNS:
        key = Key("dynamodb", driver, pattern, "response_time")
        for interval in run.intervals.get(key, []):
            second = round(interval.start_s)
            calls[second] = calls.get(second, 0) + interval.counts.total
    return calls


def driver_by_second(run: Run) -> dict[int, str]:
    """Whose turn each second is, by the run folder."""
    blocks = run.info.config.blocks or []
    return {round(block.start_s): block.subject.partition("/")[2] for block in blocks}


def assert_too_short_to_decide(run: Run, code: int, output: str) -> None:
    """Nothing can be shown with fewer than ten units; whether the run counts is its own record."""
    assert run.info.validity
    status = "INCONCLUSIVE" if run.info.validity.valid else "INVALID"
    assert run.info.verdict
    assert run.info.verdict.status == status, output
    assert code == {"INCONCLUSIVE": 3, "INVALID": 4}[status], output
    assert status in output


def test_two_drivers_take_turns_in_one_run(interleave: Interleave, children: Children) -> None:
    code, output = interleave("wire", "boto3", "--rate", "60", "--run-time", "8", "--warm-up", "2")
    run = read_run(children.results / "latest")
    assert run.info.state == "complete", output
    assert {(s.driver, s.pattern) for s in run.info.series} == {
        (driver, pattern) for driver in ("wire", "boto3") for pattern in CART_PATTERNS
    }
    assert not any(s.errors for s in run.info.series), "each has carts of its own"
    turns = driver_by_second(run)
    for driver, other in (("wire", "boto3"), ("boto3", "wire")):
        calls = calls_by_second(run, driver)
        in_turn = sum(n for second, n in calls.items() if turns.get(second) == driver)
        assert in_turn > 0.9 * sum(calls.values()), output
        # in the other's turn only what was still out when its own ended
        out_of_turn = [s for s in calls if turns.get(s) == other]
        assert all(turns.get(s - 1) == driver for s in out_of_turn)
    assert_too_short_to_decide(run, code, output)
    assert "3 pairs of blocks are measured, and intervals need 10: --run-time 22" in output
    assert "dynamodb/boto3 over dynamodb/wire" in output
    assert (run.path / "report.html").exists()
    assert run.info.config.load.subjects == "dynamodb/wire dynamodb/boto3"


def test_a_cluster_takes_turns_too_and_a_subject_may_meet_itself(
    interleave: Interleave, children: Children
) -> None:
    code, output = interleave(
        *("wire", "wire", "--rate", "60", "--run-time", "6", "--warm-up", "2", "--processes", "2")
    )
    run = read_run(children.results / "latest")
    assert run.info.config.workers == 2, output
    assert {s.driver for s in run.info.series} == {"wire", "wire-2"}
    assert not any(s.errors for s in run.info.series), "four owners, and no cart of two"
    turns = driver_by_second(run)
    for driver in ("wire", "wire-2"):
        seconds = [s for s in calls_by_second(run, driver) if 3 <= s < 6]
        assert seconds, output
        assert all(driver in (turns.get(s), turns.get(s - 1)) for s in seconds)
    assert_too_short_to_decide(run, code, output)


def test_a_teams_own_stores_beside_an_asyncio_driver(
    interleave: Interleave, children: Children
) -> None:
    code, output = interleave(
        *("aioboto3", f"{SHOP}:open_stores", "--rate", "60", "--run-time", "6", "--warm-up", "2"),
        *("--blocks", "simultaneous"),
    )
    run = read_run(children.results / "latest")
    series = {(s.driver, s.pattern): s for s in run.info.series}
    own = f"{SHOP}-open_stores"
    assert set(series) == {(d, p) for d in ("aioboto3", own) for p in CART_PATTERNS}, output
    assert not any(s.errors for s in series.values()), output
    assert series[own, "cart.get"].wire_time_ms is None
    assert series["aioboto3", "cart.get"].wire_time_ms is not None
    assert run.info.config.blocks is None
    assert_too_short_to_decide(run, code, output)
    assert f"dynamodb/{own} over dynamodb/aioboto3" in output
    assert own in (run.path / "report.html").read_text()


def test_a_factory_that_fails_after_some_users_ends_the_run(interleave: Interleave) -> None:
    code, output = interleave("wire", f"dynamodb/{SHOP}:weary", "--run-time", "30")
    assert "Error: tests.end_to_end.shop:weary failed: ConnectionError: no more" in output
    assert "Traceback" not in output
    assert code == 2


def test_a_factory_that_fails_is_a_sentence_and_exit_code_2(
    interleave: Interleave, children: Children
) -> None:
    code, output = interleave("wire", f"dynamodb/{SHOP}:broken")
    assert "broken failed: ConnectionError: the pool is empty" in output
    assert "Traceback" not in output
    assert code == 2
    assert not children.results.exists()


def refusal(*arguments: str) -> LoadtestsError:
    """The error of `loadtests compare`, which starts nothing."""
    error = CliRunner().invoke(root, ["compare", *arguments]).exception
    assert isinstance(error, LoadtestsError)
    assert error.exit_code == 2
    return error


@pytest.mark.parametrize(
    ("subjects", "sentence"),
    [
        (("wire", f"{SHOP}:broken"), "broken does not declare its backend"),
        (("wire", f"{SHOP}:nothing"), f"The module {SHOP} has no nothing"),
        (("wire", "aiodynamo"), "there is no such driver"),
        (("wire",), "--interleave compares two subjects"),
        (("wire", "boto3", "--blocks", "0.5"), "not a number of whole seconds"),
        (("wire", "boto3", "--run-time", "10"), "leave no time to measure both"),
        (("wire", "boto3", "--subjects", "a", "b"), "--interleave makes a new run"),
    ],
)
def test_a_users_mistake_is_told_before_anything_starts(
    subjects: tuple[str, ...], sentence: str
) -> None:
    assert sentence in str(refusal("--interleave", *subjects))


def test_flags_of_a_run_to_be_made_are_refused_for_runs_that_there_are() -> None:
    assert "--run-time needs --interleave" in refusal("a", "b", "--run-time", "3").message
