"""The baseline round trip: one blocking socket, one call at a time, against a scripted server.

What a call takes beyond the server's own time is loopback, wake-ups and scheduling, which no client
on this machine can avoid. `python -m loadtests.calibrate.round_trip HOST PORT RATE SECONDS`
prints each call's [sent, received] in CLOCK_MONOTONIC nanoseconds as one JSON list.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from typing import Final

# There is no such table, so the server tells these calls from all others.
_BODY: Final = b'{"TableName":"cloudshelf-probe","Key":{"user_id":{"S":"probe"}}}'


def measure_round_trips(
    host: str, port: int, rate_per_s: float, seconds: float
) -> list[tuple[int, int]]:
    """Call evenly at `rate_per_s` for `seconds`, or as fast as answers come."""
    request = (
        f"POST / HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-amz-json-1.0\r\n"
        f"X-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    ).encode() + _BODY
    calls = []
    with socket.create_connection((host, port), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start_s = due_s = time.monotonic()
        while due_s < start_s + seconds:
            time.sleep(max(0.0, due_s - time.monotonic()))
            sent_ns = time.monotonic_ns()
            connection.sendall(request)
            _read_answer(connection)
            calls.append((sent_ns, time.monotonic_ns()))
            due_s = max(due_s + 1 / rate_per_s, time.monotonic())
    return calls


def _read_answer(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += _receive(connection)


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionError("the scripted server closed the connection")
    return data


if __name__ == "__main__":
    host, port, rate_per_s, seconds = sys.argv[1:]
    calls = measure_round_trips(host, int(port), float(rate_per_s), float(seconds))
    sys.stdout.write(json.dumps(calls))
