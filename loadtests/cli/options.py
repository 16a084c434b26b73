"""The verbs' options: made from `config.SETTINGS`, and the few that are no settings.

Every option has one text, whichever verb it belongs to, and shows the default of its model.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeVar

import click

from loadtests.config import SETTINGS, ConfigOption
from loadtests.config_sources import CONFIG_VARIABLE, FILE_NAME
from loadtests.patterns import METRICS

Decorated = TypeVar("Decorated", bound=Callable[..., object])

SCENARIOS: Final = ("scenarios/cart.py", "scenarios/session.py")
CAPACITY_SCENARIO: Final = "scenarios/capacity.py"
TARGET_SETTINGS: Final = (
    "dynamodb_endpoint",
    "postgres_dsn",
    "postgres_storage",
    "region",
    "allow_remote",
)


class Decorator(Protocol):
    """Adds options to a command's function."""

    def __call__(self, command: Decorated, /) -> Decorated:
        """The same function, with the options noted on it."""


def setting_options(*names: str, defaults: Mapping[str, object] | None = None) -> Decorator:
    """Add the options of these settings; `defaults` replaces what the help shows as the default.

    An option that is not given is None, so that the environment, loadtests.toml or the model
    decides.
    """

    def add(command: Decorated) -> Decorated:
        for name in reversed(names):
            setting = SETTINGS[name]
            default = (defaults or {}).get(name, setting.default)
            command = _setting_option(setting, default)(command)
        return command

    return add


def _setting_option(setting: ConfigOption, default: object) -> Decorator:
    if setting.kind is bool:
        return click.option(
            setting.flag, setting.name, is_flag=True, default=None, help=setting.help
        )
    return click.option(
        setting.flag,
        setting.name,
        type=click.Choice(setting.choices) if setting.choices else setting.kind,
        metavar=setting.metavar or None,
        help=with_default(setting.help, default),
    )


def with_default(text: str, default: object) -> str:
    """The help text with the default, where there is one to show."""
    if default is None or default == "":
        return text
    shown = f"{default:,g}" if isinstance(default, int | float) else str(default)
    return f"{text} [default: {shown}]"


def backend_option(command: Decorated) -> Decorated:
    """`--backend` of the verbs that use both databases by default."""
    setting = SETTINGS["backend"]
    return click.option(
        setting.flag,
        type=click.Choice(setting.choices),
        default=setting.default,
        help=with_default(setting.help, setting.default),
    )(command)


def micro_option(command: Decorated) -> Decorated:
    """`--micro`, which means all rounds where it has no value."""
    setting = SETTINGS["micro"]
    return click.option(
        setting.flag,
        type=click.Choice(setting.choices),
        is_flag=False,
        flag_value="full",
        help=with_default(f"{setting.help} Without a value: full.", setting.default),
    )(command)


def blocks_option(command: Decorated) -> Decorated:
    """`--blocks` as a text, which may also be the word `simultaneous`."""
    setting = SETTINGS["blocks"]
    return click.option(
        setting.flag,
        metavar=f"{setting.metavar}|simultaneous",
        help=f"{setting.help} [default: 0 for two backends through wire and psycopg, else 1]",
    )(command)


class HiddenAlias(click.Option):
    """An option whose help shows the first of its spellings only; the others are former names."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The line of the help text, without the former names."""
        spellings = self.opts
        try:
            self.opts = spellings[:1]
            return super().get_help_record(ctx)
        finally:
            self.opts = spellings


def _name_config(_: click.Context, __: click.Parameter, value: str | None) -> None:
    # through the environment, so that the processes that a verb starts read the same file
    if value is not None:
        os.environ[CONFIG_VARIABLE] = value


config_option: Final = click.option(
    "--config",
    metavar="FILE",
    expose_value=False,
    is_eager=True,
    callback=_name_config,
    help=with_default("Settings file; it must exist.", f"{FILE_NAME}, if there is one"),
)
users_option: Final = click.option(
    "--users", type=click.IntRange(min=1), help="Maximum concurrent calls."
)
processes_option: Final = click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Load processes; more than one form a cluster. [default: 1]",
)
python_option: Final = click.option(
    "--python",
    "pythons",
    multiple=True,
    metavar="NAME=PYTHON",
    help="Virtual environment or executable for the named subject; may be repeated.",
)
scenarios_option: Final = click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="FILE",
    help=with_default("Locust file to run; may be repeated.", ", ".join(SCENARIOS)),
)
capacity_scenario_option: Final = click.option(
    "--scenario",
    metavar="FILE",
    default=CAPACITY_SCENARIO,
    help=with_default("Locust file to run; its users derive from CapacityRamp.", CAPACITY_SCENARIO),
)
metric_option: Final = click.option(
    "--metric",
    type=click.Choice(METRICS),
    default=METRICS[0],
    help=with_default("Time to show.", METRICS[0]),
)
pattern_option: Final = click.option(
    "--pattern", metavar="NAME", help="One access pattern, run by run."
)
