from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtests.cli.runs.factories import settled
from loadtests.config import Config, Load
from loadtests.errors import UsageError

SHOP = """
import sys
print("noise", end="")
sys.stdout.write("more noise")

def before(endpoints):
    raise AssertionError("not called yet")

before.backend = "postgres"

def after(endpoints):
    return None, None
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a module, as a user stands in it."""
    (tmp_path / "own_shop.py").write_text(SHOP)
    (tmp_path / "ending.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.chdir(tmp_path)
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))


def asked(subjects: str) -> Config:
    return settled(Config(load=Load(subjects=subjects, rate=7.0)))


def test_a_factory_is_asked_for_its_backend(shop: None) -> None:
    load = asked("own_shop:before dynamodb/own_shop:after").load
    assert load.subjects == "postgres/own_shop:before dynamodb/own_shop:after"
    assert (load.backend, load.rate) == ("both", 7.0)


def test_drivers_need_nobody_to_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", None)
    assert asked("wire psycopg").load.subjects == "dynamodb/wire postgres/psycopg"


@pytest.mark.parametrize(
    ("subjects", "message"),
    [
        ("own_shop:before dynamodb/own_shop:nothing", "The module own_shop has no nothing"),
        ("wire dynamodb/no_shop:after", "module no_shop was not found"),
        ("wire own_shop:after", "does not declare its backend"),
        ("wire dynamodb/own_shop:before", "declares the backend postgres"),
        ("wire dynamodb/ending:after", r"ended the process \(code 9\)"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_started(
    shop: None, subjects: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        asked(subjects)
    assert caught.value.hint


def test_the_factory_of_a_driver_is_asked_too(shop: None) -> None:
    config = settled(Config(load=Load(driver="own_shop:before")))
    assert config.load.driver == "postgres/own_shop:before"
    with pytest.raises(UsageError, match="The module own_shop has no nothing"):
        settled(Config(load=Load(driver="dynamodb/own_shop:nothing")))
