"""A command with a parent death signal: which signals end it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from loadtests.targets.supervisor.process import with_pdeathsig

WAIT = "import signal; print('ready', flush=True); signal.pause()"
# the same command as a background job of a shell, or under nohup
IGNORED = ("sh", "-c", "trap '' INT HUP TERM; exec \"$@\"", "sh")


def start(code: str, number: signal.Signals) -> subprocess.Popen[str]:
    command = with_pdeathsig([sys.executable, "-c", code], owner=None, on_parent_death=number)
    return subprocess.Popen([*IGNORED, *command], stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_signal_ends_it_also_where_the_parent_ignores_that_signal(
    number: signal.Signals,
) -> None:
    with start(WAIT, number) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        # Python ends itself by SIGINT after its KeyboardInterrupt
        assert process.wait(30) == -number


def test_other_signals_stay_as_inherited() -> None:
    code = "import signal as s; print(s.getsignal(s.SIGHUP).name, s.getsignal(s.SIGTERM).name)"
    with start(code, signal.SIGTERM) as process:
        output, _ = process.communicate(timeout=30)
    assert output == "SIG_IGN SIG_DFL\n"
