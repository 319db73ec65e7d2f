"""Quota that follows the nodes: who leaves a queue, and how much it may hand out afterwards."""

from dataclasses import replace

from tests.tiers.core.fleets import POOL, chat_pod, cluster, gang_pod, node
from tests.tiers.core.test_moves import CHAT, TRAINING, moves
from tiers.core.fleet_state import GangView, QuotaView

NODES = frozenset({"t1", "t2"})


def quota(queue: str, nominal: int, reserved: int, **changes) -> QuotaView:
    held = QuotaView(queue, f"uid-{queue}", "h100", "training", nominal, reserved, nominal, NODES)
    return replace(held, **changes)


def gang(name: str, gpus: int, queue: str = "research") -> GangView:
    held = {"h100": gpus}
    return GangView("training", f"job-{name}", f"uid-{name}", name, "training", queue, held)


def training(*gangs, quotas, ages=(60, 3000)):
    """Two training nodes with a gang on each, their queues; inference holds one node, full."""
    nodes = [node("i1", "inference"), node("t1", "training"), node("t2", "training")]
    pods = [chat_pod("chat-a", "i1"), chat_pod("chat-b", "i1")]
    pods += [
        gang_pod(g.job, 0, f"t{at}", age_s)
        for at, (g, age_s) in enumerate(zip(gangs, ages, strict=False), start=1)
    ]
    return replace(cluster(nodes, pods, 2), quotas=quotas, gangs=gangs)


def test_the_gang_with_the_youngest_checkpoint_leaves_and_its_quota_with_it():
    state = training(gang("a", 8), gang("b", 8), quotas=(quota("research", 16, 16),))
    result = moves(state, {CHAT: 4, TRAINING: 1})
    assert [(s.gang.job, s.gpus, s.checkpoint_age_s) for s in result.stops] == [("a", 8, 60)]
    assert [(c.quota.queue, c.quota.nominal, c.to) for c in result.quotas] == [("research", 16, 8)]
    assert result.notes == ()


def test_an_idle_node_takes_its_quota_along_and_stops_nobody():
    state = training(gang("a", 8), quotas=(quota("research", 16, 8),))
    result = moves(state, {CHAT: 4, TRAINING: 1})
    assert [c.node.name for c in result.nodes] == ["t2"]
    assert result.stops == ()
    assert [c.to for c in result.quotas] == [8]


def test_a_queue_that_hands_out_less_than_there_is_keeps_doing_so():
    state = training(gang("a", 8), quotas=(quota("research", 8, 8),))
    assert moves(state, {CHAT: 4, TRAINING: 1}).quotas == ()


def test_a_quota_is_never_lowered_below_what_stays_admitted():
    """More is handed out than there is: a gang was admitted that has no node."""
    state = training(gang("a", 8), gang("b", 8), quotas=(quota("research", 24, 24),))
    result = moves(state, {CHAT: 4, TRAINING: 1})
    assert [c.to for c in result.quotas] == [16]
    state = training(gang("a", 8), quotas=(quota("research", 24, 24),))
    result = moves(state, {CHAT: 4, TRAINING: 1})
    assert result.quotas == ()
    assert "8 GPUs of h100 stay in quota beyond training's nodes" in result.notes[0]


def test_the_queue_that_uses_least_of_its_quota_gives_it():
    quotas = (quota("busy", 8, 8), quota("calm", 8, 0))
    result = moves(training(gang("a", 8, "busy"), quotas=quotas), {CHAT: 4, TRAINING: 1})
    assert [(c.quota.queue, c.to) for c in result.quotas] == [("calm", 0)]


def test_quota_is_raised_for_nodes_that_come_by_what_the_nodes_hold():
    state = training(gang("a", 8), gang("b", 8), quotas=(quota("research", 16, 16),))
    covered = frozenset({"i1", *NODES})
    state = replace(state, quotas=(replace(state.quotas[0], nodes=covered),), pods=state.pods[2:])
    result = moves(state, {TRAINING: 3})
    assert [(c.node.name, c.to_tier) for c in result.nodes] == [("i1", "training")]
    assert [(c.to, c.delta) for c in result.quotas] == [(24, 8)]
    over = replace(state, quotas=(replace(state.quotas[0], nominal=32),))
    assert moves(over, {TRAINING: 3}).quotas == ()


def test_nodes_that_a_flavour_does_not_cover_move_no_quota():
    held = quota("research", 16, 8, nodes=frozenset({"elsewhere"}))
    assert moves(training(gang("a", 8), quotas=(held,)), {CHAT: 4, TRAINING: 1}).quotas == ()


def test_an_owner_of_the_quota_is_named_before_anybody_approves():
    held = quota("research", 16, 8, owners=("argocd-controller",))
    result = moves(training(gang("a", 8), quotas=(held,)), {CHAT: 4, TRAINING: 1})
    assert "quota of research is owned by argocd-controller" in result.notes[0]


def test_a_pool_without_queues_is_as_ever():
    result = moves(training(gang("a", 8), quotas=()), {(POOL, "chat"): 4, TRAINING: 1})
    assert result.quotas == ()
