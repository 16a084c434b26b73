from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.config import Config, Load
from loadtests.errors import UsageError
from loadtests.load.named_subjects import NamedSubject, parse_named
from loadtests.load.subjects import is_separated, qualified, run_subjects


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("base=../base:shop.carts:make", ("base", "../base", "shop.carts:make")),
        ("head=shop.carts:make", ("head", "", "shop.carts:make")),
        ("a.b-c_1=/x:y/z:dynamodb/shop:make", ("a.b-c_1", "/x:y/z", "dynamodb/shop:make")),
        ("old=boto3", ("old", "", "boto3")),
        ("old=/opt/boto3:boto3", ("old", "/opt/boto3", "boto3")),
        ("old=./boto:dynamodb/boto3", ("old", "./boto", "dynamodb/boto3")),
        ("old=vendor/boto:boto3", ("old", "vendor/boto", "boto3")),
        ("old=vendor:boto3", ("old", "", "vendor:boto3")),  # a factory: see the module
        ("x=C=D:shop:make", ("x", "C=D", "shop:make")),
        ("x=dir:a.b:c.d", ("x", "dir", "a.b:c.d")),
    ],
)
def test_a_name_a_folder_and_a_client_are_read_from_the_right(
    text: str, parts: tuple[str, str, str]
) -> None:
    assert parse_named(text) == NamedSubject(*parts)


@pytest.mark.parametrize("text", ["=wire", "a b=wire", "-a=wire", "é=wire", "a/b=wire"])
def test_a_name_is_part_of_file_names_and_tags(text: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a subject"):
        parse_named(text)


@pytest.mark.parametrize("text", ["a=", "a=:shop:make", "a=/x:", "a=/x/shop.py", "a=:boto3"])
def test_a_client_must_be_named(text: str) -> None:
    with pytest.raises(UsageError, match="names no client"):
        parse_named(text)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_folder_survives_the_way_through_the_settings(folder: str) -> None:
    tree = f"/{folder}"
    subjects = shlex.join([f"base={tree}:dynamodb/shop:make", "head=dynamodb/shop:make"])
    config = qualified(qualified(Config(load=Load(subjects=subjects))))
    base, head = run_subjects(config)
    assert (base.driver, base.tree, base.client) == ("base", tree, "shop:make")
    assert (head.driver, head.tree, head.client) == ("head", "", "shop:make")
    assert (base.index, head.index) == (0, 1)
    assert is_separated(config)


def test_one_name_is_enough_for_processes_of_their_own() -> None:
    config = qualified(Config(load=Load(subjects="old=boto3 wire")))
    assert is_separated(config)
    assert [str(subject) for subject in run_subjects(config)] == ["dynamodb/old", "dynamodb/wire"]
    assert config.load.subjects == "old=dynamodb/boto3 dynamodb/wire"
    assert not is_separated(Config(load=Load(subjects="wire boto3")))


@pytest.mark.parametrize("text", ["a=wire a=wire", "wire=boto3 wire", "a=wire a=psycopg"])
def test_two_subjects_have_two_names(text: str) -> None:
    with pytest.raises(UsageError, match="Both subjects are called"):
        run_subjects(Config(load=Load(subjects=text)))


def test_subjects_that_cannot_be_read_are_a_sentence() -> None:
    with pytest.raises(UsageError, match="cannot be read: No closing quotation"):
        run_subjects(Config(load=Load(subjects="wire 'boto3")))


def test_a_named_driver_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="'jdbc' is no subject"):
        run_subjects(Config(load=Load(subjects="a=jdbc b=wire")))
