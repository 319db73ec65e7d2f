"""Promised against realised, once the horizon after verification has passed."""

from datetime import timedelta

from django.utils import timezone

from infra_console.plans.fence import EXECUTOR
from infra_console.plans.lifecycle import journal
from infra_console.plans.models import Plan, Settlement
from infra_console.plans.promises import Verdict, judge_span
from infra_console.plans.states import PlanState

# A source that is away at the moment of settlement gets this long to come back.
GRACE = timedelta(minutes=15)


def settle_due() -> int:
    """Settle every plan whose horizon has passed; return how many ended."""
    due = Plan.objects.filter(
        state=PlanState.VERIFYING, execution__settle_at__lte=timezone.now()
    ).select_related("execution")
    return sum(settle_plan(plan) for plan in due)


def settle_plan(plan: Plan) -> bool:
    """Judge the plan's promises over its horizon; False when the metrics are still awaited.

    Nothing measured at all ends in `verified`, never in `settled`.
    """
    execution = plan.execution
    if execution.verified_at is None or execution.settle_at is None:
        return False
    verdicts = [
        judge_span(p, start=execution.verified_at, end=execution.settle_at)
        for p in plan.spec.promises
    ]
    known = [v for v in verdicts if v.kept is not None]
    if len(known) < len(verdicts) and timezone.now() < execution.settle_at + GRACE and not known:
        return False
    _write(plan, verdicts)
    return True


def _write(plan: Plan, verdicts: list[Verdict]) -> None:
    kept = sum(v.kept is True for v in verdicts)
    missed = sum(v.kept is False for v in verdicts)
    measured = bool(kept or missed)
    with journal() as moves:
        Settlement.objects.create(
            plan=plan,
            at=timezone.now(),
            promises=[v.as_json() for v in verdicts],
            kept_count=kept,
            missed_count=missed,
            unknown_count=len(verdicts) - kept - missed,
        )
        to = PlanState.SETTLED if measured else PlanState.VERIFIED
        why = f"{kept} of {len(verdicts)} promises kept" if measured else "metrics are unknown"
        moves.move(plan.id, to=to, who=EXECUTOR, why=why)
