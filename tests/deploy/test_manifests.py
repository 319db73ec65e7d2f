"""The manifests in deploy/kubernetes: what they grant is what an execution uses."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra_console.cluster.writes import DELETION_COST
from infra_console.plans.executing import executor
from infra_console.plans.holding import fence
from infra_console.plans.holding.ownership import LEASE
from infra_console.plans.marks import EPOCH, PLAN, PRIOR
from infra_console.plans.models import Execution
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.kube import VIEWER
from tests.infra_console.plans.conftest import _short_waits, approved, approver, armed, operator
from tests.infra_console.plans.specs import (
    TIER_KEY,
    node_move,
    node_steps,
    scale_move,
    scale_step,
    spec,
)
from tiers.twin.kube.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS

__all__ = [
    "_short_waits", "approved", "approver", "armed", "named_cluster", "operator", "tls", "twin",
]  # fmt: skip

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes"
READS = {"get", "list", "watch"}
CORE = {NODES.plural, PODS.plural, "pods/eviction"}


def documents() -> list[dict[str, Any]]:
    files = sorted(FOLDER.glob("*.yaml"))
    return [d for path in files for d in yaml.safe_load_all(path.read_text())]


def found(kind: str, name: str) -> dict[str, Any]:
    return next(d for d in documents() if (d["kind"], d["metadata"]["name"]) == (kind, name))


def granted(*roles: dict[str, Any]) -> set[tuple[str, str]]:
    """(resource, verb) pairs of the roles' rules."""
    return {
        (resource, verb)
        for role in roles
        for rule in role["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(twin) -> set[tuple[str, str]]:
    return {
        (f"{r.resource}/{r.subresource}" if r.subresource else r.resource, r.verb)
        for r in list(twin.log.recent)
        if r.user != VIEWER.name and r.resource
    }


def carry_out(plan) -> str:
    for _ in range(8):
        executor.execute(plan.id)
        Execution.objects.filter(plan=plan).update(not_before=None)
    plan.refresh_from_db()
    return plan.state


@pytest.fixture
def namespace(twin):
    made = {"metadata": {"name": "infra-console"}, "status": {"phase": "Active"}}
    twin.call(twin.store.create, NAMESPACES, made, datetime.now(UTC))


def test_the_executor_is_granted_what_an_execution_uses_and_no_more(
    twin, namespace, armed, approved, monkeypatch
):
    """A node changes tier with its pods drained, a service shrinks by a named victim."""
    monkeypatch.setattr(fence, "RENEW_EVERY_S", 0.0)  # this run is over before the Lease is due
    name = "chat-70b"
    replicas = twin.deployment(name)["spec"]["replicas"]
    victim = next(
        p["metadata"]["name"] for p in twin.pods() if p["metadata"]["name"].startswith(name)
    )
    shrink = scale_step(name, replicas, replicas - 1, wave=4, victims=(victim,))
    busy = next(
        n["metadata"]["name"]
        for n in twin.call(twin.store.all, NODES)
        if n["metadata"]["labels"].get(TIER_KEY) == "inference"
        and any(p.startswith("chat") for p in twin.pods_on(n["metadata"]["name"]))
    )
    plan = approved(
        spec(
            moves=(
                node_move(busy, "inference", "training"),
                scale_move(name, replicas, replicas - 1),
            ),
            steps=(*node_steps(busy, "inference", "training"), shrink),
            guards=(),
        )
    )
    assert carry_out(plan) == "verified", plan.state_reason
    roles = found("ClusterRole", "infra-console-executor"), found("Role", "infra-console-owner")
    assert used(twin) == granted(*roles)


def test_the_reader_may_not_write():
    assert {verb for _, verb in granted(found("ClusterRole", "infra-console-reader"))} <= READS


def test_nobody_is_granted_everything_and_nobody_may_delete():
    for document in documents():
        for rule in document.get("rules", ()):
            words = {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            assert not words & {"*", "delete", "deletecollection", "impersonate", "bind"}


def test_groups_are_those_of_the_resources():
    for document in documents():
        for rule in document.get("rules", ()):
            if set(rule["resources"]) <= CORE:
                assert rule["apiGroups"] == [""]
            elif rule["resources"][0].startswith(DEPLOYMENTS.plural):
                assert rule["apiGroups"] == [DEPLOYMENTS.group]


def test_bindings_lead_to_roles_and_accounts_that_are_there():
    there = {(d["kind"], d["metadata"]["name"]) for d in documents()}
    for document in documents():
        if document["kind"].endswith("RoleBinding"):
            assert (document["roleRef"]["kind"], document["roleRef"]["name"]) in there
            assert all((s["kind"], s["name"]) in there for s in document["subjects"])
        if document["kind"] == "ValidatingAdmissionPolicyBinding":
            assert ("ValidatingAdmissionPolicy", document["spec"]["policyName"]) in there


def test_the_policies_speak_of_our_keys_and_of_the_executor():
    nodes, pods = (
        found("ValidatingAdmissionPolicy", f"infra-console-{kind}") for kind in ("nodes", "pods")
    )
    for policy in (nodes, pods):
        assert policy["spec"]["failurePolicy"] == "Fail"
        condition = policy["spec"]["matchConditions"][0]["expression"]
        assert "'system:serviceaccount:infra-console:executor'" in condition
    text = str(nodes["spec"])
    assert f"'{TIER_KEY}'" in text
    assert f"'{PLAN}'" in text
    assert all(key.startswith("infra-console.dev/") for key in (PLAN, EPOCH, PRIOR))
    assert f"'{DELETION_COST}'" in str(pods["spec"])


def test_the_lease_that_may_be_written_is_ours():
    rules = found("Role", "infra-console-owner")["rules"]
    assert [r.get("resourceNames") for r in rules] == [None, [LEASE]]
