"""What demand above its plan asks for: people at once, for the waiting plans that would help, and
another cycle."""

from collections.abc import Mapping

from infra_console.plans.queries import under_review
from infra_console.plans.services import raise_urgency
from infra_console.plans.spec import PlanSpec
from tiers.core.demand.correction import Correction
from tiers.corrections import Key
from tiers.facts import FleetFacts


def raise_waiting(facts: FleetFacts, corrections: Mapping[Key, Correction], *, who: str) -> None:
    """Make the plans under review urgent that would serve demand above its plan."""
    if not corrections:
        return
    for plan in under_review().filter(urgent=""):
        if why := why_urgent(facts, plan.spec, corrections):
            raise_urgency(plan.id, why=why, who=who)


def why_urgent(facts: FleetFacts, spec: PlanSpec, corrections: Mapping[Key, Correction]) -> str:
    """Which demand above its plan a plan would serve; empty where it serves none, or takes from a
    workload that needs more."""
    gains = {key: _gain(facts, spec, key) for key in corrections}
    if not gains or min(gains.values()) < 0:
        return ""
    return "; ".join(
        f"{workload} in {cluster} wants {corrections[cluster, workload].gpus:.1f} GPUs more than "
        "were planned"
        for (cluster, workload), gain in gains.items()
        if gain
    )


def _gain(facts: FleetFacts, spec: PlanSpec, key: Key) -> int:
    """Whether a plan gives a workload (above 0) or takes from it: groups of its own, else nodes of
    its tier."""
    cluster, name = key
    there = [move for move in spec.moves if move.target.cluster == cluster]
    own = [m for m in there if m.kind == "scale" and m.workload == name]
    if own:
        return sum((m.to_replicas or 0) - (m.from_replicas or 0) for m in own)
    workload = facts.workloads.get(name)
    tier = workload.tier if workload else None
    nodes = [m for m in there if m.kind == "node" and tier]
    return sum((m.to_tier == tier) - (m.from_tier == tier) for m in nodes)
