"""How long ago plans last started or stopped groups: what a minimum dwell counts from."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from infra_console.plans.queries import written_since
from infra_console.plans.spec import Move, PlanSpec
from tiers.core.region_problem import Key
from tiers.facts import FleetFacts


def changed_s_ago(facts: FleetFacts, *, now: datetime) -> dict[Key, float]:
    """Seconds since a plan last wrote, by (pool, workload); what no plan changed is left out.

    Plans of the last dwell alone count: a change longer ago holds nothing.
    """
    longest = max((w.min_dwell_s for w in facts.workloads.values()), default=0.0)
    found: dict[Key, float] = {}
    for at, spec in written_since(now - timedelta(seconds=longest)):
        ago = max(0.0, (now - at).total_seconds())
        for key in _changed(facts, spec):
            found[key] = min(ago, found.get(key, ago))
    return found


def _changed(facts: FleetFacts, spec: PlanSpec) -> Iterator[Key]:
    for move in spec.moves:
        if move.kind == "node":
            yield from _by_node(facts, move)
        elif move.workload in facts.workloads:
            # A replica's pool is the scheduler's choice: all of its cluster's may have changed.
            for pool in facts.pools_by_cluster.get(move.target.cluster, ()):
                yield pool.id, move.workload


def _by_node(facts: FleetFacts, move: Move) -> Iterator[Key]:
    """What queues run on a node follows it; services have moves of their own."""
    for tier in (move.from_tier, move.to_tier):
        if workload := facts.queue_workload(tier):
            yield move.pool, workload
