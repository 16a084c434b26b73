"""boto3 lets other greenlets run while it waits, in a process that gevent has patched."""

from __future__ import annotations

from tests.stores.patched import run

BOTO3 = """
from gevent import monkey; monkey.patch_all()
import sys
import gevent, gevent.event
from gevent.server import StreamServer
from loadtests.stores.dynamodb.boto3 import Boto3CartStore
from loadtests.targets.endpoints import DynamoDBEndpoint

both = gevent.event.Event()
arrived = []

def answer(connection, address):
    # Nobody is answered before both have asked: only if a waiting call lets the other run.
    connection.recv(65536)
    arrived.append(address)
    if len(arrived) == 2:
        both.set()
    both.wait(30)
    body = b'{"Items": []}'
    connection.sendall(
        b"HTTP/1.1 200 OK\\r\\nContent-Type: application/x-amz-json-1.0\\r\\n"
        b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)

server = StreamServer(("127.0.0.1", 0), answer)
server.start()
stores = [Boto3CartStore(DynamoDBEndpoint(f"http://127.0.0.1:{server.server_port}")) for _ in "ab"]
calls = [gevent.spawn(store.get, "u") for store in stores]
gevent.joinall(calls, timeout=60, raise_error=True)
assert [call.value for call in calls] == [[], []]
assert all(store.wire_ns > 0 for store in stores)
server.stop()
print("done")
"""


def test_boto3() -> None:
    run(BOTO3)
