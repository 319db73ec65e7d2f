"""Quota follows the nodes: which gangs leave a queue for nodes that go, and what it may hand out.

A queue must not hand out more than its tier's nodes hold, so the quota goes down by what leaves and
up by what comes, but for what an operator keeps back, or lends out, on purpose: a queue that hands
out less than there is keeps doing so, one that hands out more loses and wins as its nodes do.
Lowering evicts nobody, so it stops where what stays admitted begins.
"""

from collections.abc import Iterable, Mapping, Sequence

from tiers.core.changes import GangStop, NodeChange, QuotaChange
from tiers.core.fleet_state import ClusterState, PodView, QuotaView, is_supply


def gang_stops(state: ClusterState, changes: Iterable[NodeChange]) -> tuple[GangStop, ...]:
    """The queued gangs that have a pod on a node that leaves, the youngest checkpoint first."""
    leaving = {(p.namespace, p.gang) for c in changes for p in c.evicts if p.gang}
    stops = [
        GangStop(gang, sum(gang.held.values()), _age_s(state.pods, gang.namespace, gang.job))
        for gang in state.gangs
        if (gang.namespace, gang.job) in leaving
    ]
    return tuple(sorted(stops, key=_youngest_first))


def quota_changes(
    state: ClusterState, changes: Sequence[NodeChange]
) -> tuple[tuple[QuotaChange, ...], list[str]]:
    """Each quota that follows the nodes, and in words what it cannot follow."""
    made: list[QuotaChange] = []
    notes: list[str] = []
    freed = _freed(gang_stops(state, changes))
    for (tier, flavor), quotas in sorted(_by_flavor(state.quotas).items()):
        covered = quotas[0].nodes
        delta = _delta(changes, tier, covered)
        handed_out, held = sum(q.nominal for q in quotas), _capacity(state, tier, covered)
        if delta < 0:
            wanted = min(-delta, max(0, handed_out - (held + delta)))
            lowered, left = _lower(quotas, wanted, freed)
            made += lowered
            if left:
                notes.append(
                    f"{left} GPUs of {flavor} stay in quota beyond {tier}'s nodes: "
                    "admitted gangs hold them"
                )
        elif delta > 0:
            made += _raise(quotas, min(delta, max(0, held + delta - handed_out)))
    notes += [_owned(c.quota) for c in made if c.quota.owners]
    return tuple(made), notes


def _by_flavor(quotas: Iterable[QuotaView]) -> dict[tuple[str, str], list[QuotaView]]:
    found: dict[tuple[str, str], list[QuotaView]] = {}
    for quota in sorted(quotas, key=lambda q: q.queue):
        found.setdefault((quota.tier, quota.flavor), []).append(quota)
    return found


def _delta(changes: Iterable[NodeChange], tier: str, covered: frozenset[str]) -> int:
    """GPUs that the tier wins (loses where negative) of the nodes that a flavour covers."""
    mine = [c for c in changes if c.node.name in covered]
    won = sum(c.node.gpus_allocatable for c in mine if c.to_tier == tier)
    return won - sum(c.node.gpus_allocatable for c in mine if c.from_tier == tier)


def _capacity(state: ClusterState, tier: str, covered: frozenset[str]) -> int:
    return sum(
        n.gpus_allocatable
        for n in state.nodes
        if n.tier == tier and n.name in covered and is_supply(n)
    )


def _lower(
    quotas: Iterable[QuotaView], wanted: int, freed: Mapping[tuple[str, str], int]
) -> tuple[list[QuotaChange], int]:
    """Take from the queues that use least of theirs; what could not be taken."""
    made: list[QuotaChange] = []
    slack = {q.queue: q.nominal - q.reserved + freed.get((q.queue, q.flavor), 0) for q in quotas}
    for quota in sorted(quotas, key=lambda q: -slack[q.queue]):
        taken = min(wanted, quota.nominal, max(0, slack[quota.queue]))
        if taken:
            made.append(QuotaChange(quota, quota.nominal - taken))
            wanted -= taken
    return made, wanted


def _raise(quotas: Iterable[QuotaView], wanted: int) -> list[QuotaChange]:
    """Give to the queue that has least left of its own."""
    poorest = min(quotas, key=lambda q: (q.nominal - q.reserved, q.queue))
    return [QuotaChange(poorest, poorest.nominal + wanted)] if wanted else []


def _freed(stops: Iterable[GangStop]) -> dict[tuple[str, str], int]:
    freed: dict[tuple[str, str], int] = {}
    for stop in stops:
        for flavor, gpus in stop.gang.held.items():
            key = (stop.gang.queue, flavor)
            freed[key] = freed.get(key, 0) + gpus
    return freed


def _age_s(pods: Iterable[PodView], namespace: str, job: str) -> float | None:
    mine = [p.checkpoint_age_s for p in pods if (p.namespace, p.gang) == (namespace, job)]
    return min((age_s for age_s in mine if age_s is not None), default=None)


def _youngest_first(stop: GangStop) -> tuple[bool, float, str]:
    age_s = stop.checkpoint_age_s
    return age_s is None, age_s or 0.0, stop.gang.name


def _owned(quota: QuotaView) -> str:
    return (
        f"The quota of {quota.queue} is owned by {', '.join(quota.owners)}: the plan pauses there "
        "unless an admin has let it be taken over"
    )
