"""Every error a user can meet.

::

    LoadtestsError               exit code 2, carries a hint
    ├── UsageError               a flag, verb or argument that makes no sense
    ├── ConfigError              loadtests.toml, environment or flags; names every problem at once
    ├── TargetError              a database that cannot be started, reached or logged in to
    │   └── DownloadError        an embedded target that could not be fetched or verified
    ├── ProvisionError           a table or schema that is not what CloudShelf's should be
    ├── ResultsError             a run folder or baseline that cannot be read
    └── CallError                one call to a store that failed; recorded by its name
        ├── QuantityRefused      the quantity would leave 1-99
        ├── LineNotFound         update or remove of a cart line that is not there
        ├── SessionNotFound      refresh or summary of a session that is not there, or is expired
        ├── ResponseInvalid      the database answered, but not with what was stored
        ├── CallTimeout          no answer within the driver's timeout
        └── BackendError         any other refusal, under the name the database gives it

The command line (`__main__.py`), the Locust plugin and the pytest plugin show them, each through
`format_error`. Any other exception is a fault of the harness and ends with exit code 2 too: exit
code 1 means FAIL and nothing else.
"""

from __future__ import annotations

import errno
import os
import traceback
from typing import Final

DEBUG_VARIABLE: Final = "LOADTESTS_DEBUG"
EXIT_PASS, EXIT_FAIL, EXIT_ERROR, EXIT_INCONCLUSIVE, EXIT_INVALID = 0, 1, 2, 3, 4


class LoadtestsError(Exception):
    """What happened and to what (the message), and what to do about it (the hint)."""

    exit_code = EXIT_ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Terminated(KeyboardInterrupt):
    """SIGTERM ends the process, with everything taken down as after Ctrl-C."""


class UsageError(LoadtestsError):
    """A flag, verb or argument that makes no sense."""


class ConfigError(LoadtestsError):
    """Settings that cannot be used: one line of `problems` for each."""

    def __init__(self, source: str, problems: list[str], *, hint: str = "") -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"{source} has {count}:\n" + "\n".join(f"  {p}" for p in problems), hint=hint
        )
        self.problems = problems


class TargetError(LoadtestsError):
    """A database that cannot be started, reached or logged in to."""


class DownloadError(TargetError):
    """An embedded target that could not be fetched or verified."""


class ProvisionError(LoadtestsError):
    """A table or schema that is not what CloudShelf's should be."""


class ResultsError(LoadtestsError):
    """A run folder or baseline that cannot be read."""


class CallError(LoadtestsError):
    """One call to a store that failed; `name` is what the run's error counts show."""

    def __init__(self, message: str = "", *, name: str = "") -> None:
        super().__init__(message or (self.__doc__ or ""))
        self.name = name or type(self).__name__


class QuantityRefused(CallError):
    """The quantity would leave 1-99."""


class LineNotFound(CallError):
    """The cart has no such line."""


class SessionNotFound(CallError):
    """There is no live session of that id."""


class ResponseInvalid(CallError):
    """The database answered, but not with what was stored."""


class CallTimeout(CallError):
    """No answer within the driver's timeout."""


class BackendError(CallError):
    """Any other refusal, under the name the database gives it."""


def format_error(error: BaseException) -> str:
    """The error as lines to show: what happened, and what to do about it.

    Of an exception that is none of ours, the kind and message in one line; with --debug or
    LOADTESTS_DEBUG also its trace.
    """
    if isinstance(error, LoadtestsError):
        lines = f"Error: {error.message}" + (f"\nHint: {error.hint}" if error.hint else "")
        # names of files, and what other programs said, may hold what a terminal obeys
        return "".join(char if char in "\n\t" or ord(char) >= 32 else "�" for char in lines)
    trace = _trace_of(error) if is_debugging() else ""
    if isinstance(error, OSError) and error.errno in _HINTS and error.filename is not None:
        reason = error.strerror or type(error).__name__
        return f"{trace}Error: {reason}: {error.filename}\nHint: {_HINTS[error.errno]}"
    text = _text_of(error)
    summary = f"Error: Internal error: {type(error).__name__}" + (f": {text}" if text else "")
    if trace:
        return trace + summary
    return f"{summary}\nHint: Run `loadtests --debug …`, or set {DEBUG_VARIABLE}=1, for the trace."


# the machine's refusals, which are no defect of the harness where they name a file
_HINTS: Final = {
    errno.EACCES: "Give this user the right to it, or name another folder.",
    errno.EPERM: "Give this user the right to it, or name another folder.",
    errno.EROFS: "The disk is read-only: name another folder with --results.",
    errno.ENOSPC: "Free some space, or name another folder with --results.",
    errno.EDQUOT: "Free some of this user's quota, or name another folder with --results.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
    errno.ENFILE: "The machine has too many open files: close some programs.",
    errno.ENAMETOOLONG: "Use a shorter path.",
    errno.EIO: "The disk reports an error: try another one.",
    errno.ESTALE: "The network disk has lost the file: try again, or another disk.",
}


def _text_of(error: BaseException) -> str:
    """The exception's message in one line; empty where it cannot say it."""
    try:
        return " ".join(str(error).split())[:1000]
    except Exception:  # noqa: BLE001 (an exception whose text fails)
        return ""


def _trace_of(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 (an exception whose text fails, or no memory for it)
        return "(The trace cannot be shown.)\n"


def exit_code_of(error: BaseException) -> int:
    """The exit code that an error ends the process with; never that of a verdict."""
    return error.exit_code if isinstance(error, LoadtestsError) else EXIT_ERROR


def is_debugging() -> bool:
    """Whether traces are shown."""
    return os.environ.get(DEBUG_VARIABLE, "").lower() not in {"", "0", "false", "no"}
