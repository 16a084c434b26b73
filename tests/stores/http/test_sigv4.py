"""The signer against botocore's own, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtests.stores.http.sigv4 import CONTENT_TYPE, Signer
from loadtests.targets.endpoints import AwsKeys

VERSION = "DynamoDB_20120810"

printable = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=60)
keys = st.builds(
    AwsKeys,
    st.from_regex(r"[A-Z0-9]{16,24}", fullmatch=True),
    printable,
    st.none() | st.text("abcXYZ019+/=", min_size=1, max_size=400),
)
regions = st.sampled_from(["us-east-1", "eu-central-1", "ap-southeast-3", "us-gov-west-1", "local"])
hosts = st.sampled_from(
    ["127.0.0.1:8000", "dynamodb.us-east-1.amazonaws.com", "[::1]:4566", "localhost:1"]
)
operations = st.sampled_from(["GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem"])
seconds = st.integers(0, 4_102_444_799)  # to the end of 2099
bodies = st.binary(max_size=2_000)


class Clock:
    def __init__(self, second: float) -> None:
        self.second = second

    def __call__(self) -> float:
        return self.second


def by_botocore(
    key: AwsKeys, region: str, host: str, second: int, operation: str, body: bytes
) -> dict[str, str]:
    """The headers of the same request, signed by botocore."""
    request = AWSRequest(
        method="POST",
        url=f"http://{host}/",
        data=body,
        headers={"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"{VERSION}.{operation}"},
    )
    moment = datetime.fromtimestamp(second, UTC)
    credentials = ReadOnlyCredentials(key.access_key, key.secret_key, key.token)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
        botocore.auth.SigV4Auth(credentials, "dynamodb", region).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()} | {"host": host}


def taken_apart(message: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    names = [line.partition(": ")[0].lower() for line in lines]
    assert len(names) == len(set(names))
    return first, {n: line.partition(": ")[2] for n, line in zip(names, lines, strict=True)}, body


def check(
    signer: Signer, key: AwsKeys, region: str, host: str, second: int, operation: str, body: bytes
) -> None:
    first, headers, sent = taken_apart(signer.request(operation, body))
    assert first == "POST / HTTP/1.1"
    assert sent == body
    assert int(headers.pop("content-length")) == len(body)
    assert headers == by_botocore(key, region, host, second, operation, body)


@given(keys, regions, hosts, seconds, operations, bodies)
def test_every_header_is_what_botocore_makes_it(
    key: AwsKeys, region: str, host: str, second: int, operation: str, body: bytes
) -> None:
    signer = Signer(lambda: key, region=region, host=host, version=VERSION, clock=Clock(second))
    check(signer, key, region, host, second, operation, body)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(seconds, keys, operations, bodies), min_size=2, max_size=6),
    st.lists(st.integers(-90_000, 90_000), max_size=6),
)
def test_nothing_stale_is_left_when_clock_keys_or_operation_change(
    steps: list[tuple[int, AwsKeys, str, bytes]], jumps: list[int]
) -> None:
    """What is kept for a second, a day or a key is never used for another."""
    clock = Clock(0)
    current = [steps[0][1]]
    signer = Signer(
        lambda: current[0], region="us-east-1", host="h:1", version=VERSION, clock=clock
    )
    for second, key, operation, body in steps:
        for moved in [second, *(max(0, second + jump) for jump in jumps)]:
            if int(clock.second) != moved:
                current[0] = key  # keys are looked at once a second
            clock.second = moved + 0.75
            check(signer, current[0], "us-east-1", "h:1", moved, operation, body)
            check(signer, current[0], "us-east-1", "h:1", moved, operation, body + b" ")


def test_keys_are_asked_once_a_second_not_once_a_call() -> None:
    asked = []

    def read() -> AwsKeys:
        asked.append(1)
        return AwsKeys("A", "B")

    clock = Clock(1_700_000_000.0)
    signer = Signer(
        read,
        region="us-east-1",
        host="h",
        version=VERSION,
        clock=clock,
    )
    for _ in range(50):
        signer.request("GetItem", b"{}")
    assert len(asked) == 1
    clock.second += 1
    signer.request("Query", b"{}")
    assert len(asked) == 2


def test_keys_do_not_show_themselves() -> None:
    shown = f"{AwsKeys('AKIDEXAMPLE', 'very-secret', 'token-too')!r}"
    assert "secret" not in shown
    assert "token" not in shown
