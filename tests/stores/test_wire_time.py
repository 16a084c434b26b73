"""The stamps of one round trip, on a clock that the test holds."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from loadtests.stores.wire_time import TimedConnectionSocket, TimedSocket, WireTime
from loadtests.targets.endpoints import Endpoints
from tests.stores.shop import ALL_DRIVERS, opened


class Clock:
    """Nanoseconds that pass only when told."""

    now_ns = 1_000

    def __call__(self) -> int:
        return self.now_ns


def test_from_the_first_byte_sent_to_the_last_byte_read() -> None:
    clock = Clock()
    wire = WireTime(clock)
    wire.begin()
    clock.now_ns = 1_100
    wire.sending()
    clock.now_ns = 1_150
    wire.sending()
    for clock.now_ns in (1_300, 1_700):
        wire.received()
    clock.now_ns = 9_000  # parsing
    assert wire.elapsed_ns() == 600


def test_nothing_sent_is_no_time_on_the_wire() -> None:
    wire = WireTime(Clock())
    wire.begin()
    assert wire.elapsed_ns() == 0


def test_no_answer_counts_until_the_caller_gives_up() -> None:
    clock = Clock()
    wire = WireTime(clock)
    wire.begin()
    wire.sending()
    clock.now_ns = 51_000
    assert wire.elapsed_ns() == 50_000


def test_a_new_round_trip_forgets_the_last() -> None:
    clock = Clock()
    wire = WireTime(clock)
    wire.sending()
    wire.received()
    wire.begin()
    assert wire.elapsed_ns() == 0


def test_a_round_trip_too_short_for_the_clock_is_not_none() -> None:
    wire = WireTime(Clock())
    wire.sending()
    wire.received()
    assert wire.elapsed_ns() == 1


def test_sockets_stamp_what_passes_through_them() -> None:
    clock = Clock()
    here, there = socket.socketpair()
    wire = WireTime(clock)
    wrapped = TimedConnectionSocket(here, wire)
    wrapped.sendall(b"ask")
    assert there.recv(3) == b"ask"
    there.sendall(b"answer\n")
    clock.now_ns += 70
    with wrapped.makefile("rb") as reader:
        assert reader.readline() == b"answer\n"
    assert wire.elapsed_ns() == 70
    assert wrapped.fileno() == here.fileno()
    here.close()
    there.close()


def test_asyncio_sockets_stamp_what_passes_through_them() -> None:
    clock = Clock()
    plain, there = socket.socketpair()
    here = TimedSocket(fileno=plain.detach())
    here.wire = WireTime(clock)
    ways: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: here.send(b"ask"), lambda: here.recv(9)),
        (lambda: here.sendmsg([b"a", b"sk"]), lambda: here.recv_into(bytearray(9))),
    ]
    for send, receive in ways:
        here.wire.begin()
        send()
        assert there.recv(9) == b"ask"
        there.sendall(b"answer")
        clock.now_ns += 70
        receive()
        assert here.wire.elapsed_ns() == 70
    here.close()
    there.close()


@pytest.mark.embedded
@pytest.mark.parametrize(
    "driver", sorted(set(ALL_DRIVERS) - {"wire"})
)  # which keeps its own stamps
def test_every_driver_stamps_both_ends(driver: str, endpoints: Endpoints) -> None:
    """Without a stamp for the answer, parsing it would count as time on the wire."""
    with opened(driver, "carts", endpoints) as store:
        for _ in range(2):  # the first call connects and prepares
            store.get("nobody")
            wire = store.store._wire
            assert 0 < wire._sent_ns < wire._received_ns
