"""Whether a target is on this machine, which it must be unless the user allows others."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any, Final

from loadtests.errors import TargetError

CONSENT: Final = "Load goes to this machine only, unless --allow-remote is given."


class NotOnThisMachine(TargetError):
    """A connection that reached another machine although only this one is allowed."""


def addresses_of(host: str) -> list[str]:
    """The addresses that a connection to `host` may use, as the C library finds them.

    It reads numbers in every notation that connections accept, such as 2130706433 and 0x7f000001.
    Raises OSError (gaierror), UnicodeError.
    """
    entries = socket.getaddrinfo(host, None)
    return sorted({str(entry[4][0]) for entry in entries})


def is_loopback_address(address: str) -> bool:
    """Whether an IP address is of the loopback interface; an IPv4 one may be mapped into IPv6."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_loopback(host: str) -> bool:
    """Whether every address of `host` is on this machine. Raises TargetError if it has none."""
    try:
        return all(map(is_loopback_address, addresses_of(host)))
    except (OSError, UnicodeError):
        raise TargetError(
            f"The host {host!r} has no known address.", hint="Check its spelling."
        ) from None


def refuse_remote_peer(peer: Sequence[Any], url: str) -> None:
    """Raise NotOnThisMachine unless a socket address (`getpeername`) is of this machine.

    A name may have another address when a connection opens than when it was first looked up.
    """
    address = str(peer[0])
    if not is_loopback_address(address):
        raise NotOnThisMachine(
            f"{url} now leads to {address}, which is not on this machine.", hint=CONSENT
        )
