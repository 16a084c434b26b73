"""loadtests.toml + environment + flags → one frozen `Config`.

Precedence: a flag, then the environment (`LOADTESTS_RATE`, …), then `loadtests.toml`, then the
defaults below. All problems are reported at once, each with the place it came from.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from loadtests.errors import ConfigError
from loadtests.patterns import PATTERNS

FILE_NAME: Final = "loadtests.toml"

Metric = Literal["response_time", "service_time", "wire_time"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Proportion = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
PatternName = Literal[PATTERNS]  # type: ignore[valid-type]
BackendName = Literal["dynamodb", "postgres"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Load(_Section):
    """How often: arrivals per backend and second over the whole cluster, times in seconds.

    `subjects` are two whom one run compares (`load/subjects.py`), `blocks` their turns in seconds.
    """

    backend: Literal["both", "dynamodb", "postgres"] = "both"
    driver: Literal["wire", "boto3"] = "wire"
    rate: Positive = 500.0
    arrivals: Literal["poisson", "constant"] = "poisson"
    warm_up: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    run_time: Positive = 100.0
    seed: Annotated[int, Field(ge=0)] = 1
    subjects: str = ""
    blocks: Annotated[int, Field(ge=0, le=3_600)] | None = None


class Targets(_Section):
    """Where each backend runs: `embedded`, a URL or DSN, or (DynamoDB) `aws`."""

    dynamodb_endpoint: str = "embedded"
    postgres_dsn: str = "embedded"
    region: str = "us-east-1"
    allow_remote: bool = False


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
    """Allowed growth against a baseline, as a share (0.10 is +10%)."""

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
        """The limits of one access pattern on one backend: of each, the narrowest named."""
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
    micro: Literal["off", "quick", "full"] = "off"


class CapacitySettings(_Section):
    """How a capacity run climbs: rates a second on each backend, whole seconds a step.

    Each step's rate is the one before times `growth`, the last is `to`. The first `settle` seconds
    of a step are in none of its figures.
    """

    from_: Annotated[Positive, Field(alias="from")] = 100.0
    to: Positive = 10_000.0
    growth: Annotated[float, Field(ge=1.01, le=100, allow_inf_nan=False)] = 1.25
    step_time: Annotated[int, Field(ge=3, le=3_600)] = 12
    settle: Annotated[int, Field(ge=1, le=600)] = 2

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.step_time - self.settle < 2:
            raise ValueError("step_time must leave 2 seconds or more after settle")
        return self


class Config(_Section):
    """Everything the harness can be told."""

    load: Load = Load()
    targets: Targets = Targets()
    data: Data = Data()
    slo: Slo = Slo()
    gate: Gate = Gate()
    capacity: CapacitySettings = CapacitySettings()
    results: str = "results"


# Flag or environment name → place in Config. `--dynamodb-endpoint` ⇄ LOADTESTS_DYNAMODB_ENDPOINT.
SETTINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "backend": ("load", "backend"),
    "driver": ("load", "driver"),
    "rate": ("load", "rate"),
    "arrivals": ("load", "arrivals"),
    "warm_up": ("load", "warm_up"),
    "run_time": ("load", "run_time"),
    "seed": ("load", "seed"),
    "subjects": ("load", "subjects"),
    "blocks": ("load", "blocks"),
    "dynamodb_endpoint": ("targets", "dynamodb_endpoint"),
    "postgres_dsn": ("targets", "postgres_dsn"),
    "region": ("targets", "region"),
    "allow_remote": ("targets", "allow_remote"),
    "micro": ("gate", "micro"),
    "results": ("results",),
    "from": ("capacity", "from"),
    "to": ("capacity", "to"),
    "growth": ("capacity", "growth"),
    "step_time": ("capacity", "step_time"),
    "settle": ("capacity", "settle"),
}


def load_config(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    path: Path | None = None,
) -> Config:
    """Read and check all settings. Flags that are None count as not given.

    Raises ConfigError naming every problem: TOML syntax with its line, the rest with key or name.
    """
    environ = os.environ if environ is None else environ
    path = path or Path(environ.get("LOADTESTS_CONFIG", FILE_NAME))
    settings = _read_toml(path)
    source: dict[tuple[str, ...], str] = {}
    for name, place in SETTINGS.items():
        variable = f"LOADTESTS_{name.upper()}"
        if environ.get(variable):
            _put(settings, place, environ[variable])
            source[place] = variable
        if flags and flags.get(name) is not None:
            _put(settings, place, flags[name])
            source[place] = "--" + name.replace("_", "-")
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        problems = [_describe(problem, source, path) for problem in error.errors()]
        raise ConfigError(
            "The configuration",
            problems,
            hint=f"A flag beats a LOADTESTS_… variable, which beats {path}.",
        ) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), [str(error)], hint="Correct that line.") from None
    except OSError as error:
        raise ConfigError(str(path), [f"cannot be read: {error.strerror}"]) from None


def _put(settings: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for key in place[:-1]:
        child = settings.setdefault(key, {})
        if not isinstance(child, dict):
            return  # the file's own mistake; validation reports it
        settings = child
    settings[place[-1]] = value


def _describe(problem: Any, source: Mapping[tuple[str, ...], str], path: Path) -> str:
    location = tuple(str(part) for part in problem["loc"])
    where = source.get(location) or f"{path}: {'.'.join(location)}"
    if problem["type"] == "extra_forbidden":
        return f"{where}: no such setting"
    shown = problem.get("input")
    found = f" (found {shown!r})" if isinstance(shown, str | int | float | bool) else ""
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message[0].lower()}{message[1:]}{found}"
