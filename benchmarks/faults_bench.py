"""What benchmarks.faults runs on: a served twin cluster, people, plans and the checker."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from infra_console.cluster.client import close_clients
from infra_console.fleet.models import Cluster, FleetSetting, Region
from infra_console.plans import executor, runner, services
from infra_console.plans.invariants.api_log import read_requests
from infra_console.plans.invariants.checker import check
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.models import Execution, Plan
from infra_console.plans.steps import node
from tests.infra_console.conftest import DOCUMENT
from tests.infra_console.kube import CLUSTER, RunningTwin, audit_event
from tests.infra_console.plans.conftest import let_lease_run_out
from tests.infra_console.plans.specs import NODE, node_move, node_steps, spec
from tests.people import person
from tiers.twin.kube.resources import NODES
from tiers.twin.kube.tls import ensure_tls

TIERS = ("training", "inference")
TURNS = 60


class Bench:
    """One twin cluster; its plans give one node to and fro."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._running = RunningTwin(folder, ensure_tls(folder / "tls"))
        self._made = 0

    def __enter__(self) -> "Bench":
        self.twin = self._running.__enter__()
        settings.KUBECONFIG = self.twin.kubeconfig()
        node.DRAIN_POLL_S, node.MAX_RETRY_S, runner.CONFLICT_RETRY_S = 0.05, 0.1, 0.05
        _name_cluster()
        names = (f"approver-{self._seed}", f"operator-{self._seed}")
        self._approver, operator = (
            person("approver", name=names[0]),
            person("operator", name=names[1]),
        )
        for tier in (*TIERS, "operational"):
            services.arm(CLUSTER, tier, by=operator, hours=1)
        self._nodes = {CLUSTER: self.twin.call(self.twin.store.all, NODES)}
        self._requests: list[Any] = []
        return self

    def __exit__(self, *_: object) -> None:
        close_clients()
        self._running.__exit__()

    def next_plan(self) -> Plan:
        giver, taker = TIERS[self._made % 2], TIERS[1 - self._made % 2]
        self._made += 1
        document = spec(
            moves=(node_move(NODE, giver, taker),),
            steps=tuple(node_steps(NODE, giver, taker)),
            title=f"seed {self._seed}, run {self._made}",
        )
        plan = services.propose_plan(document, authors=["planner"])
        return services.approve_plan(
            plan.id, by=self._approver, plan_hash=plan.hash, reason="a fault to survive"
        )

    def finish(self, plan: Plan) -> None:
        """Call the executor as the sweep would, until the plan has ended."""
        for _ in range(TURNS):
            executor.execute(plan.id)
            plan.refresh_from_db()
            if plan.state not in executor.ACTIVE:
                return
            Execution.objects.filter(plan=plan).update(not_before=None)

    def let_lease_run_out(self, plan: Plan) -> None:
        let_lease_run_out(plan)

    def judge(self, run: str) -> list[str]:
        """What the checker found after this run, and a plan that did not come to its end."""
        lines = [json.dumps(audit_event(r)) for r in list(self.twin.log.recent)]
        history = read_history(requests=read_requests(lines), nodes=self._nodes)
        found = [
            f"{run}: {name} {words}"
            for name, verdict in check(history).items()
            for words in verdict.violations
        ]
        last = Plan.objects.latest("number")
        if last.state != "verified":
            found.append(f"{run}: {last} is {last.state} at {timezone.now()}: {last.state_reason}")
        return found


def _name_cluster() -> None:
    place = {"place": "Virginia", "latitude": 37.4, "longitude": -79.8, "jurisdiction": "US"}
    region, _ = Region.objects.get_or_create(id=CLUSTER, defaults=place)
    Cluster.objects.get_or_create(id=CLUSTER, defaults={"context": CLUSTER, "region": region})
    FleetSetting.objects.update_or_create(id=1, defaults={"document": DOCUMENT})
