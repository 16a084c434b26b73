"""A health signal: one figure of the load generator, checked against its limit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signal:
    """One figure and its limit; `limit` None means that it is only informative.

    `text` is the finding in words, `remedy` what to do when it is not `ok`, and `worker` the load
    process that it is of.
    """

    name: str
    text: str
    value: float | None
    unit: str
    limit: float | None
    ok: bool
    worker: str = ""
    remedy: str = ""
