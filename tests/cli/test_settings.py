"""`loadtests settings`: what it shows, and that the page made from it is current."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.cli.settings import settings_page
from loadtests.config import KEYS, SETTINGS
from tests.cli.verbs import run_verb

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_current() -> None:
    page = (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run `make settings`"


def test_the_page_has_every_key_flag_and_variable() -> None:
    page = settings_page()
    for key in KEYS:
        assert f"`{key.path[-1]}`" in page or f'`"{key.path[-1]}"`' in page
        assert key.help.replace("|", "\\|") in page
    for setting in SETTINGS.values():
        assert f"`{setting.flag}` `{setting.variable}`" in page
        assert setting.path in {key.path for key in KEYS}


def test_it_shows_each_value_with_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadtests.toml").write_text(
        '[load]\nrate = 5\n[slo.patterns."cart.get"]\np99_ms = 3\n'
    )
    monkeypatch.setenv("LOADTESTS_SEED", "7")
    monkeypatch.setenv("LOADTESTS_POSTGRES_DSN", "postgresql://u:hunter2@127.0.0.1/db")
    code, output = run_verb("settings")
    lines = output.splitlines()
    assert code == 0
    assert "load.rate = 5.0    loadtests.toml" in lines
    assert "load.seed = 7    LOADTESTS_SEED" in lines
    assert 'slo.patterns."cart.get".p99_ms = 3.0    loadtests.toml' in lines
    assert "load.driver = wire    default" in lines
    assert lines[-1].startswith("Limits: loadtests.toml (SHA-256 ")
    assert "hunter2" not in output


def test_a_file_is_named_by_a_flag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADTESTS_CONFIG", "unused.toml")  # and is restored afterwards
    (tmp_path / "other.toml").write_text("[load]\nrate = 7\n")
    assert "load.rate = 7.0    other.toml" in run_verb("settings", "--config", "other.toml")[1]
    assert "load.rate = 7.0    other.toml" in run_verb("--config", "other.toml", "settings")[1]
