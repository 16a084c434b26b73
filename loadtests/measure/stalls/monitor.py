"""Starts the hiccup meters, reads them without waiting, and ends them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Self

from loadtests.interpreter import module_command
from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.windows import Stall

MODULE: Final = "loadtests.measure.stalls.hiccup_meter"
_END_S: Final = 2.0
_READ_SIZE: Final = 65_536


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
    def __init__(self, cpu: int, kind: MeterKind) -> None:
        self.lines = MeterLines(cpu)
        self.process = subprocess.Popen(
            module_command(MODULE, str(cpu), kind),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is the run's business
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        os.set_blocking(self._out, False)

    def read(self) -> list[Stall]:
        pieces = []
        with suppress(BlockingIOError):
            while piece := os.read(self._out, _READ_SIZE):
                pieces.append(piece)
        return self.lines.take(b"".join(pieces))

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


class StallMonitor:
    """The meters of every CPU that this process may use; a context manager that ends them.

    `wanted` is the kind of meter; `ordinary` ones run where the system does not allow `realtime`.
    Once a meter has ended by itself, `alive` is false: later stalls would be missed.
    """

    def __init__(
        self, cpus: Iterable[int] | None = None, *, wanted: MeterKind = "realtime"
    ) -> None:
        self._cpus = cpus
        self._wanted = wanted
        self._meters: list[_Meter] = []

    def __enter__(self) -> Self:
        """End the meters on leaving, if they were started."""
        return self

    def start(self) -> None:
        """Start the meters, once; none where the system is not Linux."""
        if sys.platform == "linux" and not self._meters:
            cpus = sorted(os.sched_getaffinity(0) if self._cpus is None else self._cpus)
            self._meters = [_Meter(cpu, self._wanted) for cpu in cpus]

    def __exit__(self, *_: object) -> None:
        """End the meters."""
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
        return bool(self._meters) and all(m.process.poll() is None for m in self._meters)

    @property
    def known_until_ns(self) -> int:
        """All stalls before this time have been read; CLOCK_MONOTONIC ns, 0 at first."""
        return min((meter.lines.known_until_ns for meter in self._meters), default=0)

    def read(self) -> list[Stall]:
        """The stalls reported since the last call, without waiting."""
        return [stall for meter in self._meters for stall in meter.read()]
