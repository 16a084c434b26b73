"""libpq's connection settings as asyncpg's arguments: the same server, user, schema and TLS.

asyncpg sends a keyword that it does not know to the server as a setting, which ends each login. So
it gets arguments, not the DSN. A demand on the connection that it has no way to meet is refused;
what only serves libpq's own network calls (keepalives, tcp_user_timeout) is left out.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final, TypedDict

from loadtests.errors import TargetError
from loadtests.targets.endpoints import PostgresEndpoint
from loadtests.targets.postgres.conninfo import Settings, endpoint_settings, is_socket

# Keyword → the values that demand nothing of the client. Any other value is a demand.
_DEMANDS: Final = {
    "channel_binding": ("prefer", "disable"),
    "gssencmode": ("prefer", "disable"),
    "require_auth": (),
    "requirepeer": (),
    "scram_client_key": (),
    "oauth_issuer": (),
}
_VERSIONS: Final = {
    "TLSv1": ssl.TLSVersion.TLSv1,
    "TLSv1.1": ssl.TLSVersion.TLSv1_1,
    "TLSv1.2": ssl.TLSVersion.TLSv1_2,
    "TLSv1.3": ssl.TLSVersion.TLSv1_3,
}


class AsyncpgSettings(TypedDict, total=False):
    """Arguments of `asyncpg.connect`, except timeouts."""

    host: str
    port: int
    user: str
    password: str
    database: str
    ssl: ssl.SSLContext | bool
    direct_tls: bool
    statement_cache_size: int
    server_settings: dict[str, str]


def asyncpg_settings(
    endpoint: PostgresEndpoint, *, application: str = "loadtests"
) -> AsyncpgSettings:
    """The arguments for an endpoint. Raises TargetError for what asyncpg cannot do."""
    settings = endpoint_settings(endpoint)
    _refuse_demands(settings)
    host = settings.get("hostaddr") or settings.get("host", "")
    port = settings.get("port") or "5432"
    if host.startswith("@") or not host:
        raise TargetError(
            f"asyncpg cannot use the Unix socket {host or 'of libpq'}.",
            hint="Name its folder or a host in the DSN, or run without micro-benchmarks.",
        )
    translated = AsyncpgSettings(
        host=host,
        port=int(port),
        user=settings.get("user", ""),
        database=settings.get("dbname") or settings.get("user", ""),
        ssl=False,
        direct_tls=False,
        server_settings={"application_name": settings.get("application_name") or application},
    )
    if "password" in settings:
        translated["password"] = settings["password"]
    if options := settings.get("options"):
        translated["server_settings"]["options"] = options
    if endpoint.pooled:
        translated["statement_cache_size"] = 0
    if not is_socket(host) and settings.get("sslmode", "prefer") in _ENCRYPTED:
        try:
            translated["ssl"] = _tls(settings)
        except (OSError, ValueError) as error:
            raise TargetError(
                f"asyncpg cannot use the TLS settings of {endpoint.label} ({error}).",
                hint="Correct sslrootcert, sslcert, sslkey or sslcrl in the DSN.",
            ) from None
        translated["direct_tls"] = settings.get("sslnegotiation") == "direct"
    return translated


_ENCRYPTED: Final = ("require", "verify-ca", "verify-full")


def _refuse_demands(settings: Settings) -> None:
    for keyword, harmless in _DEMANDS.items():
        value = settings.get(keyword)
        if value and value not in harmless:
            raise TargetError(
                f"The DSN has {keyword}={value}, which asyncpg cannot honour.",
                hint="Run without micro-benchmarks (--micro off), deselect asyncpg "
                f"(pytest -k 'not asyncpg'), or leave {keyword} out.",
            )
    if (mode := settings.get("sslcertmode")) == "require":
        raise TargetError(
            f"The DSN has sslcertmode={mode}, which asyncpg cannot honour.",
            hint="Run without micro-benchmarks (--micro off), or use sslcertmode=allow.",
        )


class _NamedContext(ssl.SSLContext):
    """A context that checks and announces the server's name, while an address is connected to."""

    server_name: str | None = None

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """See SSLContext.wrap_bio; `server_hostname` would be the address."""
        del server_hostname
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def _tls(settings: Settings) -> ssl.SSLContext:
    """What libpq does for sslmode require, verify-ca and verify-full, with the same files."""
    mode, root = settings["sslmode"], settings.get("sslrootcert")
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = mode == "verify-full" or root == "system"
    name = settings.get("host") or settings.get("hostaddr")
    context.server_name = name if context.check_hostname or settings.get("sslsni") != "0" else None
    roots = _file(root, "root.crt")
    if root == "system":
        context.load_default_certs()
    elif roots:
        context.load_verify_locations(cafile=roots)
    elif mode == "require":
        context.verify_mode = ssl.CERT_NONE
    else:
        raise FileNotFoundError("there is no file of root certificates")
    revoked, folder = _file(settings.get("sslcrl"), "root.crl"), settings.get("sslcrldir")
    if (revoked or folder) and context.verify_mode != ssl.CERT_NONE:
        context.load_verify_locations(cafile=revoked, capath=folder)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    certificate = _file(settings.get("sslcert"), "postgresql.crt")
    if certificate and settings.get("sslcertmode") != "disable":
        key = _file(settings.get("sslkey"), "postgresql.key")
        context.load_cert_chain(certificate, key, lambda: settings.get("sslpassword", ""))
    context.minimum_version = _VERSIONS[settings.get("ssl_min_protocol_version", "TLSv1.2")]
    if newest := settings.get("ssl_max_protocol_version"):
        context.maximum_version = _VERSIONS[newest]
    context.set_alpn_protocols(["postgresql"])
    return context


def _file(named: str | None, default: str) -> str | None:
    """The named file, else libpq's own in the home folder if it exists."""
    if named:
        return named
    try:
        path = Path.home() / ".postgresql" / default
        return str(path) if path.exists() else None
    except (OSError, RuntimeError):
        return None
