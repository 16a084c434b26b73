"""Gathers a second's raw columns and buckets them once, when the second is over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from loadtests.measure.histogram import Sparse
from loadtests.measure.merger import Name, SeriesPart
from loadtests.patterns import METRICS


@dataclass(slots=True)
class _Gathered:
    values: tuple[list[npt.NDArray[np.int64]], ...] = field(
        default_factory=lambda: tuple([] for _ in METRICS)
    )
    errors: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0
    capacity: list[float] = field(default_factory=lambda: [0, 0.0, 0.0])


class SecondColumns:
    """What a recorder drained since the last `parts`."""

    def __init__(self) -> None:
        self._held: dict[tuple[Name, bool], _Gathered] = {}

    def take(self, header: dict[str, Any], payload: bytes) -> None:
        """Keep a recorder's frame (`Recorder.drain`)."""
        values = np.frombuffer(payload, np.int64)
        position = 0
        for series in header["series"]:
            name = (series["backend"], series["driver"], series["pattern"])
            held = self._held.setdefault((name, series["warm_up"]), _Gathered())
            for column, size in zip(held.values, series["sizes"], strict=True):
                column.append(values[position : position + size])
                position += size
            held.errors.update(series["errors"])
            held.unfinished += series["unfinished"]
            for place, amount in enumerate(series["capacity"]):
                held.capacity[place] += amount

    def parts(self) -> list[SeriesPart]:
        """Everything kept, bucketed, a part a series; forgets it."""
        held, self._held = self._held, {}
        return [
            SeriesPart(
                name,
                warm_up,
                {
                    metric: Sparse.of(np.concatenate(pieces))
                    for metric, pieces in zip(METRICS, gathered.values, strict=True)
                },
                dict(gathered.errors),
                gathered.unfinished,
                (gathered.capacity[0], gathered.capacity[1], gathered.capacity[2]),
            )
            for (name, warm_up), gathered in held.items()
        ]
