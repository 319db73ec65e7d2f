"""What benchmarks.faults measures apart from its table, each on what it needs."""

import time
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

from benchmarks import fault_big, fault_machine, fault_races, fault_real
from benchmarks.fault_worker import Workers
from benchmarks.faults_bench import clean_slate, name_cluster
from infra_console.plans.holding import outbox
from tests.people import person


def races(count: int) -> dict[str, Any]:
    clean_slate()
    name_cluster()
    first, second = (person("approver", name=name) for name in ("bo", "di"))
    with patch.object(outbox, "send_execute", lambda plan_id: None):
        return fault_races.races(count, first, second)


def state_machine(steps: int, seed: int) -> dict[str, Any]:
    clean_slate()
    name_cluster()
    began = time.monotonic()
    taken = fault_machine.run_machine(steps, seed)
    seconds = round(time.monotonic() - began, 1)
    return {"state_machine_steps": taken, "violations": 0, "seconds": seconds, "seeds": [seed]}


def big_plan(environment: Mapping[str, str], seed: int) -> dict[str, Any]:
    with Workers({**environment, "FAULT_REAL_TIMERS": "1"}) as workers:
        return fault_big.big_plan(workers, seed)


def real_timers(environment: Mapping[str, str], seed: int) -> dict[str, Any]:
    return fault_real.real_timers(environment, seed)
