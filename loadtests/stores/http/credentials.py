"""Endpoint → address, host header and credentials, all by botocore's rules and off the hot path.

Worked out once per process and endpoint. Credentials that expire are renewed in a thread of their
own (a greenlet under Locust) well before they do, so that no call ever waits for it.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from loadtests.errors import TargetError
from loadtests.stores.dynamodb.requests import API_VERSION
from loadtests.stores.http.connection import Address
from loadtests.stores.http.sigv4 import Keys, Signer
from loadtests.targets.endpoints import DynamoDBEndpoint

# AWS's own example keys: valid in form, of no account
EMULATOR_KEYS: Final = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
_LOOK_EVERY_S: Final = 30.0


class RefreshingKeys:
    """botocore's credentials as last seen; looks for newer ones in the background.

    `read` may take long (it may ask an instance's metadata service or STS). Until it returns, and
    when it fails, the last keys stay; AWS then refuses them by name once they have expired.
    """

    def __init__(
        self,
        read: Callable[[], Keys],
        *,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._read = read
        self._clock = clock
        self._start = start or _start_thread
        self._keys = _checked(read())
        self._look_at = clock() + _LOOK_EVERY_S

    def __call__(self) -> Keys:
        """The keys to sign with now; never waits."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            self._start(self._look)
        return self._keys

    def _look(self) -> None:
        try:
            self._keys = _checked(self._read())
        except Exception:  # noqa: BLE001 - whatever botocore's providers raise, the old keys stay
            return


def _checked(keys: Keys) -> Keys:
    """The keys, if they can stand in a header. Raises TargetError."""
    if not all(re.fullmatch(r"[!-~]+", part) for part in keys if part is not None):
        raise TargetError(
            "The AWS credentials hold characters that none have, such as a space or line break.",
            hint="See where they come from: aws configure list.",
        )
    return keys


def _start_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="aws-credentials", daemon=True).start()


@lru_cache(maxsize=16)
def resolve(endpoint: DynamoDBEndpoint) -> tuple[Address, Signer]:
    """Where to connect, and what signs for it; shared by all stores of the process.

    Raises TargetError when there are no credentials or the URL makes no sense.
    """
    if endpoint.emulator and endpoint.url is not None:
        url, keys = endpoint.url, _emulator_keys
    else:
        url, keys = _ask_botocore(endpoint)
    secure, host, port = _take_apart(url)
    usual_port = 443 if secure else 80
    name = f"[{host}]" if ":" in host else host
    header = name if port in {None, usual_port} else f"{name}:{port}"
    tls = _verifying_context() if secure else None
    signer = Signer(keys, region=endpoint.region, host=header, version=API_VERSION)
    return Address(host, port or usual_port, tls), signer


def _take_apart(url: str) -> tuple[bool, str, int | None]:
    """Whether it is https, host, and port if given. Raises TargetError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        if parts.scheme in {"http", "https"} and host and parts.path in {"", "/"}:
            return parts.scheme == "https", host, port
    except ValueError:
        pass
    shown = re.sub(r"//[^/@]*@", "//…@", url)
    raise TargetError(
        f"{shown} is no DynamoDB endpoint.", hint="Give a URL such as http://127.0.0.1:8000."
    )


def _emulator_keys() -> Keys:
    return EMULATOR_KEYS


def _ask_botocore(endpoint: DynamoDBEndpoint) -> tuple[str, Callable[[], Keys]]:
    # imported here: it takes a third of a second that runs against an emulator need not spend
    import botocore.session
    from botocore.exceptions import BotoCoreError

    session = botocore.session.get_session()
    try:
        found: Any = session.get_credentials()
        if found is None:
            raise TargetError(
                "There are no AWS credentials.",
                hint="Set AWS_PROFILE, or the variables AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or run where a role is attached.",
            )
        url = endpoint.url
        if url is None:
            client: Any = session.create_client("dynamodb", region_name=endpoint.region)
            url = client.meta.endpoint_url
            client.close()

        def read() -> Keys:
            frozen = found.get_frozen_credentials()
            return Keys(frozen.access_key, frozen.secret_key, frozen.token or None)

        return url, RefreshingKeys(read)
    except BotoCoreError as error:
        raise TargetError(
            f"AWS's DynamoDB in {endpoint.region} cannot be used: {error}",
            hint="Check the region and the AWS profile.",
        ) from None


def _verifying_context() -> ssl.SSLContext:
    """TLS as botocore does it: certificate and host name checked, its choice of authorities."""
    import os

    from botocore.httpsession import get_cert_path

    chosen = os.environ.get("AWS_CA_BUNDLE") or get_cert_path(True)
    return ssl.create_default_context(cafile=chosen)
