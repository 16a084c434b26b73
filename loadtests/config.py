"""loadtests.toml + environment + flags → one frozen `Config`.

The models below are the only table of options: a field that carries a `Flag` is also a command-line
flag and an environment variable, whose help is the flag's text. `SETTINGS` lists these
fields; `loadtests/cli/options.py` and `loadtests/load/locust/options.py` make their flags from it.

Precedence: a flag, then the environment (`LOADTESTS_RATE`, …), then `loadtests.toml`, then the
defaults below. All problems are reported at once, each with its source.
docs/decisions/settings.md says why this is not pydantic-settings.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Final, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from loadtests.errors import ConfigError
from loadtests.patterns import PATTERNS

FILE_NAME: Final = "loadtests.toml"

Metric = Literal["response_time", "service_time", "wire_time"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Proportion = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
PatternName = Literal[PATTERNS]  # type: ignore[valid-type]
BackendName = Literal["dynamodb", "postgres"]
PostgresStorage = Literal["auto", "memory", "disk"]
BlockSeconds = Annotated[int, Field(ge=0, le=3_600)]
PER_SECOND: Final = "PER_SECOND"
SECONDS: Final = "SECONDS"


@dataclass(frozen=True, slots=True)
class Flag:
    """Marks a field that has a flag and an environment variable, both named after it.

    `help` describes the field, `metavar` stands for its value. `web`: Locust's web form has the
    field too. `secret`: the value may hold a password, so no help text shows it.
    """

    help: str
    metavar: str = ""
    web: bool = False
    secret: bool = False


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Load(_Section):
    """How often: arrivals per second on each backend over the whole cluster, times in seconds.

    `subjects` are two that one run compares (`load/subjects.py`), `blocks` the seconds per turn.
    """

    backend: Annotated[
        Literal["both", "dynamodb", "postgres"], Flag("Databases to call.", web=True)
    ] = "both"
    driver: Annotated[Literal["wire", "boto3"], Flag("Client for DynamoDB.", web=True)] = "wire"
    rate: Annotated[
        Positive,
        Flag("Arrivals per second on each backend, over the whole cluster.", PER_SECOND, web=True),
    ] = 500.0
    arrivals: Annotated[Literal["poisson", "constant"], Flag("Arrival process.", web=True)] = (
        "poisson"
    )
    warm_up: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        Flag("Warm-up at the first rate, in seconds; not judged.", SECONDS, web=True),
    ] = 10.0
    run_time: Annotated[
        Positive, Flag("Length of the run in seconds, warm-up included.", SECONDS)
    ] = 100.0
    seed: Annotated[
        int, Field(ge=0), Flag("Seed for data, keys, arrivals and the order of turns.", web=True)
    ] = 1
    subjects: Annotated[
        str, Flag("Two subjects to compare in one run, such as 'wire boto3'.", "'X Y'")
    ] = ""
    blocks: Annotated[
        BlockSeconds | None,
        Flag("Seconds per turn when two subjects alternate; 0 runs both concurrently.", SECONDS),
    ] = None


class Targets(_Section):
    """Where each backend runs: `embedded`, a URL or DSN, or (DynamoDB) `aws`.

    `postgres_storage` is where the embedded PostgreSQL keeps its data; `auto`: in memory where
    there is room, else on disk. DynamoDB Local always keeps its data in memory.
    """

    dynamodb_endpoint: Annotated[str, Flag("Where DynamoDB runs.", "embedded|aws|URL")] = "embedded"
    postgres_dsn: Annotated[str, Flag("Where PostgreSQL runs.", "embedded|DSN", secret=True)] = (
        "embedded"
    )
    postgres_storage: Annotated[
        PostgresStorage,
        Flag("Where the embedded PostgreSQL keeps its data; auto: in memory where there is room."),
    ] = "auto"
    region: Annotated[str, Flag("AWS region.", "REGION")] = "us-east-1"
    allow_remote: Annotated[bool, Flag("Allow targets on other machines.")] = False


class Data(_Section):
    """How much is seeded."""

    users: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    books: Annotated[int, Field(ge=20, le=1_000_000)] = 500
    lines_per_cart: Annotated[int, Field(ge=1, le=100)] = 5


class Limits(_Section):
    """Upper limits in milliseconds; a limit left out is not judged."""

    p50_ms: Positive | None = None
    p90_ms: Positive | None = None
    p99_ms: Positive | None = None
    p999_ms: Annotated[Positive | None, Field(alias="p99.9_ms")] = None
    error_rate: Proportion | None = None
    metric: Metric | None = None


class BackendLimits(Limits):
    """Limits of one backend, and of single access patterns on it."""

    patterns: dict[PatternName, Limits] = Field(default_factory=dict)


class Relative(_Section):
    """Allowed growth against a baseline, as a proportion (0.10 is +10%)."""

    p50: Positive | None = 0.10
    p90: Positive | None = None
    p99: Positive | None = 0.20


class Slo(Limits):
    """The promise: global limits, then narrower ones; the narrowest that names a limit wins.

    Order from widest to narrowest: `[slo]`, `[slo.patterns."cart.get"]`, `[slo.backends.dynamodb]`,
    `[slo.backends.dynamodb.patterns."cart.get"]`.
    """

    p99_ms: Positive | None = 10.0
    error_rate: Proportion | None = 0.001
    metric: Metric | None = "response_time"
    patterns: dict[PatternName, Limits] = Field(default_factory=dict)
    backends: dict[BackendName, BackendLimits] = Field(default_factory=dict)
    relative: Relative = Relative()

    def limits_for(self, backend: str, pattern: str) -> Limits:
        """The limits of one access pattern on one backend; the narrowest named wins."""
        layers: list[Limits] = [self]
        layers += [self.patterns[pattern]] if pattern in self.patterns else []
        if backend in self.backends:
            of_backend = self.backends[backend]
            layers.append(of_backend)
            layers += [of_backend.patterns[pattern]] if pattern in of_backend.patterns else []
        named = {
            name: value
            for layer in layers
            for name in Limits.model_fields
            if (value := getattr(layer, name)) is not None
        }
        return Limits.model_construct(None, **named)


class Gate(_Section):
    """How the gate decides: longest extension of an inconclusive run, in seconds, and the level.

    `baseline` is a baseline's name (conditions must match), `none`, or `auto`: the one made under
    the run's own conditions, if there is one. `micro`: the micro-benchmarks that the gate runs
    after the load, and judges too.
    """

    max_extension: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 120.0
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    baseline: Annotated[str, Field(min_length=1)] = "auto"
    micro: Annotated[
        Literal["off", "quick", "full"],
        Flag("Micro-benchmarks to run and judge after the load."),
    ] = "off"


class CapacitySettings(_Section):
    """The steps of a capacity run: arrivals per second on each backend, whole seconds per step.

    Each step's rate is the previous one times `growth`; the last is `to`. The first `settle`
    seconds of a step are in none of its figures.
    """

    from_: Annotated[
        Positive, Field(alias="from"), Flag("Arrivals per second in the first step.", PER_SECOND)
    ] = 100.0
    to: Annotated[Positive, Flag("Arrivals per second in the last step.", PER_SECOND)] = 10_000.0
    growth: Annotated[
        float,
        Field(ge=1.01, le=100, allow_inf_nan=False),
        Flag("Ratio of each step's rate to the previous one.", "FACTOR"),
    ] = 1.25
    step_time: Annotated[
        int, Field(ge=3, le=3_600), Flag("Length of a step in seconds.", SECONDS)
    ] = 12
    settle: Annotated[
        int,
        Field(ge=1, le=600),
        Flag("Seconds at the start of each step that are not counted.", SECONDS),
    ] = 2

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.step_time - self.settle < 2:
            raise ValueError("step_time must leave 2 seconds or more after settle")
        return self


class Config(_Section):
    """All settings of the harness."""

    load: Load = Load()
    targets: Targets = Targets()
    data: Data = Data()
    slo: Slo = Slo()
    gate: Gate = Gate()
    capacity: CapacitySettings = CapacitySettings()
    results: Annotated[str, Flag("Folder for run folders and baselines.", "DIR")] = "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigOption:
    """A field of `Config` that has a flag: `--dynamodb-endpoint`, LOADTESTS_DYNAMODB_ENDPOINT.

    `path` is its key in loadtests.toml; `choices` is empty where any value of `kind` is allowed.
    """

    path: tuple[str, ...]
    kind: type[bool] | type[int] | type[float] | type[str]
    choices: tuple[str, ...]
    default: object
    help: str
    metavar: str
    web: bool
    secret: bool

    @property
    def name(self) -> str:
        """The name of the field, as keyword arguments have it: `dynamodb_endpoint`."""
        return self.path[-1]

    @property
    def flag(self) -> str:
        """The command-line flag: `--dynamodb-endpoint`."""
        return flag_of(self.name)

    @property
    def variable(self) -> str:
        """The environment variable: `LOADTESTS_DYNAMODB_ENDPOINT`."""
        return f"LOADTESTS_{self.name.upper()}"


def value_of(config: Config, setting: ConfigOption) -> object:
    """The setting's value in `config`."""
    value: object = config.model_dump(by_alias=True)
    for key in setting.path:
        assert isinstance(value, dict)
        value = value[key]
    return value


def flag_of(name: str) -> str:
    """The flag that fills the keyword argument `name`."""
    return "--" + name.replace("_", "-")


def _settings(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[ConfigOption]:
    """Every field that carries a `Flag`, section after section."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        flag = next((mark for mark in field.metadata if isinstance(mark, Flag)), None)
        if flag is not None:
            yield _setting(here, field, flag)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            yield from _settings(field.annotation, here)


def _setting(path: tuple[str, ...], field: FieldInfo, flag: Flag) -> ConfigOption:
    kind: object = field.annotation
    while get_origin(kind) in {Annotated, Union, UnionType}:
        kind = get_args(kind)[0]  # of an optional value: the value
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    plain = next((known for known in (bool, int, float) if kind is known), str)
    return ConfigOption(
        path=path,
        kind=plain,
        choices=choices,
        default=field.default,
        help=flag.help,
        metavar=flag.metavar,
        web=flag.web,
        secret=flag.secret,
    )


SETTINGS: Final[Mapping[str, ConfigOption]] = {
    setting.name: setting for setting in _settings(Config)
}


def load_config(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> Config:
    """Read and check all settings. Flags that are None count as not given.

    Raises ConfigError naming every problem: TOML syntax with its line, the rest with key or name.
    """
    environ = os.environ if environ is None else environ
    path = path or Path(environ.get("LOADTESTS_CONFIG", FILE_NAME))
    values = _read_toml(path)
    sources: dict[tuple[str, ...], str] = {}
    for name, setting in SETTINGS.items():
        if environ.get(setting.variable):
            _put(values, setting.path, environ[setting.variable])
            sources[setting.path] = setting.variable
        if flags and flags.get(name) is not None:
            _put(values, setting.path, flags[name])
            sources[setting.path] = setting.flag
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [_describe(problem, sources, path) for problem in error.errors()]
        raise ConfigError(
            "The configuration",
            problems,
            hint=f"A flag beats a LOADTESTS_… variable, which beats {path}.",
        ) from None


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [str(error)], hint="Correct that line.") from None
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None


def _put(values: dict[str, object], path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        section = values.setdefault(key, {})
        if not isinstance(section, dict):
            return  # a mistake in the file itself; validation reports it
        values = section
    values[path[-1]] = value


def _describe(problem: ErrorDetails, sources: Mapping[tuple[str, ...], str], path: Path) -> str:
    location = tuple(str(part) for part in problem["loc"])
    source = sources.get(location) or f"{path}: {'.'.join(location)}"
    if problem["type"] == "extra_forbidden":
        return f"{source}: no such setting"
    value = problem.get("input")
    shown = f" (found {value!r})" if isinstance(value, str | int | float | bool) else ""
    message = problem["msg"].removeprefix("Value error, ")
    return f"{source}: {message[0].lower()}{message[1:]}{shown}"
