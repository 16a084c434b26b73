"""loadtests.toml, environment and flags: which one wins, and how problems are reported."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from loadtests.config import SETTINGS, Config, flag_of, load_config, value_of
from loadtests.errors import ConfigError
from loadtests.patterns import BACKENDS
from tests.settings import CHANGED, write_toml


def test_the_flags_and_variables_of_the_contract_are_all_there() -> None:
    contract = (
        "backend driver rate arrivals warm-up dynamodb-endpoint postgres-dsn results seed run-time"
        " region allow-remote subjects blocks micro from to growth step-time settle"
        " postgres-storage zipf-exponent max-extension allowed-hosts"
    )
    flags = {f"--{name}" for name in contract.split()}
    assert {setting.flag for setting in SETTINGS.values()} == flags
    for setting in SETTINGS.values():
        assert setting.variable == "LOADTESTS_" + setting.flag[2:].replace("-", "_").upper()


def test_every_setting_has_a_name_of_its_own_a_text_and_a_default_of_its_kind() -> None:
    assert len({setting.path for setting in SETTINGS.values()}) == len(SETTINGS)
    for name, setting in SETTINGS.items():
        assert setting.name == name
        assert re.fullmatch(r"[A-Z].*\.", setting.help)
        assert setting.default == value_of(Config(), setting)
        assert setting.default is None or isinstance(setting.default, setting.kind)
        if setting.choices:
            assert setting.default in setting.choices


def test_choices_and_kinds_come_from_the_models() -> None:
    assert SETTINGS["backend"].choices == ("both", *BACKENDS)
    assert SETTINGS["rate"].kind is float
    assert SETTINGS["blocks"].kind is int
    assert SETTINGS["allow_remote"].kind is bool
    assert SETTINGS["region"].kind is str
    assert SETTINGS["from"].path == ("capacity", "from")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    tmp_path: Path, name: str
) -> None:
    in_file, in_environment, in_flag = CHANGED[name]
    setting, path = SETTINGS[name], tmp_path / "loadtests.toml"

    def loaded(environ: dict[str, str], flags: dict[str, object]) -> object:
        return value_of(load_config(flags, environ=environ, path=path), setting)

    assert loaded({}, {}) == setting.default
    write_toml(tmp_path, name, in_file)
    assert loaded({}, {}) == in_file
    environ = {setting.variable: str(in_environment)}
    assert loaded(environ, {}) == in_environment
    assert loaded(environ, {name: None}) == in_environment
    assert loaded(environ, {name: in_flag}) == in_flag


@pytest.mark.parametrize(
    "name", [name for name, s in SETTINGS.items() if s.kind is not str or s.choices]
)
def test_a_bad_value_is_reported_with_the_flag_or_the_variable_it_came_from(
    tmp_path: Path, name: str
) -> None:
    setting, path = SETTINGS[name], tmp_path / "loadtests.toml"
    with pytest.raises(ConfigError) as caught:
        load_config({}, environ={setting.variable: "no such value"}, path=path)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [setting.variable]
    with pytest.raises(ConfigError) as caught:
        load_config({name: "no such value"}, environ={setting.variable: "nor this"}, path=path)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [setting.flag]


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize("name", ["LOADTESTS_RATE", "LOADTESTS_CONFIG", "LOADTESTS_CACHE"])
def test_an_empty_variable_is_an_error(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={name: value}, path=tmp_path / "loadtests.toml")
    assert caught.value.problems == [f"{name}: is empty; unset it, or give it a value"]


def test_another_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("[load]\nrate = 11\n")
    environ = {"LOADTESTS_CONFIG": str(tmp_path / "other.toml")}
    assert load_config(environ=environ).load.rate == 11


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().load.rate = 3.0


@pytest.mark.parametrize("driver", ["wire", "boto3", "shop.stores:make", "postgres/shop:make"])
def test_a_driver_is_a_client_of_dynamodb_or_a_factory(tmp_path: Path, driver: str) -> None:
    config = load_config({"driver": driver}, environ={}, path=tmp_path / "loadtests.toml")
    assert config.load.driver == driver
    with pytest.raises(ConfigError, match="must be wire, boto3, aioboto3, psycopg, asyncpg, or a"):
        load_config({"driver": driver.replace(":", ".") + "_"}, environ={}, path=tmp_path / "no")


def test_a_flag_is_spelled_with_hyphens() -> None:
    assert flag_of("dynamodb_endpoint") == "--dynamodb-endpoint"


def test_all_problems_are_told_at_once_each_with_its_source(tmp_path: Path) -> None:
    path = tmp_path / "loadtests.toml"
    path.write_text(
        "[load]\nrate = 500\nspeed = 3\n[data]\nusers = 0\n[slo.backends.oracle]\np99_ms = 1\n"
    )
    environ = {"LOADTESTS_WARM_UP": "-3", "LOADTESTS_RATE": "100", "LOADTESTS_DRIVER": "jdbc"}
    with pytest.raises(ConfigError) as caught:
        load_config({"rate": math.nan, "seed": -1, "backend": None}, environ=environ, path=path)
    problems = caught.value.problems
    starts = (
        "--rate: ",
        "--seed: ",
        "LOADTESTS_WARM_UP: ",
        "LOADTESTS_DRIVER: ",
        f"{path}: load.speed: no such setting",
        f"{path}: data.users: ",
        f"{path}: slo.backends.oracle",
    )
    for start in starts:
        assert sum(problem.startswith(start) for problem in problems) == 1, start
    assert len(problems) == len(starts)
    assert "has 7 problems" in caught.value.message
    assert str(path) in caught.value.hint
    assert "(found '-3')" in next(p for p in problems if "WARM_UP" in p)


def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "loadtests.toml"
    path.write_text("[load]\nrate = 5\nseed = \nwarm_up = 3\n")
    with pytest.raises(ConfigError, match="line 3") as caught:
        load_config(environ={}, path=path)
    assert str(path) in caught.value.message


def test_a_file_that_is_no_text_or_no_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "loadtests.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"loadtests\.toml"):
        load_config(environ={}, path=path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(environ={}, path=tmp_path)


def test_a_section_that_is_no_section_is_a_problem_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "loadtests.toml"
    path.write_text("load = 3\n")
    with pytest.raises(ConfigError) as caught:
        load_config({"rate": 5.0}, environ={"LOADTESTS_SEED": "2"}, path=path)
    [problem] = caught.value.problems
    assert problem.startswith(f"{path}: load: ")


def test_no_password_is_shown_when_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "loadtests.toml"
    path.write_text(
        '[targets]\npostgres_dns = "postgresql://u:hunter2@h/db"\n'
        'postgres_dsn = ["postgresql://u:hunter2@h/db"]\n[load]\nrate = 0\n'
    )
    environ = {"LOADTESTS_POSTGRES_DSN": "postgresql://u:hunter2@h/db"}
    for variables in ({}, environ):
        with pytest.raises(ConfigError) as caught:
            load_config(environ=variables, path=path)
        assert "hunter2" not in str(caught.value) + caught.value.hint
