"""loadtests.toml + environment + flags → one frozen `Config`.

The models below are the only table of options: a field that carries a `Flag` is also a command-line
flag and an environment variable, whose help is the flag's text. `SETTINGS` lists these
fields; `loadtests/cli/options.py` and `loadtests/load/locust/options.py` make their flags from it.

Precedence: a flag, then the environment (`LOADTESTS_RATE`, …), then the settings file, then the
defaults below. All problems are reported at once, each with its source; nothing that was set is
ignored. docs/SETTINGS.md is made from this table (`loadtests settings --page`), and
docs/decisions/settings.md says why this is not pydantic-settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Final, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from loadtests.config_sources import (
    FILE_NAME,
    SettingsFile,
    has_unit,
    named_file,
    parse_text,
    read_settings_file,
    variable_problems,
)
from loadtests.errors import ConfigError
from loadtests.patterns import BACKENDS, DRIVERS, PATTERN_RULE, is_pattern_name

Metric = Literal["response_time", "service_time", "wire_time"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Proportion = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
BackendName = Literal["dynamodb", "postgres"]
PostgresStorage = Literal["auto", "memory", "disk"]
BlockSeconds = Annotated[int, Field(ge=0, le=3_600)]
LIMITED_PATTERN: Final = "<pattern>"  # in place of a name, in the path of a key
LIMITED_BACKEND: Final = "<backend>"
ZIPF_EXPONENT: Final = 0.99
PER_SECOND: Final = "PER_SECOND"
SECONDS: Final = "SECONDS"


def _not_blank(text: str) -> str:
    if not text.strip() or "\0" in text:
        raise ValueError("must not be empty" if not text.strip() else "must not hold a NUL byte")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


def _has_pattern_form(name: str) -> str:
    if not is_pattern_name(name):
        raise ValueError(PATTERN_RULE)
    return name


PatternName = Annotated[str, AfterValidator(_has_pattern_form)]


def _names_client(text: str) -> str:
    known = [driver for drivers in DRIVERS.values() for driver in drivers]
    if text not in known and ":" not in text:
        raise ValueError(
            f"must be {', '.join(known)}, or a store factory, [backend/]package.module:factory"
        )
    return text


ClientName = Annotated[str, AfterValidator(_names_client)]


@dataclass(frozen=True, slots=True)
class KeyHelp:
    """Describes a field that is only a key of the settings file."""

    help: str


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
    # strict: `rate = true` is no number, and neither is "500"
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SettingsOrigin(BaseModel):
    """Where the limits of a run came from.

    `path` is the settings file as it was named, and `sha256` that of its content. `kind` is
    `built-in` where there is no file or it sets no limit, `unknown` for runs of older versions.
    `stored`: they are those that the run folder holds, and not those of the settings in force.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["built-in", "file", "unknown"] = "built-in"
    path: str = ""
    sha256: str = ""
    stored: bool = False

    @property
    def words(self) -> str:
        """Where they came from, as half a sentence."""
        digest = f" (SHA-256 {self.sha256[:12]})" if self.sha256 else ""
        if self.kind == "unknown":
            return "stored in the run"
        if self.kind == "file":
            text = f"{self.path}{digest}"
        else:
            text = f"built-in; {self.path}{digest} sets none" if self.path else "built-in"
        return f"stored in the run: {text}" if self.stored else text


class Load(_Section):
    """How often: arrivals per second on each backend over the whole cluster, times in seconds.

    `subjects` are two that one run compares (`load/subjects.py`), `blocks` the seconds per turn.
    """

    backend: Annotated[
        Literal["both", "dynamodb", "postgres"], Flag("Databases to call.", web=True)
    ] = "both"
    driver: Annotated[
        ClientName,
        Flag(
            "Client of the backend that it calls: a driver, or a store factory.",
            "DRIVER|FACTORY",
            web=True,
        ),
    ] = "wire"
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
        int,
        Field(ge=0, lt=2**53),
        Flag("Seed for data, keys, arrivals and the order of turns.", web=True),
    ] = 1
    zipf_exponent: Annotated[
        float,
        Field(ge=0, le=5, allow_inf_nan=False),
        Flag(
            "Exponent of Zipf's law for keys: 0 calls all equally often, 0.99 is YCSB's default.",
            "EXPONENT",
        ),
    ] = ZIPF_EXPONENT
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

    dynamodb_endpoint: Annotated[Text, Flag("Where DynamoDB runs.", "embedded|aws|URL")] = (
        "embedded"
    )
    postgres_dsn: Annotated[Text, Flag("Where PostgreSQL runs.", "embedded|DSN", secret=True)] = (
        "embedded"
    )
    postgres_storage: Annotated[
        PostgresStorage,
        Flag("Where the embedded PostgreSQL keeps its data; auto: in memory where there is room."),
    ] = "auto"
    region: Annotated[
        Text | None,
        Flag("AWS region; by default that of the AWS settings, else us-east-1.", "REGION"),
    ] = None
    allow_remote: Annotated[bool, Flag("Allow targets on other machines.")] = False


class Data(_Section):
    """How much is seeded."""

    users: Annotated[
        int, Field(ge=1, le=1_000_000), KeyHelp("Users, each with a cart and a session.")
    ] = 2_000
    books: Annotated[int, Field(ge=20, le=1_000_000), KeyHelp("Books that carts refer to.")] = 500
    lines_per_cart: Annotated[int, Field(ge=1, le=100), KeyHelp("Mean lines of a cart.")] = 5


class Limits(_Section):
    """Upper limits in milliseconds; a limit left out is not judged."""

    p50_ms: Annotated[Positive | None, KeyHelp("Limit of the p50.")] = None
    p90_ms: Annotated[Positive | None, KeyHelp("Limit of the p90.")] = None
    p99_ms: Annotated[Positive | None, KeyHelp("Limit of the p99.")] = None
    p999_ms: Annotated[
        Positive | None, Field(alias="p99.9_ms"), KeyHelp("Limit of the p99.9; quote the key.")
    ] = None
    error_rate: Annotated[
        Proportion | None, KeyHelp("Largest share of failed calls: 0.001 is 0.1%.")
    ] = None
    metric: Annotated[Metric | None, KeyHelp("The time that limits apply to.")] = None


class BackendLimits(Limits):
    """Limits of one backend, and of single access patterns on it."""

    patterns: dict[PatternName, Limits] = Field(default_factory=dict)


class Relative(_Section):
    """Allowed growth against a baseline, as a proportion (0.10 is +10%)."""

    p50: Annotated[Positive | None, KeyHelp("Allowed growth of the p50: 0.10 is +10%.")] = 0.10
    p90: Annotated[Positive | None, KeyHelp("Allowed growth of the p90.")] = None
    p99: Annotated[Positive | None, KeyHelp("Allowed growth of the p99.")] = 0.20


class Slo(Limits):
    """The promise: global limits, then narrower ones; the narrowest that names a limit wins.

    Order from widest to narrowest: `[slo]`, `[slo.patterns."cart.get"]`, `[slo.backends.dynamodb]`,
    `[slo.backends.dynamodb.patterns."cart.get"]`.
    """

    p99_ms: Annotated[Positive | None, KeyHelp("Limit of the p99.")] = 10.0
    error_rate: Annotated[
        Proportion | None, KeyHelp("Largest share of failed calls: 0.001 is 0.1%.")
    ] = 0.001
    metric: Annotated[Metric | None, KeyHelp("The time that limits apply to.")] = "response_time"
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

    max_extension: Annotated[
        float,
        Field(ge=0, allow_inf_nan=False),
        Flag("Longest extension of a run that is undecided, in seconds; 0 for none.", SECONDS),
    ] = 120.0
    confidence: Annotated[
        float, Field(gt=0.5, lt=1), KeyHelp("Confidence of the verdict and of all intervals.")
    ] = 0.95
    baseline: Annotated[
        Text, KeyHelp("A baseline's name, `none`, or `auto`: the one of the run's own conditions.")
    ] = "auto"
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


class WebUi(_Section):
    """Who may use Locust's web UI: its own address always may."""

    allowed_hosts: Annotated[
        str,
        Flag("Names of proxies, with commas, through which the web UI may be used.", "NAMES"),
    ] = ""


class Config(_Section):
    """All settings of the harness."""

    load: Load = Load()
    targets: Targets = Targets()
    data: Data = Data()
    slo: Slo = Slo()
    gate: Gate = Gate()
    capacity: CapacitySettings = CapacitySettings()
    web_ui: WebUi = WebUi()
    results: Annotated[Text, Flag("Folder for run folders and baselines.", "DIR")] = "results"
    limits_from: SettingsOrigin = SettingsOrigin()  # no setting: noted by `load_config`


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


@dataclass(frozen=True, slots=True)
class SettingsKey:
    """A key of the settings file: every flag's, and those that are keys only.

    `path` has `<pattern>` and `<backend>` where names stand. `annotation` has the constraints.
    """

    path: tuple[str, ...]
    help: str
    default: object
    annotation: FieldInfo

    @property
    def section(self) -> str:
        """The table of the file that holds it; empty for the top level."""
        return ".".join(self.path[:-1])


def _keys(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[SettingsKey]:
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        mark = next((mark for mark in field.metadata if isinstance(mark, Flag | KeyHelp)), None)
        if mark is not None:
            yield SettingsKey(here, mark.help, field.default, field)
        elif get_origin(field.annotation) is dict:
            of_backends = get_args(field.annotation)[0] is BackendName
            place = LIMITED_BACKEND if of_backends else LIMITED_PATTERN
            yield from _keys(get_args(field.annotation)[1], (*here, place))
        elif isinstance(field.annotation, type) and issubclass(field.annotation, _Section):
            yield from _keys(field.annotation, here)


KEYS: Final[tuple[SettingsKey, ...]] = tuple(_keys(Config))


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings with the source of each that has no default value: a flag, a variable or the file.

    `sources` has the path of a key and the name of its source.
    """

    config: Config
    sources: Mapping[tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class _Given:
    """A value from a flag or a variable: `value` is what `given` was read as."""

    source: str
    given: object
    value: object
    secret: bool


def load_config(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> Config:
    """Read and check all settings. Flags that are None count as not given.

    `path` is where the settings file is where the environment names none; it may be missing.
    Raises ConfigError naming every problem: TOML syntax with its line, the rest with key or name.
    """
    return load_settings(flags, environ=environ, path=path).config


def load_settings(
    flags: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> LoadedSettings:
    """As `load_config`, with the source of each setting. Raises ConfigError."""
    environ = os.environ if environ is None else environ
    variables = [setting.variable for setting in SETTINGS.values()]
    problems = list(variable_problems(environ, variables))
    file = _read_file(environ, path)
    given: dict[tuple[str, ...], _Given] = {}
    for name, setting in SETTINGS.items():
        if environ.get(setting.variable, "").strip():
            given[setting.path] = _given(setting, setting.variable, environ[setting.variable])
        if flags and flags.get(name) is not None:
            given[setting.path] = _given(setting, setting.flag, flags[name])
    values = file.values
    if "limits_from" in values:
        problems.append(f"{file.path}: limits_from: no such setting")
    origin = _origin_of(file)
    sources = dict.fromkeys(_leaves(values), str(file.path))
    for path_of_key, each in given.items():
        _put(values, path_of_key, each.value)
        sources[path_of_key] = each.source
    try:
        config = Config.model_validate({**values, "limits_from": origin})
    except ValidationError as error:
        problems += [_describe(problem, given, file.path) for problem in error.errors()]
    if problems:
        raise ConfigError(
            "The configuration",
            problems,
            hint=f"A flag beats a LOADTESTS_… variable, which beats {file.path}. "
            "docs/SETTINGS.md lists all.",
        )
    return LoadedSettings(config, sources)


def _read_file(environ: Mapping[str, str], path: Path | None) -> SettingsFile:
    named = named_file(environ) if path is None else None
    return read_settings_file(named or path or Path(FILE_NAME), must_exist=named is not None)


def _origin_of(file: SettingsFile) -> SettingsOrigin:
    if not file.sha256:
        return SettingsOrigin()
    path = file.path
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    kind: Literal["file", "built-in"] = "file" if "slo" in file.values else "built-in"
    return SettingsOrigin(kind=kind, path=str(path), sha256=file.sha256)


def _given(setting: ConfigOption, source: str, given: object) -> _Given:
    value = parse_text(given, setting.kind) if isinstance(given, str) else given
    return _Given(source, given, value, setting.secret)


def _leaves(values: Mapping[str, object], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key)


def _put(values: dict[str, object], path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        section = values.setdefault(key, {})
        if not isinstance(section, dict):
            return  # a mistake in the file itself; validation reports it
        values = section
    values[path[-1]] = value


def _describe(problem: ErrorDetails, given: Mapping[tuple[str, ...], _Given], path: Path) -> str:
    location = tuple(str(part) for part in problem["loc"] if part != "[key]")
    source = given.get(location)
    name = source.source if source else f"{path}: {'.'.join(location)}"
    if problem["type"] == "extra_forbidden":
        return f"{name}: no such setting{_meant(location, problem.get('input'))}"
    if problem["loc"][-1:] == ("[key]",):
        if location[-2:-1] == ("patterns",):
            return f"{name}: is no name of an access pattern: {PATTERN_RULE}"
        return f"{name}: no such name{_meant(location, None)}"
    value = source.given if source else problem.get("input")
    secret = source.secret if source else location in _SECRETS
    shown = ""
    if isinstance(value, str | int | float | bool) and not secret:
        shown = f" (found {_short(value)})"
    if isinstance(value, str) and not secret and has_unit(value):
        shown += "; write the number without a unit"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message[0].lower()}{message[1:]}{shown}"


def _short(value: str | float) -> str:
    """The value as it was written, or the beginning of it."""
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}…"


_SECRETS: Final = frozenset(setting.path for setting in SETTINGS.values() if setting.secret)


def _meant(location: Sequence[str], value: object) -> str:
    """What an unknown key was probably meant to be, as the end of a sentence; empty if unknown."""
    *section, key = location
    if key == "p99" and isinstance(value, dict):
        return '; quote the key: "p99.9_ms"'
    if section[-2:-1] == ["patterns"] and isinstance(value, dict):
        quoted = ".".join([section[-1], *_words(key, value)])
        return f'; quote the pattern: [{".".join(section[:-1])}."{quoted}"]'
    place = tuple(
        {"patterns": LIMITED_PATTERN, "backends": LIMITED_BACKEND}.get(before, name)
        for before, name in zip(["", *section], section, strict=False)
    )
    siblings = {
        known.path[len(place)]
        for known in KEYS
        if len(known.path) > len(place) and known.path[: len(place)] == place
    }
    siblings -= {LIMITED_BACKEND, LIMITED_PATTERN}
    siblings |= set(BACKENDS) if section[-1:] == ["backends"] else set()
    elsewhere = [f"[{known.section}] {key}" for known in KEYS if known.path[-1] == key]
    if not section and elsewhere:
        siblings = set()  # a key without its section is no misspelt section
    meant = [*get_close_matches(key, sorted(siblings), 1, 0.6), *elsewhere[:1]]
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _words(key: str, value: object) -> list[str]:
    """The parts of a pattern's name that was written without quotes, from `key` inwards."""
    words = [key]
    while isinstance(value, dict) and len(value) == 1:
        (inner, value) = next(iter(value.items()))
        if not isinstance(value, dict):
            break
        words.append(str(inner))
    return words
