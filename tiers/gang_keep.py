"""Runs of gangs, from one look at the fleet to the next: which run, and how long those ran that
ended. Called within the ledger's transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from tiers.core.demand.gangs import RunningGang
from tiers.core.fleet_state import HOLDING, ClusterState, FleetState, PodView
from tiers.models import GangRun

# A run that ended while nobody looked ended at an unknown time: it teaches nothing.
UNSEEN = timedelta(minutes=5)


def keep_gangs(
    state: FleetState, told: Mapping[str, Sequence[RunningGang]], *, now: datetime
) -> None:
    """Bring the runs of the clusters that answered to what was just seen.

    Args:
        told: what queues say of their gangs, by cluster; they know more than pods do.
    """
    for cluster, seen in state.clusters.items():
        held = {(r.namespace, r.name): r for r in GangRun.objects.filter(
            cluster=cluster, ended_at=None)}  # fmt: skip
        for gang in _running(seen, told.get(cluster, ())):
            row = held.pop((gang.namespace, gang.name), None)
            _keep(cluster, gang, row, now)
        _end(held.values(), now)


def _running(seen: ClusterState, told: Iterable[RunningGang]) -> list[RunningGang]:
    """Gangs with pods on nodes: size from the pods, the rest from their queue if there is one."""
    known = {(g.namespace, g.name): g for g in told}
    pods: dict[tuple[str, str, str], list[PodView]] = {}
    for pod in seen.pods:
        if pod.gang and pod.node and pod.tier and pod.phase in HOLDING:
            pods.setdefault((pod.namespace, pod.gang, pod.tier), []).append(pod)
    found = []
    for (namespace, name, tier), members in pods.items():
        size = sum(p.gpus for p in members)
        more = known.get((namespace, name)) or _by_pods(namespace, name, tier, members)
        found.append(
            RunningGang(namespace, name, tier, size, more.priority, more.started_at,
                        more.deadline_at)
        )  # fmt: skip
    return found


def _by_pods(namespace: str, name: str, tier: str, pods: Sequence[PodView]) -> RunningGang:
    """A gang as its pods tell it: it runs since the last of them began."""
    begun = [p.started_at for p in pods if p.started_at is not None]
    priority = max((p.priority for p in pods if p.priority is not None), default=None)
    started_at = max(begun) if len(begun) == len(pods) else None
    return RunningGang(namespace, name, tier, 0, priority, started_at)


def _keep(cluster: str, gang: RunningGang, row: GangRun | None, now: datetime) -> None:
    started_at = gang.started_at or (row.started_at if row else now)
    GangRun.objects.update_or_create(
        cluster=cluster,
        namespace=gang.namespace,
        name=gang.name,
        ended_at=None,
        defaults={
            "tier": gang.tier,
            "gpus": gang.gpus,
            "priority": gang.priority,
            "started_at": started_at,
            "started_told": gang.started_at is not None,
            "deadline_at": gang.deadline_at,
            "seen_at": now,
        },
    )


def _end(rows: Iterable[GangRun], now: datetime) -> None:
    gone = list(rows)
    unseen = [r.pk for r in gone if now - r.seen_at > UNSEEN]
    GangRun.objects.filter(pk__in=unseen).delete()
    GangRun.objects.filter(pk__in=[r.pk for r in gone], ended_at=None).update(ended_at=now)
