"""Why a DynamoDB cannot be used, in words, and what to do about it.

From what botocore raises, from DynamoDB's names for refusals, and from the wire driver's names for
failures of a connection. A hint follows the cause; what a message quotes contains no secret.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError
from urllib3.exceptions import NameResolutionError
from urllib3.util.ssl_match_hostname import CertificateError

from loadtests.errors import CallError, LoadtestsError, ProvisionError, TargetError
from loadtests.targets.endpoints import DynamoDBEndpoint

_MAX_TEXT: Final = 200
_ACTION: Final = re.compile(r"dynamodb:[A-Za-z]+")
_RUNNING: Final = "Check that it is running, and the host and port."
_RENEW: Final = "Renew them, for example with `aws sso login`, then run this again."
_CLOCK: Final = "Set this machine's clock: AWS accepts a difference of 5 minutes."


class Cause(NamedTuple):
    """What went wrong and what to do. `passing`: the next call may well succeed."""

    reason: str
    hint: str
    passing: bool = False

    def as_target_error(self, subject: str) -> TargetError:
        """Such as `DynamoDB at http://… cannot be used: connection refused.`"""
        return TargetError(f"{subject} cannot be used: {self.reason}.", hint=self.hint)

    def as_provision_error(self, step: str) -> ProvisionError:
        """Such as `DynamoDB: CreateTable failed: …`; `step` is the sentence's beginning."""
        return ProvisionError(f"{step}: {self.reason}.", hint=self.hint)


# by OpenSSL's number of the verification error
_CERTIFICATES: Final = {
    9: ("its certificate is not valid yet", "Check this machine's clock."),
    10: ("its certificate has expired", "Renew the certificate of the server."),
    18: ("its certificate is self-signed", ""),
    19: ("its certificate comes from an unknown authority", ""),
    20: ("its certificate comes from an unknown authority", ""),
    21: ("its certificate comes from an unknown authority", ""),
    62: (
        "its certificate is for another host name",
        "Use the host name that the certificate names.",
    ),
    64: ("its certificate is not for this IP address", "Use the host name that it names."),
}
_NAME_AUTHORITY: Final = "Name the file of its authority in AWS_CA_BUNDLE."

_NO_TLS: Final = Cause(
    "the server does not speak TLS", "Use http:// instead of https://, or the port that has TLS."
)
_UNKNOWN_HOST: Final = Cause("the host name has no known address", "Check its spelling, and DNS.")
_REFUSED: Final = Cause("connection refused", _RUNNING)
_NO_ROUTE: Final = Cause("there is no route to it", "Check the network, a VPN, and the address.")
_TIMEOUT: Final = Cause(
    "no response in time",
    "Check that the database runs there, and that no firewall drops the connections.",
    True,
)
_CLOSED: Final = Cause(
    "it closed the connection without responding",
    "Check that a DynamoDB listens on this port, and whether it speaks http or https.",
)

# the wire driver's names for failures of a connection
_CONNECTIONS: Final = {
    "NameNotResolved": _UNKNOWN_HOST,
    "ConnectionRefused": _REFUSED,
    "ConnectionReset": _CLOSED,
    "ConnectionClosed": _CLOSED,
    "ConnectionFailed": _NO_ROUTE,
    "TlsError": _NO_TLS,
    "CallTimeout": _TIMEOUT,
    "NotHttp": Cause("it does not respond in HTTP", _RUNNING),
    "ChecksumMismatch": Cause(
        "its response is damaged", "Check what is between here and DynamoDB."
    ),
    "ResponseInvalid": Cause("its response is not one of DynamoDB", _RUNNING),
}


def cause_of(error: BaseException, endpoint: DynamoDBEndpoint | None = None) -> Cause:
    """The cause of an error that a client, or the making of one, raised."""
    if isinstance(error, LoadtestsError) and not isinstance(error, CallError):
        return Cause(error.message.rstrip("."), error.hint)
    if isinstance(error, CallError):
        return _cause_of_call(error, endpoint)
    if isinstance(error, boto.ClientError):
        detail = error.response.get("Error", {})
        return cause_of_refusal(
            str(detail.get("Code", "?")), str(detail.get("Message", "")), endpoint
        )
    return _cause_of_configuration(error) or _cause_of_connection(error)


def cause_of_refusal(code: str, message: str, endpoint: DynamoDBEndpoint | None = None) -> Cause:
    """The cause of DynamoDB's refusal `code`, or of an HTTP status as boto3 reports it."""
    refusal = RefusedCall(code, message, endpoint)
    if code.isdigit():
        return _server_failure(refusal) if code.startswith("5") else _foreign(refusal)
    explain = next((explain for codes, explain in _REFUSALS if code in codes), _unexplained)
    return explain(refusal)


def shown(text: object) -> str:
    """A foreign message as one short line without the user and password of a URL."""
    line = " ".join(str(text).split())
    return re.sub(r"//[^/@\s]*@", "//…@", line)[:_MAX_TEXT].rstrip(".")


def _cause_of_call(error: CallError, endpoint: DynamoDBEndpoint | None) -> Cause:
    cause = error.__cause__
    if isinstance(cause, boto.ClientError | boto.BotoCoreError):
        return cause_of(cause, endpoint)
    if isinstance(cause, ssl.SSLError):
        return _cause_of_tls(cause)
    if error.name in _CONNECTIONS:
        return _CONNECTIONS[error.name]
    # `Operation: Name: message`, as the stores word a refusal
    return cause_of_refusal(
        error.name.removeprefix("HTTP "), error.message.rpartition(f"{error.name}: ")[2], endpoint
    )


class RefusedCall(NamedTuple):
    """DynamoDB's name for a refusal and its message; the endpoint, where it is known."""

    code: str
    message: str
    endpoint: DynamoDBEndpoint | None


def _fixed(reason: str, hint: str, *, passing: bool = False) -> Callable[[RefusedCall], Cause]:
    return lambda refusal: Cause(f"{reason} ({refusal.code})", hint, passing)


_server_failure: Final = _fixed("it failed inside", "Try again; look at its log.", passing=True)
_foreign: Final = _fixed("its response is not one of DynamoDB", _RUNNING)


def _unexplained(refusal: RefusedCall) -> Cause:
    return Cause(
        f"{refusal.code}: {shown(refusal.message)}", "AWS's guide to DynamoDB explains this error."
    )


def _bad_signature(refusal: RefusedCall) -> Cause:
    if "expired" in refusal.message or "not yet current" in refusal.message:
        return _fixed("this machine's clock is wrong", _CLOCK)(refusal)
    if "scoped to" in refusal.message:
        return _fixed("it serves another region", "Give --region the region of the endpoint.")(
            refusal
        )
    return _fixed(
        "the secret key does not match the access key",
        "Correct the secret key; `aws configure list` shows where it comes from.",
    )(refusal)


def _unknown_key(refusal: RefusedCall) -> Cause:
    emulator = refusal.endpoint is not None and refusal.endpoint.emulator
    return _fixed(
        "it does not know the access key",
        "DynamoDB Local accepts letters and digits only in AWS_ACCESS_KEY_ID."
        if emulator
        else "Check the access key and the session token, and that the account uses the region.",
    )(refusal)


def _denied(refusal: RefusedCall) -> Cause:
    action = _ACTION.search(refusal.message)
    permission = action[0] if action else "this call"
    return Cause(
        f"the credentials may not use {permission}",
        f"Allow {permission} to them on CloudShelf's two tables, or use other credentials.",
    )


def _no_table(refusal: RefusedCall) -> Cause:
    endpoint = refusal.endpoint
    hint = "Check the account and the region; without --no-provision it is created."
    if endpoint and endpoint.emulator and endpoint.keys:
        hint = (
            "DynamoDB Local without -sharedDb keeps tables apart by access key and region: this "
            f"run uses the access key {endpoint.keys.access_key} and the region {endpoint.region}."
        )
    return Cause("there is no such table", hint)


_REFUSALS: Final[tuple[tuple[tuple[str, ...], Callable[[RefusedCall], Cause]], ...]] = (
    (("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId"), _unknown_key),
    (("InvalidSignatureException", "SignatureDoesNotMatch"), _bad_signature),
    (
        ("RequestTimeTooSkewed", "RequestExpired"),
        _fixed("this machine's clock is wrong", _CLOCK),
    ),
    (
        ("ExpiredTokenException", "ExpiredToken"),
        _fixed("the credentials have expired", _RENEW),
    ),
    (("AccessDeniedException", "AccessDenied", "UnauthorizedOperation"), _denied),
    (("ResourceNotFoundException",), _no_table),
    (
        (
            "ThrottlingException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
        ),
        _fixed("it throttles calls", "Wait a minute, then try again.", passing=True),
    ),
    (
        ("LimitExceededException",),
        _fixed(
            "a limit of the account is exceeded",
            "Wait until other tables are ready, or ask AWS for a higher quota.",
        ),
    ),
    (
        ("ResourceInUseException",),
        _fixed("the table is being created or deleted", "Try again when that is over."),
    ),
    (
        ("IncompleteSignatureException", "MissingAuthenticationTokenException"),
        _fixed(
            "it cannot read the signature",
            "Check the keys for surplus characters, and that nothing on the way removes headers.",
        ),
    ),
    (
        ("OptInRequired", "SubscriptionRequiredException"),
        _fixed("the account does not use this region", "Enable the region in the account."),
    ),
    (("InternalServerError", "InternalFailure", "ServiceUnavailable"), _server_failure),
    (
        ("UnknownOperationException",),
        _fixed("it does not know the operation", "Check that a DynamoDB serves this port."),
    ),
)


def _text_of(hint: str) -> Callable[[Any], Cause]:
    return lambda error: Cause(shown(error), hint)


def _value(error: Any, name: str) -> str:
    return shown(error.kwargs.get(name, "?"))


def _provider_failed(error: Any) -> Cause:  # its own text may quote what a program printed
    provider = _value(error, "provider")
    return Cause(
        f"the provider {provider} gave none",
        "Run the profile's credential_process by hand."
        if provider == "custom-process"
        else "Check the profile's role and its source.",
    )


# errors of the AWS configuration, which come before any connection
_CONFIGURATION: Final[tuple[tuple[tuple[type[Exception], ...], Callable[[Any], Cause]], ...]] = (
    (
        (boto.NoCredentialsError,),
        lambda _: Cause(
            "there are none",
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run on a machine "
            "with an IAM role.",
        ),
    ),
    (
        (boto.PartialCredentialsError,),
        lambda error: Cause("one half is missing", f"Set {_value(error, 'cred_var')} too."),
    ),
    (
        (boto.ProfileNotFound,),
        lambda error: Cause(
            f"there is no AWS profile {_value(error, 'profile')}",
            "Correct AWS_PROFILE, or unset it; `aws configure list-profiles` shows them.",
        ),
    ),
    (
        (boto.ConfigParseError,),
        lambda error: Cause(
            f"the AWS file {_value(error, 'path')} cannot be read",
            "Correct its syntax: [profile name] lines and name = value lines.",
        ),
    ),
    (
        (boto.TokenRetrievalError, boto.SSOError, boto.NoAuthTokenError),
        lambda _: Cause("the SSO session is missing or has expired", "Run `aws sso login`."),
    ),
    ((boto.RefreshWithMFAUnsupportedError,), lambda _: Cause("they need an MFA code", _RENEW)),
    ((boto.CredentialRetrievalError,), _provider_failed),
    (
        (boto.MetadataRetrievalError, boto.InvalidIMDSEndpointError),
        lambda _: Cause("the machine's metadata service gave none", "Check the machine's role."),
    ),
    (
        (boto.InvalidRegionError, boto.NoRegionError),
        lambda error: Cause(
            f"{_value(error, 'region_name')!r} is not the name of a region",
            "Write --region, AWS_DEFAULT_REGION or the profile's region as in us-east-1.",
        ),
    ),
    (
        (boto.EndpointProviderError, boto.BaseEndpointResolverError),
        _text_of(
            "Unset AWS_USE_FIPS_ENDPOINT, AWS_USE_DUALSTACK_ENDPOINT, AWS_ENDPOINT_URL or "
            "AWS_ACCOUNT_ID_ENDPOINT_MODE, or the same settings of the profile."
        ),
    ),
    (
        (
            boto.InvalidConfigError,
            boto.UnknownCredentialError,
            boto.InvalidDefaultsMode,
            boto.InvalidRetryConfigurationError,
            boto.InvalidEndpointConfigurationError,
            boto.InvalidChecksumConfigError,
        ),
        _text_of("Correct the AWS_… variable or the setting of the AWS profile."),
    ),
)

_ERRORS: Final[tuple[tuple[tuple[type[BaseException], ...], Cause], ...]] = (
    ((boto.ConnectTimeoutError, boto.ReadTimeoutError, TimeoutError), _TIMEOUT),
    ((boto.ConnectionClosedError,), _CLOSED),
    ((boto.EndpointConnectionError,), _NO_ROUTE),
    ((ResponseParserError,), _CONNECTIONS["ResponseInvalid"]),
)
_INNER: Final[tuple[tuple[tuple[type[BaseException], ...], Cause], ...]] = (
    ((socket.gaierror, NameResolutionError), _UNKNOWN_HOST),
    ((ConnectionRefusedError,), _REFUSED),
    ((CertificateError,), Cause(*_CERTIFICATES[62])),  # urllib3 compares the names itself
)


def _cause_of_configuration(error: BaseException) -> Cause | None:
    explain = next((explain for kinds, explain in _CONFIGURATION if isinstance(error, kinds)), None)
    if explain:
        return explain(error)
    if isinstance(error, ValueError) and "Invalid endpoint" in str(error):
        return Cause(
            f"its URL is not valid: {shown(str(error).partition(': ')[2])}",
            "A host name has letters, digits, hyphens and dots only.",
        )
    return None


def _cause_of_connection(error: BaseException) -> Cause:
    """The innermost known cause decides."""
    for inner in _chain(error):
        if isinstance(inner, LoadtestsError):
            return Cause(inner.message.rstrip("."), inner.hint)
        if isinstance(inner, ssl.SSLError):
            return _cause_of_tls(inner)
        for kinds, cause in _INNER:
            if isinstance(inner, kinds):
                return cause
    for kinds, cause in _ERRORS:
        if isinstance(error, kinds):
            return cause
    return Cause(f"{type(error).__name__}: {shown(error)}", _RUNNING)


def _cause_of_tls(error: ssl.SSLError) -> Cause:
    if isinstance(error, ssl.SSLCertVerificationError):
        reason, hint = _CERTIFICATES.get(
            error.verify_code, (f"its certificate is refused: {error.verify_message}", "")
        )
        return Cause(reason, hint or _NAME_AUTHORITY)
    if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return _NO_TLS
    if isinstance(error, ssl.SSLEOFError) or (error.reason or "").startswith("UNEXPECTED_EOF"):
        return Cause(
            "it closed the connection during the TLS handshake", "Check whether the port has TLS."
        )
    return Cause(f"TLS failed: {shown(error.reason or error)}", "Check the server's TLS settings.")


def _chain(error: BaseException) -> list[BaseException]:
    """An error and everything that it wraps: causes, contexts, arguments, botocore's `error`."""
    known: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop()
        if not isinstance(item, BaseException) or item in known:
            continue
        known.append(item)
        wrapped = getattr(item, "kwargs", {})
        waiting += [item.__context__, item.__cause__, *item.args, getattr(item, "reason", None)]
        waiting.append(wrapped.get("error") if isinstance(wrapped, dict) else None)
    return known
