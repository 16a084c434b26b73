"""Locust's arguments: made from the settings, checked with the environment and the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.argument_parser import LocustArgumentParser

from loadtests.config import SETTINGS, Config, Load, value_of
from loadtests.errors import ConfigError, UsageError
from loadtests.load.locust.options import (
    CAPACITY_FLAGS,
    FLAGS,
    add_arguments,
    add_settings,
    config_of,
    default_users,
)
from tests.settings import CHANGED, write_toml

Read = Callable[..., Config]
Backend = Literal["both", "dynamodb", "postgres"]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings but those that a test makes."""
    monkeypatch.chdir(tmp_path)
    for variable in ("LOADTESTS_CONFIG", *(setting.variable for setting in SETTINGS.values())):
        monkeypatch.delenv(variable, raising=False)


def parser_of_a_scenario() -> LocustArgumentParser:
    parser = LocustArgumentParser()
    parser.add_argument("--run-time", type=float, default=None)
    add_arguments(parser)
    add_settings(parser.add_argument_group("capacity"), CAPACITY_FLAGS)
    return parser


@pytest.fixture
def read() -> Read:
    """A way to read options as Locust would."""
    return lambda *arguments: config_of(parser_of_a_scenario().parse_args(list(arguments)))


@pytest.mark.parametrize("name", [*FLAGS, *CAPACITY_FLAGS])
def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    in_file, in_environment, in_flag = CHANGED[name]
    setting = SETTINGS[name]
    assert value_of(read(), setting) == value_of(Config(), setting)
    write_toml(tmp_path, name, in_file)
    assert value_of(read(), setting) == in_file
    monkeypatch.setenv(setting.variable, str(in_environment))
    assert value_of(read(), setting) == in_environment
    value = [] if setting.kind is bool else [str(in_flag)]
    assert value_of(read(setting.flag, *value), setting) == in_flag


def test_locust_has_every_flag_of_the_contract() -> None:
    parser = parser_of_a_scenario()
    contract = (
        "backend driver rate arrivals warm-up dynamodb-endpoint postgres-dsn results seed"
        " region allow-remote subjects blocks no-provision no-report from growth step-time settle"
    )
    missing = {f"--{name}" for name in contract.split()} - set(parser._option_string_actions)
    assert not missing


def test_the_web_form_has_what_a_run_may_change() -> None:
    in_form = {
        action.dest
        for action in parser_of_a_scenario()._actions
        if action.dest in SETTINGS and vars(action)["include_in_web_ui"]
    }
    settings = {"backend", "driver", "rate", "arrivals", "warm_up", "seed"}
    assert in_form - {"run_time"} == settings


def test_help_and_web_form_show_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADTESTS_POSTGRES_DSN", "postgresql://u:hunter2@h/db")
    parser = parser_of_a_scenario()
    assert parser.get_default("postgres_dsn") is None
    assert "hunter2" not in parser.format_help()
    assert config_of(parser.parse_args([])).targets.postgres_dsn == "postgresql://u:hunter2@h/db"


@pytest.mark.parametrize(
    ("flags", "refused"),
    [
        (["--rate", "0"], "--rate"),
        (["--rate", "-5"], "--rate"),
        (["--rate", "nan"], "--rate"),
        (["--rate", "inf"], "--rate"),
        (["--warm-up", "-1"], "--warm-up"),
        (["--warm-up", "nan"], "--warm-up"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_flags_that_make_no_sense_are_refused_by_name(
    read: Read, flags: list[str], refused: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(*flags)
    assert caught.value.problems[0].startswith(f"{refused}: ")


def test_a_run_that_ends_within_its_warm_up_is_refused(read: Read) -> None:
    assert read("--warm-up", "5", "--run-time", "5.5").load.warm_up == 5
    for run_time in ("5", "3"):
        with pytest.raises(UsageError, match="ends within the warm-up of 5 s") as caught:
            read("--warm-up", "5", "--run-time", run_time)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("rate", "backend", "dispatchers", "users"),
    [
        (500, "both", 2, 100),  # 50 a dispatcher: 500 calls/s of up to 100 ms
        (500, "postgres", 1, 50),
        (10, "both", 2, 16),  # never fewer than 8 a dispatcher
        (0.01, "both", 18, 144),
        (100_000, "both", 2, 512),  # nor more than 256
        (501, "postgres", 1, 51),
        (1_000, "both", 4, 200),
    ],
)
def test_default_users_suffice_for_calls_of_100_ms(
    rate: float, backend: Backend, dispatchers: int, users: int
) -> None:
    assert default_users(Config(load=Load(rate=rate, backend=backend)), dispatchers) == users


@given(
    st.floats(0.1, 1e5),
    st.sampled_from(["both", "dynamodb", "postgres"]),
    st.integers(1, 6),
)
def test_default_users_suffice_for_a_database_that_keeps_its_promise(
    rate: float, backend: Backend, classes: int
) -> None:
    dispatchers = classes * (2 if backend == "both" else 1)
    users = default_users(Config(load=Load(rate=rate, backend=backend)), dispatchers)
    assert users % dispatchers == 0
    per_dispatcher = users // dispatchers
    assert 8 <= per_dispatcher <= 256
    dispatcher_rate = rate * (2 if backend == "both" else 1) / dispatchers
    assert per_dispatcher == 256 or per_dispatcher >= dispatcher_rate * 0.1
