"""What tests of every room share: one pair of embedded databases for the whole test session."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import settings

from loadtests.config import Config, Data
from loadtests.targets.dataset import make_dataset
from loadtests.targets.lifetime import open_endpoints

# the same examples each time, and no test fails because a machine is slow
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def embedded_config():
    """Small data, so that tests are quick; everything else as it comes."""
    return Config(data=Data(users=200, books=60))


@pytest.fixture(scope="session")
def dataset(embedded_config):
    """The data that `endpoints` were seeded with; times may differ by some seconds."""
    return make_dataset(embedded_config.data, embedded_config.load.seed, datetime.now(UTC))


@pytest.fixture(scope="session")
def endpoints(embedded_config):
    """DynamoDB Local and PostgreSQL, set up and seeded; gone when the session ends."""
    with open_endpoints(embedded_config) as opened:
        yield opened
