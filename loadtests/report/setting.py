"""What a run ran on and how it was set, as words and as rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.measure.results import Run
from loadtests.patterns import DISPLAY_NAMES
from loadtests.report.rounding import clean, plain, seconds

_PASSWORD: Final = re.compile(r"(?i)(://[^/@\s:]*:)[^@\s]+(?=@)|(password=)(?:'[^']*'|\S+)")
_SECRET_KEY: Final = re.compile(r"(?i)password|secret|token|access_key|credential")
_MOST_ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class Place:
    """Where one backend ran, and whether it is AWS's own service."""

    backend: str
    name: str
    where: str
    emulator: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A run's circumstances."""

    scenario: str
    title: str
    started: str
    places: tuple[Place, ...]
    ran_on: str
    caution: str
    load: str
    offered_per_s: float | None
    configuration: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]


def read_setting(run: Run) -> Setting:
    """Read it from run.json."""
    info = run.info
    places = tuple(_place(backend, about) for backend, about in info.targets.items())
    return Setting(
        scenario=clean(info.scenario),
        title=f"{clean(info.scenario)} · {clean(info.id)}",
        started=clean(info.started_at).replace("T", " ").replace("Z", " UTC"),
        places=places,
        ran_on=_ran_on(places),
        caution=_caution(places),
        load=_load(run),
        offered_per_s=_rate(run),
        configuration=tuple(flat(_settings(info.config))),
        environment=tuple(flat(info.environment)),
    )


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the file's run time where Locust was told another (`run_time_s`)."""
    load = config.get("load")
    if not isinstance(load, Mapping) or config.get("run_time_s") is None:
        return dict(config)
    return {**config, "load": {name: value for name, value in load.items() if name != "run_time"}}


def _place(backend: str, about: Mapping[str, Any]) -> Place:
    target = clean(without_passwords(str(about.get("target", ""))))
    label = clean(about.get("label") or DISPLAY_NAMES.get(backend, backend))
    version = clean(about.get("version") or "")
    name = f"{label} {version}".strip() if version not in label else label
    dynamodb = backend == "dynamodb"
    emulator = bool(about.get("emulator", dynamodb and target != "aws"))
    where = {"embedded": "started by this harness on the same machine", "aws": "on AWS"}
    return Place(backend, name, where.get(target, f"at {target}" if target else ""), emulator)


def _ran_on(places: Sequence[Place]) -> str:
    if not places:
        return "What it ran on was not recorded."
    named = [f"{p.name}, {p.where}" if p.where else p.name for p in places]
    if len({p.where for p in places}) == 1:
        where = f", {places[0].where}" if places[0].where else ""
        return f"Ran on {' and '.join(p.name for p in places)}{where}."
    return f"Ran on {'; '.join(named)}."


def _caution(places: Sequence[Place]) -> str:
    if any(p.emulator for p in places):
        return (
            "An emulator is not AWS: these figures show regressions and compare designs on this "
            "machine. Judge the promise itself on a real table."
        )
    return ""


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested mapping as dotted keys and texts, without secrets; at most 200 rows."""
    for count, (key, value) in enumerate(_leaves(tree, prefix)):
        if count == _MOST_ROWS:
            yield "…", "more settings than are shown here; run.json has all"
            return
        yield clean(key), clean(value)


def _leaves(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}.")
        elif value is not None:
            yield name, "(not shown)" if _SECRET_KEY.search(str(key)) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return without_passwords(str(value))


def without_passwords(text: str) -> str:
    """A DSN or URL with its password struck out; run.json has none, but this is shown."""
    return _PASSWORD.sub(lambda m: (m[1] or m[2]) + "•••", text)


def _load(run: Run) -> str:
    """`Load: 500 Poisson arrivals/s on each backend, for 70 s after 10 s of warm-up.`"""
    load = run.info.config.get("load")
    parts = []
    rate = _rate(run)
    if isinstance(load, Mapping) and (rate or run.info.steps):
        law = {"poisson": "Poisson ", "constant": "evenly spaced "}.get(str(load.get("arrivals")))
        said = f"{rate:,g} {law or ''}arrivals/s on each backend" if rate else _climb(run, law)
        parts.append(said)
    measured_s = measured_of(run)
    if measured_s:
        after = f" after {seconds(run.info.warm_up_s)} of warm-up" if run.info.warm_up_s else ""
        parts.append(f"for {seconds(measured_s)}{after}")
    return f"Load: {', '.join(parts)}." if parts else ""


def _climb(run: Run, law: str | None) -> str:
    rates = [step.rate_per_s for step in run.info.steps]
    return f"{plain(min(rates))} to {plain(max(rates))} {law or ''}arrivals/s in rising steps"


def measured_of(run: Run) -> float:
    """Length of the measured part in seconds, from its log; 0 when nothing was measured."""
    found = [i for intervals in run.intervals.values() for i in intervals]
    if not found:
        return 0.0
    return max(i.start_s + i.length_s for i in found) - min(i.start_s for i in found)


def _rate(run: Run) -> float | None:
    if run.info.steps:
        return None  # it has many
    load = run.info.config.get("load")
    rate = load.get("rate") if isinstance(load, Mapping) else None
    return float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) else None
