"""A plan that buys machines or gives them back, from a person's wish and what the cluster says.

The planner proposes neither: what a machine costs to buy again, and whether it can be had, is not
in the metrics. Nodes that are given back are closed and emptied first, under their tiers' floors.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from infra_console.cluster.objects import NodeState
from infra_console.cluster.reads import read_node
from infra_console.cluster.scaling import ScaleState, read_scaled
from infra_console.fleet.config import FleetConfig, PoolConfig
from infra_console.fleet.queries import current_fleet
from infra_console.plans.approving.changes import paying
from infra_console.plans.errors import SpecInvalid
from infra_console.plans.models import Plan
from infra_console.plans.safety import require_right
from infra_console.plans.services import propose_plan
from infra_console.plans.spec import (
    Budget,
    Evidence,
    Guard,
    Lock,
    Move,
    ObjectRef,
    PlanSpec,
    Precondition,
    StepSpec,
)

DOMAIN = "capacity"
RIGHT = "plan.propose"
TIERS = frozenset({"inference", "training", "operational"})
EMPTYING = (("node.cordon", "Close {}"), ("node.drain", "Empty {}"))


@dataclass(frozen=True, slots=True)
class Wish:
    """So many machines of one MachineDeployment or static NodePool; `leaves` are the nodes that go,
    `fallback` what to do when the provider has none."""

    target: ObjectRef
    to: int
    tier: Any
    leaves: tuple[str, ...] = ()
    fallback: str = ""


def propose_machines(wish: Wish, *, by: User, now: datetime) -> Plan:
    """Put the wish under review, in that person's name.

    Raises:
        NotAllowed, SpecInvalid, ClusterError: nothing was changed.
    """
    require_right(by, RIGHT)
    fleet = current_fleet()
    if fleet is None:
        raise SpecInvalid("No fleet file was applied.")
    target = wish.target
    held = read_scaled(target.cluster, target.kind, target.namespace, target.name)
    nodes = [read_node(target.cluster, name) for name in wish.leaves]
    return propose_plan(_spec(wish, held, nodes, fleet, now), authors=[by.get_username()])


def _spec(
    wish: Wish, held: ScaleState, nodes: Sequence[NodeState], fleet: FleetConfig, now: datetime
) -> PlanSpec:
    key, cluster = fleet.tiers.label_key, wish.target.cluster
    _check(wish, held, [n.name for n in nodes if n.labels.get(key) not in TIERS])
    tiers = {str(wish.tier), *(n.labels.get(key, "") for n in nodes)}
    spec = PlanSpec(
        schema="plan/1",
        domain=DOMAIN,
        title=f"{cluster}: {held.name} {held.replicas} → {wish.to} machines",
        summary="",
        moves=(_move(wish, held, nodes),),
        steps=tuple(_steps(wish, held, nodes, key)),
        locks=tuple(Lock(cluster=cluster, tier=t) for t in sorted(tiers)),
        guards=tuple(
            Guard(cluster=cluster, tier=tier, min_ready_gpus=gpus)
            for tier, gpus in fleet.tiers.floor_gpus.items()
        ),
        budgets=(Budget(cluster=cluster, max_nodes=max(1, len(nodes))),),
        promises=(),
        preconditions=tuple(_relied_on(wish, held, nodes, key)),
        evidence=Evidence(cycle_id="", taken_at=now, ages_s={}, states={}),
        usd_per_hour_delta=usd_per_hour_of(nodes, cluster, fleet.pools),
    )
    words = f"{'; '.join(paying(spec))}. No other step of this plan changes what is paid."
    return spec.model_copy(update={"summary": words})


def _check(wish: Wish, held: ScaleState, untiered: Sequence[str]) -> None:
    if held.replicas is None:
        raise SpecInvalid(f"{held.name} makes nodes as pods need them; it has no count to set.")
    if wish.to == held.replicas:
        raise SpecInvalid(f"{held.name} has {wish.to} machines already.")
    going = max(0, held.replicas - wish.to)
    if len(wish.leaves) != going:
        raise SpecInvalid(f"{going} nodes are to go, and {len(wish.leaves)} are named.")
    if untiered:
        raise SpecInvalid(f"{', '.join(untiered)} carries no tier, so no floor would guard it.")


def _move(wish: Wish, held: ScaleState, nodes: Sequence[NodeState]) -> Move:
    return Move(
        kind="scale",
        target=wish.target,
        workload=held.name,
        from_replicas=held.replicas,
        to_replicas=wish.to,
        gpus=-sum(n.gpus_allocatable for n in nodes),
        reason="asked for by its author",
    )


def _steps(
    wish: Wish, held: ScaleState, nodes: Sequence[NodeState], key: str
) -> Iterator[StepSpec]:
    cluster = wish.target.cluster
    for wave, (kind, title) in enumerate(EMPTYING):
        for node in nodes:
            tier: Any = node.labels.get(key, "")
            yield StepSpec(
                key=f"{cluster}/{node.name}/{kind}",
                kind=kind,
                title=title.format(node.name),
                target=ObjectRef(cluster=cluster, kind="Node", name=node.name),
                tier=tier,
                wave=wave,
                params={"key": key, "from": tier, "uid": node.uid},
            )
    params: dict[str, Any] = {"from": held.replicas, "to": wish.to, "uid": held.uid}
    if nodes:
        params["leaves"] = [n.name for n in nodes]
    if wish.fallback:
        params["fallback"] = wish.fallback
    place = held.namespace or "all"
    yield StepSpec(
        key=f"{cluster}/{place}/{held.name}/machines.scale",
        kind="machines.scale",
        title=f"Scale {held.name} from {held.replicas} to {wish.to} machines",
        target=wish.target,
        tier=wish.tier,
        wave=len(EMPTYING),
        params=params,
    )


def _relied_on(
    wish: Wish, held: ScaleState, nodes: Iterable[NodeState], key: str
) -> Iterator[Precondition]:
    facts = {"uid": held.uid, "replicas": held.replicas, "autoscaled": False}
    yield Precondition(target=wish.target, facts=facts)
    for node in nodes:
        target = ObjectRef(cluster=wish.target.cluster, kind="Node", name=node.name)
        yield Precondition(
            target=target, facts={"uid": node.uid, "tier": node.labels.get(key), "ready": True}
        )


def usd_per_hour_of(
    nodes: Sequence[NodeState], cluster: str, pools: Iterable[PoolConfig]
) -> float | None:
    """What the nodes that go cost; None where the fleet file does not price one, or some come."""
    priced = [
        (p.selector, p.usd_per_gpu_hour)
        for p in pools
        if p.cluster == cluster and p.usd_per_gpu_hour is not None
    ]
    found = [
        -n.gpus_capacity * usd
        for n in nodes
        for selector, usd in priced
        if selector.items() <= n.labels.items()
    ]
    return sum(found) if nodes and len(found) == len(nodes) else None
