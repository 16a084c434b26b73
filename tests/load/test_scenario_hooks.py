"""`prepare` and `clean_up` of a scenario: when they run, and how they fail."""

from __future__ import annotations

import pytest

from loadtests.errors import TargetError, UsageError
from loadtests.load.locust.users import OpenLoopUser, access_pattern
from loadtests.load.scenario_hooks import ScenarioHooks
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint

THEIRS = Endpoints(dynamodb=DynamoDBEndpoint("http://127.0.0.1:1"))
EMBEDDED = Endpoints(
    dynamodb=DynamoDBEndpoint("http://127.0.0.1:1", embedded=True),
    postgres=PostgresEndpoint("host=127.0.0.1", embedded=True),
)
seen: list[tuple[str, Endpoints]] = []


class FirstUser(OpenLoopUser):
    @classmethod
    def prepare(cls, endpoints: Endpoints) -> None:
        seen.append((f"{cls.__name__} prepares", endpoints))

    @classmethod
    def clean_up(cls, endpoints: Endpoints) -> None:
        seen.append((f"{cls.__name__} cleans up", endpoints))

    @access_pattern("a", share=1)
    def call_a(self) -> None: ...


class BareUser(OpenLoopUser):
    @access_pattern("b", share=1)
    def call_b(self) -> None: ...


class FailingUser(FirstUser):
    @classmethod
    def prepare(cls, endpoints: Endpoints) -> None:
        raise KeyError("TABLE")


class LeavingUser(FirstUser):
    @classmethod
    def clean_up(cls, endpoints: Endpoints) -> None:
        raise TargetError("The table cannot be deleted.", hint="Delete it.")


def hooks(*classes: type[OpenLoopUser]) -> ScenarioHooks:
    seen.clear()
    return ScenarioHooks(classes, lambda _: None)


def test_each_class_prepares_and_cleans_up() -> None:
    both = hooks(FirstUser, BareUser)
    both.prepare(THEIRS)
    assert both.is_prepared
    both.clean_up()
    both.clean_up()  # a run that ended, and the end of Locust
    assert seen == [("FirstUser prepares", THEIRS), ("FirstUser cleans up", THEIRS)]
    assert not both.is_prepared


def test_embedded_databases_need_no_clean_up() -> None:
    embedded = hooks(FirstUser)
    embedded.prepare(EMBEDDED)
    embedded.clean_up()
    mixed = Endpoints(THEIRS.dynamodb, EMBEDDED.postgres)
    embedded.prepare(mixed)
    embedded.clean_up()
    assert seen[1:] == [("FirstUser prepares", mixed), ("FirstUser cleans up", mixed)]


def test_an_error_of_prepare_is_one_sentence_and_what_had_begun_is_cleaned_up() -> None:
    failing = hooks(FirstUser, FailingUser, BareUser)
    with pytest.raises(UsageError, match=r"FailingUser\.prepare failed with KeyError: 'TABLE'\."):
        failing.prepare(THEIRS)
    assert [step for step, _ in seen] == [
        *("FirstUser prepares", "FirstUser cleans up", "FailingUser cleans up"),
    ]
    assert not failing.is_prepared


def test_an_error_of_clean_up_does_not_keep_others_from_theirs() -> None:
    leaving = hooks(LeavingUser, FirstUser)
    leaving.prepare(THEIRS)
    with pytest.raises(TargetError, match="The table cannot be deleted"):
        leaving.clean_up()
    assert seen[-1] == ("FirstUser cleans up", THEIRS)
