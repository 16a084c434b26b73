"""The contract over plain stores: a correct one passes, and each mistake fails its test."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from junitparser import JUnitXml, Skipped, TestCase

from loadtests.contract import BlockingStore, CartContract, SessionContract
from loadtests.contract.samples import NOW, make_book
from loadtests.errors import UsageError
from tests.contract.broken_stores import BROKEN, CORRECT, names_of_tests
from tests.contract.plain_stores import PlainCarts

ROOT: Final = Path(__file__).resolve().parents[2]
STORES: Final = Path(__file__).with_name("broken_stores.py")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The test cases of a run of pytest by the class of tests, and what pytest printed."""

    cases: dict[str, list[TestCase]]
    output: str

    def of(self, name: str) -> list[TestCase]:
        return self.cases[f"Test{name}"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder = tmp_path_factory.mktemp("contract")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", STORES, "-c", folder / "pytest.ini"),
            *("--rootdir", ROOT, "--noconftest", "-p", "no:cacheprovider"),
            *("--junitxml", folder / "junit.xml"),
        ],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-3_000:] + done.stderr
    cases: dict[str, list[TestCase]] = {}
    for suite in JUnitXml.fromfile(str(folder / "junit.xml")):
        for case in suite:
            cases.setdefault(case.classname.rpartition(".")[2], []).append(case)
    return Outcomes(cases, done.stdout)


def failed(cases: list[TestCase]) -> set[str]:
    return {case.name.partition("[")[0] for case in cases if not (case.is_passed or skips(case))}


def skips(case: TestCase) -> list[str]:
    return [str(result.message) for result in case.result if isinstance(result, Skipped)]


@pytest.mark.parametrize("store", CORRECT, ids=lambda store: store.__name__)
def test_a_correct_store_passes(outcomes: Outcomes, store: type) -> None:
    cases = outcomes.of(store.__name__)
    assert failed(cases) == set()
    assert [reason for case in cases for reason in skips(case)] == ["the store has no wire_ns"]


@pytest.mark.parametrize("store", BROKEN, ids=lambda store: store.__name__)
def test_a_mistake_fails_the_tests_of_it(outcomes: Outcomes, store: type) -> None:
    assert failed(outcomes.of(store.__name__)) == set((store.__doc__ or "").split())


def test_every_test_of_the_contract_can_fail() -> None:
    fails = {name for store in BROKEN for name in (store.__doc__ or "").split()}
    assert names_of_tests(CartContract) | names_of_tests(SessionContract) == fails


def test_a_failed_assertion_shows_the_values(outcomes: Outcomes) -> None:
    (case,) = outcomes.of("NoneForAnEmptyCart")
    assert "assert None == []" in case.result[0].message


def test_a_store_with_some_methods_passes_and_the_other_tests_are_skipped(
    outcomes: Outcomes,
) -> None:
    cases = outcomes.of("PartOfAStore")
    assert failed(cases) == set()
    skipped = {case.name.partition("[")[0]: skips(case) for case in cases if skips(case)}
    assert len(skipped) < len(names_of_tests(CartContract)) / 2
    assert skipped["test_remove_leaves_other_carts"] == [
        "TestPartOfAStore.methods does not name remove"
    ]
    assert skipped["test_two_adders_at_once_lose_nothing"] == [
        "needs the fixture open_carts, which opens a store of its own"
    ]


def test_a_contract_without_a_store_fails(outcomes: Outcomes) -> None:
    cases = outcomes.of("NoStore")
    names = {case.name.partition("[")[0] for case in cases}
    assert names == names_of_tests(CartContract) - {"test_a_cart_of_several_pages"}
    assert len(failed(cases)) == len(names) - 1  # without a store, closing it is skipped
    assert "TestNoStore has no store to test: give it the fixture open_carts" in outcomes.output


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Mine\.methods names ad, which the contract does not"):
        type("Mine", (CartContract,), {"methods": ("get", "ad")})


class AsyncCarts:
    """Coroutines over a `PlainCarts`; counts how often it was closed."""

    wire_ns = 7

    def __init__(self) -> None:
        self.plain = PlainCarts.opener()()
        self.closed = 0

    async def add(self, *arguments: object) -> int:
        return self.plain.add(*arguments)  # type: ignore[arg-type]

    async def close(self) -> None:
        self.closed += 1


def test_an_asyncio_store_can_be_called_like_a_blocking_one() -> None:
    store = BlockingStore(AsyncCarts())
    assert store.add("user", make_book("book"), 2, NOW) == 2
    assert store.wire_ns == 7
    store.close()
    store.close()
    assert store.store.closed == 2
