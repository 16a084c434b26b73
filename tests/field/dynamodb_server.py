"""A scripted DynamoDB on loopback that notes who calls it, by which name and for which region."""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

Answer = tuple[int, Mapping[str, Any]]
_CREDENTIAL = re.compile(r"Credential=([^/]+)/[0-9]+/([^/]+)/")
_USUAL: Mapping[str, Answer] = {
    "ListTables": (200, {"TableNames": []}),
    "Query": (200, {"Items": []}),
}


class Caller(NamedTuple):
    """The identity of one request."""

    operation: str
    access_key: str
    region: str
    token: str | None
    host: str


class FakeDynamoDB:
    """Its URL, its answers by operation, and the requests that reached it."""

    def __init__(self, scheme: str, port: int, answers: Mapping[str, Answer]) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.answers = {**_USUAL, **answers}
        self.callers: list[Caller] = []

    @property
    def identities(self) -> set[tuple[str, str]]:
        """The access keys and regions that called."""
        return {(caller.access_key, caller.region) for caller in self.callers}


@contextmanager
def fake_dynamodb(
    answers: Mapping[str, Answer] | None = None, *, tls: ssl.SSLContext | None = None
) -> Iterator[FakeDynamoDB]:
    """Serve until the `with` block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            operation = str(self.headers.get("X-Amz-Target", "?")).rpartition(".")[2]
            signed = _CREDENTIAL.search(self.headers.get("Authorization", ""))
            fake.callers.append(
                Caller(
                    operation,
                    signed[1] if signed else "",
                    signed[2] if signed else "",
                    self.headers.get("X-Amz-Security-Token"),
                    self.headers.get("Host", ""),
                )
            )
            status, content = fake.answers.get(operation, (200, {}))
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("x-amzn-RequestId", "R")
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            try:
                if tls is None:
                    super().finish_request(request, client_address)
                    return
                with tls.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client_address)
            except OSError:
                pass  # the client did not trust it, or hung up

    server = Server(("127.0.0.1", 0), Handler)
    fake = FakeDynamoDB("https" if tls else "http", server.server_port, answers or {})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refusal(code: str, message: str = "") -> Answer:
    """DynamoDB's error response."""
    return 400, {
        "__type": f"com.amazonaws.dynamodb.v20120810#{code}",
        "message": message,
        "Message": message,
    }
