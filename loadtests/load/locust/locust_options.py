"""Locust's own options: what means nothing for open-loop users is refused, in one sentence.

Locust reads options from the command line, LOCUST_… variables, ./locust.conf, ~/.locust.conf and
[tool.locust] in ./pyproject.toml. A Locust started by hand follows all of them, except those that
`REFUSED` lists: they would change or end the measurement without a word. A Locust that a verb
starts follows none of them (`verb_child.py`).
"""

from __future__ import annotations

import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from typing import Any, Final

import psutil
from locust import User
from locust.env import Environment

from loadtests.errors import UsageError
from loadtests.load.locust.session import exit_on_error

LEAVE_OUT: Final = "Leave it out"
# option: (why it is refused, what to do)
REFUSED: Final[dict[str, tuple[str, str]]] = {
    "tags": (
        "their access patterns have no tags, so nothing would be called",
        f"{LEAVE_OUT}; choose access patterns with the scenario (-f).",
    ),
    "exclude_tags": (
        "their access patterns have no tags",
        f"{LEAVE_OUT}; choose access patterns with the scenario (-f).",
    ),
    "class_picker": (
        "the classes of a run are those of its scenario",
        f"{LEAVE_OUT}; name classes at the end of the command line, or choose them with -f.",
    ),
    "config_users": (
        "it replaces what they measure",
        f"{LEAVE_OUT}; set weights and shares in the scenario.",
    ),
    "equal_weights": (
        "the shares of access patterns are part of the scenario",
        f"{LEAVE_OUT}; set equal shares in the scenario.",
    ),
    "enable_rebalancing": (
        "users that move to another worker during a run distort it",
        f"{LEAVE_OUT}; start all workers before the run.",
    ),
    "host": (
        "they call no web site",
        f"{LEAVE_OUT}; --dynamodb-endpoint and --postgres-dsn say what they call.",
    ),
    "otel": ("a trace of every call would add to its time", f"{LEAVE_OUT}."),
}
_DEFAULT_PORT: Final = 5557
_chosen_ports: set[int] = set()


def check_when_parsed(parser: ArgumentParser) -> None:
    """Check the options as soon as Locust has parsed them, before it starts anything."""
    parse = parser.parse_args

    def parse_and_check(*arguments: Any, **keywords: Any) -> Namespace:
        options: Namespace = parse(*arguments, **keywords)
        exit_on_error(check_options)(options, _sources_of(parser))
        return options

    parser.parse_args = parse_and_check  # type: ignore[assignment]


def _sources_of(parser: Any) -> dict[str, str]:
    """Where each option was set that is not from the command line, by its destination."""
    sources: dict[str, str] = {}
    read: Callable[[], dict[str, Any]] = getattr(parser, "get_source_to_settings_dict", dict)
    for source, settings in read().items():
        if source == "environment_variables":
            for name, (action, _) in settings.items():
                sources[action.dest] = f"The variable {name}"
        elif source.startswith("config_file"):
            file = source.partition("|")[2]
            for name, (action, _) in settings.items():
                if action is not None:
                    sources[action.dest] = f"{name} in {file}"
    return sources


def check_options(options: Namespace, sources: dict[str, str]) -> None:
    """Refuse options that cannot be honoured, and choose a master port. Raises UsageError."""
    for name, (reason, hint) in REFUSED.items():
        if getattr(options, name, None):
            source = sources.get(name) or "--" + name.replace("_", "-")
            raise UsageError(f"{source} means nothing for open-loop users: {reason}.", hint=hint)
    for message, hint in _contradictions(options):
        raise UsageError(message, hint=hint)
    _check_classes(getattr(options, "user_classes", None) or [])
    _choose_master_port(options, sources)


def _contradictions(options: Namespace) -> Iterator[tuple[str, str]]:
    """Combinations for which Locust itself ends with 1, which is the exit code of a FAIL."""
    processes = getattr(options, "processes", None)
    if processes is not None and processes < -1:
        yield (
            f"--processes is {processes}.",
            "Give the number of load processes, or -1 for one per CPU.",
        )
    if processes and getattr(options, "master", False):
        yield ("--master and --processes exclude each other.", "Leave out --master.")
    if getattr(options, "master", False) and getattr(options, "worker", False):
        yield ("--master and --worker exclude each other.", "Leave one of them out.")
    if getattr(options, "autoquit", -1) != -1 and not getattr(options, "autostart", False):
        yield ("--autoquit has no meaning without --autostart.", "Add --autostart.")
    path = getattr(options, "web_base_path", "")
    if path and not path.startswith("/"):
        yield (f"--web-base-path {path} does not start with a slash.", f"Write /{path}.")
    if getattr(options, "run_time", None) == 0:
        yield ("--run-time is 0.", "Give a time such as 60s, or leave it out to run until Ctrl-C.")
    if getattr(options, "exit_code_on_error", 1) != 1:
        yield (
            "--exit-code-on-error has no effect: the exit code is that of the verdict.",
            f"{LEAVE_OUT}.",
        )


def _check_classes(names: list[str]) -> None:
    known = {cls.__name__ for cls in _subclasses(User)}
    for name in names:
        if name not in known:
            raise UsageError(
                f"The scenario has no user class {name}.",
                hint="`locust --list` shows those that it has.",
            )


def _subclasses(cls: type) -> Iterator[type]:
    each: type
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


def _choose_master_port(options: Namespace, sources: dict[str, str]) -> None:
    """A free port for the workers that --processes starts; else the port must not be in use."""
    forks = bool(getattr(options, "processes", None)) and not getattr(options, "worker", False)
    if not (forks or getattr(options, "master", False)):
        return
    host = "" if options.master_bind_host == "*" else options.master_bind_host
    port = options.master_bind_port
    if forks and port == _DEFAULT_PORT and "master_bind_port" not in sources:
        options.master_bind_port = options.master_port = free_port(host)
    elif port not in _chosen_ports:
        check_port(host, port, "--master-bind-port")
        _chosen_ports.add(port)  # Locust parses again later, when this process uses it itself


def free_port(host: str = "127.0.0.1") -> int:
    """A port that no program uses at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int, option: str) -> None:
    """Refuse a port that cannot be listened on. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        where = f"{host or 'all interfaces'}, port {port}"
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"Locust cannot listen on {where}: {reason}.",
            hint=f"End the program that uses it ({_user_of(port)}), or give another {option}."
            if _user_of(port)
            else f"Give another {option}.",
        ) from None


def _user_of(port: int) -> str:
    """The program that listens on a port, where the system says so; else empty."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid}"
    except (psutil.Error, OSError):
        pass
    return ""


def check_environment(environment: Environment) -> None:
    """Refuse what a locustfile, or a program that uses Locust as a library, adds to our users.

    Raises UsageError.
    """
    if environment.shape_class is not None:
        raise UsageError(
            f"{type(environment.shape_class).__name__} changes the number of users over time, and"
            " the load of open-loop users does not depend on that number.",
            hint="Remove the LoadTestShape; give the class a profile() of its own, as"
            " CapacityRamp does, or use --rate.",
        )
    if environment.tags or environment.exclude_tags:
        reason, _ = REFUSED["tags"]
        raise UsageError(
            f"Tags mean nothing for open-loop users: {reason}.",
            hint="Make the Environment without tags.",
        )
