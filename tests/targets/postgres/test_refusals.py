"""Each refusal gets the hint that fits it; none shows a password."""

from __future__ import annotations

import psycopg
import pytest

from loadtests.targets.postgres.refusals import (
    connection_refusal,
    is_temporary,
    server_words,
    statement_hint,
)

SETTINGS = {"user": "app", "dbname": "shop", "password": "s3cret", "sslmode": "require"}
AT = 'connection failed: connection to server at "10.0.0.5", port 5432 failed: '


@pytest.mark.parametrize(
    ("message", "happened", "hint"),
    [
        ('FATAL:  password authentication failed for user "app"', "refused the password", "PGPASS"),
        ("fe_sendauth: no password supplied", "requires a password", "PGPASSWORD"),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "app", database "shop", no '
            "encryption",
            "without encryption",
            "sslmode=require",
        ),
        (
            'FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "app", database "shop", SSL '
            "encryption",
            "from this address",
            "pg_hba.conf",
        ),
        ('FATAL:  Peer authentication failed for user "app"', "operating system", "host=127.0.0.1"),
        ('FATAL:  role "app" does not exist', "has no user app", "PGUSER"),
        ('FATAL:  role "app" is not permitted to log in', "does not let user app log in", "login"),
        ('FATAL:  database "shop" does not exist', "has no database shop", "PGDATABASE"),
        ('FATAL:  permission denied for database "shop"', "into database shop", "grant connect"),
        ("FATAL:  sorry, too many clients already", "no free connection", "max_connections"),
        ('FATAL:  too many connections for role "app"', "no free connection", "limit of the role"),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER "
            "attribute",
            "no free connection",
            "--users",
        ),
        (
            "FATAL:  no more connections allowed (max_client_conn)",
            "no free connection",
            "max_client_conn",
        ),
        ("FATAL:  the database system is starting up", "starting, stopping", "Wait"),
        (
            "FATAL:  unsupported startup parameter in options: search_path",
            "is behind a pooler",
            "ignore_startup_parameters",
        ),
        (
            'FATAL:  unrecognized configuration parameter "x.y z"',
            "refused a setting",
            "PGOPTIONS",
        ),
        ('FATAL:  invalid value for parameter "work_mem": "x"', "refused a setting", "options"),
        ("FATAL:  query_wait_timeout", "is a pooler that does not reach", "pooler's log"),
        ("session is read-only", "target_session_attrs", "other server"),
        ("server does not support SSL, but SSL was required", "has no TLS", "sslmode=disable"),
        (
            'root certificate file "/x" does not exist',
            "root certificates is missing",
            "sslrootcert",
        ),
        (
            'server certificate for "db.a" does not match host name "db.b"',
            "for another host name",
            "host name of the certificate",
        ),
        (
            "SSL error: certificate verify failed",
            "certificate that cannot be verified",
            "sslrootcert",
        ),
        (
            'private key file "/k" has group or world access',
            "client certificate that is set",
            "chmod 600",
        ),
        ("SSL error: unsupported protocol", "through TLS", "ssl_min_protocol_version"),
        ("received invalid response to SSL negotiation: H", "does not speak", "host and port"),
        (
            "channel binding required, but SSL not in use",
            "channel binding",
            "channel_binding=prefer",
        ),
        (
            'authentication method requirement "none" failed',
            "another authentication",
            "require_auth",
        ),
        ("Connection refused\n\tIs the server running", "connection refused", "running"),
        ("No route to host", "over the network", "IPv6"),
        ("server closed the connection unexpectedly", "during the login", "proxy"),
        ("Passwort-Authentifizierung fehlgeschlagen", "login failed (Passwort", "own"),
    ],
)
def test_a_refused_login(message: str, happened: str, hint: str) -> None:
    error = connection_refusal(psycopg.OperationalError(AT + message), "PostgreSQL", SETTINGS)
    assert happened in error.message
    assert hint in error.hint
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("message", "happened"),
    [
        ("failed to resolve host 'db_1.internal': [Errno -2] Name or service not known", "without"),
        (
            'connection is bad: connection to server on socket "/tmp/.s.PGSQL.5432" failed: '
            "No such file or directory",
            "no Unix socket",
        ),
        ("connection timeout expired", "did not respond within 4 s"),
    ],
)
def test_a_failure_of_the_network(message: str, happened: str) -> None:
    assert happened in connection_refusal(psycopg.OperationalError(message), "P", SETTINGS).message


def test_of_several_addresses_the_one_that_answered_counts() -> None:
    text = (
        "connection failed: Connection refused\n"
        "Multiple connection attempts failed. All failures were:\n"
        f"- host: 'localhost', hostaddr: '::1': {AT}FATAL:  role \"app\" does not exist\n"
        f"- host: 'localhost', hostaddr: '127.0.0.1': {AT}Connection refused"
    )
    error = connection_refusal(psycopg.OperationalError(text), "PostgreSQL", SETTINGS)
    assert error.message == 'PostgreSQL has no user app (role "app" does not exist).'


@pytest.mark.parametrize("secret", ["s3cret", "a b%c/d@e"])
def test_no_password_is_shown(secret: str) -> None:
    settings = {"password": secret}
    text = f"cannot connect with password={secret} or a%20b%25c%2Fd%40e"
    shown = connection_refusal(psycopg.OperationalError(text), "PostgreSQL", settings).message
    assert secret not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("42501", "Grant"),
        ("42P01", "search_path"),
        ("25006", "read-only"),
        ("53300", "max_connections"),
        ("55P03", "holds a lock"),
        ("26000", "pooler"),
        ("08P01", "pooler"),
        ("22023", "PGOPTIONS"),
        ("23505", "conflict"),
        ("40P01", "same rows"),
    ],
)
def test_a_refused_statement(state: str, words: str) -> None:
    assert words in statement_hint(psycopg.errors.lookup(state)("message"))


def test_a_lost_connection() -> None:
    assert "connection was lost" in statement_hint(psycopg.OperationalError("server closed"))


@pytest.mark.parametrize(
    ("message", "temporary"),
    [
        (AT + "Connection refused", True),
        (AT + "FATAL:  the database system is starting up", True),
        ("connection timeout expired", True),
        (AT + 'FATAL:  password authentication failed for user "u"', False),
        (AT + 'FATAL:  database "x" does not exist', False),
        ('invalid sslmode value: "x"', False),
    ],
)
def test_what_passes_by_itself(message: str, temporary: bool) -> None:
    assert is_temporary(psycopg.OperationalError(message)) is temporary


def test_the_servers_words() -> None:
    assert server_words(AT + "FATAL:  no such thing\n") == "no such thing"
    assert server_words("") == "no reason given"
