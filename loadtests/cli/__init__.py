"""The verbs. With `__main__.py`, the only place that prints or exits.

Each verb is a module beside this one whose `command` is a click command, loaded when named so
that `loadtests --help` stays quick.
"""

from __future__ import annotations

import importlib
import os
from typing import Final

import click

import loadtests
from loadtests.cli.options import config_option
from loadtests.errors import DEBUG_VARIABLE
from loadtests.interpreter import other_package, other_package_notice

VERBS: Final = {
    "init": "Write a scenario, settings and a CI job into your own project.",
    "gate": "Set up, run cart and session load, judge, report; the exit code is the verdict.",
    "report": "Rebuild the reports of one run, or compare several.",
    "compare": "Compare two runs or sets of runs, or interleave two subjects.",
    "baseline": "Promote, list and show baselines.",
    "history": "Every run's figures over time, with change points.",
    "verify": "CloudShelf's set-up checklist against the targets.",
    "targets": "Start, show and stop the embedded databases.",
    "calibrate": "Prove the reported percentiles against servers of known latency.",
    "capacity": "Find the highest rate that keeps the promise.",
    "plan": "How long a run must be to decide its limits.",
    "settings": "Every setting with its value and its source.",
}

# they import scenarios and factories of the user, or write what does
_IMPORTING: Final = ("init", "gate", "compare", "capacity", "plan")


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(loadtests.__version__, prog_name="loadtests")
@config_option
@click.option("--debug", is_flag=True, help="Show the trace of an internal error.")
@click.pass_context
def root(context: click.Context, /, debug: bool) -> None:
    """Latency gate and load tests for CloudShelf's carts and sessions.

    Exit codes: 0 PASS, 1 FAIL, 2 usage, configuration, target or internal error, 3 INCONCLUSIVE,
    4 INVALID.
    """
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"  # the processes that a verb starts show theirs, too
    if context.invoked_subcommand in _IMPORTING and (other := other_package()):
        click.echo(f"Notice: {other_package_notice(other)}", err=True)
