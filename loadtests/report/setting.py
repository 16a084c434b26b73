"""What a run ran on and how it was set, as words and as rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtests.measure.results import Run, SubjectInfo, TargetInfo
from loadtests.patterns import DISPLAY_NAMES
from loadtests.report.figures.rounding import clean, plain, seconds

_PASSWORD: Final = re.compile(r"(?i)(://[^/@\s:]*:)[^@\s]+(?=@)|(password=)(?:'[^']*'|\S+)")
_SECRET_KEY: Final = re.compile(r"(?i)password|secret|token|access_key|credential")
_MOST_ROWS: Final = 200
_COMMIT_DIGITS: Final = 12
SUBJECT_COLUMNS: Final = ("Subject", "Client", "Folder", "Commit", "Python", "Database clients")


@dataclass(frozen=True, slots=True)
class TargetDescription:
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
    targets: tuple[TargetDescription, ...]
    ran_on: str
    caution: str
    load: str
    offered_per_s: float | None
    configuration: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    subjects: tuple[tuple[str, ...], ...] = ()  # rows of SUBJECT_COLUMNS


def read_setting(run: Run) -> Setting:
    """Read it from run.json."""
    info = run.info
    targets = tuple(_target(backend, target) for backend, target in info.targets.items())
    return Setting(
        scenario=clean(info.scenario),
        title=f"{clean(info.scenario)} · {clean(info.id)}",
        started=clean(info.started_at).replace("T", " ").replace("Z", " UTC"),
        targets=targets,
        ran_on=_ran_on(targets),
        caution=_caution(targets),
        load=" ".join(filter(None, [_load(run), _subjects(run), _limits(run)])),
        offered_per_s=_rate(run),
        configuration=tuple(flat(_settings(info.config.as_conditions()))),
        environment=tuple(flat(info.environment.as_conditions())),
        subjects=tuple(_subject_row(subject) for subject in info.subjects),
    )


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Without the file's run time where Locust was told another (`run_time_s`)."""
    load = config.get("load")
    if not isinstance(load, Mapping) or config.get("run_time_s") is None:
        return dict(config)
    return {**config, "load": {name: value for name, value in load.items() if name != "run_time"}}


def _target(backend: str, target: TargetInfo) -> TargetDescription:
    name = clean(without_passwords(target.label)) or DISPLAY_NAMES.get(backend, clean(backend))
    if target.where != "embedded":
        return TargetDescription(backend, name, "", target.emulator)  # the label says where
    name = name.replace(" (embedded)", "").replace("(embedded, ", "(")
    where = "started by this harness on the same machine"
    return TargetDescription(backend, name, where, target.emulator)


def _ran_on(targets: Sequence[TargetDescription]) -> str:
    if not targets:
        return "What it ran on was not recorded."
    named = [
        f"{target.name}, {target.where}" if target.where else target.name for target in targets
    ]
    if len({target.where for target in targets}) == 1:
        where = f", {targets[0].where}" if targets[0].where else ""
        return f"Ran on {' and '.join(target.name for target in targets)}{where}."
    named = [", ".join(filter(None, (target.name, target.where))) for target in targets]
    return f"Ran on {'; '.join(named)}."


def _caution(targets: Sequence[TargetDescription]) -> str:
    if any(target.emulator for target in targets):
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
    arrivals = run.info.config.load.arrivals or ""
    parts = []
    rate = _rate(run)
    if rate or run.info.steps:
        law = {"poisson": "Poisson ", "constant": "evenly spaced "}.get(arrivals)
        arrivals_text = (
            f"{rate:,g} {law or ''}arrivals/s on each backend" if rate else _climb(run, law)
        )
        parts.append(arrivals_text)
    measured_s = measured_of(run)
    if measured_s:
        after = f" after {seconds(run.info.warm_up_s)} of warm-up" if run.info.warm_up_s else ""
        parts.append(f"for {seconds(measured_s)}{after}")
    return f"Load: {', '.join(parts)}.{_rehearsal(run)}" if parts else ""


def _rehearsal(run: Run) -> str:
    """The calls at full speed before the run, which belong to no figure."""
    rehearsal = run.info.rehearsal
    if rehearsal is None or not any(rehearsal.calls.values()):
        return ""
    calls = " and ".join(
        f"{count:,} calls on {DISPLAY_NAMES.get(backend, clean(backend))}"
        for backend, count in rehearsal.calls.items()
    )
    return f" Before it, {calls} at full speed in {seconds(rehearsal.seconds)}, in no figure."


def _subject_row(subject: SubjectInfo) -> tuple[str, ...]:
    """A subject with a process of its own, in the order of `SUBJECT_COLUMNS`."""
    clients = ", ".join(f"{name} {version}" for name, version in subject.packages.items())
    cells = (
        f"{subject.backend}/{subject.name}",
        subject.client,
        subject.tree,
        _commit(subject),
        subject.python or "",
        clients,
    )
    return tuple(clean(without_passwords(cell)) or "–" for cell in cells)


def _commit(subject: SubjectInfo) -> str:
    if not subject.commit:
        return ""
    return subject.commit[:_COMMIT_DIGITS] + ", modified" * bool(subject.modified)


def _subjects(run: Run) -> str:
    """`base is ./old at 1a2b3c4d5e6f; head is ./new.`"""
    clauses = []
    for subject in run.info.subjects:
        if subject.tree:
            commit = _commit(subject)
            place = f"{subject.tree} at {commit}" if commit else subject.tree
            clauses.append(clean(without_passwords(f"{subject.name} is {place}")))
    return f"{'; '.join(clauses)}." if clauses else ""


def _limits(run: Run) -> str:
    """`Limits: loadtests.toml (SHA-256 1a2b3c4d5e6f).`"""
    verdict = run.info.verdict
    origin = verdict.limits_from if verdict else run.info.config.limits_from
    return f"Limits: {clean(without_passwords(origin.words))}." if origin else ""


def _climb(run: Run, law: str | None) -> str:
    rates = [step.rate_per_s for step in run.info.steps]
    return f"{plain(min(rates))} to {plain(max(rates))} {law or ''}arrivals/s in rising steps"


def measured_of(run: Run) -> float:
    """Length of the measured part in seconds, from its log; 0 when nothing was measured."""
    intervals = [i for series in run.intervals.values() for i in series]
    if not intervals:
        return 0.0
    return max(i.start_s + i.length_s for i in intervals) - min(i.start_s for i in intervals)


def _rate(run: Run) -> float | None:
    if run.info.steps:
        return None  # it has many
    return run.info.config.load.rate
