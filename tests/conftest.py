"""Fixtures of the whole suite: the embedded servers. See tests/servers.py for how they start."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra_console.embedded import child as children
from infra_console.embedded.errors import BinaryMissing
from infra_console.embedded.prometheus import Prometheus, prepare_prometheus
from infra_console.embedded.prometheus_program import find_prometheus
from tests.servers import SERVERS

CHECKOUT = Path(__file__).resolve().parents[1]
NO_PROMETHEUS = "no Prometheus on this machine and none could be fetched"


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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tests that commit empty the tables after them; the audit table refuses that in life."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrow DISABLE TRIGGER audit_no_truncate")


@pytest.fixture
def child_environment(transactional_db: None, broker_url: str) -> dict[str, str]:
    """The environment of a child process that works on this test's database."""
    from django.db import connection

    base, _, _ = SERVERS.database_url.rpartition("/")
    return os.environ | {"INFRA_CONSOLE_DATABASE_URL": f"{base}/{connection.settings_dict['NAME']}"}


@pytest.fixture(scope="session")
def prometheus_program() -> Path:
    """The real prometheus program, with promtool beside it."""
    try:
        return find_prometheus(fetch=False)
    except BinaryMissing:
        pytest.skip(NO_PROMETHEUS)


@pytest.fixture(scope="session")
def prometheus(prometheus_program: Path, state_dir: Path) -> Iterator[Prometheus]:
    """A running Prometheus with our rules; it scrapes what stands in state_dir/targets/*.json."""
    server = prepare_prometheus(
        state_dir, rules_dir=CHECKOUT / "deploy" / "prometheus", program=prometheus_program
    )
    child, log_file = server.child(), state_dir / "log" / "prometheus.log"
    process = children.start(child, log_file)
    if not children.wait_ready(child, process):
        pytest.fail(f"Prometheus did not start:\n{log_file.read_text()}")
    yield server
    children.stop(child, process)


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """An empty folder that every user of the machine can reach; pytest's tmp_path is closed."""
    folder = Path(tempfile.mkdtemp(prefix="infra-console-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
