"""What plans took over goes back when the tier is disarmed, as it stands, exactly once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from infra_console.audit.models import AuditRow
from infra_console.cluster.errors import ClusterForbidden
from infra_console.cluster.takeovers import forbid_take_over
from infra_console.plans import services
from infra_console.plans.models import Arming, LockRow, TakenField
from infra_console.plans.safety import disarm, engage_kill_switch, release_kill_switch
from infra_console.plans.taking_back import handing
from infra_console.plans.taking_back.handing import hand_back_due, send_due
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.executing.test_execution import work as work_nodes
from tests.infra_console.plans.specs import NODE, TIER_KEY, spec
from tests.infra_console.plans.steps.test_take_over import (
    CASES,
    OWNER,
    allow,
    applied,
    owners,
    stood,
)
from tests.infra_console.plans.steps.test_tier_labels import label_as
from tests.infra_console.plans.steps.test_tier_labels import owners as label_owners
from tests.infra_console.plans.targets import Killed, held, plan_of, ref, step, work
from tests.people import person
from tiers.twin.kube.resources import QUOTAS

TIER = "inference"


def taken_by_a_plan(twin, approved, kind: str):
    """A plan that took the field of this kind over and was carried out."""
    make, resource, name, fields = CASES[kind]
    change = make(twin)
    allow(kind)
    plan = work(approved(plan_of(change)))
    assert plan.state == "verified", plan.state_reason
    assert all("infra-console" in managers(twin, resource, name, f) for f in fields)
    return plan, resource, name, fields


def managers(twin, resource, name: str, field) -> set[str]:
    return {manager for manager, _ in owners(twin, resource, name, *field)}


def disarmed(operator) -> None:
    disarm(CLUSTER, TIER, by=operator)


def let_it_be_tried() -> None:
    """As if half a minute had passed, and the claim of a dead worker had run out."""
    past = timezone.now() - timedelta(seconds=1)
    TakenField.objects.filter(handed_at=None).update(next_try_at=past, claimed_until=past)


@pytest.mark.parametrize("kind", CASES)
def test_disarming_hands_the_field_back_with_the_value_as_it_stands(
    twin, armed, approved, operator, kind
):
    _, resource, name, fields = taken_by_a_plan(twin, approved, kind)
    stands, _ = stood(twin, resource, name)
    assert hand_back_due(CLUSTER) == 0  # armed: it may be kept
    disarmed(operator)
    assert hand_back_due(CLUSTER) == len(fields)
    for field in fields:
        assert owners(twin, resource, name, *field) == {(OWNER, "Apply")}, field
    assert stood(twin, resource, name)[0] == stands
    applied(resource, name, {k: stands[k] for k in ("replicas", "hard") if k in stands})
    writes = twin.mutations()
    assert hand_back_due(CLUSTER) == 0
    assert twin.mutations() == writes


def test_an_arming_that_ends_by_itself_hands_back_too(twin, armed, approved):
    _, _, name, fields = taken_by_a_plan(twin, approved, "ResourceQuota")
    Arming.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert hand_back_due(CLUSTER) == 1
    assert owners(twin, QUOTAS, name, *fields[0]) == {(OWNER, "Apply")}
    row = TakenField.objects.get()
    assert row.handed_at and row.outcome == f"handed back to {OWNER}, as 72"


def test_its_owner_may_apply_again_without_a_conflict(twin, armed, approved, operator):
    from kubernetes.client import CoreV1Api

    from infra_console.cluster.client import client_for

    taken_by_a_plan(twin, approved, "ResourceQuota")
    disarmed(operator)
    hand_back_due(CLUSTER)
    hard = {"requests.nvidia.com/gpu": "80", "pods": "500"}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus"}}
    CoreV1Api(client_for(CLUSTER)).patch_namespaced_resource_quota(
        name="gpus",
        namespace=TIER,
        body=body | {"spec": {"hard": hard}},
        field_manager=OWNER,
        _content_type="application/apply-patch+yaml",
    )
    assert held(twin, QUOTAS, "gpus")["spec"]["hard"] == hard


def test_a_label_goes_back_to_who_wrote_it_by_hand(twin, armed, approved, operator):
    label_as("kubectl-label", "operational", "training")
    from infra_console.cluster.takeovers import allow_take_over

    allow_take_over(CLUSTER, "Node", manager="kubectl-label", by=person("admin"), reason="adopted")
    assert work_nodes(approved(spec())).state == "verified"
    disarmed(operator)
    assert hand_back_due(CLUSTER) == 1
    assert label_owners(twin) == {"kubectl-label": "Update"}
    assert twin.node(NODE)["metadata"]["labels"][TIER_KEY] == "inference"


@pytest.mark.parametrize("dies", ["before the write", "after the write"])
def test_a_worker_killed_between_two_fields_leaves_the_rest_to_the_next(
    twin, armed, approved, operator, monkeypatch, dies
):
    _, resource, name, fields = taken_by_a_plan(twin, approved, "HorizontalPodAutoscaler")
    disarmed(operator)
    before = twin.count(f"patch {resource.plural} {name}")
    real, calls = handing.hand_over, 0

    def dying(state, to):
        nonlocal calls
        calls += 1
        if calls == 2 and dies == "before the write":
            raise Killed
        done = real(state, to)
        if calls == 2:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(handing, "hand_over", dying)
        with pytest.raises(Killed):
            hand_back_due(CLUSTER)
    assert TakenField.objects.filter(handed_at=None).count() == 1
    assert hand_back_due(CLUSTER) == 0  # the dead worker's claim stands
    let_it_be_tried()
    assert hand_back_due(CLUSTER) == 1
    for field in fields:
        assert managers(twin, resource, name, field) == {OWNER}
    rows = AuditRow.objects.filter(detail__hand_back=True)
    opened = set(rows.filter(action="step.writing").values_list("seq", flat=True))
    ended = rows.exclude(action="step.writing").values_list("detail__opened", flat=True)
    assert opened == set(ended)
    assert twin.count(f"patch {resource.plural} {name}") - before == 2


def test_it_waits_for_the_plan_that_is_at_work_there(twin, armed, approved, operator):
    plan, *_ = taken_by_a_plan(twin, approved, "ResourceQuota")
    LockRow.objects.create(cluster=CLUSTER, tier=TIER, plan=plan, taken_at=timezone.now())
    disarmed(operator)
    writes = twin.mutations()
    assert hand_back_due(CLUSTER) == 0
    assert twin.mutations() == writes
    assert TakenField.objects.get().outcome == (
        f"waits for plan {plan.number}, which is at work there"
    )
    LockRow.objects.all().delete()
    assert hand_back_due(CLUSTER) == 0  # not before half a minute has passed
    let_it_be_tried()
    assert hand_back_due(CLUSTER) == 1


def test_the_kill_switch_stops_it(twin, armed, approved, operator):
    taken_by_a_plan(twin, approved, "ResourceQuota")
    disarmed(operator)
    engage_kill_switch(by=operator, reason="fire")
    writes = twin.mutations()
    assert hand_back_due(CLUSTER) == 0
    assert twin.mutations() == writes
    assert TakenField.objects.get().outcome == "the kill switch is engaged"
    release_kill_switch(by=operator)
    let_it_be_tried()
    assert hand_back_due(CLUSTER) == 1


def test_the_kill_switch_stops_it_between_reading_and_writing(
    twin, armed, approved, operator, monkeypatch
):
    taken_by_a_plan(twin, approved, "ResourceQuota")
    disarmed(operator)
    read = handing.read_field

    def reading(at):
        engage_kill_switch(by=operator, reason="fire")
        return read(at)

    monkeypatch.setattr(handing, "read_field", reading)
    writes = twin.mutations()
    assert hand_back_due(CLUSTER) == 0
    assert twin.mutations() == writes


def test_armed_again_in_time_it_is_kept(twin, armed, approved, operator, monkeypatch):
    taken_by_a_plan(twin, approved, "ResourceQuota")
    disarmed(operator)
    read = handing.read_field

    def reading(at):
        services.arm(CLUSTER, TIER, by=operator, hours=1)
        return read(at)

    monkeypatch.setattr(handing, "read_field", reading)
    assert hand_back_due(CLUSTER) == 0
    assert TakenField.objects.get().outcome == "it was armed again"
    let_it_be_tried()
    assert send_due() == 0


def test_what_somebody_else_took_since_is_left_alone(twin, armed, approved, operator):
    _, resource, name, fields = taken_by_a_plan(twin, approved, "ResourceQuota")
    applied(resource, name, {"hard": {"requests.nvidia.com/gpu": "40"}}, manager="argocd")
    disarmed(operator)
    writes = twin.mutations()
    assert hand_back_due(CLUSTER) == 1
    assert twin.mutations() == writes
    assert managers(twin, resource, name, fields[0]) == {"argocd"}
    assert TakenField.objects.get().outcome == "was no longer ours: argocd owns it"


def test_a_conflict_is_read_again_and_a_refusal_is_kept_for_the_page(
    twin, armed, approved, operator, monkeypatch
):
    _, resource, name, fields = taken_by_a_plan(twin, approved, "ResourceQuota")
    disarmed(operator)
    real, calls = handing.hand_over, 0

    def busy(state, to):
        nonlocal calls
        calls += 1
        if calls == 1:
            twin.edit(resource, TIER, name, {"metadata": {"labels": {"team": "x"}}})
        elif calls == 2:
            raise ClusterForbidden(CLUSTER, "may not patch")
        return real(state, to)

    monkeypatch.setattr(handing, "hand_over", busy)
    assert hand_back_due(CLUSTER) == 0
    assert TakenField.objects.get().outcome == "may not patch"
    let_it_be_tried()
    assert hand_back_due(CLUSTER) == 1
    assert managers(twin, resource, name, fields[0]) == {OWNER}


def test_taking_the_leave_back_hands_the_field_back(twin, armed, approved):
    _, resource, name, fields = taken_by_a_plan(twin, approved, "ResourceQuota")
    admin = person("admin", "viewer")
    forbid_take_over(CLUSTER, "ResourceQuota", manager=OWNER, by=admin, reason="over")
    assert hand_back_due(CLUSTER) == 1
    assert managers(twin, resource, name, fields[0]) == {OWNER}


def test_after_a_rollback_nothing_is_ours_any_more(twin, armed, approved, operator):
    plan, resource, name, fields = taken_by_a_plan(twin, approved, "ResourceQuota")
    roll_back(plan.id, by=operator, reason="enough")
    assert work(plan).state == "rolled_back"
    assert hand_back_due(CLUSTER) == 1
    assert TakenField.objects.get().outcome == f"was no longer ours: {OWNER} owns it"
    assert managers(twin, resource, name, fields[0]) == {OWNER}


def test_a_second_plan_keeps_the_first_ones_owner(twin, armed, approved, operator):
    _, resource, name, fields = taken_by_a_plan(twin, approved, "ResourceQuota")
    more = step("quota.cap", ref("ResourceQuota", "gpus"), **{"from": 72, "to": 80})
    assert work(approved(plan_of(more))).state == "verified"
    disarmed(operator)
    assert hand_back_due(CLUSTER) == 1
    assert owners(twin, resource, name, *fields[0]) == {(OWNER, "Apply")}
    assert TakenField.objects.get().outcome.endswith("as 80")


def test_a_name_that_leads_to_another_cluster_now_is_not_written_to(
    twin, armed, approved, operator
):
    taken_by_a_plan(twin, approved, "ResourceQuota")
    TakenField.objects.update(context="elsewhere")
    disarmed(operator)
    assert hand_back_due(CLUSTER) == 0
    assert "no longer leads to the context 'elsewhere'" in TakenField.objects.get().outcome
