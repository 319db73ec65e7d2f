"""Executions that are killed and refused at every turn: `python -m benchmarks.faults --seeds 5`.

A plan gives one node of a served twin cluster to another tier. The worker is killed (an exception
that nothing catches) at each boundary in turn: before and after every write, before and after every
record. A second part refuses writes at random: 409, 429, 500, no answer, and answers that are lost
after the write took effect. After each run the checker replays database and API log. Lease times
are shortened: `resume_seconds_max` is from the kill to the plan's end, the lease's 30 s left out.
JSON: `runs, violations, resume_seconds_max, seeds`, and what was violated.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import django
from django.test.utils import setup_databases, teardown_databases

from tests import servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="kept for symmetry: it is always JSON")
    options = parser.parse_args()
    with _database():
        from benchmarks.fault_runs import measure  # noqa: PLC0415 - Django must be set up first

        print(json.dumps(measure(list(range(1, options.seeds + 1)))))


@contextmanager
def _database() -> Iterator[None]:
    """An empty migrated database on a server of its own."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "infra_console.settings")
    os.environ.setdefault("INFRA_CONSOLE_LOG_LEVEL", "ERROR")
    servers.SERVERS.start("postgres")
    servers.SERVERS.start("valkey")
    django.setup()
    made = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)
        servers.SERVERS.stop()


if __name__ == "__main__":
    sys.exit(main())
