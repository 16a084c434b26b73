"""A signal: one thing watched of the generator, against its limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing watched: what was found against its limit. `limit` None means only informative."""

    name: str
    text: str
    value: float | None
    unit: str
    limit: float | None
    ok: bool
    worker: str = ""
    remedy: str = ""


def signals_as_data(signals: Sequence[Signal]) -> list[dict[str, Any]]:
    """For run.json: health.signals."""
    return [
        {"name": s.name, "text": s.text, "value": s.value, "unit": s.unit, "limit": s.limit}
        | {"ok": s.ok}
        for s in signals
    ]
