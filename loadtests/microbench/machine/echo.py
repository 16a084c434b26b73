"""A process that sends back what it is sent: the least that a call on this machine can take.

Run as a script, `echo.py PORT`: it connects to that port of 127.0.0.1, and ends when the other end
has gone. It imports no part of the project, so that it starts at once.
"""

from __future__ import annotations

import socket
import subprocess
import sys

_BYTES = 512  # a request's size
_TIMEOUT_S = 10.0


class Echo:
    """A connection to such a process."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(_TIMEOUT_S)
            port = str(server.getsockname()[1])
            self._process = subprocess.Popen([sys.executable, "-I", "-S", __file__, port])
            self._connection, _ = server.accept()
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.settimeout(_TIMEOUT_S)
        self._said = b"x" * _BYTES

    def round_trip(self) -> None:
        """There and back once."""
        self._connection.sendall(self._said)
        left = _BYTES
        while left:
            heard = len(self._connection.recv(left))
            if not heard:
                raise ConnectionError("the echo process has ended")
            left -= heard

    def close(self) -> None:
        """End it; returns when it has gone."""
        self._connection.close()
        self._process.wait()


def main(port: str) -> None:
    """Echo until the other end closes."""
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while heard := connection.recv(65_536):
            connection.sendall(heard)


if __name__ == "__main__":
    main(sys.argv[1])
