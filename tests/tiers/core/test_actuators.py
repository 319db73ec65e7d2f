"""Who owns the replicas of a workload, and what a plan makes of it."""

from dataclasses import replace

import pytest

from tests.tiers.core.fleets import chat_pod, cluster, node
from tests.tiers.core.test_moves import CHAT, TRAINING, moves
from tiers.core.actuators import actuator_of, git_agent, steered, who_leaves
from tiers.core.classify import replica_of, workload_of
from tiers.core.fleet_state import AutoscalerView, DeploymentView, GitView

HPA = AutoscalerView("HorizontalPodAutoscaler", "chat", "u", 1, 8, 8)


GIT = GitView("fleet", "apps/chat.yaml", ("spec", "replicas"))


def chat(**changes: object) -> DeploymentView:
    return replace(DeploymentView("inference", "chat", "uid-chat", 2, 2, "chat"), **changes)


@pytest.mark.parametrize(
    ("view", "way", "owner"),
    [
        (chat(), "scale", ""),
        (chat(owners=("kubectl", "kube-controller-manager")), "scale", ""),
        (chat(owners=("argocd-controller", "kubectl")), "owned", "argocd-controller"),
        (chat(owners=("argocd-controller",), git=GIT), "git", "argocd-controller"),
        (chat(owners=("kubectl",), git=GIT), "scale", ""),
        (chat(kind="StatefulSet"), "ordinal", ""),
        (chat(kind="LeaderWorkerSet", owners=("kustomize-controller",)), "owned",
         "kustomize-controller"),
        (chat(autoscaler=HPA, owners=("argocd-controller",)), "bounds",
         "HorizontalPodAutoscaler chat"),
        (chat(autoscaler=replace(HPA, owners=("kubectl",))), "owned",
         "HorizontalPodAutoscaler chat, whose bounds kubectl owns"),
        (chat(autoscaler=replace(HPA, kind="ScaledObject", paused=True)), "owned",
         "ScaledObject chat, which is paused"),
    ],
)  # fmt: skip
def test_the_owner_of_the_replicas_decides_how_they_are_moved(view, way, owner):
    actuator = actuator_of(view)
    assert (actuator.way, actuator.owner) == (way, owner)


def test_agents_are_told_from_people():
    assert git_agent(["kubectl-edit", "argocd-application-controller"]) != ""
    assert git_agent(["kubectl-edit", "helm"]) == ""


def test_an_autoscaler_may_be_asked_to_grow_but_its_shrink_is_not_counted_on():
    view = chat(autoscaler=HPA)
    assert steered([view], {"chat": 2}) == ({"chat": 2}, [])
    left, notes = steered([view], {"chat": -1, "other": -3})
    assert left == {"other": -3}
    assert notes == [
        "chat: -1 was left out, its replicas are owned by HorizontalPodAutoscaler chat"
    ]


def test_git_grows_what_it_owns_and_shrinks_only_where_it_is_known_who_leaves():
    owned = {"owners": ("argocd-controller",), "git": GIT}
    assert steered([chat(**owned)], {"chat": 1})[0] == {"chat": 1}
    assert steered([chat(**owned)], {"chat": -1})[0] == {}
    assert steered([chat(kind="StatefulSet", **owned)], {"chat": -1})[0] == {"chat": -1}


def test_the_highest_numbers_leave():
    assert who_leaves(chat(kind="StatefulSet", replicas=4, first=1), 2) == ("chat-4", "chat-3")


@pytest.mark.parametrize(
    ("pod", "owner", "workload", "replica"),
    [
        ("chat-2", "chat", "chat", "chat-2"),  # of a set, or a group's leader
        ("chat-2-1", "chat-2", "chat", "chat-2"),  # a group's worker
        ("big-0", "big", "", ""),
    ],
)
def test_pods_of_numbered_sets_are_known_by_their_owners(pod, owner, workload, replica):
    found = workload_of(pod, "StatefulSet", owner, ["chat"])
    assert (found, replica_of(pod, "StatefulSet", owner, found)) == (workload, replica)


def numbered(nodes, homes, **changes):
    """Chat as a numbered set whose pod n runs on the n-th of these nodes."""
    pods = [replace(chat_pod(f"chat-{n}", on), replica=f"chat-{n}") for n, on in enumerate(homes)]
    state = cluster(nodes, pods, len(homes))
    (view,) = state.deployments
    return replace(state, deployments=(replace(view, kind="StatefulSet", **changes),))


def test_the_node_follows_the_victim():
    """Node i1 would be the cheaper one to take by name; the pod that must leave is on i2."""
    nodes = [node("i1", "inference"), node("i2", "inference"), node("t1", "training")]
    state = numbered(nodes, ["i1", "i1", "i2"])
    result = moves(state, {CHAT: 2, TRAINING: 2}, deltas={"chat": -1})
    assert [c.node.name for c in result.nodes] == ["i2"]
    (shrink,) = result.shrinks
    assert (shrink.to_replicas, shrink.victims, shrink.gpus) == (2, ("chat-2",), -4)


def test_a_group_of_several_pods_counts_as_one_and_leaves_whole():
    nodes = [node("i1", "inference"), node("i2", "inference")]
    pods = [
        replace(chat_pod(f"chat-{group}{worker}", f"i{group + 1}"), replica=f"chat-{group}", gpus=4)
        for group in range(2)
        for worker in ("", "-1")
    ]
    state = cluster(nodes, pods, 2)
    view = replace(state.deployments[0], kind="LeaderWorkerSet")
    result = moves(replace(state, deployments=(view,)), {CHAT: 1}, deltas={"chat": -1})
    (shrink,) = result.shrinks
    assert (shrink.to_replicas, shrink.gpus) == (1, -8)
    assert shrink.victims == ("chat-1", "chat-1-1")


def test_what_git_owns_is_left_out_and_said():
    state = numbered([node("i1", "inference")], ["i1", "i1"], owners=("argocd-controller",))
    result = moves(state, {CHAT: 1}, deltas={"chat": -1})
    assert not result.shrinks
    assert "chat: -1 was left out, its replicas are owned by argocd-controller" in result.notes
