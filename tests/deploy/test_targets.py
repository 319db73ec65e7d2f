"""The optional roles in deploy/kubernetes/targets.yaml: each grants what its steps use, no more."""

import pytest

from infra_console.plans.rollback import roll_back
from tests.deploy.test_manifests import found, granted, used
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.plans.conftest import _short_waits, approved, approver, armed, operator
from tests.infra_console.plans.targets import (
    held,
    leader_worker_set,
    plan_of,
    ref,
    room,
    stateful_set,
    step,
    until,
    work,
)
from tiers.twin.kube.resources import LEADER_WORKER_SETS, STATEFUL_SETS

__all__ = [
    "_short_waits", "approved", "approver", "armed", "named_cluster", "operator", "tls", "twin",
]  # fmt: skip

ELSEWHERE = ("infra-console-executor", "infra-console-owner")


def used_beyond_nodes(twin) -> set[tuple[str, str]]:
    """What an execution used that the roles of every executor do not grant, namespaces apart."""
    kinds = ("ClusterRole", "Role")
    roles = [found(kind, name) for kind, name in zip(kinds, ELSEWHERE, strict=True)]
    return {(r, v) for r, v in used(twin) - granted(*roles) if r != "namespaces"}


@pytest.fixture
def carry_out(twin, armed, approved, operator):
    """A whole plan and its way back."""

    def run(*steps) -> None:
        plan = work(approved(plan_of(*steps)))
        assert plan.state == "verified", plan.state_reason
        roll_back(plan.id, by=operator, reason="slower")
        assert work(plan).state == "rolled_back"

    return run


def test_sets_are_scaled_with_their_role(twin, carry_out):
    room(twin)
    stateful_set(twin, 1)
    leader_worker_set(twin, 1)
    for resource, name in ((STATEFUL_SETS, "embed"), (LEADER_WORKER_SETS, "wide")):
        until(lambda r=resource, n=name: held(twin, r, n).get("status", {}).get("readyReplicas"))
    both = (ref("StatefulSet", "embed"), ref("LeaderWorkerSet", "wide"))
    carry_out(*(step("workload.scale_ordinal", t, **{"from": 1, "to": 2}) for t in both))
    assert used_beyond_nodes(twin) == granted(found("ClusterRole", "infra-console-sets"))
