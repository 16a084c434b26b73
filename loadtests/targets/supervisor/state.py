"""The state file of `loadtests targets up`, whose databases stay up between commands."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from loadtests.atomic_files import write_atomically
from loadtests.targets.embedded.download import cache_folder
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_from_json, endpoints_to_json
from loadtests.targets.supervisor.process import living


@dataclass(frozen=True, slots=True)
class SupervisorState:
    """A running supervisor: its process id, creation time (ids are reused) and endpoints."""

    pid: int
    created: float
    endpoints: Endpoints


def state_file(environ: Mapping[str, str]) -> Path:
    """The path of the state file, which contains a password: only its owner may read it."""
    return cache_folder(environ) / "targets-up.json"


def find_supervisor(environ: Mapping[str, str]) -> SupervisorState | None:
    """The supervisor of `targets up`, or None; the state file of one that has died is removed."""
    path = state_file(environ)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        state = SupervisorState(
            int(content["pid"]),
            float(content["created"]),
            endpoints_from_json(content["endpoints"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        state = None
    if state is None or process_of(state) is None:
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    return state


def process_of(state: SupervisorState) -> psutil.Process | None:
    """The supervisor's process, or None if it has ended."""
    return living(state.pid, state.created)


def write_state(environ: Mapping[str, str], endpoints: Endpoints) -> None:
    """Write the state with this process as the supervisor; the file appears whole or not at all."""
    path = state_file(environ)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = asdict(SupervisorState(os.getpid(), psutil.Process().create_time(), endpoints))
    content["endpoints"] = endpoints_to_json(endpoints)
    write_atomically(path, json.dumps(content).encode(), mode=0o600)


def remove_state(environ: Mapping[str, str]) -> None:
    """Delete the state file if this process wrote it."""
    state = find_supervisor(environ)
    if state and state.pid == os.getpid():
        state_file(environ).unlink(missing_ok=True)
