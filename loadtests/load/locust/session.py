"""The state that the callbacks of one Locust process share, kept as one object on its environment.

Locust hands its listeners and users an `Environment` and nothing else, so this object is stored
there as one attribute. `open_session` sets it, `session_of` reads it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final, Protocol

import gevent
from locust import User
from locust.env import Environment

from loadtests.errors import EXIT_ERROR, LoadtestsError, format_error

_ATTRIBUTE: Final = "loadtests_session"


class UserHost(Protocol):
    """Gives Locust users what they need for their calls (`assignment.UserAssignment`)."""

    def join(self, user: User) -> None:
        """Assign a user to a group and open its stores."""

    def leave(self, user: User) -> None:
        """Close a user's stores."""


@dataclass(slots=True, eq=False)
class LoadSession:
    """One load-test process.

    `users` is None until the load of a run is built. `refusal` is the reason why the last run that
    was asked for in the web UI could not start. `exit_code` is None while nothing went wrong.
    """

    environment: Environment
    users: UserHost | None = None
    refusal: LoadtestsError | None = None
    exit_code: int | None = None

    def abort(self, error: LoadtestsError) -> None:
        """Report an error once and end Locust with exit code 2."""
        if self.exit_code == EXIT_ERROR:
            return
        self.exit_code = EXIT_ERROR
        print_error(error)
        if self.environment.runner:
            gevent.spawn(self.environment.runner.quit)


def open_session(environment: Environment) -> LoadSession:
    """Start the session of this process."""
    session = LoadSession(environment)
    setattr(environment, _ATTRIBUTE, session)
    return session


def session_of(environment: Environment) -> LoadSession:
    """The session of this process. Raises RuntimeError before `open_session`."""
    session: LoadSession | None = getattr(environment, _ATTRIBUTE, None)
    if session is None:
        raise RuntimeError("The load-test plugin has not been initialised in this process.")
    return session


def print_error(error: Exception) -> None:
    """Write the message and the hint to standard error."""
    sys.stderr.write(format_error(error) + "\n")
