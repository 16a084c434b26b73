"""Connection settings of a PostgreSQL, resolved once by libpq's own rules.

libpq takes a setting from the DSN, else from the service file, else from the environment, else its
default. `resolve` asks libpq itself for the result. From then on `PostgresEndpoint` decides alone:
every client connects inside `hidden_variables`, so that no PG* variable changes it again.
"""

from __future__ import annotations

import ipaddress
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from loadtests.errors import TargetError
from loadtests.targets.endpoints import PostgresEndpoint

Settings = Mapping[str, str]  # libpq's keywords and their values, without those that are not set

# libpq checks these two last of all. An impossible value makes it stop there: all other settings
# are resolved and checked, and no connection has begun.
_LAST_CHECKED: Final = ("load_balance_hosts", "target_session_attrs")
_IMPOSSIBLE: Final = "!"
_DSN_HINT: Final = (
    "Use embedded, or a DSN such as postgresql://user:password@127.0.0.1:5432/database, with "
    "special characters in user and password as %XX."
)
# Settings that led to the server that was reached, and those with a place of their own in a URI.
_USED_UP: Final = frozenset(("service", "servicefile", "passfile", *_LAST_CHECKED)) | frozenset(
    ("user", "password", "dbname", "host", "hostaddr", "port", "client_encoding")
)
_SECRETS: Final = ("password", "sslpassword", "oauth_client_secret", "scram_client_key")


def resolve(dsn: str, environ: Mapping[str, str]) -> Settings:
    """Every setting of a connection to `dsn`, as libpq resolves it. Raises TargetError."""
    _read(dsn)
    first, second = _LAST_CHECKED
    with _variables.replaced(environ):
        return _ask_libpq(dsn, second) | _ask_libpq(dsn, first)


def _ask_libpq(dsn: str, unresolved: str) -> dict[str, str]:
    """All settings but `unresolved`."""
    conninfo = make_conninfo(dsn, **{unresolved: _IMPOSSIBLE})
    connection = pq.PGconn.connect_start(conninfo.encode())
    try:
        message = connection.get_error_message()
        if f'{unresolved} value: "{_IMPOSSIBLE}"' not in message:
            raise TargetError(
                f"The Postgres DSN cannot be used ({' '.join(message.split())[:300]}).",
                hint="Correct --postgres-dsn, or the PG… variable or service that sets this.",
            )
        settings = {
            option.keyword.decode(): option.val.decode() for option in connection.info if option.val
        }
        if connection.password:  # also one from the password file
            settings["password"] = connection.password.decode()
    finally:
        connection.finish()
    del settings[unresolved]
    return settings


def endpoint_settings(endpoint: PostgresEndpoint) -> dict[str, str]:
    """The settings that every client of `endpoint` connects with. Raises TargetError."""
    settings = _read(endpoint.dsn)
    if endpoint.hostaddr:
        settings["hostaddr"] = endpoint.hostaddr
    if endpoint.embedded:
        # neither certificates in ~/.postgresql nor Kerberos tickets are for this server
        settings |= {"sslmode": "disable", "gssencmode": "disable"}
    return settings


def to_uri(settings: Settings, *, host: str, hostaddr: str, port: int, password: str) -> str:
    """A URI for the one server that was reached; what led to it is left out, and so are defaults.

    libpq reads it, and asyncpg does if it knows every setting in it.
    """
    defaults = {
        option.keyword.decode(): option.compiled.decode()
        for option in pq.Conninfo.get_defaults()
        if option.compiled is not None
    } | {"sslcertmode": "allow"}
    rest = {
        name: value
        for name, value in settings.items()
        if name not in _USED_UP and value != defaults.get(name)
    }
    if settings.get("hostaddr") and not _is_address(host):
        rest["hostaddr"] = hostaddr
    login = quote(settings.get("user", ""), safe="")
    login += f":{quote(password, safe='')}" if password else ""
    shown = quote(host, safe=":")
    shown = f"[{shown}]" if ":" in host and not is_socket(host) else quote(host, safe="")
    database = quote(settings.get("dbname", ""), safe="")
    query = f"?{urlencode(rest, quote_via=quote)}" if rest else ""
    return f"postgresql://{login}@{shown}:{port}/{database}{query}"


def server_addresses(settings: Settings) -> list[tuple[str, str]]:
    """(address or name that is connected to, port) of each server; an empty one is a socket."""
    hosts = settings.get("host", "").split(",")
    addresses = settings.get("hostaddr", "").split(",")
    count = max(len(hosts), len(addresses))
    ports = settings.get("port", "").split(",")
    ports = ports * count if len(ports) == 1 else ports
    hosts += [""] * (count - len(hosts))
    addresses += [""] * (count - len(addresses))
    return [
        (address or host, port or "5432")
        for host, address, port in zip(hosts, addresses, ports, strict=True)
    ]


def without_secrets(text: str, settings: Settings) -> str:
    """`text` with the passwords of `settings` replaced."""
    for secret in filter(None, map(settings.get, _SECRETS)):
        for form in {secret, quote(secret, safe=""), quote(secret)}:
            text = text.replace(form, "***")
    return text


def is_socket(host: str) -> bool:
    """Whether libpq takes `host` for a Unix socket: a folder, or an abstract name."""
    return not host or host.startswith(("/", "@"))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _read(dsn: str) -> dict[str, str]:
    try:
        parts = conninfo_to_dict(dsn)
    except (psycopg.Error, UnicodeError) as error:
        raise TargetError(f"The Postgres DSN cannot be read{_cause(error)}.", hint=_DSN_HINT) from (
            None
        )
    if "@" in str(parts.get("host", "")).removeprefix("@"):  # not shown: it is part of a password
        raise TargetError(
            "The Postgres DSN cannot be read: user or password have an @ not written as %40.",
            hint=_DSN_HINT,
        )
    return {name: str(value) for name, value in parts.items()}


def _cause(error: Exception) -> str:
    """An unknown keyword in words; other messages may quote the password."""
    unknown = re.search(r'invalid (connection option|URI query parameter).*("\w+")', str(error))
    return f": it has an unknown keyword, {unknown[2]}" if unknown else ""


class _Variables:
    """The PG* variables of this process, while connections are being made.

    libpq reads them whatever the DSN says (PGSERVICE, PGTZ, PGDATESTYLE), and has no other way to
    be kept from it. They are removed only while a connection is being made, because other code of
    the process may rely on them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._removed: dict[str, str] = {}

    @contextmanager
    def hidden(self) -> Iterator[None]:
        with self._lock:
            if self._count == 0:
                self._removed = _take_variables()
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if self._count == 0:
                    os.environ.update(self._removed)

    @contextmanager
    def replaced(self, environ: Mapping[str, str]) -> Iterator[None]:
        """Those of `environ` instead of the process's own, for code that does not wait."""
        with self._lock:
            own = _take_variables()
            os.environ.update({n: v for n, v in environ.items() if n.startswith("PG")})
            try:
                yield
            finally:
                _take_variables()
                os.environ.update(own)


def _take_variables() -> dict[str, str]:
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PG")}


_variables: Final = _Variables()
hidden_variables: Final = _variables.hidden
