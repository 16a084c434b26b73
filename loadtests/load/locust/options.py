"""The harness's Locust arguments, and the `Config` that they, the environment and the file make.

The arguments come from `config.SETTINGS`; their defaults from loadtests.toml and the environment.
"""

from __future__ import annotations

import math
from argparse import Action, ArgumentParser, Namespace, _ArgumentGroup
from collections.abc import Iterable
from typing import Final

from loadtests.config import SETTINGS, Config, load_config, value_of
from loadtests.errors import UsageError
from loadtests.load.subjects import qualified, run_subjects

# --run-time is Locust's own argument; --rate is the last step's rate in a capacity run
FLAGS: Final = tuple(
    name
    for name, setting in SETTINGS.items()
    if setting.path[0] in {"load", "targets", "results", "web_ui"} and name != "run_time"
)
CAPACITY_FLAGS: Final = tuple(
    name for name, setting in SETTINGS.items() if setting.path[0] == "capacity" and name != "to"
)
USERS_PER_DISPATCHER: Final = (8, 256)
BUSY_S: Final = 0.1  # users for a database that takes 100 ms, ten times the promise


def add_arguments(parser: ArgumentParser) -> None:
    """Add the flags to Locust's parser; defaults come from loadtests.toml and the environment."""
    # Locust's own defaults listen on every interface; `*` or an address asks for that
    parser.set_defaults(web_host="127.0.0.1", master_bind_host="127.0.0.1")
    group = parser.add_argument_group(
        "CloudShelf load tests",
        "Defaults come from loadtests.toml and LOADTESTS_… environment variables.",
    )
    add_settings(group, FLAGS)
    _add_switch(
        group,
        "--no-provision",
        "Do not provision; tables must already hold data of this seed and size.",
    )
    _add_switch(group, "--no-report", "Write the run folder only: no verdict and no report.")


def add_settings(group: _ArgumentGroup, names: Iterable[str]) -> None:
    """Add the flags of these settings to a group of Locust's parser."""
    config = load_config()
    for name in names:
        setting = SETTINGS[name]
        default = None if setting.secret else value_of(config, setting)
        if setting.kind is bool:
            _add_switch(group, setting.flag, setting.help, default=bool(default))
            continue
        action = group.add_argument(
            setting.flag,
            type=setting.kind,
            choices=setting.choices or None,
            default=default,
            metavar=setting.metavar or None,
            help=setting.help,
        )
        _complete(action, in_web_form=setting.web)


def _add_switch(group: _ArgumentGroup, flag: str, text: str, *, default: bool = False) -> None:
    action = group.add_argument(flag, action="store_true", default=default, help=text)
    _complete(action, in_web_form=False)


def _complete(action: Action, *, in_web_form: bool) -> None:
    """Set what Locust's own add_argument would set, which groups skip."""
    vars(action).update(
        include_in_web_ui=in_web_form, is_secret=False, is_required=False, is_multiple=False
    )


def config_of(options: Namespace) -> Config:
    """All settings, checked. Raises ConfigError or UsageError."""
    names = (*FLAGS, *CAPACITY_FLAGS)
    config = load_config({name: getattr(options, name, None) for name in names})
    run_time = getattr(options, "run_time", None)
    if run_time and run_time <= config.load.warm_up:
        raise UsageError(
            f"--run-time {run_time:g} s ends within the warm-up of {config.load.warm_up:g} s.",
            hint="Run longer or pass a shorter --warm-up.",
        )
    return qualified(config)


def default_users(config: Config, dispatchers: int, subjects: int | None = None) -> int:
    """Users that suffice while a call takes up to 100 ms, over all dispatchers.

    `subjects` of the run are called, by default all.
    """
    subjects = len(run_subjects(config)) if subjects is None else subjects
    per_dispatcher = math.ceil(config.load.rate * subjects / dispatchers * BUSY_S)
    least, most = USERS_PER_DISPATCHER
    return dispatchers * min(most, max(least, per_dispatcher))
