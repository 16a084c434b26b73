"""What tests of every room share: embedded databases and a browser, once per test process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

# Locust patches the whole process when imported; here its classes are wanted, not that
os.environ["LOCUST_SKIP_MONKEY_PATCH"] = "1"
import locust  # noqa: F401

del os.environ["LOCUST_SKIP_MONKEY_PATCH"]

import pytest
from hypothesis import settings
from selenium import webdriver

from loadtests.config import Config, Data
from loadtests.targets.embedded import download
from loadtests.targets.endpoints import DynamoDBEndpoint, Endpoints, PostgresEndpoint
from loadtests.targets.progress import ignore
from loadtests.targets.seed.dataset import Dataset, make_dataset
from loadtests.targets.seed.provision import provision
from loadtests.targets.supervisor.client import open_endpoints

# the same examples each time, and no test fails because a machine is slow
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

# what these fixtures start; `make test-fast` runs none of such tests
MARKERS_OF_FIXTURES = {
    "own_cache": pytest.mark.embedded,
    "endpoints": pytest.mark.embedded,
    "browser": pytest.mark.browser,
    "children": pytest.mark.slow,  # of end_to_end: whole programs
}


@pytest.hookimpl(tryfirst=True)  # before `-m` deselects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start databases or a browser; files with marked tests come first.

    A worker of pytest-xdist takes a file at a time: no worker waits for a long file at the end.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        for name in fixtures & MARKERS_OF_FIXTURES.keys():
            item.add_marker(MARKERS_OF_FIXTURES[name])
    long_files = {
        item.path
        for item in items
        if any(item.get_closest_marker(name) for name in ("embedded", "browser", "slow"))
    }
    items.sort(key=lambda item: item.path not in long_files)


@pytest.fixture(scope="session")
def embedded_config() -> Config:
    """Small data, so that tests are quick; everything else as it comes."""
    return Config(data=Data(users=200, books=60))


@pytest.fixture(scope="session")
def dataset(embedded_config: Config) -> Dataset:
    """The data that `endpoints` were seeded with; times may differ by some seconds."""
    return make_dataset(embedded_config.data, embedded_config.load.seed, datetime.now(UTC))


@pytest.fixture(scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with DynamoDB Local, apart from the user's: `targets up` is not seen there."""
    home = download.fetch(download.DYNAMODB_LOCAL, os.environ, ignore)
    cache = tmp_path_factory.mktemp("cache")
    (cache / download.DYNAMODB_LOCAL.folder).symlink_to(home)
    return cache


@pytest.fixture(scope="session")
def endpoints(embedded_config: Config, own_cache: Path) -> Iterator[Endpoints]:
    """DynamoDB Local and PostgreSQL, set up and seeded; gone when the session ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOADTESTS_CACHE", str(own_cache))
        opening = open_endpoints(embedded_config)
        opened = opening.__enter__()
    try:
        yield opened
    finally:
        opening.__exit__(None, None, None)


@pytest.fixture(scope="session")
def dynamodb(endpoints: Endpoints) -> DynamoDBEndpoint:
    """The DynamoDB of `endpoints`."""
    assert endpoints.dynamodb is not None
    return endpoints.dynamodb


@pytest.fixture(scope="session")
def postgres(endpoints: Endpoints) -> PostgresEndpoint:
    """The PostgreSQL of `endpoints`."""
    assert endpoints.postgres is not None
    return endpoints.postgres


@pytest.fixture
def seeded(endpoints: Endpoints, dataset: Dataset) -> Endpoints:
    """The same databases, as seeded, whatever the tests before have done to them."""
    provision(endpoints, dataset, ignore)
    return endpoints


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Headless Chromium; emulated screens and logs are each test's own to reset."""
    from tests.browser import opened

    with opened(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
