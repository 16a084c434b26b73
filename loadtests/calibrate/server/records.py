"""The log of scripted calls: the server writes it, and it is read once the server has ended."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Final

_RECORDS_PER_FLUSH: Final = 1_024  # 32 KB: some 15 µs of writing


class CallLog:
    """Every scripted call as four int64: code, arrival, due, done (CLOCK_MONOTONIC, ns)."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._pending = array("q")

    def record(self, code: int, arrival_ns: int, due_ns: int, done_ns: int) -> None:
        """Log one call."""
        self._pending.extend((code, arrival_ns, due_ns, done_ns))
        if len(self._pending) >= 4 * _RECORDS_PER_FLUSH:
            self.flush()

    def flush(self) -> None:
        """Write what is pending to the file."""
        self._file.write(self._pending)
        del self._pending[:]

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()
