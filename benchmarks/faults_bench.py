"""What benchmarks.faults runs on: a served twin cluster, people, plans and the checker."""

import json
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from math import inf
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

from django.conf import settings
from django.db import connection
from django.db.utils import InterfaceError, OperationalError
from kombu.exceptions import OperationalError as BrokerAway

from benchmarks.fault_boundaries import Boundaries, Killed, Strike, die, watched
from benchmarks.fault_processes import Processes
from benchmarks.fault_stranger import Stranger
from benchmarks.fault_timers import short_timers
from benchmarks.fault_worker import Workers
from infra_console.audit.models import AuditRow
from infra_console.cluster.client import close_clients
from infra_console.fleet.models import Cluster, FleetSetting, Region
from infra_console.plans import services
from infra_console.plans.executing import executor
from infra_console.plans.executing.sweep import orphaned_plans
from infra_console.plans.holding import outbox
from infra_console.plans.invariants.api_log import read_requests
from infra_console.plans.invariants.checker import check
from infra_console.plans.invariants.reading import read_history
from infra_console.plans.models import Execution, Plan, Step, Transition
from infra_console.plans.spec import PlanSpec
from infra_console.plans.states import STEP_ENDED
from tests.infra_console.conftest import DOCUMENT
from tests.infra_console.kube import CLUSTER, RunningTwin, audit_event
from tests.infra_console.plans.specs import node_move, node_steps, preconditions, spec
from tests.people import person
from tiers.twin.kube.faults import Faults
from tiers.twin.kube.resources import NODES
from tiers.twin.kube.tls import ensure_tls

TIERS = ("training", "inference")
MOVED = f"{CLUSTER}-h100-reserved-05"  # of the training tier at first
STUCK_S = 40.0  # without any new record
RESTS = frozenset({"paused"})


@dataclass(frozen=True)
class Helpers:
    """Processes that some kinds of faults need; None where they are not to run.

    `few`: a few boundaries of each run instead of all.
    """

    workers: Workers | None = None
    processes: Processes | None = None
    few: bool = False


class Stuck:
    """Whether a plan has left no new record for a while: a slow machine is not a stuck plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._records, self._since = plan, (-1, -1, -1), time.monotonic()

    def __call__(self) -> bool:
        if time.monotonic() - self._since < STUCK_S:
            return False
        records, self._records = self._records, self._count()
        self._since = time.monotonic()
        return records == self._records

    def _count(self) -> tuple[int, int, int]:
        return (
            AuditRow.objects.filter(object_id=str(self._plan.id)).count(),
            Transition.objects.filter(plan=self._plan).count(),
            Step.objects.filter(plan=self._plan, state__in=STEP_ENDED).count(),
        )


class Bench:
    """One twin cluster; its plans give one node to and fro. Use as a context manager.

    `violations` gathers what the checker found, plans that came to another end than they may, and
    errors that a worker did not expect; `resumed` the seconds from a kill to the plan's end.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        name: str,
        helpers: Helpers,
        size: int = 1,
        time_factor: float = 100.0,
        real_timers: bool = False,
    ) -> None:
        self._workers, self._processes = helpers.workers, helpers.processes
        self._real_timers, self.few = real_timers, helpers.few
        self.seed, self.name, self.rng = seed, name, Random(f"{seed} {name}")  # noqa: S311
        self.runs, self.violations, self.resumed = 0, list[str](), list[float]()
        self._running = RunningTwin(
            folder, ensure_tls(folder / "tls"), size=size, keep=200_000, time_factor=time_factor
        )
        self._made = 0

    def __enter__(self) -> "Bench":
        self.twin = self._running.__enter__()
        self._timers = nullcontext() if self._real_timers else short_timers()
        self._timers.__enter__()
        self._quiet = ExitStack()
        if self._processes is None:  # no broker: `finish` hands the orders out
            self._quiet.enter_context(patch.object(outbox, "send_execute", lambda plan_id: None))
        else:
            self._processes.point_at(self.twin.kubeconfig())
        settings.KUBECONFIG = self.twin.kubeconfig()
        clean_slate()
        name_cluster()
        self.operator = person("operator", name="cy")
        self.approvers = [person("approver", name=name) for name in ("bo", "di")]
        for tier in (*TIERS, "operational"):
            services.arm(CLUSTER, tier, by=self.operator, hours=24)
        self._nodes = {CLUSTER: self.twin.call(self.twin.store.all, NODES)}
        self.stranger = Stranger(self.twin.kubeconfig(), CLUSTER)
        return self

    def __exit__(self, *_: object) -> None:
        self.stranger.close()
        self._quiet.close()
        self._timers.__exit__(None, None, None)
        close_clients()
        self._running.__exit__()

    @property
    def workers(self) -> Workers:
        """Workers that are processes of their own."""
        if self._workers is None:
            raise LookupError(f"{self.name} needs workers")
        return self._workers

    @property
    def processes(self) -> Processes:
        """Celery's workers and beats."""
        if self._processes is None:
            raise LookupError(f"{self.name} needs Celery")
        return self._processes

    @property
    def nodes(self) -> list[Any]:
        """The nodes as they were before the first plan."""
        return list(self._nodes[CLUSTER])

    @property
    def faults(self) -> Faults:
        return self.twin.servers.apis[CLUSTER].faults

    def document(self, node: str = MOVED, **changes: Any) -> PlanSpec:
        """One node to the other of two tiers; relied on as it stands now."""
        giver, taker = TIERS[self._made % 2], TIERS[1 - self._made % 2]
        self._made += 1
        fields: dict[str, Any] = {
            "moves": (node_move(node, giver, taker),),
            "steps": tuple(node_steps(node, giver, taker)),
            "preconditions": preconditions(self.twin, node, giver),
            "title": f"{self.name}, seed {self.seed}, plan {self._made}",
        }
        return spec(**(fields | changes))

    def next_plan(self, document: PlanSpec | None = None) -> Plan:
        """An approved plan, ordered and not begun."""
        return self.approved(self.proposed(document))

    def proposed(self, document: PlanSpec | None = None) -> Plan:
        return services.propose_plan(document or self.document(), authors=["planner"])

    def approved(self, plan: Plan) -> Plan:
        for approver in self.approvers:
            if plan.state == "proposed":  # a large plan needs more than one
                plan = services.approve_plan(
                    plan.id, by=approver, plan_hash=plan.hash, reason="a fault to survive"
                )
        return plan

    def deliver(self, plan: Plan) -> None:
        """One task for the plan, as a worker runs it: what it raises is logged by Celery."""
        try:
            executor.execute(plan.id)
        except (OperationalError, InterfaceError, BrokerAway):
            connection.close()
        except Exception:  # noqa: BLE001  what a worker's log would show is a finding here
            self.violations.append(f"{self.name}: a worker died: {traceback.format_exc(limit=-4)}")

    def finish(self, plan: Plan, *, within_s: float = inf) -> None:
        """Hand the plan out as the sweep would, until it has ended, rests, or is stuck."""
        deadline, stuck = time.monotonic() + within_s, Stuck(plan)
        while not self.is_over(plan) and time.monotonic() < deadline and not stuck():
            if plan.id in orphaned_plans():
                self.deliver(plan)
            else:
                time.sleep(0.02)

    def is_over(self, plan: Plan) -> bool:
        plan.refresh_from_db()
        ended = Execution.objects.filter(plan=plan).exclude(finished_at=None).exists()
        return ended or plan.state not in executor.ACTIVE

    def strike(self, plan: Plan, number: int, what: Strike) -> int:
        """Run the plan with something happening at one boundary; how many it passed."""
        boundaries = Boundaries(number, what)
        with watched(boundaries):
            try:
                self.finish(plan)
            except Killed:
                connection.close()  # a dead worker's transaction is rolled back
        return boundaries.passed

    def kill_and_finish(self, plan: Plan, number: int) -> int:
        """Kill the worker at a boundary, let its lease run out, and let another go on."""
        passed, killed_at = self.strike(plan, number, die), time.monotonic()
        self.finish(plan)
        self.resumed.append(time.monotonic() - killed_at)
        return passed

    def judge(self, plan: Plan, *, what: str = "", ends: Sequence[str] = ("verified",)) -> None:
        """Ask the checker, and whether the plan came to an end that it may come to."""
        self.runs += 1
        plan.refresh_from_db()
        run = f"{self.name}, seed {self.seed}{', ' if what else ''}{what}"
        for name, verdict in check(self.history()).items():
            self.violations += [f"{run}: {name} {words}" for words in verdict.violations]
        if plan.state not in ends:
            self.violations.append(f"{run}: {plan} is {plan.state}: {plan.state_reason}")

    def boundaries(self, total: int, *, few: int = 3) -> list[int]:
        """Where to strike: everywhere, or at a few places that the seed chooses."""
        every = list(range(1, total + 1))
        return sorted(self.rng.sample(every, min(few, total))) if self.few else every

    def expect(self, held: bool, otherwise: str) -> None:
        """Something that a run must show beside its end and the promises."""
        if not held:
            self.violations.append(f"{self.name}, seed {self.seed}: {otherwise}")

    def settle_turn(self) -> None:
        """Where the node stands now is where the next plan takes it from."""
        held = self.twin.node(MOVED)["metadata"]["labels"]["infra-console.dev/tier"]
        self._made = TIERS.index(held)

    def history(self) -> Any:
        lines = [json.dumps(audit_event(r)) for r in list(self.twin.log.recent)]
        return read_history(requests=read_requests(lines), nodes=self._nodes)


def clean_slate() -> None:
    """Empty what earlier runs left; in life no row of these tables is ever deleted."""
    tables = "plans_plan, plans_arming, plans_killswitch, plans_console, plans_foreignlease"
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrow DISABLE TRIGGER audit_no_truncate")
        cursor.execute(f"TRUNCATE {tables}, audit_auditrow, fleet_region, auth_user CASCADE")


def name_cluster() -> None:
    place = {"place": "Virginia", "latitude": 37.4, "longitude": -79.8, "jurisdiction": "US"}
    region = Region.objects.create(id=CLUSTER, **place)
    Cluster.objects.create(id=CLUSTER, context=CLUSTER, region=region)
    FleetSetting.objects.update_or_create(id=1, defaults={"document": DOCUMENT})
