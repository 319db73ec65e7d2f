"""How many people must approve a plan, and in which roles: one table of rules over what it moves.

The fleet file's `[[approvals]]` replaces DEFAULT_RULES. A plan needs the largest number that any
rule asks for which fits it, at least one, and one approver for every role that such a rule names.
Counted is each person once, for the hash they read, unless they are an author or took it back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from infra_console.fleet.config import ApprovalRule
from infra_console.fleet.queries import current_fleet
from infra_console.plans.approving.changes import tier_changes
from infra_console.plans.models import Approval, Plan
from infra_console.plans.spec import PlanSpec
from infra_console.plans.states import Decision

DEFAULT_RULES = (
    ApprovalRule(title="64 GPUs or more move", approvals=2, min_gpus=64),
    ApprovalRule(title="three clusters or more change", approvals=2, min_clusters=3),
    ApprovalRule(title="training loses 48 GPUs or more", approvals=2, min_training_gpus=48),
    ApprovalRule(title="inference is left at its floor", approvals=2, at_floor=True,
                 tiers=("inference",)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What a plan would touch. `at_floor`: tiers that give GPUs and keep just their floor."""

    gpus: int
    training_gpus: int
    clusters: frozenset[str]
    tiers: frozenset[str]
    at_floor: frozenset[str]


@dataclass(frozen=True, slots=True)
class Quorum:
    """The approvals a plan needs, has and lacks; `rules` are those that asked for more than one
    or for a role."""

    needed: int
    rules: tuple[ApprovalRule, ...]
    approvals: tuple[Approval, ...]
    roles_missing: tuple[str, ...]

    @property
    def approvers(self) -> tuple[str, ...]:
        return tuple(approval.by for approval in self.approvals)

    @property
    def missing(self) -> int:
        """How many people more, at least."""
        return max(self.needed - len(self.approvals), 1 if self.roles_missing else 0)

    @property
    def is_met(self) -> bool:
        return self.missing == 0

    @property
    def words(self) -> str:
        """What is still missing: "1 approval more, by somebody with the role operator"."""
        if self.is_met:
            return "every approval is given"
        noun = "approval" if self.missing == 1 else "approvals"
        roles = " and ".join(f"the role {role}" for role in self.roles_missing)
        return f"{self.missing} {noun} more" + (f", by somebody with {roles}" if roles else "")

    def as_json(self) -> dict[str, Any]:
        return {
            "needed": self.needed,
            "approvers": list(self.approvers),
            "missing": self.missing,
            "roles_missing": list(self.roles_missing),
            "rules": [rule.title for rule in self.rules],
        }


def quorum_of(plan: Plan) -> Quorum:
    """What the rules in force ask of this plan, and who has approved it."""
    return tally(plan, plan.approvals.all(), rules=rules_in_force())


def rules_in_force() -> Sequence[ApprovalRule]:
    fleet = current_fleet()
    return DEFAULT_RULES if fleet is None or fleet.approvals is None else fleet.approvals


def tally(plan: Plan, approvals: Iterable[Approval], *, rules: Iterable[ApprovalRule]) -> Quorum:
    """Count the approvals that stand against the rules that fit."""
    radius = blast_radius(plan.spec)
    raised = tuple(r for r in rules if (r.approvals > 1 or r.roles) and fits(r, radius))
    standing = tuple(a for a in approvals if _counts(a, plan))
    held = {role for approval in standing for role in approval.roles}
    wanted = {role for rule in raised for role in rule.roles}
    return Quorum(
        needed=max((rule.approvals for rule in raised), default=1),
        rules=raised,
        approvals=standing,
        roles_missing=tuple(sorted(wanted - held)),
    )


def fits(rule: ApprovalRule, radius: BlastRadius) -> bool:
    """Whether every condition that the rule gives holds."""
    touched = radius.at_floor if rule.at_floor else radius.tiers
    return (
        radius.gpus >= rule.min_gpus
        and len(radius.clusters) >= rule.min_clusters
        and radius.training_gpus >= rule.min_training_gpus
        and (not rule.at_floor or bool(radius.at_floor))
        and (not rule.tiers or bool(touched & set(rule.tiers)))
        and (not rule.clusters or bool(radius.clusters & set(rule.clusters)))
    )


def blast_radius(spec: PlanSpec) -> BlastRadius:
    """What the moves and locks of a plan touch.

    A replica that stops, the node it leaves and the replica that comes there are the same GPUs, so
    the largest of the three sums counts.
    """
    nodes = sum(move.gpus for move in spec.moves if move.kind == "node")
    scales = [move for move in spec.moves if move.kind == "scale"]
    grown = sum(abs(m.gpus) for m in scales if (m.to_replicas or 0) > (m.from_replicas or 0))
    shrunk = sum(abs(m.gpus) for m in scales) - grown
    return BlastRadius(
        gpus=max(nodes, grown, shrunk),
        training_gpus=sum(m.gpus for m in spec.moves if m.from_tier == "training"),
        clusters=frozenset(lock.cluster for lock in spec.locks),
        tiers=frozenset(str(lock.tier) for lock in spec.locks),
        at_floor=frozenset(_left_at_floor(spec)),
    )


def _left_at_floor(spec: PlanSpec) -> Iterable[str]:
    floors = {(g.cluster, str(g.tier)): g.min_ready_gpus for g in spec.guards}
    for change in tier_changes(spec):
        floor = floors.get((change.cluster, change.tier), 0)
        if change.delta_gpus < 0 and change.after_gpus is not None and change.after_gpus <= floor:
            yield change.tier


def _counts(approval: Approval, plan: Plan) -> bool:
    return (
        approval.decision == Decision.APPROVE
        and approval.taken_back_at is None
        and approval.plan_hash == plan.hash
        and approval.by not in plan.authors  # they may have become one since
    )
