"""Whether gevent has patched this process, without importing gevent where it has not."""

from __future__ import annotations

import sys


def gevent_has_patched(module: str = "socket") -> bool:
    """Whether `module` of the standard library is cooperative in this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched(module))
