"""Which steps a plan is made of, by who owns the replicas; and the reading that tells it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infra_console.plans.models import Plan
from infra_console.plans.spec import Evidence
from tests.infra_console.conftest import named_cluster, tls, twin
from tests.infra_console.kube import CLUSTER
from tests.infra_console.plans.targets import (
    add,
    handed_over,
    held,
    leader_worker_set,
    room,
    stateful_set,
    until,
)
from tests.tiers.factories import fleet_config, fleet_document
from tiers.adapters.kubernetes_fleet import KubernetesFleet
from tiers.core.changes import ClusterMoves, NodeChange, ScaleChange
from tiers.core.fleet_state import AutoscalerView, FleetState, GitView
from tiers.core.plan_price import PlanPrice
from tiers.facts import fleet_facts
from tiers.planning import build_plan
from tiers.twin.controllers import gitops
from tiers.twin.kube.resources import HPAS, LEADER_WORKER_SETS, STATEFUL_SETS

__all__ = ["named_cluster", "tls", "twin"]

HPA = AutoscalerView("HorizontalPodAutoscaler", "chat-hpa", "uid-hpa", 1, 3, 3)
EVIDENCE = Evidence(cycle_id="1", taken_at=datetime(2026, 11, 24, tzinfo=UTC), ages_s={}, states={})


def planned(north, view, to: int, *, victims=(), nodes=()):
    """A plan that brings chat to so many replicas, and moves these nodes."""
    state = replace(north, deployments=(view,))
    scale = ScaleChange(view, to, 4 * (to - view.replicas), victims, "needed")
    shrinks, grows = ((scale,), ()) if to < view.replicas else ((), (scale,))
    moves = ClusterMoves("north", shrinks, nodes, grows, ())
    price = PlanPrice(0.0, 0.0, restores_floor=False)
    return build_plan(fleet_facts(fleet_config()), state, moves, EVIDENCE, price)


def test_an_autoscaled_workload_grows_by_its_minimum(north):
    view = replace(north.deployments[0], autoscaler=HPA)
    spec = planned(north, view, 4)
    (step,) = spec.steps
    assert (step.kind, step.target.kind, step.target.name) == (
        "workload.bound", "HorizontalPodAutoscaler", "chat-hpa",
    )  # fmt: skip
    assert step.params["from"] == {"min": 1, "max": 3}
    assert step.params["to"] == {"min": 4, "max": 4}
    (relied,) = spec.preconditions
    assert relied.target == step.target
    assert relied.facts == {"min": 1, "max": 3, "owners": [], "uid": "uid-hpa"}
    assert spec.moves[0].target == step.target


def test_a_bound_that_was_not_written_down_stays_so_when_it_suffices(north):
    keda = replace(HPA, kind="ScaledObject", low=None, high=None, most=100)
    (step,) = planned(north, replace(north.deployments[0], autoscaler=keda), 4).steps
    assert step.params["to"] == {"min": 4, "max": None}


def test_what_git_owns_is_asked_of_its_repository(north):
    git = GitView("fleet", "apps/chat.yaml", ("spec", "replicas"))
    view = replace(north.deployments[0], owners=("argocd-controller",), git=git)
    (step,) = planned(north, view, 4).steps
    assert (step.kind, step.target.kind, step.target.name) == ("git.change", "Deployment", "chat")
    assert step.params == {
        "repository": "fleet", "file": "apps/chat.yaml", "field": ["spec", "replicas"],
        "fact": "replicas", "from": 2, "to": 4,
    }  # fmt: skip


def test_a_numbered_set_names_who_leaves_and_from_where(north):
    view = replace(north.deployments[0], kind="StatefulSet")
    pods = [replace(p, replica=p.name) if p.workload == "chat" else p for p in north.pods]
    spec = planned(replace(north, pods=tuple(pods)), view, 1, victims=("chat-1",))
    (step,) = spec.steps
    assert (step.kind, step.target.kind) == ("workload.scale_ordinal", "StatefulSet")
    assert step.params["leaves"] == ["chat-1"]
    assert step.params["nodes"] == {"chat-1": ["i1"]}
    assert spec.preconditions[0].facts == {"replicas": 2, "uid": "uid-chat"}


def test_a_node_that_would_be_consolidated_is_kept_from_first_to_last(north):
    node = replace(north.nodes[2], consolidated=True)
    change = NodeChange(node, "training", "inference", (), 0.0, "needed")
    spec = planned(north, north.deployments[0], 3, nodes=(change,))
    assert [(s.kind, s.wave) for s in spec.steps] == [
        ("node.protect", 0), ("node.cordon", 1), ("node.drain", 2), ("node.assign_tier", 3),
        ("node.uncordon", 4), ("workload.scale", 5), ("node.unprotect", 6),
    ]  # fmt: skip


def test_a_cycle_asks_the_autoscaler_and_the_page_says_who_owns_it(run, metrics, north):
    metrics(datetime.now(UTC), 19.0)
    owned = replace(north.deployments[0], autoscaler=HPA)
    run(FleetState({"north": replace(north, deployments=(owned,))}), now=datetime.now(UTC))
    kinds = [s.kind for s in Plan.objects.get().spec.steps]
    assert kinds[-1] == "workload.bound"


# Reading who owns what


def facts_of_the_twin():
    """The fleet file of one twin cluster with a set, a group set and a Deployment."""
    chat, training = fleet_document()["workloads"]
    served = {"Deployment": "chat-70b", "StatefulSet": "embed", "LeaderWorkerSet": "wide"}
    workloads = [
        chat | {"id": name, "kind": kind, "name": name, "model": name, "regions": [CLUSTER]}
        for kind, name in served.items()
    ]
    workloads[0] |= {"git": {"repository": "fleet", "file": "chat.yaml"}}
    region = fleet_document()["regions"][0] | {"id": CLUSTER}
    pool = fleet_document()["pools"][0] | {"cluster": CLUSTER}
    return fleet_facts(
        fleet_config(
            regions=[region],
            clusters=[{"id": CLUSTER, "context": CLUSTER, "region": CLUSTER}],
            sources=[],
            pools=[pool],
            workloads=[*workloads, training | {"regions": [CLUSTER]}],
        )
    )


@pytest.fixture
def read(twin):
    def state():
        fleet = KubernetesFleet(facts_of_the_twin(), now=datetime.now(UTC)).read([CLUSTER])
        assert not fleet.unreadable
        return fleet.clusters[CLUSTER]

    return state


def test_sets_groups_and_their_owners_are_read(transactional_db, twin, read):
    room(twin)
    stateful_set(twin, 2)
    leader_worker_set(twin, 2)
    body = {"metadata": {"name": "chat"}, "spec": {"minReplicas": 1, "maxReplicas": 30}}
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-70b"}
    add(twin, HPAS, handed_over(HPAS, body, scaleTargetRef=aim))
    manifest = {"apiVersion": "apps/v1", "kind": "StatefulSet",
                "metadata": {"name": "embed", "namespace": "inference"},
                "spec": {"replicas": 2}}  # fmt: skip
    twin.call(gitops.own, twin.store, manifest, datetime.now(UTC))
    for resource, name in ((STATEFUL_SETS, "embed"), (LEADER_WORKER_SETS, "wide")):
        until(
            lambda r=resource, n=name: held(twin, r, n).get("status", {}).get("readyReplicas") == 2
        )
    until(lambda: "argocd" in str(held(twin, STATEFUL_SETS, "embed")["metadata"]["managedFields"]))
    state = read()
    views = {d.workload: d for d in state.deployments}
    assert {(d.kind, d.workload) for d in state.deployments} == {
        ("Deployment", "chat-70b"), ("StatefulSet", "embed"), ("LeaderWorkerSet", "wide"),
    }  # fmt: skip
    assert views["chat-70b"].autoscaler.name == "chat"
    assert views["chat-70b"].git == GitView("fleet", "chat.yaml", ("spec", "replicas"))
    assert views["chat-70b"].autoscaler.owners == ()
    assert "argocd-controller" in views["embed"].owners
    assert views["wide"].autoscaler is None
    groups = {p.replica for p in state.pods if p.workload == "wide"}
    assert groups == {"wide-0", "wide-1"}
    assert {p.replica for p in state.pods if p.workload == "embed"} == {"embed-0", "embed-1"}
    assert {p.replica for p in state.pods if p.workload == "chat-70b"} == {""}
