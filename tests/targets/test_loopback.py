"""Which hosts are this machine."""

from __future__ import annotations

import socket

import pytest

from loadtests.targets.loopback import is_loopback


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.8.9.10", "::1", "localhost"],
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "0.0.0.0", "192.168.1.1", "2001:db8::1", "::ffff:10.0.0.1", "8.8.8.8"]
)
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_name_with_any_other_address_is_not_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", ("127.0.0.1", 0)), (2, 1, 6, "", ("10.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both)
    assert not is_loopback("both.example")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: both[:1])
    assert is_loopback("one.example")
