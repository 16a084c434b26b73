"""Reads the machine's hiccup meters without waiting, and starts those that do not run yet.

All load processes of a machine read the same meters (`readers.py`), so they have one list of stalls
and the CPUs carry one set of meters, whatever the number of processes or runs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Self

from loadtests.interpreter import module_command
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.readers import connect, meter_address
from loadtests.measure.stalls.windows import Stall

MODULE: Final = "loadtests.measure.stalls.hiccup_meter"
_END_S: Final = 0.3  # a meter without readers ends within one report
_READ_SIZE: Final = 65_536
_TRIES: Final = 3  # to start a meter
# meters that this process has started and others still read; kept so that their end is noticed
_read_by_others: Final[list[subprocess.Popen[bytes]]] = []


class MeterLines:
    """Lines of one meter, out of pieces of any size. Lines that make no sense are left out."""

    def __init__(self, cpu: int) -> None:
        self.cpu = cpu
        self.kind: MeterKind | None = None
        self.known_until_ns = 0
        self._rest = b""

    def take(self, piece: bytes) -> list[Stall]:
        """The stalls in what was read; `known_until_ns` follows."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        stalls = []
        for line in lines:
            with suppress(ValueError):
                match line.split():
                    case [b"s", from_ns, due_ns, length_ns]:
                        stalls.append(Stall(self.cpu, int(from_ns), int(due_ns), int(length_ns)))
                    case [b"u", time_ns]:
                        self.known_until_ns = max(self.known_until_ns, int(time_ns))
                    case [b"k", b"realtime"]:
                        self.kind = "realtime"
                    case [b"k", b"ordinary"]:
                        self.kind = "ordinary"
        return stalls


class _Meter:
    """One CPU's meter as this process reads it; started only where none runs yet."""

    def __init__(self, cpu: int, kind: MeterKind, address: str) -> None:
        self.lines = MeterLines(cpu)
        self.process: subprocess.Popen[bytes] | None = None
        self.failed = False
        self._kind = kind
        self._address = address
        self._tries = 0
        self._socket: socket.socket | None = None
        self._join()

    def read(self) -> list[Stall]:
        if self._socket is None and not self.failed:
            self._join()
        pieces = []
        with suppress(BlockingIOError):
            while self._socket:
                piece = self._socket.recv(_READ_SIZE)
                if not piece:
                    self._lost()
                pieces.append(piece)
        return self.lines.take(b"".join(pieces))

    def end(self) -> None:
        """Read no more. The meter itself goes on while others read it."""
        if self._socket:
            self._socket.close()
            self._socket = None
        self.failed = True
        if self.process:
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                _read_by_others.append(self.process)
            _read_by_others[:] = [each for each in _read_by_others if each.poll() is None]

    def _join(self) -> None:
        """Connect to the meter that runs, or start one and connect the next time."""
        try:
            self._socket = connect(self._address)
        except OSError:
            self.failed = True
            return
        if self._socket or (self.process and self.process.poll() is None):
            return
        if self._tries == _TRIES:
            self.failed = True
            return
        self._tries += 1
        self.process = subprocess.Popen(
            module_command(
                MODULE, str(self.lines.cpu), self._kind, self._address.removeprefix("\0")
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is the run's business
        )

    def _lost(self) -> None:
        if self._socket:
            self._socket.close()
            self._socket = None
        # one that had no reader left may end in the moment of connecting: then another is started
        self.failed = self.lines.kind is not None


class StallMonitor:
    """The meters of every CPU that this process may use; a context manager that leaves them.

    `wanted` is the kind of meter; `ordinary` ones run where the system does not allow `realtime`.
    Only monitors with the same `private` name share meters. Once a meter has ended by itself,
    `alive` is false: later stalls would be missed.
    """

    def __init__(
        self,
        cpus: Iterable[int] | None = None,
        *,
        wanted: MeterKind = "realtime",
        private: str = "",
    ) -> None:
        self._cpus = cpus
        self._wanted = wanted
        self._private = private
        self._meters: list[_Meter] = []

    def __enter__(self) -> Self:
        """Leave the meters at the end, if they were started."""
        return self

    def start(self) -> None:
        """Read the meters from now on; none where the system is not Linux."""
        if sys.platform == "linux" and not self._meters:
            cpus = sorted(os.sched_getaffinity(0) if self._cpus is None else self._cpus)
            self._meters = [
                _Meter(cpu, self._wanted, meter_address(cpu, self._wanted) + self._private)
                for cpu in cpus
            ]

    def __exit__(self, *_: object) -> None:
        """Leave the meters; those that nobody reads end."""
        for meter in self._meters:
            meter.end()
        self._meters = []

    @property
    def kind(self) -> MeterKind | None:
        """The kind that runs: `ordinary` as soon as one meter is; None while not all have said."""
        kinds = {meter.lines.kind for meter in self._meters}
        if None in kinds or not kinds:
            return None
        return "ordinary" if "ordinary" in kinds else "realtime"

    @property
    def alive(self) -> bool:
        """Whether every meter still runs."""
        return bool(self._meters) and not any(meter.failed for meter in self._meters)

    @property
    def known_until_ns(self) -> int:
        """All stalls before this time have been read; CLOCK_MONOTONIC ns, 0 at first."""
        return min((meter.lines.known_until_ns for meter in self._meters), default=0)

    def read(self) -> list[Stall]:
        """The stalls reported since the last call, without waiting."""
        return [stall for meter in self._meters for stall in meter.read()]
