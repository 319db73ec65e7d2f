"""What people said no to: the same moves are not proposed again for a while.

The same moves touch the same objects in the same direction, whatever their sizes. A proposal that a
person makes is not held to it; the planner's is, until the time is over or its evidence has changed
enough, which the domain judges.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from infra_console.plans import clock
from infra_console.plans.models import Approval, Plan
from infra_console.plans.spec import Move, PlanSpec
from infra_console.plans.states import Decision, PlanState


@dataclass(frozen=True, slots=True)
class Rejection:
    """A person's no that still holds, with the document that it was said to."""

    number: int
    by: str
    reason: str
    until: datetime
    spec: PlanSpec

    @property
    def words(self) -> str:
        return (
            f"not proposed again until {self.until:%H:%M} UTC: plan {self.number} with the same "
            f"moves was rejected by {self.by}, reason: {self.reason}"
        )


def rejection_of(spec: PlanSpec) -> Rejection | None:
    """The newest rejection of these moves that still holds."""
    lasting = timedelta(seconds=settings.REJECTED_FOR_S)
    said_no = Approval.objects.filter(
        decision=Decision.REJECT,
        plan__state=PlanState.REJECTED,
        plan__domain=spec.domain,
        at__gt=clock.now() - lasting,
    )
    same = signature(spec)
    for no in said_no.select_related("plan").order_by("-at"):
        if signature(held := no.plan.spec) == same:
            return Rejection(no.plan.number, no.by, no.reason, no.at + lasting, held)
    return None


def rejected_until(plan: Plan) -> datetime | None:
    """Until when the same moves are not proposed again; None when they may be."""
    no = plan.approvals.filter(decision=Decision.REJECT).last()
    if plan.state != PlanState.REJECTED or no is None:
        return None
    until: datetime = no.at + timedelta(seconds=settings.REJECTED_FOR_S)
    return until if until > clock.now() else None


def signature(spec: PlanSpec) -> frozenset[tuple[str, ...]]:
    """The objects that are moved and the direction of each."""
    return frozenset((*_place(move), *_direction(move)) for move in spec.moves)


def _place(move: Move) -> tuple[str, ...]:
    at = move.target
    return (at.cluster, at.kind, at.namespace, at.name)


def _direction(move: Move) -> tuple[str, ...]:
    if move.kind == "node":
        return (move.from_tier or "", move.to_tier or "")
    if move.kind == "rebuild":
        return (move.workload,)
    to = (move.pool,) if move.kind == "route" else ()
    return (
        *to,
        "up" if (move.to_replicas or 0) > (move.from_replicas or 0) else "down",
    )
