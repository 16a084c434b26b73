"""The DynamoDB that settings, environment and AWS profile name, resolved once for every client.

`aws`, and a URL of AWS, follow botocore's own rules: region, credentials, certificate authorities,
AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_DYNAMODB, `services` sections, FIPS, dual-stack and
account-based endpoints. What botocore would call is read off a request that is never sent.

Any other URL is an emulator. It is called with the keys and the region that the environment or the
profile states. Providers that start programs or use the network are not asked for them, and AWS
files that cannot be read do not matter.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.utils import (
    get_environ_proxies,
    is_valid_endpoint_url,
    is_valid_ipv6_endpoint_url,
    validate_region_name,
)

from loadtests.config import Targets
from loadtests.errors import TargetError
from loadtests.targets.dynamodb.causes import cause_of
from loadtests.targets.dynamodb.client import provider_credentials
from loadtests.targets.endpoints import EMULATOR_KEYS, AwsKeys, DynamoDBEndpoint
from loadtests.targets.loopback import CONSENT, addresses_of, is_loopback_address

DEFAULT_REGION: Final = "us-east-1"
_AWS_DOMAINS: Final = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
)
_STATIC_PROVIDERS: Final = ("env", "shared-credentials-file", "config-file")


def resolve_dynamodb(targets: Targets) -> DynamoDBEndpoint:
    """The endpoint that `targets` names, not called yet. Raises TargetError."""
    named = targets.dynamodb_endpoint
    given = None if named == "aws" else _plain_url(named, "The DynamoDB endpoint")
    if given and not _is_aws(given):
        return _emulator(given, targets, _emulator_region(targets))
    return _by_botocore(given, targets)


def _by_botocore(given: str | None, targets: Targets) -> DynamoDBEndpoint:
    subject = "DynamoDB on AWS" if given is None else f"DynamoDB at {given}"
    session = botocore.session.get_session()
    try:
        region = targets.region or session.get_config_variable("region")
        region = str(region or os.environ.get("AWS_REGION") or DEFAULT_REGION)
        url, region = _ask_botocore(session, given, region)
    except (BotoCoreError, ValueError) as error:
        raise cause_of(error).as_target_error(subject) from None
    url = _plain_url(url, "The endpoint that AWS_ENDPOINT_URL or the AWS profile names")
    if not _is_aws(url):
        return _emulator(url, targets, region)
    if ".api." in url:  # botocore accepts such a host from its own settings only
        raise TargetError(
            f"The dual-stack endpoint {url} cannot be called by every client.",
            hint="Unset AWS_USE_DUALSTACK_ENDPOINT, and use_dualstack_endpoint of the AWS profile.",
        )
    addresses = _addresses(url)
    if _all_here(addresses):
        # such as LocalStack, which gives AWS's names an address of this machine
        return _emulator(url, targets, region, shown=f"{url} ({addresses[0]})")
    if given and not targets.allow_remote:
        raise _not_allowed(url)
    provider_credentials()  # says in words what is wrong with them
    _check_reachable(url, addresses)
    endpoint = DynamoDBEndpoint(
        url, region, emulator=False, keys=None, ca_bundle=_ca_bundle(url, session)
    )
    usual = f"DynamoDB on AWS ({region})"
    return _labelled(endpoint, usual if endpoint.usual_on_aws else f"{usual} at {url}")


def _ask_botocore(
    session: botocore.session.Session, given: str | None, region: str
) -> tuple[str, str]:
    """URL and signing region of the request that botocore would send; nothing is sent.

    Raises BotoCoreError, ValueError.
    """
    validate_region_name(region)
    placeholder: dict[str, Any] = {}
    if session.get_credentials() is None:  # the URL decides whether that matters
        placeholder = {
            "aws_access_key_id": EMULATOR_KEYS.access_key,
            "aws_secret_access_key": EMULATOR_KEYS.secret_key,
        }
    client: Any = session.create_client(
        "dynamodb",
        region_name=region,
        endpoint_url=given,
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
        **placeholder,
    )
    client.meta.events.register("before-send.dynamodb", _Unsent.stop)
    try:
        client.list_tables()
    except _Unsent as unsent:
        url, authorization = unsent.args
    scope = re.search(r"Credential=[^/]*/[0-9]+/([^/]+)/", authorization)
    return url, scope[1] if scope else region


class _Unsent(Exception):
    """Ends a call before its request is sent; the arguments are its URL and Authorization."""

    @classmethod
    def stop(cls, request: Any, **_: object) -> None:
        authorization = request.headers.get("Authorization", b"")
        raise cls(
            request.url,
            authorization.decode() if isinstance(authorization, bytes) else authorization,
        )


def _emulator(
    url: str, targets: Targets, region: str, *, shown: str | None = None
) -> DynamoDBEndpoint:
    addresses = _addresses(url)
    if not _all_here(addresses):
        if addresses and not targets.allow_remote:
            raise _not_allowed(url)
        _check_reachable(url, addresses)
    session = _readable_session()
    endpoint = DynamoDBEndpoint(
        url,
        region,
        keys=_checked(_static_keys(session) or EMULATOR_KEYS),
        ca_bundle=_ca_bundle(url, session),
        loopback_only=_all_here(addresses),
    )
    return _labelled(endpoint, f"DynamoDB at {shown or url}")


def _labelled(endpoint: DynamoDBEndpoint, label: str) -> DynamoDBEndpoint:
    return replace(endpoint, label=label)


def _plain_url(url: str, subject: str) -> str:
    """The URL without a final slash. Raises TargetError, whose text does not quote a password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = SplitResult("", "", "", "", ""), None
    host = parts.hostname
    surplus = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not host or surplus or parts.path.strip("/"):
        raise TargetError(
            f"{subject} is not a URL of scheme, host and port only.",
            hint="Use embedded, aws, or a URL such as http://127.0.0.1:8000.",
        )
    shown = f"[{host}]" if ":" in host else host
    plain = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    if not (is_valid_endpoint_url(plain) or is_valid_ipv6_endpoint_url(plain)):
        raise TargetError(
            f"The host name {host!r} is not valid, and botocore refuses it.",
            hint="Use a name of letters, digits, hyphens and dots (no underscore), or the IP "
            "address.",
        )
    return plain


def _is_aws(url: str) -> bool:
    return (urlsplit(url).hostname or "").rstrip(".").endswith(_AWS_DOMAINS)


def _addresses(url: str) -> list[str]:
    """The addresses of the URL's host; none where it is unknown."""
    try:
        return addresses_of(urlsplit(url).hostname or "")
    except (OSError, UnicodeError):
        return []


def _all_here(addresses: list[str]) -> bool:
    return bool(addresses) and all(map(is_loopback_address, addresses))


def _not_allowed(url: str) -> TargetError:
    return TargetError(f"DynamoDB at {url} is not on this machine.", hint=CONSENT)


def _check_reachable(url: str, addresses: list[str]) -> None:
    """Raise TargetError unless a host on another machine is known and called directly."""
    host = urlsplit(url).hostname or ""
    _refuse_proxy(url, host)  # before the name: behind a proxy, other names are unknown
    if not addresses:
        raise TargetError(
            f"DynamoDB at {url} cannot be used: the host {host!r} has no known address.",
            hint="Check its spelling, the region, and DNS.",
        )


def _refuse_proxy(url: str, host: str) -> None:
    scheme = urlsplit(url).scheme
    proxy = get_environ_proxies(url).get(scheme)
    if proxy:
        raise TargetError(
            f"{scheme.upper()}_PROXY names a proxy for {host}, and no client of a load test uses "
            "one: it would be measured instead of DynamoDB.",
            hint=f"If this machine reaches {host} directly, add it to NO_PROXY.",
        )


def _readable_session() -> botocore.session.Session | None:
    """A session of the AWS profile; None where the profile or its files cannot be read."""
    session = botocore.session.get_session()
    try:
        session.get_scoped_config()
    except (BotoCoreError, ValueError, OSError):
        return None
    return session


def _emulator_region(targets: Targets) -> str:
    session = _readable_session()
    of_profile = session.get_config_variable("region") if session else None
    variables = (os.environ.get(name) for name in ("AWS_DEFAULT_REGION", "AWS_REGION"))
    region = targets.region or of_profile or next(filter(None, variables), DEFAULT_REGION)
    try:
        validate_region_name(region)
    except BotoCoreError as error:
        raise cause_of(error).as_target_error(f"DynamoDB at {targets.dynamodb_endpoint}") from None
    return str(region)


def _static_keys(session: botocore.session.Session | None) -> AwsKeys | None:
    """The keys that variables or AWS files state; None where there are none, or only a half."""
    if session is None:
        return _keys_of(os.environ)
    resolver = session.get_component("credential_provider")
    for provider in resolver.providers:
        if provider.METHOD not in _STATIC_PROVIDERS:
            continue
        try:
            credentials = provider.load()
        except (BotoCoreError, ValueError, OSError):
            continue
        if credentials is not None:
            frozen = credentials.get_frozen_credentials()
            return AwsKeys(frozen.access_key, frozen.secret_key, frozen.token or None)
    return None


def _keys_of(environ: Mapping[str, str]) -> AwsKeys | None:
    access, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        return None
    return AwsKeys(access, secret, environ.get("AWS_SESSION_TOKEN") or None)


def _checked(keys: AwsKeys) -> AwsKeys:
    if not all(re.fullmatch(r"[!-~]+", part) for part in keys if part is not None):
        raise TargetError(
            "The AWS credentials contain invalid characters (space or line break).",
            hint="`aws configure list` shows where they come from.",
        )
    return keys


def _ca_bundle(url: str, session: botocore.session.Session | None) -> str:
    """The file of certificate authorities by botocore's rules; empty for botocore's own.

    Raises TargetError if it cannot be used.
    """
    if not url.startswith("https:"):
        return ""
    if session is None:
        named = os.environ.get("AWS_CA_BUNDLE")
    else:
        named = session.get_config_variable("ca_bundle")
    path = named or os.environ.get("REQUESTS_CA_BUNDLE") or ""
    if path:
        source = (
            "AWS_CA_BUNDLE"
            if path == os.environ.get("AWS_CA_BUNDLE")
            else "ca_bundle of the AWS profile"
            if named
            else "REQUESTS_CA_BUNDLE"
        )
        _check_authorities(path, source)
        path = os.path.abspath(path)
    return path


def _check_authorities(path: str, source: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        problem = "contains no certificate in PEM format"
    except OSError as error:
        problem = f"cannot be read ({(error.strerror or str(error)).lower()})"
    else:
        return
    raise TargetError(
        f"The file of certificate authorities {path} {problem}.", hint=f"Correct {source}."
    )
