"""Who may use the web UI, and what a request may change.

The web UI starts load, so it is a control panel. Every page that its owner's browser shows can send
requests to it, also when it listens on 127.0.0.1 alone. So each request is checked before Locust or
the CloudShelf tab answers it:

- its `Host` must be a name of this server (a foreign name that resolves here is DNS rebinding);
- another site's page may link to the web UI, and nothing else (`Origin`, `Referer`, `Sec-Fetch-*`);
- a start may change what the form shows; settings such as endpoints, `--allow-remote` and
  `--results` belong to the command line.

A program without these headers, such as curl, may do what the form may.
"""

from __future__ import annotations

import ipaddress
import socket
from argparse import Namespace
from collections.abc import Callable, Collection, Iterable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

import psutil
from flask import Request, Response, jsonify, request
from locust import argument_parser
from locust.util.timespan import parse_timespan

from loadtests.errors import LoadtestsError, UsageError

_WILDCARDS: Final = frozenset({"", "*", "0.0.0.0", "::"})  # noqa: S104 (compared, not bound)
_READING: Final = frozenset({"GET", "HEAD"})
_FRAMES: Final = frozenset({"iframe", "frame", "embed", "object"})
# fields of Locust's own form; `profile` is a label in its reports
_LOCUST_FIELDS: Final = frozenset({"user_count", "spawn_rate", "run_time", "host", "profile"})
_SWARM, _USER = "locust.swarm", "locust.update_user"
FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """The names by which this server may be addressed; loopback names always are.

    `proxies` are those of the setting `allowed_hosts`, `own` those of the address listened on.
    """

    own: frozenset[str]
    proxies: frozenset[str]

    @classmethod
    def of(cls, web_host: str, allowed_hosts: str) -> Self:
        """The names for `--web-host`, and those that `--allowed-hosts` adds."""
        own = _names_of_this_machine() if web_host in _WILDCARDS else {web_host.lower()}
        proxies = {name.strip().lower() for name in allowed_hosts.split(",") if name.strip()}
        return cls(frozenset(own), frozenset(proxies))

    def allow(self, host: str) -> bool:
        """Whether a `Host` header, with or without a port, names this server."""
        name = _name_of(f"//{host}")
        return name in self.own or name in self.proxies or _is_loopback(name)


def _names_of_this_machine() -> set[str]:
    addresses = {
        address.address.partition("%")[0].lower()
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in {socket.AF_INET, socket.AF_INET6}
    }
    return addresses | {socket.gethostname().lower()}


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _place_of(url: str) -> str:
    """Host and port of an address, as a `Host` header has them; `null` for an opaque origin."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower() or "null"
    except ValueError:
        return "null"


def sender_problem(sent: Request, hosts: AllowedHosts) -> str:
    """Why a request may not come from where it comes from; empty when it may."""
    host = sent.headers.get("Host", "").lower()
    if not hosts.allow(host):
        return (
            f"The request is for the host {host!r}, which is no name of this web UI. If it is the"
            " name of a proxy of yours, start Locust with --allowed-hosts NAME."
        )
    reads = sent.method in _READING
    senders = [sent.headers.get("Origin")]
    if not reads:
        senders.append(sent.headers.get("Referer"))
    for sender in senders:
        if sender is None:
            continue
        if _place_of(sender) != host and _name_of(sender) not in hosts.proxies:
            return f"The request comes from a page of {_place_of(sender)!r}, not of this web UI."
    if sent.headers.get("Sec-Fetch-Site", "none") in {"same-origin", "none"}:
        return ""
    if any(sender and _name_of(sender) in hosts.proxies for sender in senders):
        return ""
    follows_link = (
        reads
        and sent.headers.get("Sec-Fetch-Mode") == "navigate"
        and sent.headers.get("Sec-Fetch-Dest") not in _FRAMES
    )
    return "" if follows_link else "The request comes from a page of another site."


class RunForm:
    """What Locust's form may change, and when."""

    def __init__(
        self,
        options: Namespace,
        check: Callable[[Namespace], None],
        *,
        is_running: Callable[[], bool],
        is_preparing: Callable[[], bool],
        shown: Callable[[], Collection[str]] = argument_parser.ui_extra_args_dict,
    ) -> None:
        self._options = options
        self._check = check
        self._is_running = is_running
        self._is_preparing = is_preparing
        self._shown = shown

    def problem(self, form: Mapping[str, str]) -> str:
        """Why a start with this form is refused; empty when it may go on to Locust."""
        try:
            self._try(form)
        except LoadtestsError as error:
            return f"{error.message} {error.hint}".strip()
        if not form.get("run_time"):
            self._options.run_time = None  # Locust keeps the last one, without its timer
        return ""

    def _try(self, form: Mapping[str, str]) -> None:
        if self._is_preparing():
            raise UsageError("The run is being prepared.", hint="Wait, or stop it first.")
        shown = set(self._shown())
        unknown = sorted(set(form) - shown - _LOCUST_FIELDS)
        if unknown:
            raise UsageError(
                f"The web UI may not change {_listed(unknown)}.",
                hint="Start Locust with that setting instead.",
            )
        if form.get("host"):
            raise UsageError(
                "A host means nothing for these users.",
                hint="--dynamodb-endpoint and --postgres-dsn say what they call.",
            )
        wanted = copy(self._options)
        changed = sorted(name for name in shown & set(form) if self._apply(wanted, name, form))
        if self._is_running():
            if changed:
                raise UsageError(
                    f"A run is in progress, and {_listed(changed)} cannot change during it.",
                    hint="Stop it first.",
                )
            return
        wanted.run_time = _run_time_s(form.get("run_time", ""))
        wanted.num_users = _number("user_count", form.get("user_count", ""), int)
        wanted.spawn_rate = _number("spawn_rate", form.get("spawn_rate", ""), float)
        self._check(wanted)

    def _apply(self, wanted: Namespace, name: str, form: Mapping[str, str]) -> bool:
        """Set an option as Locust does, keeping its type; whether that changes it."""
        current = getattr(wanted, name, None)
        if current is None or isinstance(current, list):
            return False  # a field of the scenario's own
        is_switch = isinstance(current, bool)
        value = form[name] == "true" if is_switch else _number(name, form[name], type(current))
        setattr(wanted, name, value)
        return bool(value != current)


def _number(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}, which is not a number.") from None


def _run_time_s(text: str) -> int | None:
    if not text:
        return None
    try:
        return int(parse_timespan(text))
    except ValueError:
        raise UsageError(
            f"The run time {text!r} is not a time.", hint="Write 90, 90s, 3m or 1h30m."
        ) from None


def _listed(names: Iterable[str]) -> str:
    return ", ".join("--" + name.replace("_", "-") for name in names)


def guard_web_ui(web_ui: Any, hosts: AllowedHosts, form: RunForm) -> None:
    """Check every request to a Locust web UI, Locust's own routes included."""

    def check() -> Response | None:
        problem = sender_problem(request, hosts)
        if not problem and request.endpoint == _USER:
            problem = "Users of a load test are changed in its scenario, not here."
        if problem:
            return Response(problem + "\n", status=FORBIDDEN, mimetype="text/plain")
        if request.endpoint == _SWARM and request.method == "POST":
            problem = form.problem(request.form)
            if problem:
                answer: Response = jsonify({"success": False, "message": problem, "host": ""})
                return answer
        return None

    def forbid_frames(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "frame-ancestors 'self'"
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        return response

    web_ui.app.before_request(check)
    web_ui.app.after_request(forbid_frames)
