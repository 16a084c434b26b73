"""`loadtests settings`: every setting, its value and its source, or the page that describes them.

`docs/SETTINGS.md` is the output of `loadtests settings --page`; a test compares them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from types import UnionType
from typing import Annotated, Final, Literal, Union, get_args, get_origin

import annotated_types
import click
from pydantic.fields import FieldInfo

from loadtests.cli.options import config_option
from loadtests.config import (
    KEYS,
    LIMITED_BACKEND,
    LIMITED_PATTERN,
    SETTINGS,
    Config,
    LoadedSettings,
    SettingsKey,
    load_settings,
)
from loadtests.config_sources import OTHER_VARIABLES
from loadtests.report.setting import without_passwords

_INTRODUCTION: Final = """\
# Settings

This page is made from the table of settings in `loadtests/config.py`: `make settings` writes it.
`loadtests settings` shows the value of every setting where it is called, and its source.

## Sources

A setting comes from the first of these that has it:

1. a flag of the command (`--rate 300`); of a flag that is given twice, the last one counts,
2. an environment variable (`LOADTESTS_RATE=300`),
3. the settings file: the one that `--config FILE` or `LOADTESTS_CONFIG` names, else
   `loadtests.toml` in the current folder, if there is one,
4. the default.

A setting that was given and cannot be used is an error with exit code 2, before anything starts:

- a file that `--config` or `LOADTESTS_CONFIG` names must exist and be readable; it is UTF-8, with
  or without a byte order mark; lines end in LF or CRLF,
- an unknown key, at any depth, and an unknown `LOADTESTS_…` variable (but not those that
  Kubernetes sets for a service called `loadtests`),
- an empty variable: a secret that a CI job does not have must not turn into the default,
- a value of another type or beyond its range. Numbers are written without a unit; in the file,
  numbers and `true`/`false` stand without quotes; a variable takes `true`, `1`, `yes`, `on` and
  `false`, `0`, `no`, `off`.

## Limits

`[slo]` applies to every access pattern on every backend. Narrower tables change single limits; the
narrowest that names a limit wins:

```toml
[slo]                                             # every access pattern on both backends
p99_ms = 10

[slo.patterns."cart.get"]                         # one access pattern on both backends
p99_ms = 5

[slo.backends.postgres]                           # every access pattern on one backend
p50_ms = 3

[slo.backends.postgres.patterns."session.get"]    # one access pattern on one backend
"p99.9_ms" = 25
```

Names with a dot are quoted. A limit is left out by leaving out its key; `[slo]` has the defaults of
the table below. Any pattern may have limits, CloudShelf's own or one of your own scenario. A table
for a pattern that the run did not call leaves the verdict INCONCLUSIVE, because that limit was not
judged; one whose name looks like a misspelt name of a pattern that is called is an error before the
run. A table for a backend that `--backend` left out is named in the verdict and changes nothing
else.

**Which limits a run is judged by.** A run folder stores the limits that it was measured under, and
`loadtests gate RUN`, `loadtests capacity RUN` and `loadtests compare A B` use those (of B),
whatever lies in the current folder. To judge it by other limits, name them:
`loadtests gate RUN --config FILE`. A run of an older version stores no limits until it is
judged; such a run is judged by the settings in force. The terminal, the reports and `run.json`
(`verdict.limits_from`) say where the limits came from, with the SHA-256 of the file.
[How long must a run be](RUN_LENGTH.md) says how many calls a limit takes.
"""
_LIMIT_TABLES: Final = (
    ("slo", "patterns", LIMITED_PATTERN),
    ("slo", "backends", LIMITED_BACKEND),
    ("slo", "backends", LIMITED_BACKEND, "patterns", LIMITED_PATTERN),
)


@click.command()
@config_option
@click.option("--page", is_flag=True, help="Print docs/SETTINGS.md instead.")
def command(page: bool) -> None:
    """Show every setting with its value and where it comes from: flag, variable, file or default.

    Limits of single access patterns and backends are shown where they are set.
    """
    if page:
        click.echo(settings_page(), nl=False)
        return
    loaded = load_settings({})
    for key, value, source in _rows(loaded):
        click.echo(f"{key} = {value}    {source}")
    for name in OTHER_VARIABLES:
        if name in os.environ:
            click.echo(f"{name} is set")
    click.echo(f"Limits: {loaded.config.limits_from.words}")


def _rows(loaded: LoadedSettings) -> Iterator[tuple[str, str, str]]:
    values = loaded.config.model_dump(mode="json", by_alias=True, exclude={"limits_from"})
    for path, value in _flat(values, ()):
        key = ".".join(f'"{part}"' if "." in part else part for part in path)
        if value is not None or path in loaded.sources:
            yield key, without_passwords(str(value)), loaded.sources.get(path, "default")


def _flat(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, (*path, str(key)))
    else:
        yield path, value


def settings_page() -> str:
    """docs/SETTINGS.md."""
    return "\n".join([_INTRODUCTION, *_sections(), *_others()])


def _sections() -> Iterator[str]:
    yield "## Keys, flags and variables"
    by_section = groupby(sorted(KEYS, key=_order), key=lambda key: key.section)
    for section, keys in by_section:
        listed = list(keys)
        if listed[0].path[:-1] in _LIMIT_TABLES:
            continue  # the keys of [slo]
        yield f"\n### `[{section}]`" if section else "\n### Top level"
        if section == "slo":
            tables = [f"`[{_quoted(path)}]`" for path in _LIMIT_TABLES]
            yield "\nThe same keys, without defaults, in " + ",\n".join(tables) + "."
        yield "\n| key | default | values | flag and variable | meaning |\n|---|---|---|---|---|"
        yield from (_row(key) for key in listed)


def _order(key: SettingsKey) -> tuple[int, str]:
    tables = list(Config.model_fields)
    return (tables.index(key.path[0]) if len(key.path) > 1 else -1, key.section)


def _quoted(path: Sequence[str]) -> str:
    return ".".join(f'"{part}"' if part == LIMITED_PATTERN else part for part in path)


def _row(key: SettingsKey) -> str:
    setting = next((each for each in SETTINGS.values() if each.path == key.path), None)
    named = f"`{setting.flag}` `{setting.variable}`" if setting else "–"
    name = f'"{key.path[-1]}"' if "." in key.path[-1] else key.path[-1]
    cells = [f"`{name}`", _shown(key.default), _values(key.annotation), named, key.help]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(value: object) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:.12g}`" if isinstance(value, int | float) else f'`"{value}"`'


def _values(field: FieldInfo) -> str:
    """The choices, or the kind of value with its range."""
    kinds, marks = _parts(field.annotation)
    kind, marks = kinds[0], [*field.metadata, *marks]
    if get_origin(kind) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    bounds = []
    for mark in marks:
        bounds += [f"> {mark.gt:,g}"] if isinstance(mark, annotated_types.Gt) else []
        bounds += [f"≥ {mark.ge:,g}"] if isinstance(mark, annotated_types.Ge) else []
        bounds += [_upper("<", mark.lt)] if isinstance(mark, annotated_types.Lt) else []
        bounds += [_upper("≤", mark.le)] if isinstance(mark, annotated_types.Le) else []
    words = {bool: "`true`, `false`", int: "whole number", float: "number", str: "text"}[kind]
    return " ".join([words, ", ".join(bounds)]).strip()


def _upper(sign: str, bound: object) -> str:
    return f"{sign} 2^53" if bound == 2**53 else f"{sign} {bound:,}"


def _parts(annotation: object) -> tuple[list[type], list[object]]:
    """The plain types of an annotation without None, and the constraints within it."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        kinds, more = _parts(inner)
        constraints = [m for mark in marks for m in getattr(mark, "metadata", [mark])]
        return kinds, [*constraints, *more]
    if get_origin(annotation) in {Union, UnionType}:
        parts = [_parts(each) for each in get_args(annotation) if each is not type(None)]
        return [k for kinds, _ in parts for k in kinds], [m for _, marks in parts for m in marks]
    assert isinstance(annotation, type) or get_origin(annotation) is Literal
    return [annotation], []  # type: ignore[list-item]


def _others() -> Iterator[str]:
    yield "\n## Other variables\n\n| variable | meaning |\n|---|---|"
    for name, text in OTHER_VARIABLES.items():
        yield f"| `{name}` | {text} |"
    yield ""
