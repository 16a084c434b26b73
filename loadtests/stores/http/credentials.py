"""Endpoint → address, host header and credentials, off the hot path.

Resolved once per process and endpoint. Credentials that expire are refreshed in a background thread
(a greenlet under Locust) well before they expire, so that no call waits for it.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from loadtests.errors import TargetError
from loadtests.stores.http.connection import Address
from loadtests.stores.http.sigv4 import Signer
from loadtests.targets.endpoints import AwsKeys, DynamoDBEndpoint

_CHECK_EVERY_S: Final = 30.0


class RefreshingKeys:
    """botocore's credentials as last read, refreshed in the background.

    `read` may take long (it may query an instance's metadata service or STS). Until it returns, and
    if it fails, the last keys stay in use; once they have expired, AWS refuses them by name.
    """

    def __init__(
        self,
        read: Callable[[], AwsKeys],
        *,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._read = read
        self._clock = clock
        self._start = start or _start_thread
        self._keys = _checked(read())
        self._check_at = clock() + _CHECK_EVERY_S

    def __call__(self) -> AwsKeys:
        """The keys to sign with now; never waits."""
        now = self._clock()
        if now >= self._check_at:
            self._check_at = now + _CHECK_EVERY_S
            self._start(self._refresh)
        return self._keys

    def _refresh(self) -> None:
        try:
            self._keys = _checked(self._read())
        except Exception:  # noqa: BLE001 - on any error of a provider, the old keys stay
            return


def _checked(keys: AwsKeys) -> AwsKeys:
    """The keys, if they are valid in a header. Raises TargetError."""
    if not all(re.fullmatch(r"[!-~]+", part) for part in keys if part is not None):
        raise TargetError(
            "The AWS credentials contain invalid characters (space or line break).",
            hint="`aws configure list` shows where they come from.",
        )
    return keys


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="aws-credentials", daemon=True).start()


@lru_cache(maxsize=16)
def resolve(endpoint: DynamoDBEndpoint, api_version: str) -> tuple[Address, Signer]:
    """The address to connect to, and the signer for it; shared by all stores of the process.

    Raises TargetError if there are no credentials or the URL is invalid.
    """
    secure, host, port = _split_url(endpoint.url)
    default_port = 443 if secure else 80
    name = f"[{host}]" if ":" in host else host
    header = name if port in {None, default_port} else f"{name}:{port}"
    tls = _verifying_context(endpoint.ca_bundle) if secure else None
    signer = Signer(_keys_of(endpoint), region=endpoint.region, host=header, version=api_version)
    return Address(host, port or default_port, tls, endpoint.loopback_only), signer


def _split_url(url: str) -> tuple[bool, str, int | None]:
    """Whether the scheme is https; host; port, if given. Raises TargetError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme in {"http", "https"} and host and parts.path in {"", "/"}:
            return parts.scheme == "https", host, port
    except ValueError:
        pass
    shown = re.sub(r"//[^/@]*@", "//…@", url)
    raise TargetError(
        f"{shown} is not a valid DynamoDB endpoint.",
        hint="Use a URL such as http://127.0.0.1:8000.",
    )


def _keys_of(endpoint: DynamoDBEndpoint) -> Callable[[], AwsKeys]:
    keys = endpoint.keys
    if keys is not None:
        return lambda: keys
    # imported here: botocore takes a third of a second, which runs against an emulator save
    from loadtests.targets.dynamodb.client import current_keys

    return RefreshingKeys(current_keys)


def _verifying_context(ca_bundle: str) -> ssl.SSLContext:
    """A context that verifies certificate and host name, with botocore's choice of authorities."""
    from botocore.httpsession import get_cert_path

    return ssl.create_default_context(cafile=ca_bundle or get_cert_path(True))
