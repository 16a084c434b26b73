"""What a run and its supervisor say to each other arrives as it was meant."""

from __future__ import annotations

import pytest

from loadtests.config import Config, Data, Slo, Targets
from loadtests.errors import DownloadError, LoadtestsError, ProvisionError, TargetError
from loadtests.targets.endpoints import AwsKeys, DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.progress import Progress
from loadtests.targets.supervisor.messages import (
    Message,
    SupervisorRequest,
    read_message,
    write_message,
)


@pytest.mark.parametrize(
    "request_",
    [
        SupervisorRequest(Config(), ("dynamodb",)),
        SupervisorRequest(
            Config(
                targets=Targets(postgres_dsn="postgresql://u:p@127.0.0.1/d", allow_remote=True),
                data=Data(users=7),
                slo=Slo.model_validate({"p99.9_ms": 30, "patterns": {"cart.get": {"p99_ms": 5}}}),
            ),
            ("dynamodb", "postgres"),
            provision=False,
            keep=True,
            dynamodb_port=8000,
        ),
    ],
)
def test_a_request_arrives_whole(request_: SupervisorRequest) -> None:
    line = request_.line()
    assert line.count(b"\n") == 1
    assert SupervisorRequest.parse(line) == request_


@pytest.mark.parametrize(
    "message",
    [
        Progress("Seeding", 3, 9),
        Progress("Fetching"),
        Endpoints(),
        Endpoints(
            DynamoDBEndpoint("https://a", "eu-west-1", emulator=False, keys=None),
            PostgresEndpoint("dsn", "x"),
        ),
        Endpoints(DynamoDBEndpoint("http://127.0.0.1:1", keys=AwsKeys("local", "s", "token"))),
    ],
)
def test_a_message_arrives_whole(message: Message) -> None:
    line = write_message(message)
    assert line.count(b"\n") == 1
    assert read_message(line) == message


@pytest.mark.parametrize("kind", [TargetError, DownloadError, ProvisionError, LoadtestsError])
def test_an_error_arrives_with_its_kind_sentence_and_hint(kind: type[LoadtestsError]) -> None:
    error = read_message(write_message(kind("What happened.\nTwo lines.", hint="Do this.")))
    assert type(error) is kind
    assert (error.message, error.hint) == ("What happened.\nTwo lines.", "Do this.")


def test_endpoints_do_not_show_a_password() -> None:
    assert "secret" not in repr(Endpoints(None, PostgresEndpoint("postgresql://u:secret@h/d")))
