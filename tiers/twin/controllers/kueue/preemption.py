"""Who must give way: borrowers of the cohort, and lower priorities of the same queue.

As in Kueue a queue may reclaim only while it stays within its own nominal quota; beyond it, it
preempts its own, or, where `borrowWithinCohort` allows, lower priorities elsewhere. Victims are
taken until it fits, borrowers and low priorities and newcomers first, and the superfluous spared.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from tiers.twin.controllers import pods
from tiers.twin.controllers.kueue import workloads
from tiers.twin.controllers.kueue.quota import Amounts, Pot
from tiers.twin.controllers.quantities import ZERO
from tiers.twin.kube.resources import Obj
from tiers.twin.kube.store import ClusterStore

RECLAIMED, LOWER, WHILE_BORROWING = (
    "InCohortReclamation", "InClusterQueue", "InCohortReclaimWhileBorrowing",
)  # fmt: skip


@dataclass(frozen=True)
class Held:
    """A Workload that holds quota."""

    workload: Obj
    pot: Pot
    rank: int
    uses: Amounts

    @property
    def since(self) -> str:
        return str((pods.condition(self.workload, "QuotaReserved") or {})["lastTransitionTime"])

    def borrows(self, keys: Iterable[tuple[str, str]]) -> bool:
        return any(self.pot.borrowed(key) for key in keys)


def holders(store: ClusterStore, all_workloads: list[Obj], pots: dict[str, Pot]) -> list[Held]:
    """Everyone who holds quota, charged to the pots."""
    found = []
    for workload in all_workloads:
        pot = pots.get(workloads.cluster_queue(workload))
        if pot is not None and workloads.holds_quota(workload):
            uses = workloads.usage(workload)
            pot.take(uses)
            found.append(Held(workload, pot, workloads.rank(store, workload), uses))
    return found


def victims(
    queue: Obj, pot: Pot, workload: Obj, rank: int, uses: Amounts, held: list[Held]
) -> list[tuple[Held, str]] | None:
    """Whom to evict and why; an empty list when those already leaving are enough."""
    policy = queue["spec"].get("preemption") or {}
    leaving = [h for h in held if workloads.is_evicted(h.workload)]
    staying = [h for h in held if not workloads.is_evicted(h.workload)]
    own = [h for h in staying if h.pot is pot and _gives_way(policy, h, workload, rank)]
    others = [h for h in staying if h.pot is not pot and h.borrows(uses)]
    reclaimed = [h for h in others if _reclaims(policy.get("reclaimWithinCohort"), h, rank)]
    lower = [h for h in others if _lower(policy.get("borrowWithinCohort") or {}, h, rank)]
    within = all(pot.taken.get(k, ZERO) + a <= pot.nominal.get(k, ZERO) for k, a in uses.items())
    attempts = [(reclaimed, own, False)] if within or policy.get("borrowWithinCohort") else []
    for across, same, borrowing in [*attempts, (lower, own, True), ([], own, True)]:
        chosen = _fewest(pot, uses, leaving, [*_ordered(across), *_ordered(same)], borrowing)
        if chosen is not None:
            reason = WHILE_BORROWING if borrowing else RECLAIMED
            return [(h, LOWER if h.pot is pot else reason) for h in chosen]
    return None


def _gives_way(policy: Obj, held: Held, workload: Obj, rank: int) -> bool:
    rule = policy.get("withinClusterQueue", "Never")
    newer = (
        held.workload["metadata"]["creationTimestamp"] > workload["metadata"]["creationTimestamp"]
    )
    if rule == "LowerOrNewerEqualPriority" and held.rank == rank and newer:
        return True
    return bool(rule != "Never" and held.rank < rank)


def _reclaims(rule: str | None, held: Held, rank: int) -> bool:
    return rule == "Any" or (rule == "LowerPriority" and held.rank < rank)


def _lower(rule: Obj, held: Held, rank: int) -> bool:
    threshold = rule.get("maxPriorityThreshold")
    below = threshold is None or held.rank <= int(threshold)
    return rule.get("policy") == "LowerPriority" and held.rank < rank and below


def _ordered(candidates: list[Held]) -> list[Held]:
    newest_first = sorted(candidates, key=lambda h: h.since, reverse=True)
    return sorted(newest_first, key=lambda h: h.rank)


def _fewest(
    pot: Pot, uses: Amounts, leaving: list[Held], candidates: list[Held], borrowing: bool
) -> list[Held] | None:
    """Victims that make room, or None; the pots are as before afterwards."""
    chosen: list[Held] = []
    for held in leaving:
        held.pot.take(held.uses, -1)
    for held in candidates:
        if _fits(pot, uses, borrowing):
            break
        if held.pot is pot or held.borrows(uses):
            held.pot.take(held.uses, -1)
            chosen.append(held)
    enough = _fits(pot, uses, borrowing)
    kept = _spare(pot, uses, chosen, borrowing) if enough else chosen
    for held in [*leaving, *kept]:
        held.pot.take(held.uses)
    return kept if enough else None


def _spare(pot: Pot, uses: Amounts, chosen: list[Held], borrowing: bool) -> list[Held]:
    kept = list(chosen)
    for held in reversed(chosen):
        held.pot.take(held.uses)
        if _fits(pot, uses, borrowing):
            kept.remove(held)
        else:
            held.pot.take(held.uses, -1)
    return kept


def _fits(pot: Pot, uses: Amounts, borrowing: bool) -> bool:
    if any(pot.free(key) < amount for key, amount in uses.items()):
        return False
    return borrowing or all(
        pot.taken.get(k, ZERO) + a <= pot.nominal.get(k, ZERO) for k, a in uses.items()
    )
