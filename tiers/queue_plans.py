"""A plan's part about queues: victims asked, stopped and let back, quota lowered and raised.

Quota is lowered in the wave that stops its victims, before them: nobody slips into what they free.
It is raised when the nodes are there. Victims queue again at the end, in what is left of it.
"""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from infra_console.cluster.objects import GPU
from infra_console.plans.facts.kueue_facts import quota_fact
from infra_console.plans.spec import Move, ObjectRef, Precondition, StepSpec, Tier
from tiers.core.changes import ClusterMoves, GangStop, QuotaChange

GRACE_S = 120.0
SIGNAL, DEACTIVATE, REACTIVATE, SET = (
    "kueue.signal",
    "kueue.deactivate",
    "kueue.reactivate",
    "kueue.set_quota",
)


def lowered(moves: ClusterMoves) -> list[QuotaChange]:
    return [c for c in moves.quotas if c.delta < 0]


def raised(moves: ClusterMoves) -> list[QuotaChange]:
    return [c for c in moves.quotas if c.delta > 0]


def victims(moves: ClusterMoves) -> list[str]:
    """The Workloads that the plan stops, as a drain names them."""
    return [f"{s.gang.namespace}/{s.gang.name}" for s in moves.stops]


def shrink_waves(moves: ClusterMoves) -> list[list[StepSpec]]:
    """What goes before the nodes: checkpoints, then quota and victims."""
    asked = [
        _gang_step(moves.cluster, s, SIGNAL, "Ask {job} for a checkpoint") for s in moves.stops
    ]
    freed = [_quota_step(moves.cluster, c) for c in lowered(moves)]
    freed += [_gang_step(moves.cluster, s, DEACTIVATE, "Stop {job}") for s in moves.stops]
    return [wave for wave in (asked, freed) if wave]


def grow_waves(moves: ClusterMoves) -> list[list[StepSpec]]:
    """What goes after the nodes: quota, and the victims back in line."""
    more = [_quota_step(moves.cluster, c) for c in raised(moves)]
    back = [_gang_step(moves.cluster, s, REACTIVATE, "Let {job} queue again") for s in moves.stops]
    return [wave for wave in (more, back) if wave]


def quota_moves(moves: ClusterMoves) -> Iterator[Move]:
    for change in (*lowered(moves), *raised(moves)):
        leave = [s for s in moves.stops if s.gang.queue == change.quota.queue]
        shrinks = change.delta < 0
        yield Move(
            kind="scale",
            target=_queue_ref(moves.cluster, change),
            pool=change.quota.flavor,
            workload=change.quota.queue,
            from_replicas=change.quota.nominal,
            to_replicas=change.to,
            gpus=change.delta,
            evicts=tuple(f"{s.gang.namespace}/{s.gang.name}" for s in leave if shrinks),
            reason=_reason(change, leave),
        )


def queue_preconditions(moves: ClusterMoves) -> Iterator[Precondition]:
    """Who the queues and victims are, and what they are set to; never whom they admitted."""
    for change in moves.quotas:
        facts: dict[str, Any] = {quota_fact(change.quota.flavor, GPU): change.quota.nominal}
        facts |= {"uid": change.quota.uid} if change.quota.uid else {}
        yield Precondition(target=_queue_ref(moves.cluster, change), facts=facts)
    for stop in moves.stops:
        facts = {"uid": stop.gang.uid, "active": True}
        yield Precondition(target=_gang_ref(moves.cluster, stop), facts=facts)


def _reason(change: QuotaChange, leave: Iterable[GangStop]) -> str:
    gpus, tier = abs(change.delta), change.quota.tier
    if change.delta > 0:
        return f"{gpus} GPUs of {change.quota.flavor} come to {tier}"
    named = ", ".join(s.words for s in leave)
    return f"{gpus} GPUs of {change.quota.flavor} leave {tier}" + (
        f"; {named} stop" if named else ""
    )


def _gang_step(cluster: str, stop: GangStop, kind: str, title: str) -> StepSpec:
    target = _gang_ref(cluster, stop)
    return StepSpec(
        key=f"{cluster}/{target.namespace}/{target.name}/{kind}",
        kind=kind,
        title=title.format(job=f"{stop.gang.namespace}/{stop.gang.job}"),
        target=target,
        tier=_tier(stop.gang.tier),
        wave=0,
        params={"uid": stop.gang.uid, "grace_s": GRACE_S},
    )


def _quota_step(cluster: str, change: QuotaChange) -> StepSpec:
    quota = change.quota
    return StepSpec(
        key=f"{cluster}/{quota.queue}/{quota.flavor}/{SET}",
        kind=SET,
        title=f"Set {quota.flavor} of {quota.queue} from {quota.nominal} to {change.to} GPUs",
        target=_queue_ref(cluster, change),
        tier=_tier(quota.tier),
        wave=0,
        params={
            "flavor": quota.flavor,
            "resource": GPU,
            "from": quota.nominal,
            "to": change.to,
            **({"uid": quota.uid} if quota.uid else {}),
        },
    )


def _tier(name: str) -> Tier:
    """A queue's tier is that of a namespace in the fleet file, so it is one of the three."""
    return cast(Tier, name)


def _queue_ref(cluster: str, change: QuotaChange) -> ObjectRef:
    return ObjectRef(cluster=cluster, kind="ClusterQueue", name=change.quota.queue)


def _gang_ref(cluster: str, stop: GangStop) -> ObjectRef:
    gang = stop.gang
    return ObjectRef(cluster=cluster, kind="Workload", namespace=gang.namespace, name=gang.name)
