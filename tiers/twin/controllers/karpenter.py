"""Karpenter: machines come for pods that fit nowhere, and go when they have been empty for long.

A NodeClaim becomes a Node after the provisioning delay. Without capacity an event says so, the
claim is deleted, and the pool asks again after a while. A static NodePool keeps `spec.replicas`
machines whatever the pods want. Deleting a NodeClaim drains its node first. Machines are given back
here and in `capi` alone.

Limits: consolidation takes empty nodes only, one pod shape is asked about at a time, and budgets
with a schedule are not read.
"""

from datetime import datetime, timedelta

import numpy as np

from tiers.twin.controllers import amounts, events, fit, machines, node_claims, pods
from tiers.twin.controllers.config import ControllerConfig
from tiers.twin.controllers.karpenter_rules import budget, consolidate_after, limit_nodes, shape
from tiers.twin.controllers.node_claims import POOL_KEY
from tiers.twin.controllers.pods import status_of
from tiers.twin.controllers.rooms import Room, rooms
from tiers.twin.kube.resources import NODE_CLAIMS, NODE_POOLS, NODES, PODS, Obj
from tiers.twin.kube.store import ClusterStore
from tiers.twin.kube.times import parse_time, rfc3339

DISRUPTED_TAINT = "karpenter.sh/disrupted"
BY = "karpenter"
INSUFFICIENT = "InsufficientCapacityError"
_ASKS_AGAIN = "karpenter-asks-again-ms/"
# A new node is given time to receive the pods that it was made for.
NOMINATED_S = 30.0


def tick(
    store: ClusterStore, now: datetime, rng: np.random.Generator, config: ControllerConfig
) -> None:
    pools = store.all(NODE_POOLS)
    if not pools and not store.all(NODE_CLAIMS):
        return
    for claim in store.all(NODE_CLAIMS):
        _advance(store, claim, now, rng, config)
    waiting = _unschedulable(store)
    for pool in sorted(pools, key=lambda p: -int(p["spec"].get("weight", 0))):
        if "replicas" in pool["spec"]:
            _keep_count(store, pool, now, rng)
        else:
            waiting = _provide(store, pool, waiting, now, rng)
            _consolidate(store, pool, now, config)
        _report(store, pool, now)


def adopt(store: ClusterStore, pool: str, node: str, now: datetime) -> Obj:
    """Put an existing node under a pool, as if Karpenter had made it."""
    found = store.get(NODES, "", node)
    labels = (found["metadata"].get("labels") or {}) | {POOL_KEY: pool}
    store.put(NODES, {**found, "metadata": found["metadata"] | {"labels": labels}})
    claim = store.create(NODE_CLAIMS, node_claims.new(store.get(NODE_POOLS, "", pool), node), now)
    return node_claims.ready(store, claim, node, now)


def _new_claim(store: ClusterStore, pool: Obj, now: datetime, rng: np.random.Generator) -> None:
    name = f"{pool['metadata']['name']}-{pods.suffix(rng)}"
    store.create(NODE_CLAIMS, node_claims.new(pool, name), now)


# From claim to node


def _advance(
    store: ClusterStore, claim: Obj, now: datetime, rng: np.random.Generator,
    config: ControllerConfig,
) -> None:  # fmt: skip
    name = claim["metadata"]["name"]
    if claim["metadata"].get("deletionTimestamp"):
        _terminate(store, claim, now)
    elif store.find(NODE_POOLS, "", claim["metadata"]["labels"][POOL_KEY]) is None:
        machines.mark_leaving(store, NODE_CLAIMS, claim, now)  # its nodes go with a pool
    elif node_claims.node_of(claim):
        if store.find(NODES, "", node_claims.node_of(claim)) is None:
            store.remove(NODE_CLAIMS, "", name)
    elif not node_claims.says(claim, "Launched", "True"):
        if machines.age(claim, now) >= _after(config, config.launch_s):
            _launch(store, claim, now, rng, config)
    elif machines.age(claim, now) >= _after(config, config.provision_s):
        _join(store, claim, now)


def _after(config: ControllerConfig, seconds: float) -> timedelta:
    return timedelta(seconds=config.shortened(seconds))


def _launch(
    store: ClusterStore, claim: Obj, now: datetime, rng: np.random.Generator,
    config: ControllerConfig,
) -> None:  # fmt: skip
    name = claim["metadata"]["labels"][POOL_KEY]
    pool = store.find(NODE_POOLS, "", name)
    if pool is not None and not machines.has_capacity(pool, now, rng):
        said = "the cloud has no such machine at the moment"
        for about in (claim, pool):
            events.record(store, about, INSUFFICIENT, said, now, by=BY, warning=True)
        store.remove(NODE_CLAIMS, "", claim["metadata"]["name"])
        again = now + _after(config, config.capacity_retry_s)
        store.counters[f"{_ASKS_AGAIN}{name}"] = round(again.timestamp() * 1000)
        return
    node_claims.mark(store, claim, now, "Launched", "True", "Launched", "")


def _join(store: ClusterStore, claim: Obj, now: datetime) -> None:
    metadata = claim["metadata"]
    taints = list(claim["spec"].get("taints") or ())
    made = machines.node_body(metadata["name"], metadata["labels"], taints, now)
    owner = pods.owner_reference(claim, api_version="karpenter.sh/v1", kind="NodeClaim")
    made["metadata"] |= {"ownerReferences": [owner], "annotations": metadata["annotations"]}
    node = store.create(NODES, made, now)
    node_claims.ready(store, claim, metadata["name"], now)
    events.record(store, node, "RegisteredNode", "Node joined the cluster", now, by=BY)


def _terminate(store: ClusterStore, claim: Obj, now: datetime) -> None:
    """Taint, drain within budgets, give back."""
    node = store.find(NODES, "", node_claims.node_of(claim)) if node_claims.node_of(claim) else None
    if node is not None:
        machines.keep_away(store, node, DISRUPTED_TAINT, now)
        if not machines.drain(store, node_claims.node_of(claim), now):
            return
        machines.forget(store, node_claims.node_of(claim))
    store.remove(NODE_CLAIMS, "", claim["metadata"]["name"])


# How many


def _unschedulable(store: ClusterStore) -> list[Obj]:
    """Pods that fit nowhere and for which nobody is being made to leave."""
    waiting = [pod for pod in store.all(PODS) if _fits_nowhere(pod)]
    here = rooms(store) if waiting else []
    return [pod for pod in waiting if not _settles(pod, here)]


def _settles(pod: Obj, here: list[Room]) -> bool:
    """Whether it fits on what is there by now; the scheduler will see to it."""
    room = next((room for room in here if _takes(room, pod)), None)
    if room is not None:
        room.take(pod)
    return room is not None


def _fits_nowhere(pod: Obj) -> bool:
    found = pods.condition(pod, "PodScheduled") or {}
    if found.get("reason") != "Unschedulable" or found["status"] != "False":
        return False
    return not pods.is_leaving(pod) and "nominatedNodeName" not in pod["status"]


def _provide(
    store: ClusterStore, pool: Obj, waiting: list[Obj], now: datetime, rng: np.random.Generator
) -> list[Obj]:
    """Claims for pods that a machine of this pool would take; the pods that are left."""
    labels, taints = shape(pool)
    labels |= {POOL_KEY: pool["metadata"]["name"]}
    staying = node_claims.staying(store, pool)
    coming = [_virtual(labels, taints, now) for claim in staying if not node_claims.node_of(claim)]
    left, spare = [], limit_nodes(pool, labels) - len(node_claims.claims_of(store, pool))
    spare = 0 if _backs_off(store, pool, now) else spare
    for pod in waiting:
        room = next((r for r in coming if _takes(r, pod)), None)
        if room is None and spare > 0 and _takes(fresh := _virtual(labels, taints, now), pod):
            _new_claim(store, pool, now, rng)
            coming.append(room := fresh)
            spare -= 1
        if room is None:
            left.append(pod)
        else:
            room.take(pod)
    return left


def _backs_off(store: ClusterStore, pool: Obj, now: datetime) -> bool:
    """Whether the cloud has lately had no machine for it."""
    until_ms = store.counters.get(f"{_ASKS_AGAIN}{pool['metadata']['name']}", 0)
    return now.timestamp() * 1000 < until_ms


def _virtual(labels: dict[str, str], taints: list[Obj], now: datetime) -> Room:
    node = machines.node_body("coming", labels, taints, now)
    return Room(node, amounts.allocatable(node))


def _takes(room: Room, pod: Obj) -> bool:
    return room.has_room(pod) and not fit.obstacle(pod, room.node)


def _keep_count(store: ClusterStore, pool: Obj, now: datetime, rng: np.random.Generator) -> None:
    """A static pool: neither pods nor budgets have a say, empty and undefended nodes go first."""
    staying, wanted = node_claims.staying(store, pool), int(pool["spec"]["replicas"])
    most = int((pool["spec"].get("limits") or {}).get("nodes", wanted))
    for _ in range(0 if _backs_off(store, pool, now) else min(wanted, most) - len(staying)):
        _new_claim(store, pool, now, rng)
    surplus = sorted(staying, key=lambda claim: _defence(store, claim))[: len(staying) - wanted]
    for claim in surplus if len(staying) > wanted else ():
        machines.mark_leaving(store, NODE_CLAIMS, claim, now)


def _defence(store: ClusterStore, claim: Obj) -> tuple[bool, bool, int, str]:
    name = node_claims.node_of(claim)
    held = machines.working_pods(store, name) if name else []
    guarded = not machines.may_be_disrupted(claim, store.find(NODES, "", name))
    return bool(held), guarded, len(held), claim["metadata"]["name"]


# What is empty goes


def _consolidate(store: ClusterStore, pool: Obj, now: datetime, config: ControllerConfig) -> None:
    after_s = consolidate_after(pool)
    everyone = node_claims.claims_of(store, pool)
    leaving = sum(1 for claim in everyone if claim["metadata"].get("deletionTimestamp"))
    allowed = budget(pool, len(everyone)) - leaving
    for claim in node_claims.staying(store, pool):
        if not node_claims.node_of(claim):
            continue
        since = _empty_since(store, claim, now)
        if since is None or after_s is None:
            continue
        if now - since < _after(config, max(after_s, NOMINATED_S)):
            continue
        node = store.find(NODES, "", node_claims.node_of(claim))
        if allowed > 0 and machines.may_be_disrupted(claim, node):
            allowed -= 1
            machines.mark_leaving(store, NODE_CLAIMS, claim, now)
            said = f"Disrupting Node {node_claims.node_of(claim)}: Empty"
            events.record(store, claim, "DisruptionTerminating", said, now, by=BY)


def _empty_since(store: ClusterStore, claim: Obj, now: datetime) -> datetime | None:
    """When the last pod left, kept in the claim's `lastPodEventTime`; None while any is there."""
    status = status_of(claim)
    if machines.working_pods(store, node_claims.node_of(claim)):
        if "lastPodEventTime" in status:
            kept = {k: v for k, v in status.items() if k != "lastPodEventTime"}
            store.put(NODE_CLAIMS, {**claim, "status": kept})
        return None
    if "lastPodEventTime" not in status:
        noted = status | {"lastPodEventTime": rfc3339(now)}
        store.put(NODE_CLAIMS, {**claim, "status": noted})
        return now
    return parse_time(status["lastPodEventTime"])


def _report(store: ClusterStore, pool: Obj, now: datetime) -> None:
    nodes = [
        store.find(NODES, "", node_claims.node_of(c))
        for c in node_claims.claims_of(store, pool)
        if node_claims.node_of(c)
    ]
    gpus = sum(int(n["status"]["capacity"].get("nvidia.com/gpu", 0)) for n in nodes if n)
    status = status_of(pool) | {"nodes": len(nodes)}
    status["resources"] = {"nodes": str(len(nodes)), "nvidia.com/gpu": str(gpus)}
    status = pods.with_condition(status, "Ready", "True", now, reason="Ready", message="")
    fresh = store.get(NODE_POOLS, "", pool["metadata"]["name"])
    store.put(NODE_POOLS, {**fresh, "status": status})
