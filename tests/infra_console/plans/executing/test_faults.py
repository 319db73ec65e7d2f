"""Every kind of fault once, with a seed that is printed; the same runs as benchmarks.faults.

Another seed: FAULT_SEED=7. The kinds that halt servers have servers of their own, in a process of
their own: see test_faults_of_servers.py.
"""

import os
from collections.abc import Iterator

import pytest
from django.db import connection

from benchmarks.fault_runs import FAULTS, Helpers, survive
from benchmarks.fault_servers import FAULTS as OF_SERVERS
from benchmarks.fault_worker import Workers
from tests.servers import SERVERS

SEED = int(os.environ.get("FAULT_SEED", "1"))
# Every boundary takes most of a minute; here a few of them, in benchmarks.faults all.
KINDS = tuple(kind for kind in FAULTS if kind not in OF_SERVERS)


@pytest.fixture(scope="module")
def helpers(django_db_setup: None) -> Iterator[Helpers]:
    """Workers on the test database, in processes of their own."""
    base, _, _ = SERVERS.database_url.rpartition("/")
    url = f"{base}/{connection.settings_dict['NAME']}"
    with Workers(os.environ | {"INFRA_CONSOLE_DATABASE_URL": url}) as workers:
        yield Helpers(workers=workers, few=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_broken_by(kind: str, helpers: Helpers, settings) -> None:
    print(f"{kind}, seed {SEED}")
    bench = survive(kind, SEED, helpers)
    assert bench.violations == []
    assert bench.runs > 0
