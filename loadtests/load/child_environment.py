"""What a gate passes to the processes that it starts for a run, in environment variables."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from pydantic import TypeAdapter

from loadtests.measure.results import SubjectInfo
from loadtests.targets.endpoints import Endpoints
from loadtests.targets.supervisor.messages import endpoints_from_json, endpoints_to_json

# the endpoints as JSON, with the DSN: not an argument, which `ps` would show
ENDPOINTS_VARIABLE: Final = "LOADTESTS_ENDPOINTS"
RUN_ID_VARIABLE: Final = "LOADTESTS_RUN_ID"
REHEARSAL_VARIABLE: Final = "LOADTESTS_REHEARSAL"
# where each subject has a process of its own: what is known of them, for the master
SUBJECT_FACTS_VARIABLE: Final = "LOADTESTS_SUBJECT_FACTS"
# which one a worker serves
SERVED_SUBJECT_VARIABLE: Final = "LOADTESTS_SERVED_SUBJECT"
_SUBJECTS: Final = TypeAdapter(list[SubjectInfo])


def environment_for_child(endpoints: Endpoints, run_id: str) -> dict[str, str]:
    """This process's environment and the three variables, for a child."""
    given = {
        ENDPOINTS_VARIABLE: json.dumps(endpoints_to_json(endpoints)),
        RUN_ID_VARIABLE: run_id,
        REHEARSAL_VARIABLE: "1",
    }
    return os.environ | given


def inherited_endpoints(environ: Mapping[str, str]) -> Endpoints | None:
    """The endpoints that were passed; None where this process is to open its own."""
    given = environ.get(ENDPOINTS_VARIABLE)
    return endpoints_from_json(json.loads(given)) if given else None


def may_rehearse(environ: Mapping[str, str]) -> bool:
    """Whether the process that started this one waits for time 0 of the run.

    In a Locust that was started by hand, the timer of --run-time is running already, and a
    rehearsal would shorten the run.
    """
    return environ.get(REHEARSAL_VARIABLE) == "1"


def inherited_subjects(environ: Mapping[str, str]) -> list[SubjectInfo]:
    """What is known of subjects with a process of their own, for the record of the run."""
    return _SUBJECTS.validate_json(environ.get(SUBJECT_FACTS_VARIABLE) or "[]")


def served_subject(environ: Mapping[str, str]) -> str:
    """The name of the only subject that this process calls; empty where it calls all."""
    return environ.get(SERVED_SUBJECT_VARIABLE, "")


def run_id_for(scenario: str, environ: Mapping[str, str]) -> str:
    """The run folder's name that was passed, else a new one: UTC time, scenario, six letters."""
    return environ.get(RUN_ID_VARIABLE) or new_run_id(scenario)


def new_run_id(scenario: str) -> str:
    """A name that sorts by time and is taken by no other run."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{scenario}-{uuid.uuid4().hex[:6]}"
