"""Meters that report what a test tells them to."""

from __future__ import annotations

from loadtests.measure.stalls.hiccup_meter import MeterKind
from loadtests.measure.stalls.windows import Stall


class ScriptedMeters:
    """Reports stalls once `known_until_ns` has reached their end."""

    def __init__(self, kind: MeterKind | None = "realtime", *, known_until_ns: int = 1) -> None:
        self.kind = kind
        self.alive = True
        self.started = 0
        self.known_until_ns = known_until_ns
        self.stalls: list[Stall] = []

    def start(self) -> None:
        self.started += 1

    def read(self) -> list[Stall]:
        ended = [stall for stall in self.stalls if stall.end_ns <= self.known_until_ns]
        self.stalls = [stall for stall in self.stalls if stall not in ended]
        return ended
