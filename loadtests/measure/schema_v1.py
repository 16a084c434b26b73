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
_ROW: Final = {"part": "suite", "rounds": "iterations"}
_EMBEDDED: Final = "(embedded)"  # ends the label of a database that the harness started


def upgraded(data: Data) -> Data:
    """The same run in schema version 2; what is not version 1 comes back unchanged."""
    if data.get("schema_version") != 1:
        return data
    parts: dict[str, Callable[[object], object]] = {
        "targets": lambda targets: _values(targets, _target),
        "verdict": _verdict,
        "capacity_run": _capacity_run,
        "micro": _micro,
    }
    changed = {name: change(data[name]) for name, change in parts.items() if name in data}
    return {**data, **changed, "schema_version": 2}


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
