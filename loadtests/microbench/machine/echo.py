"""A process that sends back what it receives: the least that a call on this machine can take.

Run as a script, `echo.py PORT`, it connects to that port of 127.0.0.1, and ends when the other end
closes. It imports nothing of the project, so that it starts quickly.
"""

from __future__ import annotations

import socket
import subprocess
import sys

_BYTES = 512  # a request's size
_TIMEOUT_S = 10.0


class Echo:
    """A connection to an echo process."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(_TIMEOUT_S)
            port = str(server.getsockname()[1])
            self._process = subprocess.Popen([sys.executable, "-I", "-S", __file__, port])
            self._connection, _ = server.accept()
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(_TIMEOUT_S)
        self._request = b"x" * _BYTES

    def round_trip(self) -> None:
        """Send one request and read it back."""
        self._connection.sendall(self._request)
        left = _BYTES
        while left:
            received = len(self._connection.recv(left))
            if not received:
                raise ConnectionError("the echo process has ended")
            left -= received

    def close(self) -> None:
        """End the process, and wait for that."""
        self._connection.close()
        self._process.wait()


def main(port: str) -> None:
    """Echo until the other end closes."""
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(65_536):
            connection.sendall(data)


if __name__ == "__main__":
    main(sys.argv[1])
