"""People and approved plans for the tests of plans."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from infra_console.plans import services
from infra_console.plans.executing import runner
from infra_console.plans.models import Execution, Plan
from infra_console.plans.spec import PlanSpec
from infra_console.plans.steps import (
    bounds,
    drain,
    gangs,
    git,
    kueue,
    kueue_victims,
    machines,
    node,
    ordinal,
    quota,
    workload,
)
from tests.infra_console.kube import CLUSTER
from tests.people import person


@pytest.fixture
def approver(db: None) -> User:
    return person("approver")


@pytest.fixture
def operator(db: None) -> User:
    return person("operator")


@pytest.fixture
def armed(named_cluster: str, operator: User) -> None:
    for tier in ("inference", "training", "operational"):
        services.arm(CLUSTER, tier, by=operator, hours=1)


@pytest.fixture
def approved(approver: User) -> Callable[[PlanSpec], Plan]:
    """Propose and approve a document."""

    def make(spec: PlanSpec) -> Plan:
        plan = services.propose_plan(spec, authors=["planner"])
        return services.approve_plan(plan.id, by=approver, plan_hash=plan.hash, reason="fits")

    return make


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin of the tests lives a hundred times faster than a cluster."""
    monkeypatch.setattr(drain, "DRAIN_POLL_S", 0.05)
    monkeypatch.setattr(drain, "MAX_RETRY_S", 0.1)
    monkeypatch.setattr(node, "BUDGET_POLL_S", 0.05)
    for kind in (workload, kueue, kueue_victims, gangs, bounds, git, machines, quota, ordinal):
        monkeypatch.setattr(kind, "POLL_S", 0.05)
    monkeypatch.setattr(runner, "CONFLICT_RETRY_S", 0.05)


def let_lease_run_out(plan: Plan) -> None:
    """As if half a minute had passed since its worker was killed."""
    Execution.objects.filter(plan=plan).update(
        lease_expires_at=timezone.now() - timedelta(seconds=1)
    )
