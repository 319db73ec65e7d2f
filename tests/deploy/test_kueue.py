"""deploy/kubernetes/kueue.yaml: it grants what a plan on Kueue uses, both ways, and no more."""

from infra_console.cluster.rights import READS, WRITES
from infra_console.plans.taking_back.rollback import roll_back
from tests.deploy.test_manifests import documents, found, granted, used
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.plans.conftest import _short_waits, approved, approver, armed, operator
from tests.infra_console.plans.executing.test_execution import work
from tests.infra_console.plans.kueue_world import KueueTwin, shrink
from tiers.twin.kube.resources import CLUSTER_QUEUES, WORKLOADS

__all__ = [
    "_short_waits", "approved", "approver", "armed", "named_cluster", "operator", "tls", "twin",
]  # fmt: skip

KINDS = (CLUSTER_QUEUES.plural, WORKLOADS.plural)


def test_the_executor_is_granted_what_a_plan_on_kueue_uses_and_no_more(
    twin, armed, approved, operator
):
    plan = work(approved(shrink(KueueTwin(twin))), turns=20)
    assert plan.state == "verified", plan.state_reason
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan, turns=20).state == "rolled_back"
    role = granted(found("ClusterRole", "infra-console-kueue"))
    assert {(r, v) for r, v in used(twin) if r in KINDS} == role
    everyones = granted(found("ClusterRole", "infra-console-executor"))
    owners = granted(found("Role", "infra-console-owner"))
    assert {(r, v) for r, v in used(twin) if r != "namespaces"} <= role | everyones | owners


def test_what_the_doctor_asks_for_is_what_the_manifests_grant():
    reader = granted(
        *(found("ClusterRole", f"infra-console-{r}") for r in ("reader", "kueue-reader"))
    )
    executor = granted(*(found("ClusterRole", f"infra-console-{r}") for r in ("executor", "kueue")))

    def asked(rights) -> set[tuple[str, str]]:
        return {(r.resource, r.verb) for r in rights}

    assert asked(READS) <= reader & executor
    assert asked(WRITES) == {(r, v) for r, v in executor if v not in {"get", "list"}}


def test_the_policies_on_kueue_hold_the_executor_to_quota_and_active():
    policies = {
        d["metadata"]["name"]: d["spec"]
        for d in documents()
        if d["kind"] == "ValidatingAdmissionPolicy"
    }
    queues, workloads = (policies[f"infra-console-{kind}"] for kind in KINDS)
    for policy in (queues, workloads):
        assert policy["failurePolicy"] == "Fail"
        (condition,) = policy["matchConditions"]
        assert "'system:serviceaccount:infra-console:executor'" in condition["expression"]
        assert policy["matchConstraints"]["resourceRules"][0]["operations"] == ["UPDATE"]
    assert "infra-console.dev/managed" in str(queues)
    for field in ("borrowingLimit", "lendingLimit", "cohortName", "stopPolicy", "preemption"):
        assert field in str(queues)
    for field in ("queueName", "podSets", "priority"):
        assert f"object.spec.?{field} == oldObject.spec.?{field}" in str(workloads)
