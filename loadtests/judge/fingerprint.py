"""Whether two runs may be compared: the same scenario, load, target, machine and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from loadtests.config import ZIPF_EXPONENT
from loadtests.errors import ResultsError
from loadtests.judge.slo import expected_series
from loadtests.measure.results import RunInfo

# Settings of a run that do not change what is measured.
_IGNORED_CONFIG: Final = frozenset(
    {
        "run_time",
        "run_time_s",
        "seed",
        "results",
        "slo",
        "gate",
        "limits_from",
        "allow_remote",
        "blocks",
        "patterns",  # compared as what was called on each backend
        "served",
    }
)
_IGNORED_TARGET: Final = frozenset({"where", "version"})  # the label has both


def fingerprint(info: RunInfo) -> dict[str, str]:
    """The conditions that must agree, as dotted field → text."""
    fields = {"scenario": info.scenario}
    fields |= _flatten("config", info.config.as_conditions(), _IGNORED_CONFIG)
    fields |= _flatten("environment", _environment(info), frozenset())
    for name, target in info.targets.items():
        # the port of an emulator differs from run to run
        ignored = _IGNORED_TARGET | ({"url"} if target.emulator or name == "postgres" else set())
        fields |= _flatten(f"targets.{name}", target.as_conditions(), ignored)
    if info.config.load.rate is not None:  # runs of versions without the setting
        fields.setdefault("config.load.zipf_exponent", str(ZIPF_EXPONENT))
    drivers = sorted({f"{series.backend}/{series.driver}" for series in info.series})
    called = ", ".join(f"{backend} {pattern}" for backend, pattern in sorted(expected_series(info)))
    return fields | {"drivers": ", ".join(drivers), "patterns": called}


def _environment(info: RunInfo) -> dict[str, object]:
    """The conditions of the machine; an older run is taken to have used all of its cores."""
    environment = info.environment
    if environment.effective_cpus is None and environment.cores is not None:
        environment = environment.model_copy(update={"effective_cpus": float(environment.cores)})
    return environment.as_conditions()


def differences(run: RunInfo, other: RunInfo) -> list[str]:
    """Fields in which two runs differ, as `field: this, that`."""
    a, b = fingerprint(run), fingerprint(other)
    return [
        f"{field}: {a.get(field, 'absent')}, {b.get(field, 'absent')}"
        for field in sorted(a.keys() | b.keys())
        if a.get(field) != b.get(field)
    ]


def _flatten(name: str, value: object, ignored: frozenset[str]) -> dict[str, str]:
    return dict(_leaves(name, value, ignored))


def _leaves(name: str, value: object, ignored: frozenset[str]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in ignored:
                yield from _leaves(f"{name}.{key}", inner, ignored)
    else:
        yield name, str(value)


def refuse_differences(run: RunInfo, other: RunInfo, name: str) -> None:
    """Raise ResultsError naming every field in which `run` differs from `other` (`name`)."""
    fields = differences(run, other)
    if fields:
        count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        raise ResultsError(
            f"Run {run.id} cannot be compared with {name}; {count} differ (this run, that one):\n"
            + "\n".join(f"  {line}" for line in fields),
            hint="Compare runs of one scenario, load, target, machine and set of versions.",
        )
