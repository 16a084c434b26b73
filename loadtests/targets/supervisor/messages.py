"""The messages between a run and its supervisor, one JSON line each.

The run sends one `SupervisorRequest` and keeps its end of the pipe open; for databases that are to
outlive it, it ends with `KEEP`. The supervisor sends progress, then endpoints or an error, then
nothing more. If the request says `confirm`, the supervisor sends `TablesReady` before it seeds, and
waits for `SEED`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from loadtests import errors
from loadtests.config import Config
from loadtests.errors import LoadtestsError, TargetError
from loadtests.targets.endpoints import AwsKeys, DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.progress import Progress

KEEP: Final = b"keep\n"
SEED: Final = b"seed\n"

JsonObject = dict[str, Any]  # as `json` reads it: of any types until checked


@dataclass(frozen=True, slots=True)
class SupervisorRequest:
    """Which databases to open, and whether to set them up and seed them.

    `reached` are databases that are open already: nothing about them is resolved again.
    """

    config: Config
    backends: tuple[str, ...]
    provision: bool = True
    keep: bool = False
    dynamodb_port: int | None = None
    postgres_port: int | None = None
    reached: Endpoints | None = None
    confirm: bool = False

    def line(self) -> bytes:
        """The line to send by pipe, not as an argument: it may contain a password."""
        content = {
            "config": self.config.model_dump(mode="json", by_alias=True),
            "backends": self.backends,
            "provision": self.provision,
            "keep": self.keep,
            "dynamodb_port": self.dynamodb_port,
            "postgres_port": self.postgres_port,
            "reached": endpoints_to_json(self.reached) if self.reached else None,
            "confirm": self.confirm,
        }
        return json.dumps(content).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> SupervisorRequest:
        """Read what `line` wrote. Raises ValueError."""
        content = json.loads(line)
        content["config"] = Config.model_validate(content["config"])
        content["backends"] = tuple(content["backends"])
        if content.get("reached"):
            content["reached"] = endpoints_from_json(content["reached"])
        return cls(**content)


def endpoints_to_json(endpoints: Endpoints) -> JsonObject:
    """Plain values, including the DSN with its password and an emulator's keys."""
    return asdict(endpoints)


def endpoints_from_json(content: JsonObject) -> Endpoints:
    """Read what `endpoints_to_json` wrote. Raises TypeError, KeyError."""
    dynamodb, postgres = content["dynamodb"], content["postgres"]
    keys = dynamodb["keys"] if dynamodb else None
    return Endpoints(
        DynamoDBEndpoint(**dynamodb | {"keys": keys and AwsKeys(*keys)}) if dynamodb else None,
        PostgresEndpoint(**postgres) if postgres else None,
    )


@dataclass(frozen=True, slots=True)
class TablesReady:
    """All tables exist; the supervisor seeds them once the run has sent `SEED`."""

    endpoints: Endpoints


Message = Progress | TablesReady | Endpoints | LoadtestsError


def write_message(message: Message) -> bytes:
    """One line for the run."""
    content: JsonObject
    if isinstance(message, Progress):
        content = {"event": "progress", **asdict(message)}
    elif isinstance(message, TablesReady):
        content = {"event": "tables", "endpoints": endpoints_to_json(message.endpoints)}
    elif isinstance(message, Endpoints):
        content = {"event": "ready", "endpoints": endpoints_to_json(message)}
    else:
        content = {
            "event": "error",
            "error": type(message).__name__,
            "message": message.message,
            "hint": message.hint,
        }
    return json.dumps(content).encode() + b"\n"


def read_message(line: bytes) -> Message:
    """Read what `write_message` wrote. Raises ValueError, TypeError, KeyError."""
    content = json.loads(line)
    event = content.pop("event")
    if event == "progress":
        return Progress(**content)
    if event == "tables":
        return TablesReady(endpoints_from_json(content["endpoints"]))
    if event == "ready":
        return endpoints_from_json(content["endpoints"])
    error_class = getattr(errors, content["error"], TargetError)
    error: LoadtestsError = error_class(content["message"], hint=content["hint"])
    return error
