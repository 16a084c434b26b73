"""The state that the callbacks of one Locust process share, kept as one object on its environment.

Locust hands its listeners and users an `Environment` and nothing else, so this object is stored
there as one attribute. `open_session` sets it, `session_of` reads it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final, Protocol

import gevent
from locust import User
from locust.env import Environment
from locust.runners import LocalRunner

from loadtests.errors import EXIT_ERROR, UsageError, exit_code_of, format_error

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
    was asked for in the web UI could not start, or had to end. `exit_code` is None while nothing
    went wrong. `on_abort` tells a cluster's master why its worker ends.
    """

    environment: Environment
    users: UserHost | None = None
    refusal: Exception | None = None
    exit_code: int | None = None
    on_abort: Callable[[Exception], None] | None = None

    def abort(self, error: Exception) -> bool:
        """Report an error and end Locust with exit code 2; False when that has begun already.

        A web UI stays, shows the error, and only its run ends: the next start may be right.
        """
        if self.exit_code == EXIT_ERROR or self.refusal is not None:
            return False
        print_error(error)
        runner = self.environment.runner
        if self.environment.web_ui is not None and isinstance(runner, LocalRunner):
            self.refusal = error
            gevent.spawn(runner.stop)
            return True
        self.exit_code = self.environment.process_exit_code = EXIT_ERROR
        if self.on_abort:
            self.on_abort(error)
        gevent.spawn(self._quit)
        return True

    def _quit(self) -> None:
        if self.environment.runner is not None:
            self.environment.runner.quit()
        if self.environment.web_ui is not None:
            self.environment.web_ui.stop()


def open_session(environment: Environment) -> LoadSession:
    """Start the session of this process."""
    session = LoadSession(environment)
    setattr(environment, _ATTRIBUTE, session)
    return session


def session_of(environment: Environment) -> LoadSession:
    """The session of this process. Raises UsageError before `open_session`."""
    session: LoadSession | None = getattr(environment, _ATTRIBUTE, None)
    if session is None:
        raise UsageError(
            "This Locust Environment has no load-test plugin, so its users have nothing to call.",
            hint="Make it with Environment(user_classes=…, events=locust.events) and call"
            " environment.events.init.fire(environment=…, runner=…, web_ui=…) before the start.",
        )
    return session


def exit_on_error(action: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a listener or greenlet so that every error ends Locust with a message and exit code 2.

    Locust itself logs what a listener raises and goes on: without load, and to exit code 0.
    """

    @wraps(action)
    def guarded(*arguments: Any, **keywords: Any) -> Any:
        try:
            return action(*arguments, **keywords)
        except Exception as error:  # noqa: BLE001 (a crash must not look like a verdict)
            print_error(error)
            sys.exit(exit_code_of(error))

    return guarded


def print_error(error: Exception) -> None:
    """Write the message and the hint to standard error."""
    sys.stderr.write(format_error(error) + "\n")
