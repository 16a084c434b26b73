"""The scribe: the process that buckets, merges and writes, so that the load process need not.

Reads frames from standard input (`frames.py`), writes the run folder, and prints one JSON line for
each closed interval: live figures, or, for a worker of a cluster, the interval itself on its way
to the master. It ends with its input; if that ends without an `end` frame the load process died,
and the run is kept as interrupted.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import orjson

from loadtests.measure import hlog
from loadtests.measure.columns import SecondColumns
from loadtests.measure.frames import unpack
from loadtests.measure.health.evidence import GeneratorEvidence
from loadtests.measure.health.generator_delay import (
    GeneratorDelays,
    bucket_delays,
    delay_figures,
    times_of,
)
from loadtests.measure.health.probes import HealthRow, HostProbe
from loadtests.measure.health.signals import Signal
from loadtests.measure.health.step_evidence import StepEvidence
from loadtests.measure.health.validity import judge_validity
from loadtests.measure.locust_stats import for_locust
from loadtests.measure.merger import (
    Merged,
    Merger,
    SeriesPart,
    part_from_message,
    part_to_message,
)
from loadtests.measure.results import Key, RunInfo, SeriesInfo, Validity
from loadtests.measure.run_folder import RunFolderWriter


class WorkerScribe:
    """A worker's scribe: hands each interval on."""

    def __init__(self, out: TextIO, host: HostProbe) -> None:
        self._out = out
        self._host = host
        self._columns = SecondColumns()

    def values(self, header: dict[str, Any], payload: bytes) -> None:
        """Keep what the recorder drained."""
        self._columns.take(header, payload)

    def close(self, header: dict[str, Any], payload: bytes) -> None:
        """The interval is over."""
        delays = bucket_delays(header["sizes"], payload)
        parts = self._columns.parts()
        message = {
            **header,
            "kind": "interval",
            "parts": [part_to_message(part) for part in parts],
            "row": {**header["row"], **self._host.read(), **delay_figures(delays)},
            "dispatch_delay": hlog.encode(delays.dispatch),
            "event_loop_delay": hlog.encode(delays.event_loop),
            "mirror": for_locust(parts),
        }
        _say(self._out, message)


class RunScribe:
    """The scribe of a single load process, or of a cluster's master."""

    def __init__(self, header: dict[str, Any], out: TextIO, host: HostProbe) -> None:
        self._out = out
        self._host = host
        self._sources: list[str] = header["sources"]
        self._merger = Merger(self._sources)
        self._evidence = GeneratorEvidence(rate_per_s=header["rate_per_s"])
        info = RunInfo.model_validate(header["info"])
        self._steps = StepEvidence(info.steps, self._sources) if info.steps else None
        self._folder = RunFolderWriter(Path(header["path"]), info, header["started_at_s"])
        self._index = 0
        self._columns = SecondColumns()  # of the second that is not over yet
        self._pending: list[SeriesPart] = []
        self._last_row: dict[str, Any] = {}

    def values(self, header: dict[str, Any], payload: bytes) -> None:
        """Keep what the recorder drained."""
        self._columns.take(header, payload)

    def close(self, header: dict[str, Any], payload: bytes) -> None:
        """An interval of this process is over."""
        delays = bucket_delays(header["sizes"], payload)
        row = {**header["row"], **self._host.read(), **delay_figures(delays)}
        parts = self._add_pending(header["index"])
        self._take(header, HealthRow(**row), delays, parts)

    def interval(self, header: dict[str, Any]) -> None:
        """A worker's interval, by way of the master; one that makes no sense loses the worker."""
        try:
            parts = [part_from_message(message) for message in header["parts"]]
            row = HealthRow(**header["row"])
            delays = GeneratorDelays(
                hlog.decode(header["dispatch_delay"]), hlog.decode(header["event_loop_delay"])
            )
        except (KeyError, TypeError, ValueError):
            self.lose(str(header.get("source", "a worker")))
            return
        for part in parts:
            self._merger.add(header["index"], part)
        self._take(header, row, delays, parts)

    def lose(self, worker: str) -> None:
        """A worker is gone; its calls stay, and the run says so."""
        self._evidence.lost.append(worker)
        if self._steps:
            self._steps.lose(worker, self._folder.info.duration_s)
        self._write(self._merger.lose(worker))

    def update(self, facts: dict[str, Any]) -> None:
        """More for run.json."""
        self._folder.update(facts)

    def finish(self, state: str) -> None:
        """Write the rest and the final run.json."""
        self._add_pending(self._index)
        self._write(self._merger.finish())
        summaries = self._merger.summaries()
        signals, validity = self._judge(summaries)
        self._folder.finish(state, summaries, signals, validity)

    def _judge(self, summaries: list[SeriesInfo]) -> tuple[list[Signal], Validity]:
        if not self._steps:
            return judge_validity(self._evidence, summaries)
        self._folder.info.steps = self._steps.infos()
        return self._steps.judge()

    def _add_pending(self, index: int) -> list[SeriesPart]:
        # only the close tells the number: a process that stood still skips some
        parts = self._columns.parts()
        for part in parts:
            self._merger.add(index, part)
        self._pending += parts
        self._index = index + 1
        return parts

    def _take(
        self,
        header: dict[str, Any],
        row: HealthRow,
        delays: GeneratorDelays,
        parts: list[SeriesPart],
    ) -> None:
        self._folder.add_health(row)
        self._last_row[row.worker] = {
            "cpu": row.process_cpu,
            "dispatch_delay_p99_ms": row.dispatch_delay_p99_ms,
            "event_loop_delay_p99_ms": row.event_loop_delay_p99_ms,
            "heartbeat_delay_max_ms": row.heartbeat_delay_max_ms,
            "free_users_min": row.free_users_min,
            "behind_ms": row.behind_ms,
        }
        if not row.warm_up:
            self._evidence.add(row, delays.dispatch, delays.event_loop)
            if self._steps:
                self._steps.add(row, delays, parts)
        closed = self._merger.close(
            header["index"], header["source"], header["start_s"], header["length_s"]
        )
        self._write(closed)

    def _write(self, intervals: Iterable[Merged]) -> None:
        for merged in intervals:
            summaries = self._merger.summaries()
            signals, validity = self._judge(summaries)
            warming_up = not (self._steps.begun if self._steps else self._evidence.workers)
            if warming_up:
                signals = []
            self._folder.add(merged, summaries, signals, None if warming_up else validity)
            live = {
                "kind": "live",
                "mirror": for_locust(self._pending),
                "index": merged.index,
                "time_s": merged.start_s + merged.length_s,
                "last_second": _last_second(merged),
                "series": [s.model_dump(by_alias=True) for s in summaries],
                "health": self._last_row,
                "signals": [_plain(s) for s in signals],
            }
            self._pending = []
            _say(self._out, live)


def _last_second(merged: Merged) -> list[dict[str, Any]]:
    figures = []
    for line in merged.measured + merged.warm_up:
        key = Key.parse(line.tag)
        if key.metric != "response_time":
            continue
        times = times_of(line.counts)
        figures.append(
            {
                "backend": key.backend,
                "pattern": key.pattern,
                "rate_per_s": line.counts.total / max(1e-3, line.length_s),
                "p50_ms": times.p50 if times else None,
                "p99_ms": times.p99 if times else None,
                "max_ms": times.max if times else None,
            }
        )
    return figures


def _plain(signal_: Signal) -> dict[str, Any]:
    figure = {"value": signal_.value, "unit": signal_.unit, "limit": signal_.limit}
    return {"name": signal_.name, "text": signal_.text, "ok": signal_.ok, **figure}


def _say(out: TextIO, message: dict[str, Any]) -> None:
    # the load process may be gone already; the folder still gets everything
    with contextlib.suppress(BrokenPipeError):
        out.write(orjson.dumps(message).decode() + "\n")
        out.flush()


def serve(stream: BinaryIO, out: TextIO, host: HostProbe) -> None:
    """Do as the frames say until they end."""
    relay: WorkerScribe | None = None
    writer: RunScribe | None = None
    for header, payload in unpack(stream):
        match header["kind"]:
            case "open":
                if header["mode"] == "relay":
                    relay = WorkerScribe(out, host)
                else:
                    writer = RunScribe(header, out, host)
            case "values":
                (relay or writer).values(header, payload)  # type: ignore[union-attr]
            case "close":
                (relay or writer).close(header, payload)  # type: ignore[union-attr]
            case "interval" if writer:
                writer.interval(header)
            case "lose" if writer:
                writer.lose(header["worker"])
            case "info" if writer:
                writer.update(header["facts"])
            case "end":
                if writer:
                    writer.finish(header["state"])
                _say(out, {"kind": "ended", "worker": header.get("worker", "")})
                return
    if writer:
        writer.finish("interrupted")


def main() -> None:
    """Entry point of `python -m loadtests.measure.scribe`."""
    # Ctrl-C reaches the whole terminal; the scribe stays until its input ends
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    serve(sys.stdin.buffer, sys.stdout, HostProbe())


if __name__ == "__main__":
    main()
