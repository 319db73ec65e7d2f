"""Executions that meet every fault we know of: `python -m benchmarks.faults --seeds 5 --json`.

Plans give one node of a served twin cluster to another tier and back, while workers are killed,
servers restart, the API refuses, lies or hangs, and others write to the same cluster. After each
run the checker replays database and API log. Every wait of the executor is shortened 20 times
(`fault_timers.py`); `resume_seconds_max` is the longest time from a kill to the plan's end.
JSON: `runs, violations, resume_seconds_max, seeds`, one line of `faults` a kind, and what was
violated. `--kind` picks kinds by a part of their name.

Instead of the table: `--races 1000` (two at one plan at the same moment, one winner each),
`--state-machine-steps 100000` (random orders of events against a model), `--big-plan`
(200 nodes, 50 ms latency, every tenth request fails) and `--real-timers` (a Celery worker killed at
three boundaries, with production's lease of 30 s and sweep of 5 s).
"""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import django
from django.test.utils import setup_databases, teardown_databases

from tests import servers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--kind", action="append", help="only kinds whose name holds this")
    parser.add_argument("--json", action="store_true", help="kept for symmetry: it is always JSON")
    parser.add_argument("--races", type=int, metavar="N")
    parser.add_argument("--state-machine-steps", type=int, metavar="N")
    parser.add_argument("--big-plan", action="store_true")
    parser.add_argument("--real-timers", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with own_servers():
        print(json.dumps(_apart(options) or _faults(list(seeds), options.kind or [""])))


def _apart(options: argparse.Namespace) -> dict[str, object] | None:
    """What is measured instead of the table; None when the table is asked for."""
    from benchmarks import fault_apart  # noqa: PLC0415 - Django must be set up first

    environment, seed = child_environment(), options.first_seed
    if options.real_timers:
        return fault_apart.real_timers(environment, seed)
    if options.races:
        return fault_apart.races(options.races)
    if options.state_machine_steps:
        return fault_apart.state_machine(options.state_machine_steps, seed)
    return fault_apart.big_plan(environment, seed) if options.big_plan else None


def _faults(seeds: list[int], parts: list[str]) -> dict[str, object]:
    # Django must be set up before anything of the product is imported.
    from benchmarks import fault_servers  # noqa: PLC0415
    from benchmarks.fault_processes import Processes  # noqa: PLC0415
    from benchmarks.fault_runs import FAULTS, measured_kind, table  # noqa: PLC0415
    from benchmarks.fault_worker import Workers  # noqa: PLC0415
    from benchmarks.faults_bench import Helpers  # noqa: PLC0415

    kinds = [kind for kind in FAULTS if any(part in kind for part in parts)]
    apart = [kind for kind in kinds if kind not in fault_servers.FAULTS]
    environment = child_environment()
    with Workers(environment) as workers:
        measured = [measured_kind(kind, seeds, Helpers(workers)) for kind in apart]
    # Not before: they would take up the plans of the other kinds.
    if of_servers := [kind for kind in kinds if kind in fault_servers.FAULTS]:
        with TemporaryDirectory() as folder, Processes(environment, Path(folder)) as processes:
            helpers = Helpers(processes=processes)
            measured += [measured_kind(kind, seeds, helpers) for kind in of_servers]
    return table(seeds, measured)


def child_environment() -> dict[str, str]:
    """The environment of a process that works on this run's database."""
    from django.db import connection  # noqa: PLC0415

    base, _, _ = servers.SERVERS.database_url.rpartition("/")
    url = f"{base}/{connection.settings_dict['NAME']}"
    return os.environ | {"INFRA_CONSOLE_DATABASE_URL": url}


@contextmanager
def own_servers() -> Iterator[None]:
    """An empty migrated database on a PostgreSQL of its own, and a Valkey."""
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
    main()
