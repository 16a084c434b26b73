"""What PostgreSQL's and libpq's refusals mean, and what to do about each; pure.

A refused login has no SQLSTATE in libpq, only a message, so logins are recognised by their words
and statements by their SQLSTATE. The server's own words are always shown: they may be in another
language, and then they are all there is.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import psycopg

from loadtests.errors import TargetError
from loadtests.targets.postgres.conninfo import Settings, without_secrets

CONNECT_TIMEOUT_S: Final = 4  # where the DSN has no connect_timeout

_WORDS: Final = 300
_RUNNING: Final = "Check that the server is running and listens there, and --postgres-dsn."


class LoginRefusal(NamedTuple):
    """A kind of refusal: words of its message, what happened, and what to do; both as templates.

    The templates know the settings of the connection by their keywords.
    """

    words: str
    happened: str
    hint: str


# The first that matches counts. The ones about the network come last: of several addresses, one
# that answered says more than one that did not.
_LOGIN: Final = (
    LoginRefusal(
        r"password authentication failed|no such user|auth_failed|wrong password",
        "refused the password of user {user}",
        "Correct the user or the password: in the DSN, PGPASSWORD, the service or the password "
        "file, whichever sets it.",
    ),
    LoginRefusal(
        r"no password supplied|password is missing",
        "requires a password of user {user}, and none is set",
        "Add it to the DSN, or set PGPASSWORD or a password file (~/.pgpass).",
    ),
    LoginRefusal(
        r"no pg_hba\.conf entry.*no encryption",
        "does not let user {user} in without encryption",
        "Add sslmode=require to the DSN. If that is not it, the server's pg_hba.conf has no line "
        "for this user, database and address.",
    ),
    LoginRefusal(
        r"pg_hba\.conf",
        "does not let user {user} into database {dbname} from this address",
        "Ask for a line in the server's pg_hba.conf for this user, database and address.",
    ),
    LoginRefusal(
        r"(peer|ident) authentication failed",
        "lets user {user} in only from the operating system's account of that name",
        "Name the user in the DSN, or connect over TCP with a password (host=127.0.0.1).",
    ),
    LoginRefusal(
        r"valid client certificate|certificate authentication failed|certificate required",
        "requires a client certificate of user {user}",
        "Set sslcert and sslkey in the DSN.",
    ),
    LoginRefusal(
        r"role .* does not exist",
        "has no user {user}",
        "Correct the user in the DSN or PGUSER, or create it.",
    ),
    LoginRefusal(
        r"database .* does not exist|no such database",
        "has no database {dbname}",
        "Create it, or name another in the DSN or PGDATABASE. Without one, the database of the "
        "user's name is used.",
    ),
    LoginRefusal(
        r"not permitted to log in",
        "does not let user {user} log in",
        "alter role {user} login, or use another user.",
    ),
    LoginRefusal(
        r"permission denied for database",
        "does not let user {user} into database {dbname}",
        "grant connect on database {dbname} to {user}.",
    ),
    LoginRefusal(
        r"not currently accepting connections",
        "lets nobody into database {dbname}",
        "Name another database in the DSN.",
    ),
    LoginRefusal(
        r"too many connections for (role|database)|too many clients|remaining connection slots|"
        r"no more connections allowed|max_client_conn|too many connections",
        "has no free connection left",
        "Each user of the load takes a connection per store. Use fewer --users, close other "
        "sessions, or raise the limit that the message names: max_connections of the server, the "
        "connection limit of the role or database, or max_client_conn of the pooler.",
    ),
    LoginRefusal(
        r"starting up|shutting down|recovery mode|not yet accepting connections",
        "is starting, stopping or recovering",
        "Wait until it accepts connections.",
    ),
    LoginRefusal(
        r"unsupported startup parameter",
        "is behind a pooler, which refuses a setting of the connection",
        "Remove the options from the DSN and from PGOPTIONS, and set them for the role instead "
        "(alter role {user} set …), or allow them in the pooler (ignore_startup_parameters).",
    ),
    LoginRefusal(
        r"unrecognized configuration parameter|invalid value for parameter|invalid command-line|"
        r"cannot be changed|permission denied to set parameter|invalid option|"
        r"--.* requires a value|-c .* requires a value",
        "refused a setting of the connection",
        "Correct `options` in the DSN, or PGOPTIONS.",
    ),
    LoginRefusal(
        r"server_login_retry|server login has been failing|cannot connect to server|"
        r"query_wait_timeout",
        "is a pooler that does not reach its own server",
        "Check the pooler's log: the fault is between the pooler and PostgreSQL.",
    ),
    LoginRefusal(
        r"session is (not )?read-only|hot standby mode",
        "is not the server that target_session_attrs asks for",
        "Name the other server in the DSN, or correct target_session_attrs.",
    ),
    LoginRefusal(
        r"channel binding",
        "does not offer the channel binding that the DSN requires",
        "Use TLS (sslmode=require) and a server with SCRAM, or channel_binding=prefer.",
    ),
    LoginRefusal(
        r"authentication method requirement",
        "asks for another authentication than require_auth allows",
        "Correct require_auth, or the method in the server's pg_hba.conf.",
    ),
    LoginRefusal(
        r"does not support SSL",
        "has no TLS, and sslmode={sslmode} requires it",
        "Turn TLS on in the server, or use sslmode=disable if the network is trusted.",
    ),
    LoginRefusal(
        r"root certificate file|could not (read|load) root certificate",
        "cannot be verified: the file of root certificates is missing or unreadable",
        "Set sslrootcert to the file of the server's certificate authority (or to `system`), or "
        "use sslmode=require, which does not verify.",
    ),
    LoginRefusal(
        r"does not match host name|hostname mismatch|IP address mismatch",
        "has a certificate for another host name",
        "Use the host name of the certificate in the DSN (hostaddr may name the address), or "
        "sslmode=verify-ca.",
    ),
    LoginRefusal(
        r"certificate verify failed|self.signed certificate|certificate has expired",
        "has a certificate that cannot be verified",
        "Set sslrootcert to the server's certificate authority, or renew the certificate.",
    ),
    LoginRefusal(
        r"private key file|certificate file|could not load client certificate",
        "cannot be called with the client certificate that is set",
        "Correct sslcert and sslkey: the files must exist, belong together, and only you may read "
        "the key (chmod 600).",
    ),
    LoginRefusal(
        r"invalid response to SSL negotiation|expected authentication request|"
        r"invalid length of startup packet|unsupported frontend protocol",
        "does not speak PostgreSQL's protocol",
        "Check host and port: another server listens there.",
    ),
    LoginRefusal(
        r"SSL|TLS",
        "could not be reached through TLS",
        "Check sslmode and the versions of TLS on both sides (ssl_min_protocol_version).",
    ),
    LoginRefusal(
        r"requirepeer|peer name",
        "is not run by the account that requirepeer names",
        "Correct requirepeer, or the folder of the socket.",
    ),
    LoginRefusal(
        r"No such file or directory",
        "has no Unix socket there",
        "Start the server, or name the folder of its socket or a host in the DSN (host=…): "
        "without a host, libpq uses a Unix socket.",
    ),
    LoginRefusal(
        r"Permission denied",
        "has a Unix socket that this user may not open",
        "Use a host (host=127.0.0.1), or ask for access to the folder of the socket.",
    ),
    LoginRefusal(
        r"closed the connection unexpectedly|connection reset|Connection reset|EOF",
        "closed the connection during the login",
        "Check host and port: another server or a proxy may listen there, or require TLS "
        "(sslmode=require). The server's log may have the reason.",
    ),
    LoginRefusal(r"refused", "did not respond (connection refused)", _RUNNING),
    LoginRefusal(
        r"translate host name|resolve host|Name or service|known address",
        "has a host name without an address",
        "Check the spelling of the host in the DSN or PGHOST, and the name server.",
    ),
    LoginRefusal(
        r"timeout|timed out",
        "did not respond within {timeout} s",
        "Check host and port, firewalls and security groups; connect_timeout in the DSN allows "
        "more seconds.",
    ),
    LoginRefusal(
        r"unreachable|No route",
        "cannot be reached over the network",
        "Check the address, the route and IPv6: the host name may have an address that this "
        "machine cannot use.",
    ),
)
# Their message says no more than the sentence does.
_PLAIN: Final = ("did not respond", "refused the password")

# SQLSTATE, or its class of two characters → what to do
_STATEMENT: Final = {
    "42501": "Grant what the message names to the user, or use the owner of the tables.",
    "42P01": "The table is not in the search_path of this user: check `options` and PGOPTIONS, or "
    "let `loadtests gate` create the tables.",
    "3F000": "Set the search_path of the user to an existing schema that it may use.",
    "25006": "The server or the session is read-only (a standby, or "
    "default_transaction_read_only): name the primary in the DSN.",
    "53100": "The server's disk is full: free space there.",
    "53200": "The server has too little memory.",
    "53300": "All connections are taken: use fewer --users, or raise max_connections.",
    "53400": "A limit of the server's configuration is reached; the message names it.",
    "55P03": "Another session holds a lock on CloudShelf's tables (select * from pg_locks): end "
    "it, then try again.",
    "57014": "A statement_timeout of the role or database ended it: allow set-up more time.",
    "57P01": "The server ended the connection: try again when it is up.",
    "57P03": "The server is starting or stopping: try again when it is up.",
    "26000": "A pooler gave the transaction another server process: use its session mode, or "
    "connect to PostgreSQL itself.",
    "42P05": "A pooler gave the transaction another server process: use its session mode, or "
    "connect to PostgreSQL itself.",
    "0A000": "The server does not support what the message names: is it PostgreSQL 14 or newer?",
    "08P01": "The server or a pooler before it does not accept this (a pooler in statement mode "
    "allows no transactions): use transaction or session mode.",
    "22P05": "The database's encoding has no such characters: use a database with encoding UTF8.",
    "22021": "The database's encoding has no such characters: use a database with encoding UTF8.",
    "22023": "A setting has a value that the server refuses: check `options` and PGOPTIONS.",
    "42P10": "A table lacks the primary key of CloudShelf's schema.",
    "08": "The connection was lost: check that the server is running, then try again.",
    "23": "Existing rows conflict with the seeded ones: use another database, or delete them.",
    "40": "Another session works on the same rows: end it, then try again.",
    "58": "The server has a fault of its own: see its log.",
    "XX": "The server has a fault of its own: see its log.",
}


def connection_refusal(error: Exception, where: str, settings: Settings) -> TargetError:
    """The error for a connection that could not be made, to a server called `where`."""
    message = without_secrets(str(error), settings)
    known = next((r for r in _LOGIN if re.search(r.words, message, re.IGNORECASE)), None)
    values = {
        "user": settings.get("user") or "(none)",
        "dbname": settings.get("dbname") or settings.get("user") or "(none)",
        "timeout": settings.get("connect_timeout") or str(CONNECT_TIMEOUT_S),
        "sslmode": settings.get("sslmode", "prefer"),
    }
    words = server_words(message, known.words if known else "")
    if known is None:
        return TargetError(
            f"{where}: login failed ({words}).",
            hint="The words in parentheses are the server's or libpq's own.",
        )
    happened = known.happened.format_map(values)
    shown = "" if happened.startswith(_PLAIN) else f" ({words})"
    return TargetError(f"{where} {happened}{shown}.", hint=known.hint.format_map(values))


def is_temporary(error: Exception) -> bool:
    """Whether a server that is starting may give this reason: it may accept a login later."""
    return bool(
        re.search(
            r"refused|timeout|timed out|starting up|not yet accepting|recovery mode|"
            r"closed the connection|reset|in progress",
            str(error),
        )
    )


def statement_hint(error: psycopg.Error) -> str:
    """What to do about a refused statement, by its SQLSTATE."""
    state = error.sqlstate or "08"  # libpq's own errors are about the connection
    return _STATEMENT.get(state) or _STATEMENT.get(state[:2]) or "The message is the server's own."


def server_words(message: str, pattern: str = "") -> str:
    """The line that gives the reason, which `pattern` matches, without libpq's introduction."""
    lines = [line.strip() for line in message.splitlines() if line.strip()] or ["no reason given"]
    reasons = [line for line in lines if pattern and re.search(pattern, line, re.IGNORECASE)]
    reasons += [line for line in lines if "FATAL:" in line or "failed:" in line]
    line = (reasons or lines)[0]
    for mark in ("FATAL:", "failed:", "ERROR:"):
        line = line.rpartition(mark)[2].strip() or line
    return line.rstrip(".")[:_WORDS]
