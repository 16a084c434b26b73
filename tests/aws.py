"""An environment without AWS settings but a test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from loadtests.stores.http.credentials import resolve
from loadtests.targets.dynamodb.client import provider_credentials, shared_session

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_OTHERS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", *_PROXIES, *map(str.lower, _PROXIES))


def without_aws(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Remove AWS_… and proxy variables; AWS files are `config` and `credentials` in `folder`."""
    for name in [*(name for name in os.environ if name.startswith("AWS_")), *_OTHERS]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    for cached in (resolve, provider_credentials, shared_session):
        cached.cache_clear()
