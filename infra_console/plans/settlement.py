"""Promised against realised, once the horizon after verification has passed.

A rehearsal is settled as a shadow: it stays `rehearsed`, beside what really happened without it.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from infra_console.audit.services import record_audit
from infra_console.live.services import publish
from infra_console.plans.errors import WrongState
from infra_console.plans.fence import EXECUTOR
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Plan, Settlement
from infra_console.plans.promises import Verdict, judge_span
from infra_console.plans.states import PlanState

# A source that is away at the moment of settlement gets this long to come back.
GRACE = timedelta(minutes=15)


def settle_at(end: datetime) -> datetime:
    """When a plan is settled whose verification, or rehearsal, has ended."""
    return end + timedelta(seconds=settings.SETTLE_AFTER_S)


def settle_due() -> int:
    """Settle every plan whose horizon has passed; return how many were."""
    due = Plan.objects.filter(
        state__in=(PlanState.VERIFYING, PlanState.REHEARSED),
        settlement=None,
        execution__settle_at__lte=timezone.now(),
    ).select_related("execution")
    return sum(_try(plan) for plan in due)


def _try(plan: Plan) -> bool:
    try:
        return settle_plan(plan)
    except WrongState:  # somebody rolls it back
        return False


def settle_plan(plan: Plan) -> bool:
    """Judge the plan's promises over its horizon; False when the metrics are still awaited.

    Nothing measured at all ends in `verified`, never in `settled`.
    """
    execution = plan.execution
    begun_at = execution.verified_at or execution.finished_at
    if begun_at is None or execution.settle_at is None:
        return False
    verdicts = [judge_span(p, start=begun_at, end=execution.settle_at) for p in plan.spec.promises]
    known = [v for v in verdicts if v.kept is not None]
    if len(known) < len(verdicts) and timezone.now() < execution.settle_at + GRACE and not known:
        return False
    if plan.state == PlanState.REHEARSED:
        _close_shadow(plan, verdicts)
    else:
        _close(plan, verdicts)
    return True


def _close(plan: Plan, verdicts: list[Verdict]) -> None:
    with journal() as moves:
        settled = _write(plan, verdicts)
        measured = settled.kept_count or settled.missed_count
        to = PlanState.SETTLED if measured else PlanState.VERIFIED
        why = f"{settled.kept_count} of {len(verdicts)} promises kept"
        moves.move(plan.id, to=to, who=EXECUTOR, why=why if measured else "metrics are unknown")


@transaction.atomic
def _close_shadow(plan: Plan, verdicts: list[Verdict]) -> None:
    settled = _write(plan, verdicts)
    publish(kind="plan", id=str(plan.id), version=plan.version)
    record_audit(
        actor=EXECUTOR,
        action="plan.shadow_settled",
        object_kind="plan",
        object_id=str(plan.id),
        detail={"number": plan.number, "kept": settled.kept_count, "missed": settled.missed_count},
    )


def _write(plan: Plan, verdicts: list[Verdict]) -> Settlement:
    kept = sum(v.kept is True for v in verdicts)
    missed = sum(v.kept is False for v in verdicts)
    return Settlement.objects.create(
        plan=plan,
        at=timezone.now(),
        promises=[v.as_json() for v in verdicts],
        kept_count=kept,
        missed_count=missed,
        unknown_count=len(verdicts) - kept - missed,
    )
