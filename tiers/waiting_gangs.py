"""Gangs that wait, from the ledger to the allocator, and what the last cycle found about each."""

from collections.abc import Container, Iterable, Mapping
from math import ceil
from typing import Any

from tiers.core.allocate import Allocation
from tiers.core.gangs import gang_starts
from tiers.core.snapshot import Snapshot
from tiers.facts import FleetFacts
from tiers.models import Cycle, WaitingWork

# Those that are next in turn; one that waits behind fifty others is told about when it is nearer.
MOST_GANGS = 50
# What waits for these starts with no GPU more.
NOT_FOR_GPUS = ("held", "image")


def waiting_gangs(facts: FleetFacts, clusters: Iterable[str]) -> list[dict[str, Any]]:
    """The snapshot's `gangs`: what waits for GPUs in a tier with a queue, in its turn."""
    rows = WaitingWork.objects.filter(cluster__in=list(clusters)).exclude(reason__in=NOT_FOR_GPUS)
    in_turn = sorted(rows, key=lambda r: (-(r.priority or 0), r.since, r.pk))
    found = [gang for row in in_turn if (gang := _gang(facts, row)) is not None]
    return found[:MOST_GANGS]


def _gang(facts: FleetFacts, row: WaitingWork) -> dict[str, Any] | None:
    """None for what is no gang of a queue's workload, or has no pool to run on."""
    workload = facts.workloads.get(facts.queue_workload(row.tier))
    region = facts.region_of[row.cluster]
    if workload is None or region not in workload.regions or not row.gpus:
        return None
    types = {p.gpu_type for p in facts.config.pools if p.cluster == row.cluster}
    sizes = [size for kind, size in workload.group_gpus.items() if kind in types]
    if not sizes:
        return None
    # The most groups that any type would need: no room is called enough that is not.
    groups = max(ceil(row.gpus / size) for size in sizes)
    return {"id": gang_id(row), "workload": workload.id, "region": region, "groups": groups}


def gang_id(row: WaitingWork) -> str:
    return f"{row.cluster}/{row.namespace}/{row.name}"


def gang_words(snapshot: Snapshot, allocation: Allocation) -> dict[str, str]:
    """When each waiting gang starts by the plan and what would start it now, by its id."""
    hours = snapshot.step_s / 3600
    return {start.gang: start.words(hours) for start in gang_starts(snapshot, allocation.steps)}


def words_of_cluster(words: Mapping[str, str], cluster: str) -> list[str]:
    """One line for each gang of a cluster."""
    own = {
        g.removeprefix(f"{cluster}/"): w for g, w in words.items() if g.startswith(f"{cluster}/")
    }
    return [f"{gang} waits: {says}." for gang, says in own.items()]


def latest_words(clusters: Container[str]) -> dict[str, str]:
    """What the newest cycle with a result found about the gangs of these clusters."""
    cycle = Cycle.objects.exclude(document={}).first()
    words: dict[str, str] = cycle.document.get("gangs", {}) if cycle else {}
    return {gang: says for gang, says in words.items() if gang.split("/")[0] in clusters}
