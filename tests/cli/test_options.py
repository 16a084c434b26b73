"""The verbs' options: every flag is kept, and each has one text and the model's default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click
import pytest
from click.testing import CliRunner

from loadtests.cli import VERBS, root
from loadtests.cli.options import with_default
from loadtests.config import SETTINGS

RUN: Final = (
    "--driver --arrivals --warm-up --seed --users --processes --dynamodb-endpoint --postgres-dsn"
    " --region --allow-remote --results --scenario"
)
# what version 0.1 accepted: flags may be added, none may go
FLAGS: Final = {
    "init": "",
    "gate": f"--backend --rate --run-time --micro {RUN}",
    "settings": "--page --config",
    "plan": "--rate --limit --exceedance --error-rate --design-effect --chance --scenario",
    "capacity": f"--backend --from --to --growth --step-time --settle {RUN}",
    "compare": (
        "--subjects --metric --allow-differences --results --interleave --blocks --rate --run-time"
        " --warm-up --arrivals --seed --scenario --users --processes --dynamodb-endpoint"
        " --postgres-dsn --region --allow-remote"
    ),
    "calibrate": "--script --rate --measured --no-usual --results",
    "verify": "--backend --dynamodb-endpoint --postgres-dsn --region --allow-remote",
    "targets up": "--backend --dynamodb-port --postgres-port",
    "targets status": "",
    "targets down": "",
    "targets env": "",
    "report": "--output",
    "baseline promote": "--name --force --reason --results",
    "baseline list": "--results",
    "baseline show": "--results",
    "history": "--results --scenario --pattern --metric --all",
}


def command_of(words: str) -> click.Command:
    command: click.Command = root
    for word in words.split():
        assert isinstance(command, click.Group)
        subcommand = command.get_command(click.Context(command), word)
        assert subcommand is not None
        command = subcommand
    return command


def options_of(words: str) -> Iterator[click.Option]:
    yield from (option for option in command_of(words).params if isinstance(option, click.Option))


def test_every_verb_of_the_contract_is_there() -> None:
    assert set(VERBS) == {words.split()[0] for words in FLAGS}


@pytest.mark.parametrize("words", FLAGS)
def test_every_flag_is_accepted(words: str) -> None:
    accepted = {spelling for option in options_of(words) for spelling in option.opts}
    assert set(FLAGS[words].split()) <= accepted


@pytest.mark.parametrize("words", FLAGS)
def test_every_option_has_a_help_text_of_one_sentence_or_more(words: str) -> None:
    for option in options_of(words):
        assert option.help, option.opts
        assert option.help.split(" [default:")[0].endswith("."), option.help


def test_an_option_of_a_setting_has_one_text_in_every_verb() -> None:
    """`calibrate` is left out: its rates and its folder are no settings."""
    spelled = {setting.flag: setting for setting in SETTINGS.values()}
    for words in FLAGS.keys() - {"calibrate"}:
        for option in options_of(words):
            setting = spelled.get(option.opts[0])
            if setting and option.name != "subjects":  # of finished runs: two values
                assert option.help
                assert option.help.startswith(setting.help), (words, option.opts)


@pytest.mark.parametrize("words", ["gate", "capacity"])
def test_the_defaults_shown_are_the_models(words: str) -> None:
    for option in options_of(words):
        setting = SETTINGS.get(option.name or "")
        if setting and setting.default:
            assert option.help
            assert option.help.endswith(with_default("", setting.default))


def test_a_comparison_shows_its_own_defaults() -> None:
    text = " ".join(CliRunner().invoke(root, ["compare", "--help"]).output.split())
    assert "[default: 200]" in text
    assert "[default: 180]" in text


def test_a_former_name_works_and_is_not_shown() -> None:
    [option] = [each for each in options_of("calibrate") if "--no-usual" in each.opts]
    assert option.name == "skip_conventional"
    text = CliRunner().invoke(root, ["calibrate", "--help"]).output
    assert "--skip-conventional" in text
    assert "--no-usual" not in text


def test_a_number_is_shown_as_people_write_it() -> None:
    assert with_default("Rate.", 10_000.0) == "Rate. [default: 10,000]"
    assert with_default("Growth.", 1.25) == "Growth. [default: 1.25]"
    assert with_default("Name.", "") == with_default("Name.", None) == "Name."
    assert with_default("Settle.", 0) == "Settle. [default: 0]"
