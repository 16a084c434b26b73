"""Whether a target is on this machine, which it must be unless the user allows others."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final

from loadtests.errors import TargetError

CONSENT: Final = "Load goes to this machine only, unless --allow-remote is given."


def is_loopback(host: str) -> bool:
    """Whether every address of `host` is on this machine. Raises TargetError if it has none."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        pass
    try:
        addresses = socket.getaddrinfo(host, None)
    except (OSError, UnicodeError):
        raise TargetError(
            f"The host {host!r} has no known address.", hint="Check its spelling."
        ) from None
    return all(
        ipaddress.ip_address(str(entry[4][0]).partition("%")[0]).is_loopback for entry in addresses
    )
