"""A plan of two hundred nodes, a slow API that fails every tenth request, production timers.

Steps come in waves as the planner makes them. The executor runs in a process of its own. A turn is
handed out by a sweep every five seconds, or by the order that the turn before it left in the queue,
as in life. The twin's controllers look at its 476 nodes twice a second: they share a thread with
its API, and a look keeps every request waiting.
"""

import tempfile
import time
from pathlib import Path
from queue import Empty
from typing import Any
from unittest.mock import patch

from celery import current_app
from django.conf import settings

from benchmarks.fault_worker import Workers
from benchmarks.faults_bench import Bench, Helpers
from infra_console.plans.executing.sweep import orphaned_plans
from infra_console.plans.holding.outbox import EXECUTE_TASK
from infra_console.plans.models import Plan, Step
from infra_console.plans.spec import Budget, Guard, PlanSpec, Precondition, StepSpec
from tests.infra_console import kube
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.specs import KINDS, TIER_KEY, node_move, node_steps, preconditions

MOVING_AT_ONCE = 8
NODES = 200
LATENCY_S = 0.05
ERROR_RATE = 0.1
SWEEP_S = 5.0
TICK_S = 0.5
SIZE = 34  # times the twin's cluster: 476 nodes, 204 of them of the training tier
GPUS_A_NODE = 8
END_S = 900.0


def big_plan(workers: Workers, seed: int, nodes: int = NODES) -> dict[str, Any]:
    """Carry it out; seconds from the approval to the end, requests and violations."""
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(kube, "TICK_S", TICK_S),
        Bench(
            Path(folder), seed, name="big plan", helpers=Helpers(workers),
            size=SIZE, time_factor=10.0, real_timers=True,
        ) as bench,
    ):  # fmt: skip
        plan = bench.next_plan(_document(bench, nodes))
        bench.faults.latency_s = LATENCY_S
        bench.faults.add("error", probability=ERROR_RATE)
        before, began = len(bench.twin.log.recent), time.monotonic()
        _carry_out(bench, plan)
        took_s = time.monotonic() - began
        requests = len(bench.twin.log.recent) - before
        bench.faults.clear()
        bench.judge(plan)
        done = Step.objects.filter(plan=plan, state="done").count()
    return {
        "nodes": nodes, "seconds": round(took_s, 1), "steps_done": done, "requests": requests,
        "violations": len(bench.violations), "violated": bench.violations[:10],
        "seeds": [seed],
    }  # fmt: skip


def _carry_out(bench: Bench, plan: Plan) -> None:
    began = time.monotonic()
    with current_app.connection_for_read() as broker:
        orders = broker.SimpleQueue(current_app.conf.task_routes[EXECUTE_TASK]["queue"])
        while time.monotonic() < began + END_S and not bench.is_over(plan):
            ordered = _ordered(orders, SWEEP_S - (time.monotonic() - began) % SWEEP_S)
            if ordered or plan.id in orphaned_plans():
                bench.workers.work(plan.id, settings.KUBECONFIG)
        orders.close()


def _ordered(orders: Any, within_s: float) -> bool:
    """Whether a worker's order for the next turn comes before the next sweep does."""
    try:
        orders.get(timeout=within_s).ack()
    except Empty:
        return False
    return True


def _document(bench: Bench, count: int) -> PlanSpec:
    every = [n["metadata"] for n in bench.nodes]
    names = [m["name"] for m in every if m["labels"].get(TIER_KEY) == "training"][:count]
    return bench.document(
        moves=tuple(node_move(name) for name in names),
        steps=tuple(_steps(names)),
        preconditions=_relied_on(bench, names),
        budgets=(Budget(cluster=CLUSTER, max_nodes=MOVING_AT_ONCE),),
        guards=(Guard(cluster=CLUSTER, tier="training", min_ready_gpus=3 * GPUS_A_NODE),),
    )


def _relied_on(bench: Bench, names: list[str]) -> tuple[Precondition, ...]:
    return tuple(found for name in names for found in preconditions(bench.twin, name))


def _steps(names: list[str]) -> list[StepSpec]:
    made = []
    for start in range(0, len(names), MOVING_AT_ONCE):
        for place in range(len(KINDS)):
            wave = start // MOVING_AT_ONCE * len(KINDS) + place
            for name in names[start : start + MOVING_AT_ONCE]:
                made.append(node_steps(name)[place].model_copy(update={"wave": wave}))
    return made
