"""What a load process sends its scribe, made by hand, and the scribe run in process."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.measure.frames import pack
from loadtests.measure.health.probes import HostProbe
from loadtests.measure.results import StepInfo
from loadtests.measure.scribe import serve

NO_HOST = Path("/nonexistent")
STARTED_AT_S = 1_772_443_800.0


def row(worker: str = "generator", **changes: Any) -> dict[str, Any]:
    """A healthy second as the load process describes it."""
    return {
        "worker": worker, "time_s": 0.0, "length_s": 1.0, "warm_up": False, "offered": 100,
        "queued": 0, "behind_ms": 0.0, "users": 20, "free_users_min": 18, "in_flight": 1,
        "invalid_responses": 0, "heartbeat_delay_max_ms": 0.4, "event_loop_stall_ms": 0.0,
        "gc_pauses": 1, "gc_paused_ms": 0.2, "gc_pause_max_ms": 0.2, "process_cpu": 0.3,
    } | changes  # fmt: skip


def opening(path: Path, sources: list[str] | None = None, steps: Sequence[StepInfo] = ()) -> bytes:
    """The frame that opens a run folder at `path`."""
    sources = ["generator"] if sources is None else sources
    info = {
        "id": path.name,
        "scenario": "cart",
        "state": "running",
        "started_at": "now",
        "steps": [step.model_dump(mode="json") for step in steps],
    }
    header = {
        "kind": "open", "mode": "write", "path": str(path), "info": info, "sources": sources,
        "started_at_s": STARTED_AT_S, "rate_per_s": dict.fromkeys(sources, 100.0),
    }  # fmt: skip
    return pack(header)


def closing(
    index: int,
    source: str = "generator",
    *,
    start_s: float | None = None,
    length_s: float = 1.0,
    dispatch_delays_ns: list[int] | None = None,
    event_loop_delays_ns: list[int] | None = None,
    **changes: Any,
) -> bytes:
    """The frame that closes interval `index` of `source`; `changes` are the row's."""
    start_s = float(index) if start_s is None else start_s
    late, lag = dispatch_delays_ns or [], event_loop_delays_ns or []
    header = {
        "kind": "close", "source": source, "index": index, "start_s": start_s,
        "length_s": length_s, "row": row(source, time_s=start_s, length_s=length_s, **changes),
        "sizes": [len(late), len(lag)],
    }  # fmt: skip
    return pack(header, np.array(late + lag, np.int64).tobytes())


def end(state: str = "complete") -> bytes:
    """The last frame."""
    return pack({"kind": "end", "state": state})


def scribe(stream: bytes) -> list[dict[str, Any]]:
    """Run a scribe over a whole stream; what it said."""
    out = io.StringIO()
    serve(io.BytesIO(stream), out, HostProbe(NO_HOST, clock=lambda: 0.0))
    return [json.loads(line) for line in out.getvalue().splitlines()]


def relay(stream: bytes, worker: str = "worker 1") -> list[bytes]:
    """Run a worker's scribe; its intervals as the frames that reach the master's."""
    said = scribe(pack({"kind": "open", "mode": "relay", "worker": worker}) + stream)
    intervals = [line for line in said if line["kind"] == "interval"]
    for line in intervals:
        line.pop("mirror")
    return [pack(line) for line in intervals]
