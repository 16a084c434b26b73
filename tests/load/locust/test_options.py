from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust.argument_parser import LocustArgumentParser

from loadtests.config import SETTINGS, Config, Load, load_config
from loadtests.errors import ConfigError, UsageError
from loadtests.load.locust.options import FLAGS, add_arguments, config_of, default_users

CHANGED = {
    "backend": ("postgres", "dynamodb", "both"),
    "driver": ("boto3", "wire", "boto3"),
    "rate": (7.0, 8.0, 9.0),
    "arrivals": ("constant", "poisson", "constant"),
    "warm_up": (3.0, 4.0, 5.0),
    "seed": (3, 4, 5),
    "subjects": (
        "dynamodb/wire dynamodb/boto3",
        "dynamodb/boto3 dynamodb/wire",
        "postgres/psycopg dynamodb/wire",
    ),
    "blocks": (2, 3, 0),
    "dynamodb_endpoint": ("http://127.0.0.1:1", "http://127.0.0.1:2", "aws"),
    "postgres_dsn": ("postgresql://a", "postgresql://b", "postgresql://c"),
    "region": ("eu-west-1", "eu-west-2", "eu-west-3"),
    "results": ("one", "two", "three"),
}  # toml, environment, flag


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder and environment; returns a way to read options as Locust would."""
    monkeypatch.chdir(tmp_path)
    for name in ("LOADTESTS_CONFIG", *(f"LOADTESTS_{name.upper()}" for name in SETTINGS)):
        monkeypatch.delenv(name, raising=False)

    def read(*arguments: str) -> Config:
        parser = LocustArgumentParser()
        parser.add_argument("--run-time", type=float, default=None)
        add_arguments(parser)
        return config_of(parser.parse_args(list(arguments)))

    return read


def write_toml(folder, name: str, value: object) -> None:
    *section, key = SETTINGS[name]
    shown = value if isinstance(value, float | int) else f'"{value}"'
    head = f"[{section[0]}]\n" if section else ""
    (folder / "loadtests.toml").write_text(f"{head}{key} = {shown}\n")


def value_of(config: Config, name: str) -> object:
    found: object = config
    for key in SETTINGS[name]:
        found = getattr(found, key)
    return found


@pytest.mark.parametrize("name", CHANGED)
def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(
    place, tmp_path, monkeypatch, name
):
    from_file, from_environment, from_flag = CHANGED[name]
    assert value_of(place(), name) == value_of(Config(), name)
    write_toml(tmp_path, name, from_file)
    assert value_of(place(), name) == from_file
    monkeypatch.setenv(f"LOADTESTS_{name.upper()}", str(from_environment))
    assert value_of(place(), name) == from_environment
    flag = "--" + name.replace("_", "-")
    assert value_of(place(flag, str(from_flag)), name) == from_flag


def test_every_flag_of_the_contract_is_there(place):
    of_a_climb = {"from", "growth", "step_time", "settle"}  # only scenarios that climb have these
    assert set(CHANGED) | {"allow_remote"} | of_a_climb == set(FLAGS)
    assert place("--allow-remote").targets.allow_remote
    assert not place().targets.allow_remote


def test_an_empty_variable_is_not_a_setting(place, monkeypatch):
    monkeypatch.setenv("LOADTESTS_RATE", "")
    assert place().load.rate == Config().load.rate


def test_another_file_may_be_named(place, tmp_path, monkeypatch):
    (tmp_path / "other.toml").write_text("[load]\nrate = 11\n")
    monkeypatch.setenv("LOADTESTS_CONFIG", str(tmp_path / "other.toml"))
    assert place().load.rate == 11


def test_all_problems_are_told_at_once_each_with_its_source(tmp_path):
    path = tmp_path / "loadtests.toml"
    path.write_text(
        "[load]\nrate = 500\nspeed = 3\n[data]\nusers = 0\n[slo.backends.oracle]\np99_ms = 1\n"
    )
    environ = {"LOADTESTS_WARM_UP": "-3", "LOADTESTS_RATE": "100", "LOADTESTS_DRIVER": "jdbc"}
    with pytest.raises(ConfigError) as caught:
        load_config({"rate": math.nan, "seed": -1, "backend": None}, environ=environ, path=path)
    problems = caught.value.problems
    starts = (
        "--rate: ", "--seed: ", "LOADTESTS_WARM_UP: ", "LOADTESTS_DRIVER: ",
        f"{path}: load.speed: no such setting", f"{path}: data.users: ",
        f"{path}: slo.backends.oracle",
    )  # fmt: skip
    for start in starts:
        assert sum(problem.startswith(start) for problem in problems) == 1, start
    assert len(problems) == len(starts)
    assert "has 7 problems" in caught.value.message
    assert str(path) in caught.value.hint
    assert "(found '-3')" in next(p for p in problems if "WARM_UP" in p)


def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path):
    path = tmp_path / "loadtests.toml"
    path.write_text("[load]\nrate = 5\nseed = \nwarm_up = 3\n")
    with pytest.raises(ConfigError, match="line 3") as caught:
        load_config(environ={}, path=path)
    assert str(path) in caught.value.message


def test_a_file_that_is_no_text_or_no_file_is_named(tmp_path):
    path = tmp_path / "loadtests.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"loadtests\.toml"):
        load_config(environ={}, path=path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(environ={}, path=tmp_path)


def test_a_section_that_is_no_section_is_a_problem_of_the_file(tmp_path):
    path = tmp_path / "loadtests.toml"
    path.write_text("load = 3\n")
    with pytest.raises(ConfigError) as caught:
        load_config({"rate": 5.0}, environ={"LOADTESTS_SEED": "2"}, path=path)
    [problem] = caught.value.problems
    assert problem.startswith(f"{path}: load: ")


def test_no_password_is_shown_when_settings_are_refused(tmp_path):
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
def test_flags_that_make_no_sense_are_refused_by_name(place, flags, refused):
    with pytest.raises(ConfigError) as caught:
        place(*flags)
    assert caught.value.problems[0].startswith(f"{refused}: ")


def test_a_run_that_ends_within_its_warm_up_is_refused(place):
    assert place("--warm-up", "5", "--run-time", "5.5").load.warm_up == 5
    for run_time in ("5", "3"):
        with pytest.raises(UsageError, match="ends within the warm-up of 5 s") as caught:
            place("--warm-up", "5", "--run-time", run_time)
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
def test_default_users_carry_calls_of_100_ms(rate, backend, dispatchers, users):
    assert default_users(Config(load=Load(rate=rate, backend=backend)), dispatchers) == users


@given(
    st.floats(0.1, 1e5),
    st.sampled_from(["both", "dynamodb", "postgres"]),
    st.integers(1, 6),
)
def test_default_users_suffice_for_a_database_that_keeps_its_promise(rate, backend, classes):
    dispatchers = classes * (2 if backend == "both" else 1)
    users = default_users(Config(load=Load(rate=rate, backend=backend)), dispatchers)
    assert users % dispatchers == 0
    per_dispatcher = users // dispatchers
    assert 8 <= per_dispatcher <= 256
    dispatcher_rate = rate * (2 if backend == "both" else 1) / dispatchers
    assert per_dispatcher == 256 or per_dispatcher >= dispatcher_rate * 0.1
