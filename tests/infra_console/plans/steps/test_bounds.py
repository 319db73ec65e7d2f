"""Bounds of HPAs and ScaledObjects on a served cluster: permissions, owners, what comes of them."""

import pytest

from infra_console.plans.looking.rollback_preview import objects_back
from infra_console.plans.spec import Precondition
from infra_console.plans.steps.bounds import Bound
from infra_console.plans.taking_back.rollback import roll_back
from tests.infra_console.plans.targets import (
    DEATHS,
    SPACE,
    add,
    handed_over,
    held,
    plan_of,
    ref,
    room,
    stateful_set,
    step,
    survive,
    until,
    work,
)
from tiers.twin.controllers import gitops
from tiers.twin.kube.resources import HPAS, SCALED_OBJECTS, STATEFUL_SETS

HPA, SCALED = ref("HorizontalPodAutoscaler", "embed"), ref("ScaledObject", "embed")
AIM = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "embed"}
NAMES = {
    HPAS: ("minReplicas", "maxReplicas"),
    SCALED_OBJECTS: ("minReplicaCount", "maxReplicaCount"),
}


def bound(before, after, target=HPA, **more):
    pairs = {"from": before, "to": after}
    given = {k: {"min": low, "max": high} for k, (low, high) in pairs.items()}
    return step("workload.bound", target, **given, **more)


def bounds(twin, resource=HPAS) -> tuple:
    spec = held(twin, resource, "embed")["spec"]
    return tuple(spec.get(name) for name in NAMES[resource])


def marks(twin, resource=HPAS) -> set[str]:
    notes = held(twin, resource, "embed")["metadata"].get("annotations") or {}
    return {key for key in notes if key.startswith("infra-console.dev/")}


def ready(twin) -> int:
    status = held(twin, STATEFUL_SETS, "embed").get("status") or {}
    return status.get("readyReplicas", 0)


def replicas(twin) -> int:
    return held(twin, STATEFUL_SETS, "embed")["spec"]["replicas"]


@pytest.fixture
def embed(twin):
    room(twin)
    stateful_set(twin, 2)
    until(lambda: ready(twin) == 2)


@pytest.fixture
def hpa(twin, embed):
    body = {"metadata": {"name": "embed"}, "spec": {"minReplicas": 2, "maxReplicas": 4}}
    add(twin, HPAS, handed_over(HPAS, body, scaleTargetRef=AIM))


@pytest.fixture
def scaled(twin, embed):
    trigger = {"type": "cron", "metadata": {"timezone": "Etc/UTC", "start": "0 0 1 1 *",
               "end": "1 0 1 1 *", "desiredReplicas": "2"}}  # fmt: skip
    body = {"metadata": {"name": "embed"}, "spec": {"minReplicaCount": 2}}
    keeps = {"scaleTargetRef": AIM, "triggers": [trigger]}
    add(twin, SCALED_OBJECTS, handed_over(SCALED_OBJECTS, body, **keeps))


@pytest.mark.parametrize(("way", "where"), DEATHS)
def test_killed_at_any_boundary_a_raised_minimum_is_filled_and_put_back_once(
    twin, hpa, armed, approved, operator, monkeypatch, where, way
):
    plan = approved(plan_of(bound((2, 4), (3, 6))))
    plan = survive(monkeypatch, plan, where) if way == "there" else work(plan)
    assert plan.state == "verified", plan.state_reason
    assert (bounds(twin), ready(twin)) == ((3, 6), 3)
    assert marks(twin) == {f"infra-console.dev/{m}" for m in ("plan", "epoch", "prior")}
    roll_back(plan.id, by=operator, reason="slower")
    plan = survive(monkeypatch, plan, where) if way == "back" else work(plan)
    assert plan.state == "rolled_back", plan.state_reason
    assert (bounds(twin), marks(twin)) == ((2, 4), set())
    assert twin.mutations() == ["patch horizontalpodautoscalers embed"] * 2


def test_a_scaled_object_without_a_maximum_gets_one_and_loses_it_again(
    twin, scaled, armed, approved, operator
):
    plan = work(approved(plan_of(bound((2, None), (3, 5), SCALED))))
    assert plan.state == "verified", plan.state_reason
    assert (bounds(twin, SCALED_OBJECTS), ready(twin)) == ((3, 5), 3)
    roll_back(plan.id, by=operator, reason="slower")
    assert work(plan).state == "rolled_back"
    assert (bounds(twin, SCALED_OBJECTS), marks(twin, SCALED_OBJECTS)) == ((2, None), set())


def test_the_hpa_that_keda_made_is_not_bounded(twin, scaled, armed, approved):
    until(lambda: twin.call(twin.store.find, HPAS, SPACE, "keda-hpa-embed"))
    made = ref("HorizontalPodAutoscaler", "keda-hpa-embed")
    plan = work(approved(plan_of(bound((2, 100), (3, 100), made))))
    assert plan.state == "failed"
    assert "is made by ScaledObject embed: bound that instead" in plan.state_reason


def test_a_paused_scaled_object_waits_for_a_person(twin, scaled, armed, approved):
    notes = {"autoscaling.keda.sh/paused": "true"}
    twin.edit(SCALED_OBJECTS, SPACE, "embed", {"metadata": {"annotations": notes}})
    plan = work(approved(plan_of(bound((2, None), (3, None), SCALED))))
    assert (plan.state, "is paused" in plan.state_reason) == ("paused", True)


def test_the_maximum_never_goes_below_what_runs(twin, hpa, armed, approved):
    plan = work(approved(plan_of(bound((2, 4), (1, 1)))))
    assert plan.state == "paused"
    assert "max 1 is below the 2 replicas that embed needs now" in plan.state_reason
    assert (bounds(twin), twin.mutations()) == ((2, 4), [])


def test_a_lowered_minimum_is_a_permission_and_stops_nobody(twin, hpa, armed, approved):
    plan = work(approved(plan_of(bound((2, 4), (1, 4)))))
    assert plan.state == "verified"
    assert (bounds(twin), replicas(twin)) == ((1, 4), 2)


def own(twin, **spec):
    """The GitOps agent holds these bounds from now on."""
    from datetime import UTC, datetime

    manifest = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "embed", "namespace": SPACE}, "spec": spec}  # fmt: skip
    twin.call(gitops.own, twin.store, manifest, datetime.now(UTC))


def owner(twin) -> set[str]:
    return {e["manager"] for e in held(twin, HPAS, "embed")["metadata"].get("managedFields") or ()}


def test_a_bound_that_git_owns_is_named_as_owned_and_never_forced(twin, hpa, armed, approved):
    own(twin, minReplicas=2, maxReplicas=4)
    until(lambda: "argocd-controller" in owner(twin))
    plan = work(approved(plan_of(bound((2, 4), (3, 4)))))
    assert plan.state == "paused"
    assert "a bound of embed is owned by argocd-controller" in plan.state_reason
    assert (bounds(twin), twin.mutations()) == ((2, 4), [])


def test_the_servers_conflict_names_the_owner_too(twin, hpa, armed, approved, monkeypatch):
    """managedFields as read a moment too early: the apply itself is refused, not forced."""
    own(twin, minReplicas=2, maxReplicas=4)
    until(lambda: "argocd-controller" in owner(twin))
    monkeypatch.setattr("infra_console.cluster.bounds.other_owners", lambda *_: ())
    plan = work(approved(plan_of(bound((2, 4), (3, 4)))))
    assert plan.state == "paused"
    assert "is owned by argocd-controller" in plan.state_reason
    assert bounds(twin) == (2, 4)


def test_a_bound_that_is_set_back_is_reverted_by_name_and_not_written_again(
    twin, hpa, armed, approved, monkeypatch
):
    from infra_console.plans.executing import runner

    monkeypatch.setattr(runner, "WORK_S", 0.3)
    plan = work(approved(plan_of(bound((2, 4), (40, 60)))), turns=1)
    assert plan.state == "executing"
    own(twin, minReplicas=2, maxReplicas=4)
    until(lambda: bounds(twin) == (2, 4))
    assert work(plan).state == "paused"
    assert "min 2, max 4 again, reverted by argocd-controller" in plan.state_reason
    assert twin.count("patch horizontalpodautoscalers embed") == 1


def test_an_object_that_knows_a_later_epoch_is_left_alone(twin, hpa, armed, approved):
    plan = approved(plan_of(bound((2, 4), (3, 4))))
    notes = {"infra-console.dev/plan": str(plan.id), "infra-console.dev/epoch": "9"}
    twin.edit(HPAS, SPACE, "embed", {"metadata": {"annotations": notes}})
    assert work(plan).state == "paused"
    assert "restored to an earlier time" in plan.state_reason
    assert bounds(twin) == (2, 4)


def test_unarmed_the_server_checks_and_keeps_nothing(twin, hpa, approved):
    assert work(approved(plan_of(bound((2, 4), (3, 4))))).state == "rehearsed"
    assert (bounds(twin), twin.mutations()) == ((2, 4), [])
    assert any(r.dry_run and r.resource == HPAS.plural for r in twin.log.recent)


def test_drift_of_a_bound_voids_the_plan_and_the_preview_tells_it(
    twin, hpa, armed, approved, operator
):
    facts = {"min": 2, "max": 4, "owners": []}
    relied = (Precondition(target=HPA, facts=facts),)
    void = approved(plan_of(bound((2, 4), (3, 4)), preconditions=relied))
    twin.edit(HPAS, SPACE, "embed", {"spec": {"maxReplicas": 5}})
    assert work(void).state == "void"
    assert "max is 5, was 4" in void.state_reason
    plan = work(approved(plan_of(bound((2, 5), (3, 5)))))
    (back,) = objects_back(plan)
    assert (back.now, back.then) == ("min 3, max 5, 3 replicas", "min 2, max 5")
    twin.edit(HPAS, SPACE, "embed", {"spec": {"maxReplicas": 9}})
    (back,) = objects_back(plan)
    assert "was set by somebody else: the way back would pause" in back.stops[0]


def test_verification_sees_a_bound_that_does_not_stand(twin, hpa, armed, approved):
    looked = Bound().look(HPA, bound((2, 4), (3, 4)).params)
    assert looked.problem == "min 2, max 4, planned min 3, max 4"
