from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from loadtests.cli.subjects import settling
from loadtests.cli.subjects.settling import settle_subjects
from loadtests.config import Config, Load
from loadtests.errors import UsageError

ROOT = Path(__file__).parents[3]
SHOP = """
from twofold_shop import parts

def make(endpoints):
    return None, None

make.backend = parts.BACKEND
"""


@pytest.fixture(autouse=True)
def shops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trees of one package, whose factories call different backends, and a third in the way."""
    for tree, backend in (("base", "postgres"), ("head", "dynamodb"), (".", "neither")):
        package = tmp_path / tree / "twofold_shop"
        package.mkdir(parents=True)
        (package / "carts.py").write_text(SHOP)
        (package / "parts.py").write_text(f"BACKEND = {backend!r}\n")
    monkeypatch.chdir(tmp_path)
    # the third one's folder is searched first, as PYTHONPATH says
    path = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))


def settled(subjects: str, *pythons: str) -> tuple[Config, tuple[settling.SubjectProcess, ...]]:
    return settle_subjects(Config(load=Load(subjects=subjects)), pythons)


def test_each_factory_is_asked_in_its_own_tree(tmp_path: Path) -> None:
    config, (base, head) = settled(
        "base=base:twofold_shop.carts:make head=head:twofold_shop.carts:make"
    )
    assert config.load.subjects == (
        "base=base:postgres/twofold_shop.carts:make head=head:dynamodb/twofold_shop.carts:make"
    )
    assert config.load.backend == "both"
    assert (base.name, base.tree, base.python) == ("base", str(tmp_path / "base"), sys.executable)
    assert (head.info.tree, head.info.backend, head.info.client) == (
        *("head", "dynamodb", "twofold_shop.carts:make"),
    )
    assert head.info.python == ".".join(map(str, sys.version_info[:3]))
    assert {"boto3", "psycopg"} <= head.info.packages.keys()
    assert head.info.commit is None


def test_versions_are_those_of_the_tree(tmp_path: Path) -> None:
    """A folder of packages, as `pip install --target` makes it."""
    (tmp_path / "old" / "boto3-1.2.3.dist-info").mkdir(parents=True)
    (tmp_path / "old" / "boto3-1.2.3.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: boto3\nVersion: 1.2.3\n"
    )
    _, (old, new) = settled("old=./old:boto3 boto3")
    assert old.info.packages["boto3"] == "1.2.3"
    assert new.info.packages["boto3"] != "1.2.3"
    assert (new.name, new.tree) == ("boto3", "")


@pytest.mark.parametrize(
    ("subjects", "pythons", "message"),
    [
        ("base=nowhere:twofold_shop.carts:make wire", (), "base: there is no folder nowhere"),
        ("base=base:other.carts:make wire", (), "base: The folder .* has no module other"),
        ("base=base:twofold_shop.other:make wire", (), "has no module twofold_shop.other"),
        ("base=base:twofold_shop.carts:gone wire", (), "base: The module .* has no gone"),
        ("base=base:dynamodb/twofold_shop.carts:make wire", (), "declares the backend postgres"),
        ("wire boto3", ("old=/a",), "--python old=/a: no subject has that name"),
        ("old=wire boto3", ("new=/a",), "no subject is called new"),
        ("old=wire boto3", ("old=/nowhere",), "there is no such folder or program"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(
    subjects: str, pythons: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        settled(subjects, *pythons)
    assert caught.value.hint


def test_a_python_of_another_version_is_refused_before_it_imports(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho \'{"loadtests": "0.0.1"}\'\n')
    python.chmod(0o755)
    with pytest.raises(UsageError, match=r"The Python of old .* has loadtests 0\.0\.1"):
        settled("old=wire new=wire", f"old={python}")
