"""Fixtures of the whole suite: the embedded servers. See tests/servers.py for how they start."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import SERVERS


@pytest.fixture(scope="session")
def state_dir() -> Path:
    """The run's settings.STATE_DIR, empty but for the servers' own folders."""
    return SERVERS.state_dir


@pytest.fixture(scope="session")
def database_url() -> str:
    """A running PostgreSQL's maintenance database (Django's tests use `test_` + its name)."""
    SERVERS.start("postgres")
    return SERVERS.database_url


@pytest.fixture(scope="session")
def broker_url() -> str:
    """A running Valkey, for Celery and Channels."""
    SERVERS.start("valkey")
    return SERVERS.broker_url


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_url: str, broker_url: str) -> None:
    """pytest-django asks for this before it makes the test database: both servers are up then."""


@pytest.fixture
def child_environment(transactional_db: None, broker_url: str) -> Iterator[dict[str, str]]:
    """The environment of a child process that works on this test's database."""
    from django.db import connection

    base, _, _ = SERVERS.database_url.rpartition("/")
    name = connection.settings_dict["NAME"]
    yield os.environ | {"INFRA_CONSOLE_DATABASE_URL": f"{base}/{name}"}
