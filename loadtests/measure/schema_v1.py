"""Upgrades run.json of schema version 1 to version 2.

Version 2 names terms as the literature does, types the kind of each limit, and says where a target
runs. Parts that are not of version 1's form are left as they are, so that reading them names the
field at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

Data = dict[str, object]

_ERROR_RATE: Final = "error_rate"
_RATIO: Final = "_ratio"
_STEP: Final = {"carried": "sustained", "badly": "overloaded"}
_ANSWER: Final = {
    "keeps_per_s": "max_sustained_per_s",
    "breaks_per_s": "min_failed_per_s",
    "gave_out": "bottleneck",
}
_SIGNALS: Final = {
    "lateness p99": "dispatch delay p99",
    "late arrivals": "late dispatches",
    "own time p50": "generator delay p50",
    "own time p90": "generator delay p90",
    "own time p99": "generator delay p99",
    "read lag": "event-loop delay",
    "stalled loop": "event-loop stalls",
}
_ROW: Final = {"part": "suite", "rounds": "iterations"}
_EMBEDDED: Final = "(embedded)"  # ends the label of a database that the harness started


def upgraded(data: Data) -> Data:
    """The same run in schema version 2; what is not version 1 comes back unchanged."""
    if data.get("schema_version") != 1:
        return data
    parts: dict[str, Callable[[object], object]] = {
        "health": _health,
        "validity": _validity,
        "steps": lambda steps: _items(steps, _step),
        "targets": lambda targets: _values(targets, _target),
        "verdict": _verdict,
        "capacity_run": _capacity_run,
        "micro": _micro,
    }
    changed = {name: change(data[name]) for name, change in parts.items() if name in data}
    new = {**data, **changed, "schema_version": 2}
    if not _has_ended(new.get("monotonic_ns")):
        new.pop("monotonic_ns", None)
    return new


def _has_ended(clock: object) -> bool:
    """Version 1 wrote the clock of a run that had not ended with `end` null."""
    return not isinstance(clock, dict) or clock.get("end") is not None


def _health(health: object) -> object:
    if not isinstance(health, dict):
        return health
    return {**health, "signals": _items(health.get("signals", []), _signal)}


def _signal(signal: Data) -> Data:
    name = str(signal.get("name", ""))
    return {**signal, "name": _SIGNALS.get(name, name)}


def _validity(validity: object) -> object:
    if not isinstance(validity, dict):
        return validity
    return {**validity, "reasons": _items(validity.get("reasons", []), _reason)}


def _reason(reason: Data) -> Data:
    rule = str(reason.get("rule", ""))
    return {**reason, "rule": _SIGNALS.get(rule, rule)}


def _step(step: Data) -> Data:
    changes = {"signals": lambda signals: _items(signals, _signal), "validity": _validity}
    return {
        **step,
        **{name: change(step[name]) for name, change in changes.items() if name in step},
    }


def _target(target: Data) -> Data:
    label = str(target.get("label", ""))
    if target.get("url") == "aws":
        return {**target, "where": "aws"}
    return {**target, "where": "embedded" if label.endswith(_EMBEDDED) else "url"}


def _verdict(verdict: object) -> object:
    if not isinstance(verdict, dict):
        return verdict
    return {**verdict, "limits": _items(verdict.get("limits", []), _limit)}


def _limit(limit: Data) -> Data:
    statistic = str(limit.get("statistic", ""))
    if statistic == _ERROR_RATE:
        return {**limit, "kind": "error_rate", "percentile": None}
    kind = "relative" if statistic.endswith(_RATIO) else "absolute"
    return {**limit, "kind": kind, "percentile": statistic.removesuffix(_RATIO)}


def _capacity_run(capacity_run: object) -> object:
    if not isinstance(capacity_run, dict):
        return capacity_run
    return {
        **capacity_run,
        "steps": _items(capacity_run.get("steps", []), lambda step: _renamed(step, _STEP)),
        "answers": _items(capacity_run.get("answers", []), lambda a: _renamed(a, _ANSWER)),
    }


def _micro(micro: object) -> object:
    if not isinstance(micro, dict):
        return micro
    rows = _items(micro.get("rows", []), lambda row: _renamed(row, _ROW))
    return {**_renamed(micro, {"rounds": "iterations"}), "rows": rows}


def _renamed(data: Data, names: Mapping[str, str]) -> Data:
    return {names.get(name, name): value for name, value in data.items()}


def _items(values: object, change: Callable[[Data], Data]) -> object:
    if not isinstance(values, list):
        return values
    return [change(value) if isinstance(value, dict) else value for value in values]


def _values(values: object, change: Callable[[Data], Data]) -> object:
    if not isinstance(values, dict):
        return values
    return {
        name: change(value) if isinstance(value, dict) else value for name, value in values.items()
    }
