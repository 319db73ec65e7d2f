"""Promised against realised, once the horizon has passed: of every plan, carried out or not.

A plan that was carried out is judged from its verification on. Any other is settled as a shadow
and keeps its state: what happened without it, from its proposal on (a rehearsal: from its end on),
and whether it would have hurt.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from infra_console.plans import clock
from infra_console.plans.errors import WrongState
from infra_console.plans.holding.fence import EXECUTOR
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Plan, Settlement
from infra_console.plans.settling.harms import signs_of, verdict, why_untold
from infra_console.plans.settling.promises import Verdict, judge_span
from infra_console.plans.states import PlanState
from infra_console.telemetry.sources import current_sources

# A source that is away at the moment of settlement gets this long to come back.
GRACE = timedelta(minutes=15)
# Shadows settled in one turn: a backlog must not hold up the queue.
AT_ONCE = 20
NOT_CARRIED_OUT = frozenset(
    {
        PlanState.REJECTED,
        PlanState.WITHDRAWN,
        PlanState.EXPIRED,
        PlanState.SUPERSEDED,
        PlanState.VOID,
    }
)


def settle_at(end: datetime) -> datetime:
    """When a plan is settled whose verification, or rehearsal, has ended."""
    return end + timedelta(seconds=settings.SETTLE_AFTER_S)


def settle_due() -> int:
    """Settle every plan whose horizon has passed; return how many were."""
    due = Plan.objects.filter(
        state__in=(PlanState.VERIFYING, PlanState.REHEARSED),
        settlement=None,
        execution__settle_at__lte=clock.now(),
    ).select_related("execution")
    return sum(_try(plan) for plan in [*due, *_shadows_due()])


def _shadows_due() -> Iterable[Plan]:
    """Plans that ended without being carried out, oldest first; none while nothing is measured."""
    if not current_sources():
        return ()
    horizon = timedelta(seconds=settings.SETTLE_AFTER_S)
    return Plan.objects.filter(
        state__in=NOT_CARRIED_OUT, settlement=None, created_at__lte=clock.now() - horizon
    ).order_by("number")[:AT_ONCE]


def _try(plan: Plan) -> bool:
    try:
        return settle_plan(plan)
    except WrongState:  # somebody rolls it back
        return False


def settle_plan(plan: Plan) -> bool:
    """Judge the plan's promises over its horizon; False when the metrics are still awaited.

    Nothing measured at all ends in `verified`, never in `settled`.
    """
    horizon = _horizon(plan)
    if horizon is None:
        return False
    start, end = horizon
    verdicts = [judge_span(p, start=start, end=end) for p in plan.spec.promises]
    known = [v for v in verdicts if v.kept is not None]
    if len(known) < len(verdicts) and clock.now() < end + GRACE and not known:
        return False
    if plan.state == PlanState.VERIFYING:
        _close(plan, verdicts, start=start, end=end)
    else:
        _close_shadow(plan, verdicts, start=start, end=end)
    return True


def _horizon(plan: Plan) -> tuple[datetime, datetime] | None:
    """From when to when the plan is judged; None while that is open."""
    if plan.state in NOT_CARRIED_OUT:
        return plan.created_at, settle_at(plan.created_at)
    run = plan.execution
    begun_at = run.verified_at or run.finished_at
    return (begun_at, run.settle_at) if begun_at and run.settle_at else None


def _close(plan: Plan, verdicts: list[Verdict], *, start: datetime, end: datetime) -> None:
    with journal() as moves:
        settled = Settlement.objects.create(
            plan=plan, at=clock.now(), begins_at=start, ends_at=end, **_counts(verdicts)
        )
        measured = settled.kept_count or settled.missed_count
        to = PlanState.SETTLED if measured else PlanState.VERIFIED
        why = f"{settled.kept_count} of {len(verdicts)} promises kept"
        moves.move(plan.id, to=to, who=EXECUTOR, why=why if measured else "metrics are unknown")


def _close_shadow(plan: Plan, verdicts: list[Verdict], *, start: datetime, end: datetime) -> None:
    signs = signs_of(plan, start=start, end=end)  # before the transaction: sources may be slow
    harmful = verdict(plan, signs, start=start, end=end)
    with transaction.atomic():
        settled = Settlement.objects.create(
            plan=plan,
            at=clock.now(),
            begins_at=start,
            ends_at=end,
            shadow=True,
            harms=[sign.as_json() for sign in signs],
            harmful=harmful,
            harm_note=why_untold(plan, signs, start=start, end=end) if harmful is None else "",
            **_counts(verdicts),
        )
        publish(kind="plan", id=str(plan.id), version=plan.version)
        record_audit(
            actor=EXECUTOR,
            action="plan.shadow_settled",
            object_kind="plan",
            object_id=str(plan.id),
            detail={
                "number": plan.number,
                "kept": settled.kept_count,
                "missed": settled.missed_count,
                "harmful": harmful,
            },
        )


def _counts(verdicts: list[Verdict]) -> dict[str, object]:
    kept = sum(v.kept is True for v in verdicts)
    missed = sum(v.kept is False for v in verdicts)
    return {
        "promises": [v.as_json() for v in verdicts],
        "kept_count": kept,
        "missed_count": missed,
        "unknown_count": len(verdicts) - kept - missed,
    }
