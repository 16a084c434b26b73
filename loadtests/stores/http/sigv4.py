"""Signature Version 4 for one service endpoint, with everything that repeats computed once.

Between calls, only two digests of the string to sign change. The signing key is cached for its day;
the date line, the scope and the headers of each operation are cached for their second. A call costs
two SHA-256 and one HMAC. The algorithm is AWS's "Create a signed AWS API request"; tests compare
every byte with botocore's signer.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from loadtests.targets.endpoints import AwsKeys

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

ALGORITHM: Final = "AWS4-HMAC-SHA256"
CONTENT_TYPE: Final = "application/x-amz-json-1.0"
_BLOCK: Final = 64  # SHA-256's block size, to which HMAC pads the key
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class _Operation(NamedTuple):
    """What all requests for one operation in one second share."""

    canonical: bytes  # canonical request, up to the body's digest
    head: bytes  # HTTP request, up to the signature


class _Key(NamedTuple):
    """The signing key of a day, as SHA-256 states after HMAC's inner and outer pads."""

    day: str
    keys: AwsKeys
    inner: Hash
    outer: Hash


class _Second(NamedTuple):
    """What all requests of one second share; replaced whole, so that threads can share a signer."""

    second: int
    moment: str
    scope: str
    to_sign: bytes  # string to sign, up to the canonical request's digest
    key: _Key
    operations: dict[str, _Operation]


class Signer:
    """Builds the bytes of a signed `POST /` request from an operation and its body.

    `keys` is called once per second, not per call; `clock` gives Unix seconds. `version` is the
    API name before the operation in `X-Amz-Target`.
    """

    __slots__ = ("_clock", "_host", "_keys", "_now", "_region", "_service", "_version")

    def __init__(
        self,
        keys: Callable[[], AwsKeys],
        *,
        region: str,
        host: str,
        version: str,
        service: str = "dynamodb",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._region = region
        self._host = host
        self._version = version
        self._service = service
        self._clock = clock
        self._now: _Second | None = None

    def request(self, operation: str, body: bytes) -> bytes:
        """The whole HTTP request, ready to send."""
        second = int(self._clock())
        now = self._now
        if now is None or now.second != second:
            now = self._begin(second, now)
        prepared = now.operations.get(operation) or self._prepare(operation, now)
        canonical = prepared.canonical + sha256(body).hexdigest().encode()
        inner = now.key.inner.copy()
        inner.update(now.to_sign + sha256(canonical).hexdigest().encode())
        outer = now.key.outer.copy()
        outer.update(inner.digest())
        return f"{outer.hexdigest()}\r\nContent-Length: {len(body)}\r\n\r\n".encode().join(
            (prepared.head, body)
        )

    def _begin(self, second: int, before: _Second | None) -> _Second:
        """Begin a new second; on a new day or with new credentials, also a new signing key."""
        keys = self._keys()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = moment[:8]
        key = before.key if before else None
        if key is None or key.day != day or key.keys != keys:
            key = self._derive(keys, day)
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        to_sign = f"{ALGORITHM}\n{moment}\n{scope}\n".encode()
        self._now = now = _Second(second, moment, scope, to_sign, key, {})
        return now

    def _derive(self, keys: AwsKeys, day: str) -> _Key:
        key = f"AWS4{keys.secret_key}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        padded = key.ljust(_BLOCK, b"\0")
        inner, outer = padded.translate(_INNER), padded.translate(_OUTER)
        return _Key(day, keys, sha256(inner), sha256(outer))

    def _prepare(self, operation: str, now: _Second) -> _Operation:
        token = now.key.keys.token
        headers = [
            ("Content-Type", CONTENT_TYPE),
            ("Host", self._host),
            ("X-Amz-Date", now.moment),
            *([("X-Amz-Security-Token", token)] if token else []),
            ("X-Amz-Target", f"{self._version}.{operation}"),
        ]
        names = ";".join(name.lower() for name, _ in headers)
        values = "".join(f"{name.lower()}:{value}\n" for name, value in headers)
        sent = "".join(f"{name}: {value}\r\n" for name, value in headers)
        prepared = _Operation(
            f"POST\n/\n\n{values}\n{names}\n".encode(),
            f"POST / HTTP/1.1\r\n{sent}Authorization: {ALGORITHM} "
            f"Credential={now.key.keys.access_key}/{now.scope}, "
            f"SignedHeaders={names}, Signature=".encode(),
        )
        now.operations[operation] = prepared
        return prepared
