"""The harness's Locust arguments, and the `Config` that they, the environment and the file make."""

from __future__ import annotations

import math
from argparse import Namespace
from typing import Any, Final

from loadtests.config import Config, load_config
from loadtests.errors import UsageError
from loadtests.load.subjects import qualified, run_subjects

# what Locust shows in its web form; the rest is set once, at the start
_IN_WEB_UI: Final = {"backend", "driver", "rate", "arrivals", "warm_up", "seed"}
FLAGS: Final = (
    "backend", "driver", "rate", "arrivals", "warm_up", "seed", "subjects", "blocks",
    "dynamodb_endpoint", "postgres_dsn", "region", "results", "allow_remote",
    "from", "growth", "step_time", "settle",  # of a climb: load/climb.py
)  # fmt: skip
USERS_PER_DISPATCHER: Final = (8, 256)
BUSY_S: Final = 0.1  # users for a database that takes 100 ms, ten times the promise


def add_arguments(parser: Any) -> None:
    """Add the flags to Locust's parser; defaults come from loadtests.toml and the environment."""
    config = load_config()
    # Locust's own defaults listen on every interface; `*` or an address asks for that
    parser.set_defaults(web_host="127.0.0.1", master_bind_host="127.0.0.1")
    load, targets = config.load, config.targets
    group = parser.add_argument_group(
        "CloudShelf load tests",
        "Defaults come from loadtests.toml and LOADTESTS_… environment variables.",
    )

    def add(flag: str, **options: Any) -> None:
        name = flag.removeprefix("--").replace("-", "_")
        action = group.add_argument(flag, **options)
        # groups skip Locust's own add_argument, which would set these
        action.include_in_web_ui = name in _IN_WEB_UI
        action.is_secret = action.is_required = action.is_multiple = False

    add(
        "--backend",
        choices=["both", "dynamodb", "postgres"],
        default=load.backend,
        help="Which databases take part.",
    )
    add("--driver", choices=["wire", "boto3"], default=load.driver, help="How DynamoDB is called.")
    add(
        "--rate",
        type=float,
        default=load.rate,
        metavar="PER_SECOND",
        help="Arrivals per second on each backend, over the whole cluster.",
    )
    add(
        "--arrivals",
        choices=["poisson", "constant"],
        default=load.arrivals,
        help="The arrival process.",
    )
    add(
        "--warm-up",
        type=float,
        default=load.warm_up,
        metavar="SECONDS",
        help="Time at the start that is not judged.",
    )
    add("--seed", type=int, default=load.seed, help="For data, keys and arrivals.")
    add(
        "--subjects",
        default=load.subjects,
        metavar="'X Y'",
        help="Two to be compared in this run, such as 'wire boto3' (loadtests compare).",
    )
    add(
        "--blocks",
        type=int,
        default=load.blocks,
        metavar="SECONDS",
        help="How long a turn of theirs lasts; 0: side by side.",
    )
    add(
        "--dynamodb-endpoint",
        default=targets.dynamodb_endpoint,
        metavar="embedded|aws|URL",
        help="Where DynamoDB is.",
    )
    add(
        "--postgres-dsn",
        metavar="embedded|DSN",
        help="Where PostgreSQL is.",
    )
    add("--region", default=targets.region, help="AWS region.")
    add("--results", default=config.results, metavar="DIR", help="Where run folders go.")
    add(
        "--allow-remote",
        action="store_true",
        default=targets.allow_remote,
        help="Permit targets that are not on this machine.",
    )
    add(
        "--no-provision",
        action="store_true",
        default=False,
        help="Take tables and data as they are: seeded before, with the same seed and sizes.",
    )
    add("--no-report", action="store_true", default=False,
        help="Write the run folder, but neither judge nor draw it.")  # fmt: skip


def config_of(options: Namespace) -> Config:
    """All settings, checked. Raises ConfigError or UsageError."""
    config = load_config({flag: getattr(options, flag, None) for flag in FLAGS})
    run_time = getattr(options, "run_time", None)
    if run_time and run_time <= config.load.warm_up:
        raise UsageError(
            f"--run-time {run_time:g} s ends within the warm-up of {config.load.warm_up:g} s.",
            hint="Run longer or pass a shorter --warm-up.",
        )
    return qualified(config)


def default_users(config: Config, dispatchers: int) -> int:
    """Users that suffice while a call takes up to 100 ms, over all dispatchers."""
    per_dispatcher = math.ceil(config.load.rate * len(run_subjects(config)) / dispatchers * BUSY_S)
    least, most = USERS_PER_DISPATCHER
    return dispatchers * min(most, max(least, per_dispatcher))
