"""What each look at the fleet writes into the ledger: lots, waiting work, changes since the last.

All of it in the transaction of the observation, under one lock: two workers that look at once
would otherwise open each lot twice. A cluster that did not answer keeps its lots as they were;
pages show its GPUs as unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from infra_console.plans.models import Step
from tiers.core.demand.gangs import RunningGang
from tiers.core.fleet_state import ClusterState, FleetState, is_supply
from tiers.core.lots import LotKey, OpenLot, cluster_lots, reconcile
from tiers.core.seen import Change, changes_between, look_of
from tiers.core.waiting import Ask, FreeNode, Release, Wait, waits
from tiers.facts import FleetFacts
from tiers.gang_keep import keep_gangs
from tiers.models import ClusterLook, FleetChange, GangRun, LedgerLot, WaitingWork

KEEPING_LOCK = 7_401_005  # an arbitrary constant for pg_advisory_xact_lock
PLAN_MARGIN = timedelta(minutes=2)  # a change may be seen this long after the step that made it


Asked = tuple[Sequence[Ask], Sequence[Release]]


@dataclass(frozen=True, slots=True)
class Extras:
    """What is read beside nodes and pods, by cluster; a missing cluster could not be asked."""

    asks: Mapping[str, Asked] = field(default_factory=dict)
    quotas: Mapping[str, Mapping[str, int] | None] = field(default_factory=dict)
    gangs: Mapping[str, Sequence[RunningGang]] = field(default_factory=dict)


def keep_ledger(facts: FleetFacts, state: FleetState, extras: Extras, *, now: datetime) -> None:
    """Bring the ledger to what was just seen; called within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [KEEPING_LOCK])
    smallest = facts.smallest_group()
    for cluster, seen in state.clusters.items():
        _keep_lots(cluster, cluster_lots(seen, smallest), now)
        asked = extras.asks.get(cluster) or (_pending(seen), ())
        _keep_waiting(cluster, seen, asked, now)
        _keep_changes(cluster, look_of(seen, extras.quotas.get(cluster)), now)
    keep_gangs(state, extras.gangs, now=now)
    _keep_silence(facts, state, now)
    _drop_strangers(facts.cluster_ids, now)


# --- lots -------------------------------------------------------------------------------------


def _keep_lots(cluster: str, counts: Mapping[LotKey, int], now: datetime) -> None:
    rows = {row.pk: row for row in LedgerLot.objects.filter(cluster=cluster, until=None)}
    held = [OpenLot(pk, _key(row), row.gpus, row.since) for pk, row in rows.items()]
    changes = reconcile(held, counts)
    ended, made = [], []
    for pk, gpus in changes.left.items():
        row = rows[pk]
        if gpus == row.gpus:
            row.until = now
            ended.append(row)
        else:
            made.append(_lot(cluster, _key(row), gpus, row.since, until=now))
            row.gpus -= gpus
            ended.append(row)
    made += [_lot(cluster, key, gpus, now) for key, gpus in changes.opened.items()]
    LedgerLot.objects.bulk_update(ended, ["gpus", "until"])
    LedgerLot.objects.bulk_create(made)


def _key(row: LedgerLot) -> LotKey:
    return LotKey(*(getattr(row, name) for name in LotKey._fields))


def _lot(
    cluster: str, key: LotKey, gpus: int, since: datetime, until: datetime | None = None
) -> LedgerLot:
    return LedgerLot(cluster=cluster, gpus=gpus, since=since, until=until, **key._asdict())


def _drop_strangers(clusters: Iterable[str], now: datetime) -> None:
    """Clusters that left the fleet file end with it."""
    known = list(clusters)
    LedgerLot.objects.filter(until=None).exclude(cluster__in=known).update(until=now)
    WaitingWork.objects.exclude(cluster__in=known).delete()
    GangRun.objects.exclude(cluster__in=known).filter(ended_at=None).delete()
    ClusterLook.objects.exclude(cluster__in=known).delete()


# --- waiting ----------------------------------------------------------------------------------


def _pending(state: ClusterState) -> list[Ask]:
    """Pods without a node, where nothing more than that is known: gangs as one."""
    gangs: dict[tuple[str, str], list[Any]] = {}
    for pod in state.pods:
        if pod.phase == "Pending" and not pod.node:
            gangs.setdefault((pod.namespace, pod.gang or pod.name), []).append(pod)
    return [
        Ask(namespace, name, pods[0].tier, sum(p.gpus for p in pods), max(p.gpus for p in pods))
        for (namespace, name), pods in gangs.items()
    ]


def _keep_waiting(cluster: str, state: ClusterState, asked: Asked, now: datetime) -> None:
    rows = {(r.namespace, r.name): r for r in WaitingWork.objects.filter(cluster=cluster)}
    asks, ends = asked
    for wait in waits(asks, _free(state), ends):
        known = rows.pop((wait.ask.namespace, wait.ask.name), None)
        WaitingWork.objects.update_or_create(
            cluster=cluster,
            namespace=wait.ask.namespace,
            name=wait.ask.name,
            defaults=_waiting_columns(wait, known, now),
        )
    WaitingWork.objects.filter(pk__in=[r.pk for r in rows.values()]).delete()


def _waiting_columns(wait: Wait, known: WaitingWork | None, now: datetime) -> dict[str, Any]:
    first_seen = known.since if known else now
    return {
        "tier": wait.ask.tier or "",
        "gpus": wait.ask.gpus,
        "reason": wait.reason,
        "words": wait.words[:1000],
        "since": wait.ask.since or first_seen,
        "since_told": wait.ask.since is not None,
        "starts_by": wait.starts_by,
        "priority": wait.ask.priority,
    }


def _free(state: ClusterState) -> list[FreeNode]:
    held = state.pods_by_node()
    return [
        FreeNode(n.name, n.tier, max(0, n.gpus_allocatable - sum(p.gpus for p in held[n.name])))
        for n in state.nodes
        if is_supply(n)
    ]


# --- changes ----------------------------------------------------------------------------------


def _keep_changes(cluster: str, look: dict[str, Any], now: datetime) -> None:
    last = ClusterLook.objects.filter(cluster=cluster).first()
    if last is not None:
        changes = changes_between(last.document, look)
        if last.document.get("silent"):
            changes.append(Change("cluster", cluster, "answers again"))
        _record(cluster, changes, since=last.at, now=now)
        if (
            look["quotas"] is None
        ):  # unreadable this time: the next answer is compared with the last
            look["quotas"] = last.document["quotas"]
    ClusterLook.objects.update_or_create(cluster=cluster, defaults={"at": now, "document": look})


def _keep_silence(facts: FleetFacts, state: FleetState, now: datetime) -> None:
    for cluster, why in state.unreadable.items():
        look = ClusterLook.objects.filter(cluster=cluster).first()
        if look is None or look.document.get("silent"):
            continue
        ClusterLook.objects.filter(cluster=cluster).update(
            document={**look.document, "silent": True}
        )
        _record(cluster, [Change("cluster", cluster, f"does not answer: {why}")], now=now)


def _record(
    cluster: str, changes: Sequence[Change], *, now: datetime, since: datetime | None = None
) -> None:
    plans = _plans_at_work(cluster, since or now) if changes else {}
    FleetChange.objects.bulk_create(
        FleetChange(
            at=now, cluster=cluster, kind=c.kind, object=c.object, words=c.words,
            plan=plans.get(c.object),
        )
        for c in changes
    )  # fmt: skip


def _plans_at_work(cluster: str, since: datetime) -> dict[str, int]:
    """Plan numbers by the object that a step of theirs wrote to between the looks."""
    steps = Step.objects.filter(cluster=cluster, started_at__isnull=False).exclude(
        finished_at__lt=since - PLAN_MARGIN
    )
    found = {}
    for step in steps.select_related("plan").order_by("started_at"):
        target = step.target
        name = target.get("name", "")
        key = f"{target['namespace']}/{name}" if target.get("namespace") else name
        found[key] = step.plan.number
    return found
